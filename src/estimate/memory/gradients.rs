//! Memory of gradients between the backward pass and the optimizer's step.
//!
//! ```text
//! bytes = P_trained × gradient width / N        (N only under ZeRO 2 and 3, FSDP and HSDP)
//! ```
//!
//! If each tensor's step runs inside the backward pass, only the largest gradient counts. Megatron and DeepSpeed
//! allocate their gradient buffers once. PyTorch's own frameworks allocate gradients in the first backward pass, and
//! keep them while several microbatches accumulate. DeepSpeed's ZeRO: see [`super::zero`]. Adapters' gradients have the
//! adapters' format.
//!
//! A product that adds to Megatron's buffer itself still returns a gradient to autograd: an empty tensor in the format of the
//! computation. Each shape of weights has one, which all layers share and which stays: one layer's matrices. They count in
//! dense models of a stated version. Megatron's own output layer has had one since August 2025, which does not count.
//! Evidence: eight runs of a Llama 3.1 405B with four layers on B200 hold 1 to 8 GiB more than the other terms, in
//! proportion to 1/t (`SimuMax`, November 2025). Source: Megatron-LM's param-and-grad buffer and
//! `tensor_parallel/layers.py`; Transformer Engine's `module/base.py` (`get_dummy_wgrad`; before 2.3 one at a time); ZeRO
//! paper §3.

use super::super::plan::{Plan, RankParameters, Stage};
use super::super::states;
use super::zero;
use crate::frameworks::profile::memory::GradientBuffer;
use crate::job::Sharding;
use crate::model::Parameters;
use crate::units::Bytes;

/// Gradients on a rank after the backward pass.
pub(super) fn gradients(plan: &Plan, rank: RankParameters) -> Bytes {
    if plan.step_in_backward {
        let widest = plan.shape.vocab.max(plan.shape.ffn).saturating_mul(plan.shape.hidden);
        return Bytes::of(widest.min(rank.dense), plan.widths.gradient);
    }
    // FSDP's offloading moves the shards of gradients together with those of parameters.
    if plan.offload_parameters && matches!(plan.sharding, Sharding::FSDP | Sharding::HSDP) {
        return Bytes::ZERO;
    }
    if zero::divides(plan) {
        return zero::gradients_in_backward(plan, rank);
    }
    let (_, divided, _) = states::divided(plan.sharding);
    let (n, n_experts) = if divided { (plan.shard_group(), plan.expert_shard_group()) } else { (1, 1) };
    match &plan.adapters {
        Some(adapters) => {
            Bytes(rank.adapters.div_ceil(n).saturating_mul(adapters.width))
                + rank.state_beside(plan, adapters, n, |widths| widths.gradient)
        }
        None => {
            Bytes::of(rank.dense.div_ceil(n), plan.widths.gradient)
                + Bytes::of(rank.experts.div_ceil(n_experts), plan.widths.gradient)
                    .scale(plan.expert_padding())
        }
    }
}

/// The empty gradients that fused products return, one for each shape of a layer's weights on the stage.
pub(super) fn placeholders(plan: &Plan, counted: &Parameters, stage: Stage) -> Bytes {
    let dense = plan.shape.experts.is_none() && stage.layers() > 0;
    if !dense || plan.adapters.is_some() || !plan.is_of(plan.profile.gradients.placeholders) {
        return Bytes::ZERO;
    }
    let kinds = counted.kinds.iter().map(|layer| layer.tensor_sharded);
    let numbers = kinds.max().unwrap_or(0).div_ceil(plan.tensor.max(1));
    Bytes::of(numbers, plan.widths.compute)
}

/// Whether gradients exist before the backward pass begins.
pub(super) fn persistent(plan: &Plan) -> bool {
    let buffered = plan.profile.gradients.buffer != GradientBuffer::Lazy;
    let zero = matches!(plan.sharding, Sharding::ZeRO1 | Sharding::ZeRO2 | Sharding::ZeRO3);
    buffered || zero || plan.micro_batches > 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::assume::{Device, assume};
    use crate::job::TrainingJob;

    /// A plan with this sharding and number of microbatches, on two ranks if it is sharded.
    fn plan(framework: &str, sharding: &str, micro_batches: u32) -> Plan {
        let data = if sharding == "None" { 1 } else { 2 };
        let job: TrainingJob = serde_json::from_value(serde_json::json!({
            "model": {"layers": 2, "hiddenSize": 512}, "framework": framework,
            "parallelism": {"data": data, "sharding": sharding},
            "batch": {"microBatchSize": 1, "globalBatchSize": micro_batches * data, "sequenceLength": 64},
        }))
        .unwrap();
        assume(&job, Device { bf16: true }).unwrap().likely
    }

    /// Whether gradients persist with this number of microbatches.
    fn persist(framework: &str, sharding: &str, micro_batches: u32) -> bool {
        persistent(&plan(framework, sharding, micro_batches))
    }

    #[test]
    fn only_fsdp_delays_the_reduction_to_the_last_microbatch() {
        let whole = |sharding| plan("HuggingFace", sharding, 2).accumulates_whole();
        let told: Vec<bool> = ["None", "ZeRO1", "ZeRO2", "ZeRO3", "FSDP"].map(whole).into();
        assert_eq!(told, [true, true, false, false, true]);
        let job: TrainingJob = serde_json::from_value(serde_json::json!({
            "model": {"layers": 2, "hiddenSize": 512}, "framework": "HuggingFace",
            "parallelism": {"data": 2, "sharding": "FSDP", "delayedReduction": false},
            "batch": {"microBatchSize": 1, "globalBatchSize": 4, "sequenceLength": 64},
        }))
        .unwrap();
        assert!(!assume(&job, Device { bf16: true }).unwrap().likely.accumulates_whole());
    }

    #[test]
    fn every_shape_of_weights_has_one_empty_gradient() {
        let held = |version: &str, tensor: u32| {
            let job: TrainingJob = serde_json::from_value(serde_json::json!({
                "model": {"layers": 8, "hiddenSize": 512, "attentionHeads": 8, "ffnHiddenSize": 2048, "vocabSize": 1000,
                          "activation": "SwiGLU", "tiedEmbeddings": false, "paddedVocabSize": 1000},
                "framework": "Megatron", "frameworkVersion": version, "parallelism": {"tensor": tensor},
            }))
            .unwrap();
            let plan = assume(&job, Device { bf16: true }).unwrap().likely;
            placeholders(&plan, &Parameters::of(&plan.shape), plan.stage(0)).0
        };
        // Queries, keys and values, the attention's output, both matrices of the network.
        let numbers = 512 * 3 * 512 + 512 * 512 + 3 * 512 * 2048;
        assert_eq!([held("0.14", 1), held("0.14", 2), held("0.9", 1)], [2 * numbers, numbers, 0]);
    }

    #[test]
    fn gradients_persist_from_the_second_microbatch_on() {
        assert!(!persist("HuggingFace", "None", 1));
        assert!(persist("HuggingFace", "None", 2));
    }

    #[test]
    fn gradient_buffers_of_megatron_and_zero_persist_always() {
        assert!(persist("Megatron", "None", 1));
        assert!(persist("HuggingFace", "ZeRO2", 1));
    }
}
