//! A job that states every deciding value, and the same job with one changed or missing.

use serde_json::{Map, Value, json};

/// A pod template with a container that asks for this number of GPUs.
pub(crate) fn template(gpus: u64) -> Value {
    json!({"spec": {"containers": [{
        "name": "pytorch",
        "image": "trainer",
        "command": ["torchrun", "train.py"],
        "resources": {"limits": {"nvidia.com/gpu": gpus}},
    }]}})
}

/// A `PyTorchJob` of one master and workers of 8 GPUs each, with these annotations.
pub(crate) fn pytorchjob(annotations: &[(&str, &str)], workers: u64) -> Value {
    let annotations: Map<String, Value> =
        annotations.iter().map(|(key, value)| (format!("weighbridge.dev/{key}"), (*value).into())).collect();
    json!({
        "apiVersion": "kubeflow.org/v1",
        "kind": "PyTorchJob",
        "metadata": {"name": "job", "annotations": annotations},
        "spec": {"pytorchReplicaSpecs": {
            "Master": {"replicas": 1, "template": template(8)},
            "Worker": {"replicas": workers, "template": template(8)},
        }},
    })
}

/// Every value that decides, for Llama-2-7B on H100.
pub(crate) const STATED: &[(&str, &str)] = &[
    ("model", "llama-2-7b"),
    ("framework", "fsdp"),
    ("sharding", "fsdp"),
    ("recompute", "full"),
    ("attention", "flash"),
    ("precision", "bf16"),
    ("micro-batch-size", "1"),
    ("global-batch-size", "64"),
    ("sequence-length", "4096"),
    ("tokens", "1T"),
    ("gpu-type", "H100-80GB"),
];

pub(crate) fn with<'a>(
    annotations: &[(&'a str, &'a str)],
    change: (&'a str, &'a str),
) -> Vec<(&'a str, &'a str)> {
    annotations.iter().copied().filter(|(key, _)| *key != change.0).chain([change]).collect()
}

pub(crate) fn without<'a>(annotations: &[(&'a str, &'a str)], keys: &[&str]) -> Vec<(&'a str, &'a str)> {
    annotations.iter().copied().filter(|(key, _)| !keys.contains(key)).collect()
}
