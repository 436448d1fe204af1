//! Whether a child of a judged workload passes, or is judged by itself.
//!
//! A child passes unjudged where its [owner covers it](crate::cluster::Standing), and where no cache knows its owner yet. In
//! the second case the audit log gets a note, and the controller looks at the child again.
//!
//! In all other cases the child is judged by itself, and refused like any object. There is one exception: the child's
//! command alone differs from its owner's, and the owner's own annotations say what it trains. Controllers do complete
//! commands, and the annotations are not on their children, so a refusal could be wrong. Such a child is warned about at
//! most. The controller gives it an estimate and marks it (`BypassedAdmission`).
//!
//! A child of another controller is one of a number of pods that only the controller knows. Judged by itself, nothing is
//! assumed of that number: what is divided among the pods is unknown, and a refusal rests on what each pod needs alone.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde_json::Value;

use crate::cluster::{Likeness, Standing, Workloads};
use crate::kinds::Kind;
use crate::policy::Policy;
use crate::surroundings::Surroundings;

/// How an object of a request stands to the owner that it claims.
pub(super) fn standing(
    kind: &Kind,
    namespace: &str,
    object: &Value,
    workloads: &Workloads,
    around: &Surroundings,
    policy: &Policy,
) -> Standing {
    let owners: Vec<OwnerReference> = object
        .pointer("/metadata/ownerReferences")
        .and_then(|owners| serde_json::from_value(owners.clone()).ok())
        .unwrap_or_default();
    workloads.standing(kind, namespace, &owners, || Likeness::of(kind, object, around, &policy.catalogue))
}

/// What the audit log is told of a child that does not pass by a covering owner.
pub(super) const fn note(standing: &Standing) -> Option<&'static str> {
    match standing {
        Standing::Own | Standing::Covered => None,
        Standing::Idle => Some("does-not-train"),
        Standing::Differs { .. } => Some("differs"),
        Standing::Waiting(_) => Some("unknown"),
    }
}
