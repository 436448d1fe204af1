//! The permissions that the process needs, from which the chart's roles are made.
//!
//! Reading is for every replica, writing for the one that leads. Nothing is ever written to a workload.

use crate::kinds::{Kind, Kinds};
use crate::surroundings::{DOCUMENTS, Opened};

/// One rule of a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permission {
    /// The API group; empty for the core group.
    pub group: &'static str,
    /// The resource, with its subresource.
    pub resource: &'static str,
    /// What is done to it.
    pub verbs: &'static [&'static str],
    /// Whether it is only needed in the process's own namespace.
    pub own_namespace: bool,
    /// Whether it is only needed for the one object that the settings name.
    pub one_object: bool,
}

const READ: &[&str] = &["get", "list", "watch"];

/// In every namespace, or in none.
const fn everywhere(
    group: &'static str,
    resource: &'static str,
    verbs: &'static [&'static str],
) -> Permission {
    Permission { group, resource, verbs, own_namespace: false, one_object: false }
}

const OWN: &[Permission] = &[
    everywhere("weighbridge.dev", "trainingestimates", READ),
    everywhere("weighbridge.dev", "trainingestimates", &["create"]),
    // Server-side apply of the status is a patch.
    everywhere("weighbridge.dev", "trainingestimates/status", &["patch"]),
    everywhere("", "nodes", READ),
    everywhere("", "namespaces", READ),
    everywhere("apiextensions.k8s.io", "customresourcedefinitions", READ),
    everywhere("events.k8s.io", "events", &["create", "patch"]),
    Permission {
        own_namespace: true,
        ..everywhere("coordination.k8s.io", "leases", &["create", "get", "patch"])
    },
    // The CA, which the first replica puts into an empty Secret.
    Permission {
        own_namespace: true,
        one_object: true,
        ..everywhere("", "secrets", &["get", "list", "update", "watch"])
    },
    // The caBundle of every entry.
    Permission {
        one_object: true,
        ..everywhere(
            "admissionregistration.k8s.io",
            "validatingwebhookconfigurations",
            &["get", "list", "patch", "watch"],
        )
    },
];

/// Every permission that a replica needs, the kinds' included.
pub fn permissions(kinds: &Kinds) -> Vec<Permission> {
    let read = |kind: &Kind| everywhere(kind.group, kind.plural, READ);
    let always = documents(Opened::Always);
    OWN.iter().cloned().chain(kinds.all().map(read)).chain(always).collect()
}

/// The permissions that a replica needs besides where an administrator lets these be read, by the flag that does.
pub fn optional_permissions() -> Vec<(&'static str, Vec<Permission>)> {
    [
        ("--read-config-maps", Opened::ByConfigMaps),
        ("--read-queues", Opened::ByQueues),
        ("--read-claims", Opened::ByClaims),
    ]
    .map(|(flag, opened)| (flag, documents(opened).collect()))
    .into()
}

fn documents(opened: Opened) -> impl Iterator<Item = Permission> {
    let documents = DOCUMENTS.iter().filter(move |document| document.opened == opened);
    documents.map(|document| everywhere(document.group, document.plural, READ))
}
