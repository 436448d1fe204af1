//! What would fit: in which order changes are tried, and which are never proposed.

use serde_json::{Value, json};
use weighbridge::judgement::{Judgement, Verdict};

use super::judged;

fn estimated(spec: &Value) -> Judgement {
    judged(&json!({
        "apiVersion": "weighbridge.dev/v1alpha1", "kind": "TrainingEstimate", "metadata": {"name": "what-if"}, "spec": spec,
    }))
}

/// Llama-3-70B on 64 H100s with Megatron, without the settings that save memory.
fn megatron_70b() -> Value {
    json!({
        "framework": "Megatron",
        "model": {"name": "llama-3-70b"},
        "accelerator": {"type": "H100-80GB", "count": 64, "perNode": 8},
        "parallelism": {"tensor": 8, "pipeline": 2, "sequence": false, "sharding": "None"},
        "batch": {"microBatchSize": 2, "globalBatchSize": 512, "sequenceLength": 8192},
        "precision": "BF16", "optimizer": "AdamW", "attention": "Flash", "recompute": "None",
        "dataset": {"steps": 10000},
    })
}

fn changes(judgement: &Judgement) -> Vec<&str> {
    judgement.advice.iter().map(|advice| advice.change.as_str()).collect()
}

#[test]
fn two_changes_of_the_same_training_come_before_other_hardware() {
    let judgement = estimated(&megatron_70b());
    assert_eq!(judgement.verdict, Verdict::OutOfMemory, "{}", judgement.message);
    let changes = changes(&judgement);
    assert!(changes[0].contains(" and ") && !changes[0].contains("gpu-type"), "{changes:?}");
    for advice in &judgement.advice {
        let mut spec = megatron_70b();
        merge(&mut spec, &serde_json::to_value(&advice.spec).unwrap());
        assert_eq!(estimated(&spec).verdict, Verdict::Fits, "{}", advice.change);
    }
}

#[test]
fn activations_between_matrix_products_can_be_divided_too() {
    let mut spec = megatron_70b();
    merge(&mut spec, &json!({"parallelism": {"sharding": "DistributedOptimizer", "pipeline": 4}}));
    let judgement = estimated(&spec);
    assert_ne!(judgement.verdict, Verdict::Fits);
    let changes = changes(&judgement);
    assert!(changes.iter().any(|change| change.contains("sequence-parallel=true")), "{changes:?}");
}

#[test]
fn an_accelerator_without_units_for_the_stated_format_is_not_proposed() {
    for (precision, own, without) in
        [("BF16", "A10", &["V100", "T4"][..]), ("FP8", "L4", &["A100", "A10", "V100"])]
    {
        let judgement = estimated(&json!({
            "framework": "HuggingFace",
            "model": {"name": "mistral-7b"},
            "accelerator": {"type": own, "count": 2},
            "batch": {"microBatchSize": 4, "sequenceLength": 2048},
            "finetuning": {"method": "LoRA", "rank": 16},
            "precision": precision, "attention": "Fused", "recompute": "None", "loss": "Eager",
        }));
        assert_ne!(judgement.verdict, Verdict::Fits, "{}", judgement.message);
        let changes = changes(&judgement);
        assert!(changes.iter().any(|change| change.contains("gpu-type=")), "{changes:?}");
        for name in without {
            assert!(
                !changes.iter().any(|change| change.contains(&format!("gpu-type={name}"))),
                "{changes:?}"
            );
        }
    }
}

/// A full fine-tuning of Llama-3-8B with Transformers' Trainer on 16 small accelerators.
fn trainer_8b() -> Value {
    json!({
        "framework": "HuggingFace",
        "model": {"name": "llama-3-8b"},
        "accelerator": {"type": "A100-40GB", "count": 16, "perNode": 8, "memory": "34Gi"},
        "parallelism": {"sharding": "None"},
        "batch": {"microBatchSize": 4, "globalBatchSize": 64, "sequenceLength": 8192},
        "precision": "BF16", "parameterPrecision": "FP32", "optimizer": "AdamW8bit", "attention": "Flash",
        "recompute": "None", "loss": "Eager",
    })
}

#[test]
fn a_smaller_batch_with_other_changes_comes_before_other_hardware() {
    let judgement = estimated(&trainer_8b());
    assert_eq!(judgement.verdict, Verdict::OutOfMemory, "{}", judgement.message);
    let changes = changes(&judgement);
    for part in ["sharding=fsdp", "recompute=full", "smaller batch"] {
        assert!(changes[0].contains(part), "{changes:?}");
    }
}

#[test]
fn the_weights_under_adapters_are_divided_if_they_are_not_quantized() {
    for (method, expected) in [("LoRA", true), ("QLoRA", false)] {
        let mut spec = trainer_8b();
        merge(
            &mut spec,
            &json!({
                "model": {"name": "llama-3.1-70b"}, "finetuning": {"method": method, "rank": 16},
                "batch": {"microBatchSize": 1, "globalBatchSize": 16, "sequenceLength": 2048}, "recompute": "Full",
                "optimizer": "AdamW", "parameterPrecision": "BF16",
            }),
        );
        let judgement = estimated(&spec);
        assert_ne!(judgement.verdict, Verdict::Fits, "{}", judgement.message);
        let changes = changes(&judgement);
        assert_eq!(changes.iter().any(|change| change.contains("sharding=fsdp")), expected, "{changes:?}");
    }
}

/// Lays the fields of one job over another.
fn merge(at: &mut Value, over: &Value) {
    match (at, over) {
        (Value::Object(at), Value::Object(over)) => {
            for (key, value) in over {
                merge(at.entry(key).or_insert(Value::Null), value);
            }
        }
        (at, over) => at.clone_from(over),
    }
}
