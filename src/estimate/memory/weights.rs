//! Memory of the weights on one rank.
//!
//! ```text
//! trained     bytes = P_rank × parameter width / N        (N only under ZeRO 3, FSDP and HSDP)
//! LoRA        bytes = P_rank × parameter width / N + adapters × their width / N
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
            let adapters = Bytes(rank.adapters.div_ceil(n).saturating_mul(adapters.width));
            let beside = Bytes::of(rank.whole.div_ceil(n), plan.widths.parameter);
            if plan.offload_parameters {
                frozen.staying
            } else {
                frozen.divisible.share(n) + frozen.staying + adapters + beside
            }
        }
    }
}
