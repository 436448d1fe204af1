//! The permissions that the process needs, from which the chart's roles are made.
//!
//! Reading is for every replica, writing for the one that leads. Nothing is ever written to a workload.

use crate::workload::kinds::{KINDS, Kind};

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
}

const READ: &[&str] = &["get", "list", "watch"];

const OWN: &[Permission] = &[
    Permission { group: "weighbridge.dev", resource: "trainingestimates", verbs: READ, own_namespace: false },
    Permission {
        group: "weighbridge.dev",
        resource: "trainingestimates",
        verbs: &["create"],
        own_namespace: false,
    },
    // Server-side apply of the status is a patch.
    Permission {
        group: "weighbridge.dev",
        resource: "trainingestimates/status",
        verbs: &["patch"],
        own_namespace: false,
    },
    Permission { group: "", resource: "nodes", verbs: READ, own_namespace: false },
    Permission { group: "", resource: "namespaces", verbs: READ, own_namespace: false },
    Permission {
        group: "apiextensions.k8s.io",
        resource: "customresourcedefinitions",
        verbs: READ,
        own_namespace: false,
    },
    Permission {
        group: "events.k8s.io",
        resource: "events",
        verbs: &["create", "patch"],
        own_namespace: false,
    },
    Permission {
        group: "coordination.k8s.io",
        resource: "leases",
        verbs: &["create", "get", "patch"],
        own_namespace: true,
    },
    // The CA: read, filled where it is empty, made where it is missing.
    Permission {
        group: "",
        resource: "secrets",
        verbs: &["create", "get", "list", "update", "watch"],
        own_namespace: true,
    },
    // The caBundle of each entry, and nothing else of it.
    Permission {
        group: "admissionregistration.k8s.io",
        resource: "validatingwebhookconfigurations",
        verbs: &["get", "list", "patch", "watch"],
        own_namespace: false,
    },
];

/// Every permission that is needed, the kinds' included.
pub fn permissions() -> Vec<Permission> {
    let read = |kind: &Kind| Permission {
        group: kind.group,
        resource: kind.plural,
        verbs: READ,
        own_namespace: false,
    };
    OWN.iter().cloned().chain(KINDS.iter().map(read)).collect()
}
