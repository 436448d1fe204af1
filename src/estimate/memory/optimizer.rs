//! Memory of the optimizer: its own copies, its moments, and the workspace of its step.
//!
//! ```text
//! states = P_trained × (main + main gradient + moments) / N     (N under ZeRO 1 to 3, FSDP, distributed optimizer)
//! step   = foreach: P_trained × width / N;  for-loop: see below;  fused, and Megatron's: none;  DeepSpeed's: [`zero`]
//! ```
//!
//! Offloaded states are on the host, and the step runs there too. Adapters' moments have the adapters' format.
//! Sources: ZeRO paper §3 and Megatron-LM's distributed optimizer (states); torch.optim's `foreach` documentation and
//! published measurements of 4 bytes per trained parameter (step).

use super::super::plan::{Plan, RankParameters};
use super::super::states;
use super::zero;
use crate::frameworks::profile::memory::Stepper;
use crate::frameworks::profile::widths::Widths;
use crate::job::{Optimizer, OptimizerImplementation, Sharding};
use crate::units::Bytes;

/// The optimizer states on a rank.
pub(super) fn optimizer_states(plan: &Plan, rank: RankParameters) -> Bytes {
    if plan.offload_optimizer {
        return Bytes::ZERO;
    }
    let (_, _, divided) = states::divided(plan.sharding);
    let (n, n_experts) = if divided { (plan.shard_group(), plan.expert_shard_group()) } else { (1, 1) };
    if let Some(adapters) = &plan.adapters {
        let moments = states::moments(plan.optimizer, adapters.width as f64);
        let each = |widths: Widths| widths.main + states::moments(plan.optimizer, widths.moment);
        return Bytes::of(rank.adapters.div_ceil(n), moments) + rank.state_beside(plan, adapters, n, each);
    }
    let widths = plan.widths;
    let main_gradient = if copies_gradients_at_step(plan) { 0.0 } else { widths.main_gradient };
    let each = widths.main + main_gradient + states::moments(plan.optimizer, widths.moment);
    Bytes::of(rank.dense.div_ceil(n), each)
        + Bytes::of(rank.experts.div_ceil(n_experts), each).scale(plan.expert_padding())
}

/// Megatron and DeepSpeed copy the gradients to fp32 at the step and free the copy after it.
fn copies_gradients_at_step(plan: &Plan) -> bool {
    let own = plan.profile.optimizer.copies_gradients;
    let at_step = own || plan.sharding == Sharding::ZeRO3 || zero::divides(plan);
    at_step && plan.adapters.is_none() && !plan.offload_optimizer
}

/// The workspace of the step.
pub(super) fn optimizer_step(plan: &Plan, rank: RankParameters) -> Bytes {
    if zero::divides(plan) {
        return zero::step(plan, rank);
    }
    let own_step = plan.profile.optimizer.by == Stepper::Own;
    if copies_gradients_at_step(plan) {
        let (_, _, divided) = states::divided(plan.sharding);
        let (n, n_experts) = if divided { (plan.shard_group(), plan.expert_shard_group()) } else { (1, 1) };
        let each = plan.widths.main_gradient;
        return Bytes::of(rank.dense.div_ceil(n), each) + Bytes::of(rank.experts.div_ceil(n_experts), each);
    }
    let zero = matches!(plan.sharding, Sharding::ZeRO1 | Sharding::ZeRO2 | Sharding::ZeRO3);
    if plan.offload_optimizer || own_step || zero {
        return Bytes::ZERO;
    }
    let (divided, _, _) = states::divided(plan.sharding);
    let n = if divided { plan.shard_group() } else { 1 };
    let trained = match &plan.adapters {
        Some(adapters) => {
            Bytes(rank.adapters.div_ceil(n).saturating_mul(adapters.width))
                + rank.state_beside(plan, adapters, n, |widths| widths.parameter)
        }
        None => Bytes::of(rank.dense.saturating_add(rank.experts).div_ceil(n), plan.widths.parameter),
    };
    // Only Adam's denominator is a separate tensor.
    if plan.optimizer != Optimizer::AdamW {
        return Bytes::ZERO;
    }
    if plan.step_in_backward {
        return Bytes::ZERO;
    }
    match plan.implementation {
        OptimizerImplementation::Fused => Bytes::ZERO,
        OptimizerImplementation::Foreach => trained,
        OptimizerImplementation::ForLoop => {
            let width =
                plan.adapters.as_ref().map_or(plan.widths.parameter, |adapters| adapters.width as f64);
            Bytes::of(for_loop(plan).div_ceil(n), width).min(trained * 3)
        }
    }
}

/// The numbers alive at once in the for-loop's step: the square root and the denominator of one tensor, and the
/// denominator of the previous one. Gate, up and down projections follow each other, and so do the embeddings of tokens
/// and positions.
fn for_loop(plan: &Plan) -> u64 {
    let shape = &plan.shape;
    let t = plan.tensor.max(1);
    let h = shape.hidden;
    let matrix = |width: u64| width.div_ceil(t).saturating_mul(h);
    if let Some(adapters) = &plan.adapters {
        let widest = h.max(shape.ffn).max(shape.query_width());
        let saved = if adapters.saved.modules.any() { matrix(shape.vocab) } else { 0 };
        return widest.saturating_mul(adapters.rank).max(saved).saturating_mul(2);
    }
    let (vocab, ffn, positions) = (matrix(shape.vocab), matrix(shape.ffn), matrix(shape.learned_positions));
    let mut feed_forward = ffn.saturating_mul(if shape.gated { 3 } else { 2 });
    if let Some(experts) = &shape.experts {
        // A layer's experts are two tensors; one joins gate and up.
        let ranks = plan.expert.saturating_mul(plan.expert_tensor).max(1);
        let each = experts.ffn.saturating_mul(h).saturating_mul(experts.count).div_ceil(ranks);
        feed_forward = feed_forward.max(each.saturating_mul(4));
    }
    vocab.saturating_mul(2).max(vocab.saturating_add(positions.saturating_mul(2))).max(feed_forward)
}
