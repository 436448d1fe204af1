//! Memory of the weights on one rank.
//!
//! ```text
//! trained     bytes = P_rank × parameter width / N        (N only under ZeRO 3, FSDP and HSDP)
//! LoRA        bytes = P_rank × parameter width / N + adapters × their width / N
//! QLoRA       see [`super::quantization`]
//! ```
//!
//! `P_rank`: parameters after tensor, pipeline and expert parallelism; `N`: ranks that share them.
//! Offloaded parameters are on the host. Parameters gathered for a layer count as communication.

use super::super::plan::{Plan, RankParameters};
use super::super::states;
use super::quantization;
use crate::units::Bytes;

/// Weights on a rank between steps.
pub(super) fn weights(plan: &Plan, rank: RankParameters) -> Bytes {
    let (divided, _, _) = states::divided(plan.sharding);
    let (n, n_experts) = if divided { (plan.shard_group(), plan.expert_shard_group()) } else { (1, 1) };
    match &plan.adapters {
        None if plan.offload_parameters => Bytes::ZERO,
        None => {
            Bytes::of(rank.dense.div_ceil(n), plan.widths.parameter)
                + Bytes::of(rank.experts.div_ceil(n_experts), plan.widths.parameter)
                    .scale(plan.expert_padding())
        }
        Some(adapters) => {
            let all = rank.dense.saturating_add(rank.experts);
            let output = plan.shape.vocab.saturating_mul(plan.shape.hidden).div_ceil(plan.tensor.max(1));
            let output = if quantization::covers_output(plan) { output } else { 0 };
            let linear = rank.linear.saturating_add(output).min(all);
            let frozen = quantization::frozen(plan, linear, all - linear, plan.widths.parameter);
            let adapters = Bytes(rank.adapters.div_ceil(n).saturating_mul(adapters.width));
            if plan.offload_parameters {
                frozen.staying
            } else {
                frozen.divisible.share(n) + frozen.staying + adapters
            }
        }
    }
}
