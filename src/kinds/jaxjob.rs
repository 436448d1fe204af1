//! kubeflow.org/v1 JAXJob: a template a replica type (`Worker`).

use crate::kinds::{BLANK, Kind, Place, PodSpecs, Pods, Purpose};

pub(crate) const KIND: Kind = Kind {
    group: "kubeflow.org",
    kind: "JAXJob",
    plural: "jaxjobs",
    slug: "jaxjob",
    purpose: Purpose::Training,
    pod_specs: PodSpecs::At(&[Place::Map("object.?spec.?jaxReplicaSpecs")]),
    suspend: Some("/spec/runPolicy/suspend"),
    scale: Some("/spec/jaxReplicaSpecs/Worker/replicas"),
    active_deadline_seconds: Some("/spec/runPolicy/activeDeadlineSeconds"),
    pods: Pods::Roles("/spec/jaxReplicaSpecs"),
    ..BLANK
};
