//! v1 Pod: the object is its own template. A pod that a judged workload's controller made is passed by the webhook.

use serde_json::Value;

use super::{Kind, PodGroup, PodSpecs, Purpose};

pub(super) const KIND: Kind = Kind {
    group: "",
    versions: &["v1"],
    kind: "Pod",
    plural: "pods",
    slug: "pod",
    purpose: Purpose::General,
    makes: &[],
    pod_specs: PodSpecs::At(&["object.?spec"]),
    suspend: None,
    active_deadline_seconds: Some("/spec/activeDeadlineSeconds"),
    pod_groups,
};

fn pod_groups(object: &Value) -> Vec<PodGroup<'_>> {
    vec![PodGroup { role: "", template: object, path: String::new(), replicas: 1 }]
}
