//! ray.io/v1 RayCluster: a head, and groups of workers.
//!
//! ```text
//! pods of a group = replicas, at least minReplicas and at most maxReplicas, × numOfHosts
//! ```
//!
//! If Ray scales the groups itself, their number of pods is unknown. A cluster has no command. Commands that reach it
//! later, through Ray, cannot be read; annotations can.

use serde_json::Value;

use crate::kinds::pods::{MAX_GROUPS, replicas};
use crate::kinds::{BLANK, Kind, Place, PodGroup, PodSpecs, Pods};

pub(crate) const KIND: Kind = Kind {
    group: "ray.io",
    kind: "RayCluster",
    plural: "rayclusters",
    slug: "raycluster",
    connects: true,
    commands: true,
    pod_specs: PodSpecs::At(&[
        Place::Template("object.?spec.?headGroupSpec.?template"),
        Place::List("object.?spec.?workerGroupSpecs", "?template"),
    ]),
    suspend: Some("/spec/suspend"),
    pods: Pods::Own(pod_groups),
    lists: &["/spec/workerGroupSpecs"],
    ..BLANK
};

fn pod_groups(object: &Value) -> Vec<PodGroup<'_>> {
    object.get("spec").map(|spec| of_cluster(spec, "spec")).unwrap_or_default()
}

/// The pods of a cluster's spec at this path.
pub(crate) fn of_cluster<'a>(spec: &'a Value, path: &str) -> Vec<PodGroup<'a>> {
    let scales = spec.get("enableInTreeAutoscaling").and_then(Value::as_bool) == Some(true);
    let head = spec.pointer("/headGroupSpec/template").map(|template| PodGroup {
        role: "head",
        template,
        path: format!("{path}.headGroupSpec.template"),
        replicas: Some(1),
    });
    let groups = spec.get("workerGroupSpecs").and_then(Value::as_array).into_iter().flatten();
    let workers = groups.enumerate().filter_map(|(number, group)| {
        let role = group.get("groupName").and_then(Value::as_str).unwrap_or_default();
        let path = format!("{path}.workerGroupSpecs[{number}].template");
        let replicas = workers(group, scales);
        Some(PodGroup { role, template: group.get("template")?, path, replicas })
    });
    head.into_iter().chain(workers).take(MAX_GROUPS).collect()
}

fn workers(group: &Value, scales: bool) -> Option<u64> {
    if group.get("suspend").and_then(Value::as_bool) == Some(true) {
        return Some(0);
    }
    let count = |field: &str, absent: u64| match group.get(field) {
        None | Some(Value::Null) => absent,
        value => replicas(value),
    };
    let (least, most) = (count("minReplicas", 0), count("maxReplicas", u64::MAX));
    if scales && least != most {
        return None;
    }
    // The operator applies the lower bound first.
    let groups = count("replicas", 0).max(least).min(most);
    Some(groups.saturating_mul(count("numOfHosts", 1)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn workers_are_counted_as_the_operator_counts_them() {
        for (group, scales, pods) in [
            (json!({"replicas": 2, "numOfHosts": 4}), false, Some(8)),
            (json!({"minReplicas": 3}), false, Some(3)),
            (json!({"replicas": 9, "maxReplicas": 4}), false, Some(4)),
            (json!({"replicas": 2, "suspend": true}), false, Some(0)),
            (json!({}), false, Some(0)),
            (json!({"replicas": 1, "minReplicas": 0, "maxReplicas": 8}), true, None),
            (json!({"replicas": 4, "minReplicas": 4, "maxReplicas": 4}), true, Some(4)),
        ] {
            assert_eq!(workers(&group, scales), pods, "{group}");
        }
    }
}
