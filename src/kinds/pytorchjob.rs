//! kubeflow.org/v1 PyTorchJob: a template a replica type (`Master`, `Worker`).
//!
//! An elastic job is judged as it is asked for, by `replicas`. At its smallest, sharded states are larger; but it may
//! never shrink, and to turn away what would have fitted is the worst mistake.

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
