//! Whose child an object is: the outermost judged object counts, and what its controller makes of it passes.
//!
//! A reference to an owner is only a claim, which anybody may write. An owner that the caches know must really be that
//! object; one that no cache knows yet is believed, since a controller is often faster than a watch, and is noted for
//! the audit log. A false claim leads nowhere: the garbage collector removes what an absent owner owns.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde_json::Value;

use crate::cluster::{Workloads, judged_owner};
use crate::workload::kinds::Kind;

/// Whose child an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parent {
    /// Nobody's that is judged: the object itself counts.
    None,
    /// A judged workload's, which is known.
    Known,
    /// A workload's that no cache knows yet.
    Unknown,
}

/// Whose child the object is.
pub(super) fn parent(kind: &Kind, namespace: &str, object: &Value, workloads: &Workloads) -> Parent {
    let owners: Vec<OwnerReference> = object
        .pointer("/metadata/ownerReferences")
        .and_then(|owners| serde_json::from_value(owners.clone()).ok())
        .unwrap_or_default();
    let Some((owner, owner_kind)) = judged_owner(kind, &owners) else { return Parent::None };
    match workloads.get(&owner.uid) {
        None => Parent::Unknown,
        Some(known) => {
            let is_it = std::ptr::eq(known.kind, owner_kind)
                && known.namespace == namespace
                && known.name == owner.name;
            if is_it { Parent::Known } else { Parent::None }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::Digest;
    use crate::workload::kinds;

    fn workloads() -> Workloads {
        let workloads = Workloads::default();
        workloads.insert(Digest::example("u1"));
        workloads
    }

    fn of(namespace: &str, owner: &Value) -> Parent {
        let pod = json!({"metadata": {"ownerReferences": [owner]}});
        parent(kinds::find("", "Pod").unwrap(), namespace, &pod, &workloads())
    }

    fn owner(api_version: &str, kind: &str, name: &str, uid: &str, controller: bool) -> Value {
        json!({"apiVersion": api_version, "kind": kind, "name": name, "uid": uid, "controller": controller})
    }

    #[test]
    fn a_pod_of_a_known_job_is_its_child() {
        assert_eq!(of("team", &owner("kubeflow.org/v1", "PyTorchJob", "llama", "u1", true)), Parent::Known);
        assert_eq!(of("team", &owner("kubeflow.org/v1", "PyTorchJob", "new", "u2", true)), Parent::Unknown);
    }

    #[test]
    fn an_owner_that_makes_no_pods_or_does_not_control_counts_for_nothing() {
        assert_eq!(of("team", &owner("apps/v1", "ReplicaSet", "web", "u2", true)), Parent::None);
        assert_eq!(of("team", &owner("kubeflow.org/v1", "PyTorchJob", "llama", "u1", false)), Parent::None);
        assert_eq!(of("team", &json!("no reference")), Parent::None);
    }

    #[test]
    fn a_false_claim_to_a_known_owner_counts_for_nothing() {
        assert_eq!(of("other", &owner("kubeflow.org/v1", "PyTorchJob", "llama", "u1", true)), Parent::None);
        assert_eq!(of("team", &owner("kubeflow.org/v1", "PyTorchJob", "mistral", "u1", true)), Parent::None);
        assert_eq!(of("team", &owner("batch/v1", "Job", "llama", "u1", true)), Parent::None);
    }
}
