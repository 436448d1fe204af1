//! batch/v1 Job: one template, and `parallelism` pods at once, but no more than `completions`.

use crate::kinds::{BLANK, Kind, Place, PodSpecs, Pods};

pub(crate) const KIND: Kind = Kind {
    group: "batch",
    kind: "Job",
    plural: "jobs",
    slug: "job",
    pod_specs: PodSpecs::At(&[Place::Template("object.?spec.?template")]),
    suspend: Some("/spec/suspend"),
    scale: None,
    active_deadline_seconds: Some("/spec/activeDeadlineSeconds"),
    pods: Pods::Job("/spec"),
    ..BLANK
};
