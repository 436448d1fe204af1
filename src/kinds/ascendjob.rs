//! mindxdl.gitee.com/v1 AscendJob: a template a replica type (`Master`, `Worker`, `Scheduler`), for Huawei's NPUs.

use crate::kinds::{BLANK, Kind, Place, PodSpecs, Pods, Purpose};

pub(crate) const KIND: Kind = Kind {
    group: "mindxdl.gitee.com",
    kind: "AscendJob",
    plural: "ascendjobs",
    slug: "ascendjob",
    purpose: Purpose::Training,
    pod_specs: PodSpecs::At(&[Place::Map("object.?spec.?replicaSpecs")]),
    suspend: Some("/spec/runPolicy/suspend"),
    scale: Some("/spec/replicaSpecs/Worker/replicas"),
    active_deadline_seconds: Some("/spec/runPolicy/activeDeadlineSeconds"),
    pods: Pods::Roles("/spec/replicaSpecs"),
    ..BLANK
};
