//! batch/v1 Job: one template; as many pods at once as `parallelism`, but no more than `completions`.

use serde_json::Value;

use super::{Kind, PodGroup, PodSpecs, Purpose, replicas};

pub(super) const KIND: Kind = Kind {
    group: "batch",
    versions: &["v1"],
    kind: "Job",
    plural: "jobs",
    slug: "job",
    purpose: Purpose::General,
    makes: &[("", "Pod")],
    pod_specs: PodSpecs::At(&["object.?spec.?template.?spec"]),
    suspend: Some("/spec/suspend"),
    active_deadline_seconds: Some("/spec/activeDeadlineSeconds"),
    pod_groups,
    entrypoint: None,
};

fn pod_groups(object: &Value) -> Vec<PodGroup<'_>> {
    let Some(template) = object.pointer("/spec/template") else { return Vec::new() };
    let parallelism = replicas(object.pointer("/spec/parallelism"));
    let pods = match object.pointer("/spec/completions").and_then(Value::as_u64) {
        Some(completions) => parallelism.min(completions),
        None => parallelism,
    };
    vec![PodGroup { role: "", template, path: "spec.template".into(), replicas: Some(pods) }]
}
