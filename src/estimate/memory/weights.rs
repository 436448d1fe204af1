//! Memory held by the weights of one rank.
//!
//! ```text
//! trained     bytes = P_rank × parameter width / N        (N only under ZeRO 3, FSDP and HSDP)
//! LoRA        bytes = P_rank × parameter width / N + adapters × 4 / N
//! QLoRA       bytes = (P_linear × 0.5625 + (P_rank − P_linear) × 2) / N + adapters × 4 / N
//! ```
//!
//! `P_rank`: parameters after tensor, pipeline and expert parallelism; `N`: ranks that share. NF4 takes half a byte and
//! a four-byte scale for each block of 64: 0.5625. Adapters are kept in fp32 (PEFT's `autocast_adapter_dtype`).
//! Offloaded parameters leave nothing here; what is gathered for a layer is counted as communication.

use super::super::plan::{Plan, RankParameters};
use super::super::states;
use crate::units::Bytes;

/// Bytes of one parameter in NF4 with its scale.
pub(super) const NF4: f64 = 0.5 + 4.0 / 64.0;

/// Weights that a rank holds between steps.
pub(super) fn weights(plan: &Plan, rank: RankParameters) -> Bytes {
    if plan.offload_parameters {
        return Bytes::ZERO;
    }
    let (divided, _, _) = states::divided(plan.sharding);
    let (n, n_experts) = if divided { (plan.shard_group(), plan.expert_shard_group()) } else { (1, 1) };
    match &plan.adapters {
        None => {
            Bytes::of(rank.dense.div_ceil(n), plan.widths.parameter)
                + Bytes::of(rank.experts.div_ceil(n_experts), plan.widths.parameter)
                    .scale(plan.expert_padding())
        }
        Some(adapters) => {
            let other = (rank.dense + rank.experts).saturating_sub(rank.linear);
            let linear = if adapters.quantized { NF4 } else { plan.widths.parameter };
            let frozen = Bytes::of(rank.linear, linear) + Bytes::of(other, plan.widths.parameter);
            frozen.share(n) + Bytes::of(rank.adapters.div_ceil(n), 4.0)
        }
    }
}
