//! sagemaker.amazonaws.com/v1 HyperPodPyTorchJob: a list of replica specs, each a template and a number of pods.

use crate::kinds::{BLANK, Kind, Place, PodSpecs, Pods, Purpose};

pub(crate) const KIND: Kind = Kind {
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
