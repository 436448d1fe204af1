//! How a child of a judged workload is reviewed.
//!
//! A child passes unjudged if its [owner covers it](crate::cluster::Standing), or if its owner is not in the cache
//! yet. In the second case the audit log gets a note, and the controller checks the child later.
//!
//! In all other cases the child is judged by itself, and refused like any object. There is one exception: only the
//! child's command differs from its owner's, and the owner has annotations about the training. Controllers do
//! complete commands, and the children do not carry the owner's annotations, so a refusal could be wrong. Such a
//! child gets a warning at most. The controller gives it an estimate and marks it (`BypassedAdmission`).
//!
//! Only the controller knows how many pods such a child belongs to. When the child is judged by itself, the number is
//! unknown, and so is every size that is divided by it. A refusal then rests on the memory that each pod needs alone.

use serde_json::Value;

use crate::cluster::{Likeness, Standing, Workloads};
use crate::kinds::Kind;
use crate::policy::Policy;
use crate::surroundings::Surroundings;

/// The standing of a request's object with the owner that it claims.
pub(super) fn standing(
    kind: &Kind,
    namespace: &str,
    object: &Value,
    workloads: &Workloads,
    around: &Surroundings,
    policy: &Policy,
) -> Standing {
    workloads.standing(kind, namespace, object, || Likeness::of(kind, object, around, &policy.catalogue))
}

/// The audit note of a child without a covering owner.
pub(super) const fn note(standing: &Standing) -> Option<&'static str> {
    match standing {
        Standing::Own | Standing::Covered => None,
        Standing::Idle => Some("does-not-train"),
        Standing::Differs { .. } => Some("differs"),
        Standing::Waiting(_) => Some("unknown"),
    }
}
