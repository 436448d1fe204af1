//! kubeflow.org/v1 PyTorchJob: a template a replica type (`Master`, `Worker`).
//!
//! An elastic job is judged by its `replicas`. With the fewest pods its sharded states are larger. But it may never
//! shrink, and the worst mistake is to deny a job that fits.

use crate::kinds::{BLANK, Kind, Place, PodSpecs, Pods, Purpose};

pub(crate) const KIND: Kind = Kind {
    group: "kubeflow.org",
    kind: "PyTorchJob",
    plural: "pytorchjobs",
    slug: "pytorchjob",
    purpose: Purpose::Training,
    pod_specs: PodSpecs::At(&[Place::Map("object.?spec.?pytorchReplicaSpecs")]),
    suspend: Some("/spec/runPolicy/suspend"),
    scale: Some("/spec/pytorchReplicaSpecs/Worker/replicas"),
    active_deadline_seconds: Some("/spec/runPolicy/activeDeadlineSeconds"),
    pods: Pods::Roles("/spec/pytorchReplicaSpecs"),
    ..BLANK
};
