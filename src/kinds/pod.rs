//! v1 Pod: the object is its own template. The webhook passes a pod that the controller of a judged workload made.
//!
//! A pod of any other controller (of an `MPIJob`, a `StatefulSet`) is one of several, and only the controller knows
//! how many. To judge it as one pod alone, with all that the pods share, would deny jobs that fit.

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

fn pod_groups(object: &Value) -> Vec<PodGroup<'_>> {
    let owners = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    let controlled =
        owners.into_iter().flatten().any(|owner| owner.get("controller") == Some(&Value::Bool(true)));
    let replicas = if controlled { None } else { Some(1) };
    vec![PodGroup { role: "", template: object, path: String::new(), replicas }]
}
