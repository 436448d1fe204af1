//! v1 Pod: the object is its own template. The webhook passes a pod that the controller of a judged workload made.
//!
//! A pod of any other controller (of an `MPIJob`, a `StatefulSet`) is one of several, and only the controller knows
//! how many. To judge it as one pod alone, with all that the pods share, would deny jobs that fit.
//!
//! A controller that was deleted without its pods (`--cascade=orphan`) leaves them without an owner. Its labels stay, and
//! show that the pod is one of several.

use serde_json::Value;

use crate::kinds::{BLANK, Kind, Makes, Place, PodGroup, PodSpecs, Pods};

pub(crate) const KIND: Kind = Kind {
    kind: "Pod",
    plural: "pods",
    slug: "pod",
    makes: Makes::Nothing,
    pod_specs: PodSpecs::At(&[Place::Template("object")]),
    scale: None,
    active_deadline_seconds: Some("/spec/activeDeadlineSeconds"),
    pods: Pods::Own(pod_groups),
    ..BLANK
};

/// Labels that controllers give their pods: the name of the workload.
const OF_CONTROLLERS: &[&str] = &[
    "batch.kubernetes.io/job-name",
    "job-name",
    "jobset.sigs.k8s.io/jobset-name",
    "leaderworkerset.sigs.k8s.io/name",
    "ray.io/cluster",
    "training.kubeflow.org/job-name",
    "volcano.sh/job-name",
];

fn pod_groups(object: &Value) -> Vec<PodGroup<'_>> {
    let owners = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    let controlled =
        owners.into_iter().flatten().any(|owner| owner.get("controller") == Some(&Value::Bool(true)));
    let labels = object.pointer("/metadata/labels").and_then(Value::as_object);
    let orphaned =
        labels.is_some_and(|labels| OF_CONTROLLERS.iter().any(|label| labels.contains_key(*label)));
    let replicas = if controlled || orphaned { None } else { Some(1) };
    vec![PodGroup { role: "", template: object, path: String::new(), replicas }]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_with_a_controller_or_its_label_is_one_of_several() {
        let replicas = |metadata: Value| pod_groups(&json!({"metadata": metadata}))[0].replicas;
        assert_eq!(replicas(json!({"name": "alone", "labels": {"app": "train"}})), Some(1));
        assert_eq!(replicas(json!({"ownerReferences": [{"controller": true}]})), None);
        assert_eq!(replicas(json!({"ownerReferences": [{"controller": false}]})), Some(1));
        assert_eq!(
            replicas(json!({"labels": {"training.kubeflow.org/job-name": "llama"}})),
            None,
            "an orphan"
        );
    }
}
