//! kaiwo.silogen.ai/v1alpha1 KaiwoJob: the Job, or with `ray` the RayJob, that its controller makes.
//!
//! ```text
//! spec.job, else spec.rayJob, else one container ─► + entrypoint, env, GPUs and models of the spec
//! pods     = replicas with gpusPerReplica, else one
//! resource = amd.com/gpu, or that of gpuVendor; the spec's own fields decide the GPUs if they give any
//! ```
//!
//! `gpuModels` are values of the nodes' label `kaiwo/gpu-model`. Source: silogen/kaiwo apis/kaiwo/v1alpha1
//! `kaiwojob_types.go` and `common_types.go`.

use std::borrow::Cow;

use serde_json::{Value, json};

use crate::kinds::raycluster::of_cluster;
use crate::kinds::{BLANK, Completed, Entrypoint, Kind, Makes, PodGroup, Pods, runtime};
use crate::surroundings::Surroundings;

pub(crate) const KIND: Kind = Kind {
    group: "kaiwo.silogen.ai",
    versions: &["v1alpha1"],
    kind: "KaiwoJob",
    plural: "kaiwojobs",
    slug: "kaiwojob",
    connects: true,
    makes: Makes::These(&[("batch", "Job"), ("ray.io", "RayJob"), ("ray.io", "RayCluster"), ("", "Pod")]),
    pods: Pods::Own(runtime::groups),
    lists: &["/spec/rayJob/spec/rayClusterSpec/workerGroupSpecs"],
    complete: Some(complete),
    entrypoint: Some(entrypoint),
    ..BLANK
};

/// The nodes' label of the GPU's model.
const MODEL: &str = "kaiwo/gpu-model";

fn complete(object: &Value, _: &Surroundings) -> Completed<'static> {
    let mut completed = object.clone();
    let groups: Vec<Value> = groups(object).iter().map(|group| with_gpus(group, object)).collect();
    if let Some(spec) = completed.get_mut("spec").and_then(Value::as_object_mut) {
        spec.insert("groups".into(), Value::Array(groups));
    }
    Completed::by_itself(Cow::Owned(completed))
}

/// The groups of pods of its Job or RayJob, as the object itself gives them.
fn groups(object: &Value) -> Vec<PodGroup<'_>> {
    static ALONE: std::sync::LazyLock<Value> =
        std::sync::LazyLock::new(|| json!({"spec": {"containers": [{"name": "workload"}]}}));
    let cluster = object.pointer("/spec/rayJob/spec/rayClusterSpec").filter(|cluster| cluster.is_object());
    let given = match cluster {
        Some(cluster) => of_cluster(cluster, "spec.rayJob.spec.rayClusterSpec"),
        None => Pods::Job("/spec/job/spec").groups(object),
    };
    let asks = ["/spec/gpus", "/spec/gpusPerReplica", "/spec/entrypoint"];
    if given.is_empty() && asks.iter().any(|pointer| object.pointer(pointer).is_some()) {
        let alone = PodGroup { role: "", template: &ALONE, path: "spec".to_owned(), replicas: Some(1) };
        return vec![alone];
    }
    given
}

fn number(object: &Value, pointer: &str) -> Option<u64> {
    object.pointer(pointer).and_then(Value::as_u64).filter(|number| *number > 0)
}

/// A group, with the GPUs, the models and the variables of the spec. Of a Ray cluster the workers get the GPUs.
fn with_gpus(group: &PodGroup<'_>, object: &Value) -> Value {
    let mut template = group.template.clone();
    let (mut pods, is_head) = (group.replicas, group.role == "head");
    let (replicas, each) = (number(object, "/spec/replicas"), number(object, "/spec/gpusPerReplica"));
    let all = number(object, "/spec/gpus");
    let gpus = match (each, all) {
        (Some(each), _) => {
            pods = replicas.or(Some(1));
            Some(each)
        }
        (None, Some(all)) => {
            // The controller divides them among nodes, by what the nodes have.
            pods = Some(1);
            Some(all)
        }
        (None, None) => None,
    };
    let vendor = object.pointer("/spec/gpuVendor").and_then(Value::as_str).unwrap_or("amd");
    let containers = template.pointer_mut("/spec/containers").and_then(Value::as_array_mut);
    if let Some(container) = containers.and_then(|list| list.first_mut()).and_then(Value::as_object_mut) {
        if let Some(env) = object.pointer("/spec/env").and_then(Value::as_array) {
            let own = container.entry("env").or_insert_with(|| json!([]));
            if let Some(own) = own.as_array_mut() {
                own.extend(env.iter().cloned());
            }
        }
        if let Some(image) = object.pointer("/spec/image") {
            container.entry("image").or_insert_with(|| image.clone());
        }
        if let Some(gpus) = gpus.filter(|_| !is_head) {
            container.insert("resources".into(), json!({"limits": {format!("{vendor}.com/gpu"): gpus}}));
        }
    }
    if let (Some(models), Some(spec)) = (
        object.pointer("/spec/gpuModels").and_then(Value::as_array).filter(|models| !models.is_empty()),
        template.pointer_mut("/spec").and_then(Value::as_object_mut),
    ) {
        let required = json!({"key": MODEL, "operator": "In", "values": models});
        spec.entry("affinity").or_insert_with(|| {
            json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": [required]}]}}})
        });
    }
    let pods = if is_head { Some(1) } else { pods };
    json!({"role": group.role, "path": group.path, "pods": pods, "template": template})
}

fn entrypoint(object: &Value) -> Option<Entrypoint<'_>> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
    let own = text("/spec/entrypoint").map(|script| (script, "spec.entrypoint"));
    let of_ray =
        || text("/spec/rayJob/spec/entrypoint").map(|script| (script, "spec.rayJob.spec.entrypoint"));
    let (script, path) = own.or_else(of_ray).filter(|(script, _)| !script.trim().is_empty())?;
    Some(Entrypoint { script, environment: Vec::new(), path, gap: None })
}
