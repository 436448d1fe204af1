//! The smallest size to which a controller may shrink an elastic workload.
//!
//! | kind | smallest number of pods | of |
//! | --- | --- | --- |
//! | PyTorchJob | `spec.elasticPolicy.minReplicas` | the role `Worker` |
//! | RayCluster, RayJob | `minReplicas` of each group of workers, if `enableInTreeAutoscaling` is set | that group |
//!
//! A job that shards its states over its pods needs more memory on each with fewer pods. A HorizontalPodAutoscaler is an
//! object of its own: what it changes is judged as a change of the scale.

use serde_json::{Value, json};

use crate::kinds::Kind;

/// The object at its smallest size, and that size in words. None if it cannot shrink.
pub fn smallest(kind: &Kind, object: &Value) -> Option<(Value, String)> {
    match (kind.group, kind.kind) {
        ("kubeflow.org", "PyTorchJob") => of_pytorchjob(object),
        ("ray.io", "RayCluster") => of_ray(object, "/spec"),
        ("ray.io", "RayJob") => of_ray(object, "/spec/rayClusterSpec"),
        _ => None,
    }
}

fn of_pytorchjob(object: &Value) -> Option<(Value, String)> {
    const WORKERS: &str = "/spec/pytorchReplicaSpecs/Worker";
    let least = object.pointer("/spec/elasticPolicy/minReplicas")?.as_u64()?;
    let workers = object.pointer(WORKERS)?;
    let replicas = workers.get("replicas").and_then(Value::as_u64).unwrap_or(1);
    if least == 0 || least >= replicas {
        return None;
    }
    let mut smallest = object.clone();
    *smallest.pointer_mut(WORKERS)?.get_mut("replicas")? = json!(least);
    Some((smallest, size(least, replicas)))
}

fn of_ray(object: &Value, cluster: &str) -> Option<(Value, String)> {
    let spec = object.pointer(cluster)?;
    if spec.get("enableInTreeAutoscaling") != Some(&Value::Bool(true)) {
        return None;
    }
    let groups = spec.get("workerGroupSpecs")?.as_array()?;
    let count =
        |group: &Value, field: &str, otherwise| group.get(field).and_then(Value::as_u64).unwrap_or(otherwise);
    let replicas: u64 = groups.iter().map(|group| count(group, "replicas", 1)).sum();
    let least: u64 =
        groups.iter().map(|group| count(group, "replicas", 1).min(count(group, "minReplicas", 0))).sum();
    // A cluster without any worker trains nothing.
    if least == 0 || least >= replicas {
        return None;
    }
    let mut smallest = object.clone();
    for group in smallest.pointer_mut(cluster)?.get_mut("workerGroupSpecs")?.as_array_mut()? {
        let fewest = count(group, "replicas", 1).min(count(group, "minReplicas", 0));
        group.as_object_mut()?.insert("replicas".into(), json!(fewest));
    }
    Some((smallest, size(least, replicas)))
}

fn size(least: u64, replicas: u64) -> String {
    let workers = if least == 1 { "worker" } else { "workers" };
    format!("{least} {workers} instead of {replicas}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::Kinds;

    fn of(group: &str, kind: &str, spec: &Value) -> Option<(Value, String)> {
        smallest(Kinds::built_in().find(group, kind).unwrap(), &json!({"spec": spec}))
    }

    #[test]
    fn an_elastic_policy_bounds_the_workers() {
        let job = |least: Value, replicas: u64| json!({"elasticPolicy": {"minReplicas": least}, "pytorchReplicaSpecs": {"Worker": {"replicas": replicas}}});
        let (smallest, size) = of("kubeflow.org", "PyTorchJob", &job(json!(2), 8)).unwrap();
        assert_eq!(smallest["spec"]["pytorchReplicaSpecs"]["Worker"]["replicas"], 2);
        assert_eq!(size, "2 workers instead of 8");
        for (least, replicas) in [(json!(8), 8), (json!(0), 8), (json!(null), 8), (json!("2"), 8)] {
            assert_eq!(of("kubeflow.org", "PyTorchJob", &job(least, replicas)), None);
        }
    }

    #[test]
    fn a_cluster_that_scales_itself_has_fewer_workers() {
        let cluster = |scales: bool| {
            json!({"enableInTreeAutoscaling": scales, "workerGroupSpecs": [
                {"replicas": 4, "minReplicas": 1}, {"replicas": 2, "minReplicas": 2},
            ]})
        };
        let (smallest, size) = of("ray.io", "RayCluster", &cluster(true)).unwrap();
        assert_eq!(smallest["spec"]["workerGroupSpecs"][0]["replicas"], 1);
        assert_eq!(size, "3 workers instead of 6");
        assert_eq!(of("ray.io", "RayCluster", &cluster(false)), None);
        assert!(of("ray.io", "RayJob", &json!({"rayClusterSpec": cluster(true)})).is_some());
    }
}
