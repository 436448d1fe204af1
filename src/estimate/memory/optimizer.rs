//! Memory held by the optimizer: its own copies, its moments, and what its step takes for a moment.
//!
//! ```text
//! states = P_trained × (main + main gradient + moments) / N     (N under ZeRO 1 to 3, FSDP, distributed optimizer)
//! step   = foreach: P_trained × 4 / N;  for-loop: 2 × the largest tensor;  fused, and Megatron's and DeepSpeed's: none
//! ```
//!
//! Offloaded states are on the host, and so is the step. Adapters: 8 bytes of moments each.
//! Sources: ZeRO paper §3 and Megatron-LM's distributed optimizer (states); torch.optim's `foreach` documentation and
//! published measurements of 4 bytes a trained parameter (step).

use super::super::plan::{Plan, RankParameters};
use super::super::states;
use crate::units::Bytes;
use crate::workload::{Framework, OptimizerImplementation};

/// The optimizer's states of a rank.
pub(super) fn optimizer_states(plan: &Plan, rank: RankParameters) -> Bytes {
    if plan.offload_optimizer {
        return Bytes::ZERO;
    }
    let (_, _, divided) = states::divided(plan.sharding);
    let (n, n_experts) = if divided { (plan.shard_group(), plan.expert_shard_group()) } else { (1, 1) };
    if plan.adapters.is_some() {
        return Bytes::of(rank.adapters.div_ceil(n), states::moments(plan.optimizer, 4.0));
    }
    let widths = plan.widths;
    let main_gradient = if copies_gradients_at_step(plan) { 0.0 } else { widths.main_gradient };
    let each = widths.main + main_gradient + states::moments(plan.optimizer, widths.moment);
    Bytes::of(rank.dense.div_ceil(n), each) + Bytes::of(rank.experts.div_ceil(n_experts), each)
}

/// Megatron makes the fp32 copy of its gradients when it steps, and frees it after.
fn copies_gradients_at_step(plan: &Plan) -> bool {
    plan.framework == Framework::Megatron && plan.adapters.is_none() && !plan.offload_optimizer
}

/// What the step takes for a moment.
pub(super) fn optimizer_step(plan: &Plan, rank: RankParameters) -> Bytes {
    let own_step = matches!(
        plan.framework,
        Framework::Megatron | Framework::MegatronDeepSpeed | Framework::DeepSpeed | Framework::ColossalAI
    );
    if copies_gradients_at_step(plan) {
        let (_, _, divided) = states::divided(plan.sharding);
        let (n, n_experts) = if divided { (plan.shard_group(), plan.expert_shard_group()) } else { (1, 1) };
        let each = plan.widths.main_gradient;
        return Bytes::of(rank.dense.div_ceil(n), each) + Bytes::of(rank.experts.div_ceil(n_experts), each);
    }
    if plan.offload_optimizer || own_step {
        return Bytes::ZERO;
    }
    let trained = if plan.adapters.is_some() { rank.adapters } else { rank.dense + rank.experts };
    let (divided, _, _) = states::divided(plan.sharding);
    let n = if divided { plan.shard_group() } else { 1 };
    match plan.implementation {
        OptimizerImplementation::Fused => Bytes::ZERO,
        OptimizerImplementation::Foreach => Bytes::of(trained.div_ceil(n), plan.widths.parameter),
        OptimizerImplementation::ForLoop => {
            let largest = plan.shape.vocab.max(plan.shape.ffn).saturating_mul(plan.shape.hidden);
            Bytes::of(largest.min(trained).div_ceil(n), 2.0 * plan.widths.parameter)
        }
    }
}
