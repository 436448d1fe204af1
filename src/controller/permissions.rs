//! The permissions that the process needs. The chart's roles are made from them.
//!
//! Every replica reads; only the leader writes. No write ever touches a workload.

use crate::kinds::{Kind, Kinds};
use crate::surroundings::{DOCUMENTS, KUEUE, Opened};

/// One rule of a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permission {
    /// The API group; empty for the core group.
    pub group: &'static str,
    /// The resource, with its subresource.
    pub resource: &'static str,
    /// The verbs.
    pub verbs: &'static [&'static str],
    /// Whether only the process's own namespace needs it.
    pub own_namespace: bool,
    /// Whether only the one object in the settings needs it.
    pub one_object: bool,
}

/// The flag that keeps histories.
pub const HISTORY: &str = "--history=admit";

/// The flag that answers Kueue's admission checks.
pub const KUEUE_CHECK: &str = "--kueue-check";

/// To read a history, write it, and delete the oldest.
const KEEP: &[&str] = &["create", "delete", "get", "list", "patch", "watch"];
const READ: &[&str] = &["get", "list", "watch"];

/// For every namespace, or for an object without one.
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
    // The CA. The first replica writes it into an empty Secret.
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

/// Every permission that a replica needs, those for the kinds included.
pub fn permissions(kinds: &Kinds) -> Vec<Permission> {
    let read = |kind: &Kind| everywhere(kind.group, kind.plural, READ);
    let always = documents(Opened::Always);
    OWN.iter().cloned().chain(kinds.all().map(read)).chain(always).collect()
}

/// The permissions that optional reads need, by the flag that allows each.
pub fn optional_permissions() -> Vec<(&'static str, Vec<Permission>)> {
    [
        ("--read-config-maps", Opened::ByConfigMaps),
        ("--read-queues", Opened::ByQueues),
        ("--read-claims", Opened::ByClaims),
    ]
    .map(|(flag, opened)| (flag, documents(opened).collect()))
    .into_iter()
    .chain([(HISTORY, vec![everywhere("weighbridge.dev", "traininghistories", KEEP)])])
    .chain([(KUEUE_CHECK, kueue_check().collect())])
    .collect()
}

/// To read Kueue's Workloads and flavors, and to write the states of checks. They are a part of a status, so the write is a
/// patch of that.
fn kueue_check() -> impl Iterator<Item = Permission> {
    let of_checks = [
        everywhere(KUEUE, "admissionchecks", READ),
        everywhere(KUEUE, "admissionchecks/status", &["patch"]),
        everywhere(KUEUE, "workloads", READ),
        everywhere(KUEUE, "workloads/status", &["patch"]),
    ];
    documents(Opened::ByQueues).chain(of_checks)
}

fn documents(opened: Opened) -> impl Iterator<Item = Permission> {
    let documents = DOCUMENTS.iter().filter(move |document| document.opened == opened);
    documents.map(|document| everywhere(document.group, document.plural, READ))
}
