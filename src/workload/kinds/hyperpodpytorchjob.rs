//! sagemaker.amazonaws.com/v1 HyperPodPyTorchJob: a list of replica specs, each a template and a number of pods.

use super::{BLANK, Kind, Place, PodSpecs, Pods, Purpose};

pub(super) const KIND: Kind = Kind {
    group: "sagemaker.amazonaws.com",
    kind: "HyperPodPyTorchJob",
    plural: "hyperpodpytorchjobs",
    slug: "hyperpodpytorchjob",
    purpose: Purpose::Training,
    pod_specs: PodSpecs::At(&[Place::List("object.?spec.?replicaSpecs", "?template")]),
    suspend: Some("/spec/runPolicy/suspend"),
    pods: Pods::Tasks("/spec/replicaSpecs"),
    ..BLANK
};
