//! Memory of the weights on one rank.
//!
//! ```text
//! trained     bytes = P_rank × parameter width / N        (N only under ZeRO 3, FSDP and HSDP)
//! LoRA        bytes = P_rank × parameter width / N + adapters × their width / N + copies that are trained whole × theirs / N
//! QLoRA       see [`super::quantization`]
//! towers      bytes = P_towers × parameter width / N, if they are frozen or beside adapters; else they are among P_rank
//! ```
//!
//! `P_rank`: parameters after tensor, pipeline and expert parallelism; `N`: ranks that share them.
//! Offloaded parameters are on the host. Parameters gathered for a layer count as communication.

use super::super::plan::{Plan, RankParameters};
use super::super::states;
use super::quantization;
use crate::units::Bytes;

/// Bytes of a frozen tower's parameter. Programs for images cast their towers to the format of the computation.
fn of_towers(plan: &Plan) -> f64 {
    if plan.shape.is_unlisted() { plan.widths.compute } else { plan.widths.parameter }
}

/// Weights on a rank between steps.
pub(super) fn weights(plan: &Plan, rank: RankParameters) -> Bytes {
    let sum = |parts: &[u64]| parts.iter().fold(0u64, |sum, part| sum.saturating_add(*part));
    let (divided, _, _) = states::divided(plan.sharding);
    let (n, n_experts) = if divided { (plan.shard_group(), plan.expert_shard_group()) } else { (1, 1) };
    match &plan.adapters {
        None if plan.offload_parameters => Bytes::ZERO,
        None => {
            Bytes::of(rank.dense.div_ceil(n), plan.widths.parameter)
                + Bytes::of(rank.experts.div_ceil(n_experts), plan.widths.parameter)
                    .scale(plan.expert_padding())
                + Bytes::of(rank.frozen_towers.div_ceil(n), of_towers(plan))
        }
        Some(adapters) => {
            let all = sum(&[rank.dense, rank.experts, rank.frozen_towers]);
            let output = plan.shape.vocab.saturating_mul(plan.shape.hidden).div_ceil(plan.tensor.max(1));
            let output = if quantization::covers_output(plan) { output } else { 0 };
            // Experts that are not quantized keep the format in which they were loaded.
            let quantized = quantization::is_quantized(plan);
            let whole = if quantized && !quantization::covers_experts(plan) { rank.experts } else { 0 };
            // Towers are linear layers but for a thousandth.
            let linear = sum(&[rank.linear, output, rank.frozen_towers]).min(all).saturating_sub(whole);
            let others = all.saturating_sub(linear).saturating_sub(whole);
            let mut frozen = quantization::frozen(plan, linear, others, plan.widths.parameter);
            frozen.divisible += Bytes::of(whole, plan.widths.compute);
            let beside = rank.state_beside(plan, adapters, n, |widths| widths.parameter);
            let adapters = Bytes(rank.adapters.div_ceil(n).saturating_mul(adapters.width));
            if plan.offload_parameters {
                frozen.staying
            } else {
                frozen.divisible.share(n) + frozen.staying + adapters + beside
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::estimate::assume::{Device, assume};
    use crate::estimate::calibration::Calibration;
    use crate::estimate::memory;
    use crate::job::TrainingJob;
    use crate::units::Bytes;

    const MATRIX: u64 = 64_000 * 512;

    /// A component of the peak, in hundredths of a byte for each number of an embedding that is trained beside adapters.
    fn added(component: &str, change: &serde_json::Value) -> u64 {
        let of = |modules: &[&str]| {
            let mut job = serde_json::json!({
                "model": {"layers": 2, "hiddenSize": 512, "attentionHeads": 8, "vocabSize": 64_000,
                          "tiedEmbeddings": false, "activation": "SwiGLU", "ffnHiddenSize": 1024},
                "framework": "HuggingFace", "precision": "BF16", "optimizer": "AdamW",
                "optimizerImplementation": "Fused", "recompute": "Full", "parallelism": {"data": 1},
                "finetuning": {"method": "LoRA", "rank": 8, "modulesToSave": modules},
                "batch": {"microBatchSize": 1, "globalBatchSize": 4, "sequenceLength": 64},
            });
            let job = job.as_object_mut().unwrap();
            for (key, value) in change.as_object().unwrap() {
                let fields = job.get_mut(key).and_then(|group| group.as_object_mut());
                match (fields, value.as_object()) {
                    (Some(fields), Some(more)) => fields.extend(more.clone()),
                    _ => drop(job.insert(key.clone(), value.clone())),
                }
            }
            let job: TrainingJob = serde_json::from_value(serde_json::Value::Object(job.clone())).unwrap();
            let plan = assume(&job, Device { bf16: true }).unwrap().likely;
            let peak = memory::peak(&plan, Calibration::builtin());
            let found = peak.components.iter().find(|part| part.name == component);
            found.map_or(Bytes::ZERO, |part| part.bytes)
        };
        let difference = of(&["embed_tokens"]) - of(&[]);
        (difference.as_f64() / MATRIX as f64 * 100.0).round() as u64
    }

    fn states(change: &serde_json::Value) -> [u64; 2] {
        ["weights", "optimizer states"].map(|component| added(component, change))
    }

    #[test]
    fn a_copy_that_is_trained_beside_adapters_has_the_format_of_its_module_and_states_of_its_own() {
        assert_eq!(states(&serde_json::json!({})), [200, 400]);
        let cast = serde_json::json!({"finetuning": {"savedPrecision": "FP32"}});
        assert_eq!(states(&cast), [400, 800]);
        let unpacked = serde_json::json!({"finetuning": {"method": "QLoRA"}});
        assert_eq!(states(&unpacked), [400, 800]);
    }

    #[test]
    fn ranks_that_divide_states_divide_those_of_such_a_copy() {
        let of = |sharding| states(&serde_json::json!({"parallelism": {"data": 4, "sharding": sharding}}));
        assert_eq!(of("ZeRO2"), [200, (400 + 800) / 4]);
        assert_eq!(of("ZeRO3"), [200 / 4, (400 + 800) / 4]);
        assert_eq!(of("FSDP"), [400 / 4, 800 / 4]);
    }
}
