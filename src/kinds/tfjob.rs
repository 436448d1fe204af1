//! kubeflow.org/v1 TFJob: a template a replica type (`Chief`, `PS`, `Worker`, `Evaluator`).

use crate::kinds::{BLANK, Kind, Place, PodSpecs, Pods, Purpose};

pub(crate) const KIND: Kind = Kind {
    group: "kubeflow.org",
    kind: "TFJob",
    plural: "tfjobs",
    slug: "tfjob",
    purpose: Purpose::Training,
    pod_specs: PodSpecs::At(&[Place::Map("object.?spec.?tfReplicaSpecs")]),
    suspend: Some("/spec/runPolicy/suspend"),
    scale: Some("/spec/tfReplicaSpecs/Worker/replicas"),
    active_deadline_seconds: Some("/spec/runPolicy/activeDeadlineSeconds"),
    pods: Pods::Roles("/spec/tfReplicaSpecs"),
    ..BLANK
};
