//! elastic.iml.github.io/v1alpha1 ElasticJob (`DLRover`): a template a replica type (`worker`).
//!
//! Its master pod creates pods, too. The job is judged by its `replicas`.

use crate::kinds::{BLANK, Kind, Place, PodSpecs, Pods, Purpose};

pub(crate) const KIND: Kind = Kind {
    group: "elastic.iml.github.io",
    versions: &["v1alpha1"],
    kind: "ElasticJob",
    plural: "elasticjobs",
    slug: "elasticjob",
    purpose: Purpose::Training,
    pod_specs: PodSpecs::At(&[Place::Map("object.?spec.?replicaSpecs")]),
    suspend: Some("/spec/suspend"),
    scale: Some("/spec/replicaSpecs/worker/replicas"),
    pods: Pods::Roles("/spec/replicaSpecs"),
    ..BLANK
};
