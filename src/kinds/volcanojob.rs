//! batch.volcano.sh/v1alpha1 Job: a list of tasks, each a template and a number of pods.
//!
//! If a task starts the program of the other tasks (by `mpirun`), one template has the command and another has the
//! accelerators.

use crate::kinds::{BLANK, Kind, Place, PodSpecs, Pods};

pub(crate) const KIND: Kind = Kind {
    group: "batch.volcano.sh",
    versions: &["v1alpha1"],
    kind: "Job",
    plural: "jobs",
    slug: "volcano-job",
    pod_specs: PodSpecs::At(&[Place::List("object.?spec.?tasks", "?template")]),
    pods: Pods::Tasks("/spec/tasks"),
    ..BLANK
};
