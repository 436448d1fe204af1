//! The estimate that should exist for a workload, decided over plain data; [`reconcile`](super::reconcile) acts on
//! it.
//!
//! Every workload that trains has one estimate, which the workload owns. No other object is ever adopted: an object
//! with the name but another owner, or none, keeps it, and the estimate takes the next name. The estimate of an
//! earlier workload with the same name is waited for, since the garbage collector will delete it.

use serde_json::{Value, json};

use super::naming::{estimate_name, with_uid};
use crate::cluster::{Digest, Object};

/// Whether the workload should have an estimate.
pub(super) fn wants_estimate(workload: &Digest) -> bool {
    workload.verdict.trains() && !workload.child && !workload.deleting
}

/// The names to try, in order.
pub(super) fn names(workload: &Digest) -> [String; 2] {
    let name = estimate_name(workload.kind, &workload.name);
    let other = with_uid(&name, &workload.uid);
    [name, other]
}

/// The holder of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    /// The name is free.
    Free,
    /// The workload's own estimate.
    Ours,
    /// An object that will soon be deleted.
    Leaving,
    /// Another object, which keeps the name.
    Other,
}

/// Who has the name that this object has, as seen from the workload.
pub(super) fn holder(found: Option<&Object>, workload: &Digest) -> Holder {
    let Some(found) = found else { return Holder::Free };
    if found.is_being_deleted() {
        return Holder::Leaving;
    }
    match found.controller() {
        Some(owner) if owner.uid == workload.uid => Holder::Ours,
        // No two objects of a kind have a name at once, so that owner is gone.
        Some(owner) if owner.kind == workload.kind.kind && owner.name == workload.name => Holder::Leaving,
        _ => Holder::Other,
    }
}

/// The estimate to create: only its owner and the reference to it.
pub(super) fn estimate(workload: &Digest, name: &str) -> Value {
    json!({
        "apiVersion": "weighbridge.dev/v1alpha1",
        "kind": "TrainingEstimate",
        "metadata": {
            "name": name,
            "namespace": workload.namespace,
            "ownerReferences": [{
                "apiVersion": workload.api_version,
                "kind": workload.kind.kind,
                "name": workload.name,
                "uid": workload.uid,
                "controller": true,
            }],
        },
        "spec": {
            "workloadRef": {
                "apiVersion": workload.api_version,
                "kind": workload.kind.kind,
                "name": workload.name,
                "uid": workload.uid,
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judgement::Verdict;

    fn workload() -> Digest {
        Digest::example("7f3a9c02")
    }

    #[test]
    fn a_workload_that_trains_and_is_no_child_has_an_estimate() {
        for (change, wanted) in [
            (Box::new(|_: &mut Digest| {}) as Box<dyn Fn(&mut Digest)>, true),
            (Box::new(|w| w.verdict = Verdict::Unknown), true),
            (Box::new(|w| w.verdict = Verdict::OutOfMemory), true),
            (Box::new(|w| w.verdict = Verdict::NotTraining), false),
            (Box::new(|w| w.child = true), false),
            (Box::new(|w| w.deleting = true), false),
        ] {
            let mut workload = workload();
            change(&mut workload);
            assert_eq!(wants_estimate(&workload), wanted, "{workload:?}");
        }
    }

    #[test]
    fn only_an_estimate_that_the_workload_owns_is_ours() {
        let workload = workload();
        let made = estimate(&workload, "pytorchjob-llama");
        let held = |object: &Value| holder(Some(&object.clone().into()), &workload);
        assert_eq!(holder(None, &workload), Holder::Free);
        assert_eq!(held(&made), Holder::Ours);

        let mut by_hand = made.clone();
        by_hand["metadata"]["ownerReferences"] = json!(null);
        assert_eq!(held(&by_hand), Holder::Other);

        let owner = |field: &str, value: Value| {
            let mut made = made.clone();
            made["metadata"]["ownerReferences"][0][field] = value;
            made
        };
        assert_eq!(held(&owner("controller", json!(null))), Holder::Other);

        let mut anothers = owner("uid", json!("other"));
        assert_eq!(held(&anothers), Holder::Leaving, "of an earlier workload of that name");
        anothers["metadata"]["ownerReferences"][0]["name"] = json!("mistral");
        assert_eq!(held(&anothers), Holder::Other);
    }

    #[test]
    fn an_estimate_blocks_no_deletion_and_repeats_nothing_of_the_job() {
        let estimate = estimate(&workload(), "pytorchjob-llama");
        assert_eq!(estimate.pointer("/metadata/ownerReferences/0/controller"), Some(&json!(true)));
        assert_eq!(estimate.pointer("/metadata/ownerReferences/0/blockOwnerDeletion"), None);
        assert_eq!(
            estimate["spec"].as_object().map(|spec| spec.keys().collect::<Vec<_>>()).unwrap(),
            ["workloadRef"]
        );
    }
}
