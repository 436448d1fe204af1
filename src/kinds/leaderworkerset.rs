//! leaderworkerset.x-k8s.io/v1 LeaderWorkerSet: groups of pods, each a leader and its workers.
//!
//! It has `replicas` groups of `size` pods. A leader without a template of its own has the workers' template.
//!
//! One StatefulSet makes the leaders, and one for each leader makes the workers. A StatefulSet is not judged, so the
//! references of the pods do not lead to the set. The [label](https://lws.sigs.k8s.io/docs/reference/labels-annotations-and-environment-variables/)
//! with the set's name does, and every pod has it.

use serde_json::Value;

use crate::kinds::pods::replicas;
use crate::kinds::{BLANK, Kind, Place, PodGroup, PodSpecs, Pods};

pub(crate) const KIND: Kind = Kind {
    group: "leaderworkerset.x-k8s.io",
    kind: "LeaderWorkerSet",
    plural: "leaderworkersets",
    slug: "leaderworkerset",
    named_by: Some("leaderworkerset.sigs.k8s.io/name"),
    pod_specs: PodSpecs::At(&[
        Place::Template("object.?spec.?leaderWorkerTemplate.?leaderTemplate"),
        Place::Template("object.?spec.?leaderWorkerTemplate.?workerTemplate"),
    ]),
    pods: Pods::Own(pod_groups),
    ..BLANK
};

fn pod_groups(object: &Value) -> Vec<PodGroup<'_>> {
    let Some(spec) = object.pointer("/spec/leaderWorkerTemplate") else { return Vec::new() };
    let groups = replicas(object.pointer("/spec/replicas"));
    let size = replicas(spec.get("size"));
    let group = |role: &'static str, field: &str, of_each: u64| {
        let path = format!("spec.leaderWorkerTemplate.{field}");
        let replicas = Some(groups.saturating_mul(of_each));
        spec.get(field).filter(|template| template.is_object()).map(|template| PodGroup {
            role,
            template,
            path,
            replicas,
        })
    };
    let leader = group("leader", "leaderTemplate", 1);
    let workers = if leader.is_some() { size.saturating_sub(1) } else { size };
    leader.into_iter().chain(group("worker", "workerTemplate", workers)).collect()
}
