//! kubeflow.org/v1 PyTorchJob: a template a replica type (`Master`, `Worker`).
//!
//! An elastic job is judged at its smallest size, where sharded states are largest: `elasticPolicy.minReplicas`
//! stands in for the workers' replicas when it is smaller.

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
};

fn pod_groups(object: &Value) -> Vec<PodGroup<'_>> {
    let Some(specs) = object.pointer("/spec/pytorchReplicaSpecs").and_then(Value::as_object) else {
        return Vec::new();
    };
    let smallest = object.pointer("/spec/elasticPolicy/minReplicas").and_then(Value::as_u64);
    specs
        .iter()
        .filter_map(|(role, spec)| {
            let mut pods = replicas(spec.get("replicas"));
            if let (Some(smallest), "Worker") = (smallest, role.as_str()) {
                pods = pods.min(smallest);
            }
            let path = format!("spec.pytorchReplicaSpecs.{role}.template");
            Some(PodGroup { role, template: spec.get("template")?, path, replicas: pods })
        })
        .collect()
}
