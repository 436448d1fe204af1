//! kubeflow.org/v1 PaddleJob: a template a replica type (`Master`, `Worker`).

use crate::kinds::{BLANK, Kind, Place, PodSpecs, Pods, Purpose};

pub(crate) const KIND: Kind = Kind {
    group: "kubeflow.org",
    kind: "PaddleJob",
    plural: "paddlejobs",
    slug: "paddlejob",
    purpose: Purpose::Training,
    pod_specs: PodSpecs::At(&[Place::Map("object.?spec.?paddleReplicaSpecs")]),
    suspend: Some("/spec/runPolicy/suspend"),
    scale: Some("/spec/paddleReplicaSpecs/Worker/replicas"),
    active_deadline_seconds: Some("/spec/runPolicy/activeDeadlineSeconds"),
    pods: Pods::Roles("/spec/paddleReplicaSpecs"),
    ..BLANK
};
