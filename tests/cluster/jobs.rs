//! Jobs for the tests: the examples of the documentation, and small jobs with only the fields that a test needs.

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};

const PREFIX: &str = "weighbridge.dev/";

/// Llama-3.2-3B whole on every GPU, which fits on an H100 and not on an A10. The accelerator is left open.
pub(crate) const WHOLE: &[(&str, &str)] = &[
    ("model", "llama-3.2-3b"),
    ("method", "full"),
    ("sharding", "ddp"),
    ("optimizer", "adamw"),
    ("precision", "bf16"),
    ("micro-batch-size", "1"),
    ("sequence-length", "1024"),
    ("recompute", "full"),
    ("attention", "flash"),
];

/// An example, by the name of its file.
pub(crate) fn example(file: &str) -> Result<Value> {
    let path = format!("{}/examples/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).context(path)?;
    Ok(serde_saphyr::from_str(&text)?)
}

/// Llama-2-70B on 1024 A800-80GB, which fits.
pub(crate) fn fitting(name: &str) -> Result<Value> {
    Ok(named(example("pytorchjob-llama2-70b.yaml")?, name))
}

/// The same without sharding and with less recomputation, which runs out of memory.
pub(crate) fn hopeless(name: &str) -> Result<Value> {
    Ok(named(example("pytorchjob-llama2-70b-oom.yaml")?, name))
}

/// The change that makes the fitting job hopeless.
pub(crate) fn ruin() -> Value {
    annotate(&[("sharding", "ddp"), ("recompute", "none"), ("micro-batch-size", "4")])
}

/// A merge patch that sets some of our annotations.
pub(crate) fn annotate(annotations: &[(&str, &str)]) -> Value {
    json!({"metadata": {"annotations": ours(annotations)}})
}

/// The object with another name.
pub(crate) fn named(mut object: Value, name: &str) -> Value {
    object["metadata"]["name"] = json!(name);
    object
}

/// The object with further annotations of ours.
pub(crate) fn annotated(mut object: Value, annotations: &[(&str, &str)]) -> Value {
    for (key, value) in ours(annotations) {
        object["metadata"]["annotations"][key] = Value::String(value.as_str().unwrap_or_default().to_owned());
    }
    object
}

/// A PyTorchJob with a number of pods of eight GPUs each, and these annotations.
pub(crate) fn pytorchjob(name: &str, pods: u64, annotations: &[(&str, &str)]) -> Value {
    let template = json!({"spec": pod_spec(8)});
    let mut replicas = json!({"Master": {"replicas": 1, "template": template}});
    if pods > 1 {
        replicas["Worker"] = json!({"replicas": pods - 1, "template": template});
    }
    json!({
        "apiVersion": "kubeflow.org/v1",
        "kind": "PyTorchJob",
        "metadata": {"name": name, "annotations": ours(annotations)},
        "spec": {"pytorchReplicaSpecs": replicas},
    })
}

/// A Job with a number of pods of eight GPUs each, and these annotations on its pods.
pub(crate) fn job(name: &str, pods: u64, annotations: &[(&str, &str)]) -> Value {
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {
            "parallelism": pods,
            "completions": pods,
            "template": {"metadata": {"annotations": ours(annotations)}, "spec": pod_spec(8)},
        },
    })
}

/// A pod of such a Job, created by a user.
pub(crate) fn pod(name: &str, annotations: &[(&str, &str)]) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "annotations": ours(annotations)},
        "spec": pod_spec(8),
    })
}

/// A pod that starts a trainer on a number of GPUs, or on none.
pub(crate) fn pod_spec(gpus: u64) -> Value {
    let mut container = json!({"name": "pytorch", "image": "none", "command": ["torchrun", "train.py"]});
    if gpus > 0 {
        container["resources"] = json!({"limits": {"nvidia.com/gpu": gpus.to_string()}});
    }
    json!({"restartPolicy": "Never", "containers": [container]})
}

fn ours(annotations: &[(&str, &str)]) -> Map<String, Value> {
    annotations.iter().map(|(key, value)| (format!("{PREFIX}{key}"), json!(value))).collect()
}

/// A job that is sharded over all its GPUs. It fits on 128 of them, but not on eight.
pub(crate) fn sharded(pods: u64) -> Value {
    pytorchjob(
        "llama",
        pods,
        &[
            ("model", "llama-2-70b"),
            ("sharding", "fsdp"),
            ("framework", "fsdp"),
            ("recompute", "full"),
            ("attention", "flash"),
            ("micro-batch-size", "1"),
            ("sequence-length", "4096"),
            ("precision", "bf16"),
            ("gpu-type", "A100-80GB"),
        ],
    )
}
