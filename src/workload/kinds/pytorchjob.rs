//! kubeflow.org/v1 PyTorchJob: a template a replica type (`Master`, `Worker`).
//!
//! An elastic job is judged as it is asked for, by `replicas`. At its smallest, sharded states are larger; but it may
//! never shrink, and to turn away what would have fitted is the worst mistake.

use serde_json::Value;

use super::{Kind, PodGroup, PodSpecs, Purpose, replicas};

pub(super) const KIND: Kind = Kind {
    group: "kubeflow.org",
    versions: &["v1"],
    kind: "PyTorchJob",
    plural: "pytorchjobs",
    slug: "pytorchjob",
    purpose: Purpose::Training,
    makes: &[("", "Pod")],
    pod_specs: PodSpecs::InMapOfTemplates("object.?spec.?pytorchReplicaSpecs"),
    suspend: Some("/spec/runPolicy/suspend"),
    active_deadline_seconds: Some("/spec/runPolicy/activeDeadlineSeconds"),
    pod_groups,
    entrypoint: None,
};

fn pod_groups(object: &Value) -> Vec<PodGroup<'_>> {
    let Some(specs) = object.pointer("/spec/pytorchReplicaSpecs").and_then(Value::as_object) else {
        return Vec::new();
    };
    specs
        .iter()
        .filter_map(|(role, spec)| {
            let replicas = Some(replicas(spec.get("replicas")));
            let path = format!("spec.pytorchReplicaSpecs.{role}.template");
            Some(PodGroup { role, template: spec.get("template")?, path, replicas })
        })
        .collect()
}
