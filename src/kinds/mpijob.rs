//! kubeflow.org MPIJob, v2beta1 (mpi-operator) and v1 (training-operator): a template a replica type.
//!
//! The `Launcher` has the command, the `Worker`s have the accelerators. In v2beta1 the launcher is a Job.

use crate::kinds::{BLANK, Kind, Makes, Place, PodSpecs, Pods, Purpose};

pub(crate) const KIND: Kind = Kind {
    group: "kubeflow.org",
    versions: &["v2beta1", "v1"],
    kind: "MPIJob",
    plural: "mpijobs",
    slug: "mpijob",
    purpose: Purpose::Training,
    pod_specs: PodSpecs::At(&[Place::Map("object.?spec.?mpiReplicaSpecs")]),
    suspend: Some("/spec/runPolicy/suspend"),
    scale: Some("/spec/mpiReplicaSpecs/Worker/replicas"),
    active_deadline_seconds: Some("/spec/runPolicy/activeDeadlineSeconds"),
    pods: Pods::Roles("/spec/mpiReplicaSpecs"),
    makes: Makes::These(&[("", "Pod"), ("batch", "Job")]),
    ..BLANK
};
