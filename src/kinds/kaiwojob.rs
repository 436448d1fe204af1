//! kaiwo.silogen.ai/v1alpha1 KaiwoJob: the spec of the Job or the RayJob that it makes.

use crate::kinds::{BLANK, Kind, Makes, Pods};

pub(crate) const KIND: Kind = Kind {
    group: "kaiwo.silogen.ai",
    versions: &["v1alpha1"],
    kind: "KaiwoJob",
    plural: "kaiwojobs",
    slug: "kaiwojob",
    makes: Makes::These(&[("batch", "Job"), ("ray.io", "RayJob"), ("ray.io", "RayCluster"), ("", "Pod")]),
    pods: Pods::Job("/spec/job/spec"),
    ..BLANK
};
