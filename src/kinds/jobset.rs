//! jobset.x-k8s.io/v1alpha2 JobSet: a list of Jobs, each repeated `replicas` times.

use serde_json::Value;

use crate::kinds::pods::{MAX_GROUPS, of_job, replicas};
use crate::kinds::{BLANK, Kind, Makes, Place, PodGroup, PodSpecs, Pods};

pub(crate) const KIND: Kind = Kind {
    group: "jobset.x-k8s.io",
    versions: &["v1alpha2"],
    kind: "JobSet",
    plural: "jobsets",
    slug: "jobset",
    makes: Makes::These(&[("batch", "Job"), ("", "Pod")]),
    pod_specs: PodSpecs::At(&[Place::List("object.?spec.?replicatedJobs", "?template.?spec.?template")]),
    suspend: Some("/spec/suspend"),
    pods: Pods::Own(pod_groups),
    lists: &["/spec/replicatedJobs"],
    inner: Some(inner),
    ..BLANK
};

fn jobs(object: &Value) -> impl Iterator<Item = (usize, &Value)> {
    let jobs = object.pointer("/spec/replicatedJobs").and_then(Value::as_array).into_iter().flatten();
    jobs.enumerate().take(MAX_GROUPS)
}

fn pod_groups(object: &Value) -> Vec<PodGroup<'_>> {
    jobs(object).filter_map(|(number, job)| of(number, job)).collect()
}

fn of(number: usize, job: &Value) -> Option<PodGroup<'_>> {
    let name = job.get("name").and_then(Value::as_str).unwrap_or_default();
    let path = format!("spec.replicatedJobs[{number}].template.spec");
    of_job(name, job.pointer("/template/spec")?, &path, replicas(job.get("replicas")))
}

fn inner(object: &Value) -> Vec<(&Value, String)> {
    let templates = jobs(object).filter_map(|(number, job)| Some((number, job.get("template")?)));
    templates.map(|(number, job)| (job, format!("spec.replicatedJobs[{number}].template"))).collect()
}
