//! Memory held by gradients between the backward pass and the optimizer's step.
//!
//! ```text
//! bytes = P_trained × gradient width / N        (N only under ZeRO 2 and 3, FSDP and HSDP)
//! ```
//!
//! Megatron and DeepSpeed allocate their gradient buffers once; PyTorch's own frameworks have none until the first
//! backward pass, and, where several microbatches are accumulated, keep them through the next ones.
//! Adapters have fp32 gradients. Source: Megatron-LM's param-and-grad buffer; ZeRO paper §3.

use super::super::plan::{Plan, RankParameters};
use super::super::states;
use crate::units::Bytes;
use crate::workload::{Framework, Sharding};

/// Gradients that a rank holds once the backward pass is done.
pub(super) fn gradients(plan: &Plan, rank: RankParameters) -> Bytes {
    let (_, divided, _) = states::divided(plan.sharding);
    let (n, n_experts) = if divided { (plan.shard_group(), plan.expert_shard_group()) } else { (1, 1) };
    match &plan.adapters {
        Some(_) => Bytes::of(rank.adapters.div_ceil(n), 4.0),
        None => {
            Bytes::of(rank.dense.div_ceil(n), plan.widths.gradient)
                + Bytes::of(rank.experts.div_ceil(n_experts), plan.widths.gradient)
                    .scale(plan.expert_padding())
        }
    }
}

/// Whether gradients are there before the backward pass begins.
pub(super) fn persistent(plan: &Plan) -> bool {
    let buffered = matches!(
        plan.framework,
        Framework::Megatron
            | Framework::MegatronDeepSpeed
            | Framework::DeepSpeed
            | Framework::Nanotron
            | Framework::InternEvo
            | Framework::ColossalAI
    );
    let zero = matches!(plan.sharding, Sharding::ZeRO1 | Sharding::ZeRO2 | Sharding::ZeRO3);
    buffered || zero || plan.micro_batches > 1
}
