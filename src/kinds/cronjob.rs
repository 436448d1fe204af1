//! batch/v1 CronJob: the spec of the Job that it makes each time.
//!
//! Judged once, when it is created. Its Jobs are its children, and pass.

use serde_json::Value;

use crate::kinds::{BLANK, Kind, Makes, Place, PodSpecs, Pods};

pub(crate) const KIND: Kind = Kind {
    group: "batch",
    kind: "CronJob",
    plural: "cronjobs",
    slug: "cronjob",
    makes: Makes::These(&[("batch", "Job"), ("", "Pod")]),
    pod_specs: PodSpecs::At(&[Place::Template("object.?spec.?jobTemplate.?spec.?template")]),
    suspend: Some("/spec/suspend"),
    scale: None,
    active_deadline_seconds: Some("/spec/jobTemplate/spec/activeDeadlineSeconds"),
    pods: Pods::Job("/spec/jobTemplate/spec"),
    inner: Some(inner),
    ..BLANK
};

fn inner(object: &Value) -> Vec<(&Value, String)> {
    object.pointer("/spec/jobTemplate").map(|job| (job, "spec.jobTemplate".to_owned())).into_iter().collect()
}
