//! The share of one rank of the fullest pipeline stage: of the layers, of a microbatch and of the model.
//!
//! ```text
//! tokens    T = b·s / c                                     of a microbatch
//! layers    L / p·(1 + prediction layers / L)               of a stage; the last one has the output layer too
//! output    1; 1 / p if p does not divide L
//! held      (attention + feed-forward + (E/e + shared)·expert)·L / (t·p) + h·V / t    (twice without a pipeline)
//! ```
//!
//! If the stages cannot have equally many layers, they are laid out to take equally long, with the output layer among them.
//!
//! Matrix sizes are multiplications per token and layer, before tensor parallelism divides them. Sizes of experts are
//! averages over all layers, with and without experts.

use crate::estimate::plan::Plan;
use crate::estimate::time::flops::{self, Forward, Recomputed};
use crate::job::{Sharding, TrainingJob};
use crate::units::Decimal;

/// The share of a rank.
pub(super) struct Rank<'a> {
    pub(super) job: &'a TrainingJob,
    pub(super) plan: &'a Plan,
    /// FLOPs of a token's forward pass through the whole model.
    pub(super) forward: Forward,
    /// The recomputed shares.
    pub(super) again: Recomputed,
    /// Tensor parallelism, `t`.
    pub(super) tensor: f64,
    /// Context parallelism, `c`.
    pub(super) context: f64,
    /// Tokens of a microbatch, `T`.
    pub(super) tokens: f64,
    /// Layers of a stage.
    pub(super) layers: f64,
    /// The share of the output layer's time that a stage has.
    pub(super) output: f64,
    /// The share of the layers that have experts.
    pub(super) sparse: f64,
    /// Passes over a weight, forward and backward: 3, or 2 for frozen weights.
    pub(super) passes: f64,
    /// Attention's projections.
    pub(super) attention: f64,
    /// The dense feed-forward network.
    pub(super) dense: f64,
    /// The experts of a token, and the router.
    pub(super) active: f64,
    /// The experts of a rank.
    pub(super) held: f64,
    /// The dense feed-forward size.
    pub(super) ffn: f64,
    /// The summed feed-forward sizes of a token's experts.
    pub(super) passed: f64,
    /// Experts of a layer, `E`.
    pub(super) experts: f64,
    /// Experts that a token is sent to, `K`.
    pub(super) routed: f64,
    /// Products of these experts.
    pub(super) sent: f64,
    /// The tokens of the experts' kernels, relative to those that are sent: the capacity factor, or 1.
    pub(super) capacity: f64,
    /// Parameters on the rank.
    pub(super) parameters: f64,
    /// The routed experts' share of them.
    pub(super) expert_parameters: f64,
    /// The trained share of them.
    pub(super) trained: f64,
    /// Whether frozen weights are quantized to four bits.
    pub(super) quantized: bool,
    /// Whether parameters are gathered for a microbatch.
    pub(super) gathers: bool,
    /// Ranks with the same weights.
    pub(super) replicas: u64,
    /// The ranks among them that share states.
    pub(super) group: u64,
    /// Ranks with the same experts.
    pub(super) expert_replicas: u64,
}

/// The approximate trained share of a model with adapters.
const ADAPTED: f64 = 0.01;

impl<'a> Rank<'a> {
    pub(super) fn of(job: &'a TrainingJob, plan: &'a Plan) -> Self {
        let shape = &plan.shape;
        let scale = flops::scale(shape, job.model.as_ref());
        let all = shape.layers.max(1) as f64;
        let sparse = shape.expert_layers() as f64 / all;
        let attention = flops::attention(shape) * scale;
        // A plain decoder has a feed-forward network or experts in every layer.
        let without = if shape.blocks.is_plain() { 1.0 - sparse } else { shape.dense_layers() as f64 / all };
        let dense = flops::feed_forward(shape) * scale * without;
        let active = flops::active_experts(shape) * scale * sparse;
        let one = flops::expert(shape) * scale * sparse;
        let (experts, shared, routed, width) =
            shape.experts.as_ref().map_or((0.0, 0.0, 0.0, 0.0), |experts| {
                let [count, shared, routed, ffn] =
                    [experts.count, experts.shared_ffn, experts.per_token, experts.ffn].map(|n| n as f64);
                // Experts of all tokens count as so many of the others.
                (count, shared / ffn.max(1.0), routed, ffn)
            });
        let [tensor, pipeline, context, expert] =
            [plan.tensor, plan.pipeline, plan.context, plan.expert].map(|n| n.max(1) as f64);
        let held = (experts / expert + shared) * one;
        let outer = if plan.pipeline > 1 { 1.0 } else { 2.0 } * shape.hidden as f64 * shape.vocab as f64;
        let adapted = plan.adapters.is_some();
        let replicas = plan.data.max(1).saturating_mul(plan.context.max(1));
        Self {
            job,
            plan,
            forward: Forward::of(plan, job.model.as_ref()),
            again: Recomputed::of(plan),
            tensor,
            context,
            tokens: plan.micro_batch as f64 * plan.sequence as f64 / context,
            layers: (all / pipeline) * (1.0 + shape.prediction_layers as f64 / all),
            output: if shape.layers.is_multiple_of(plan.pipeline.max(1)) { 1.0 } else { 1.0 / pipeline },
            sparse,
            passes: if adapted { 2.0 } else { 3.0 },
            attention,
            dense,
            active,
            held,
            ffn: shape.ffn as f64 * without,
            passed: (routed + shared) * width * sparse,
            experts,
            routed,
            sent: routed * one,
            capacity: job
                .parallelism
                .as_ref()
                .and_then(|parallelism| parallelism.capacity_factor)
                .map(Decimal::as_f64)
                .filter(|factor| *factor > 0.0)
                .unwrap_or(1.0),
            parameters: all * (attention + dense + held) / tensor / pipeline + outer / tensor,
            expert_parameters: all * experts / expert * one / tensor / pipeline,
            trained: if adapted { ADAPTED } else { 1.0 },
            quantized: plan.adapters.as_ref().is_some_and(|adapters| adapters.quantized.is_some()),
            gathers: matches!(plan.sharding, Sharding::FSDP | Sharding::HSDP | Sharding::ZeRO3),
            replicas,
            group: plan.sharding_degree.map_or(replicas, |degree| degree.min(replicas)).max(1),
            expert_replicas: (replicas / plan.expert.max(1)).max(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::assume::{Device, assume};

    #[test]
    fn adapters_are_a_hundredth_of_the_model() {
        let trained = |method: &str| {
            let job: TrainingJob = serde_json::from_value(serde_json::json!({
                "model": {"layers": 2, "hiddenSize": 512}, "finetuning": {"method": method},
            }))
            .unwrap();
            Rank::of(&job, &assume(&job, Device { bf16: true }).unwrap().likely).trained
        };
        assert_eq!(
            (trained("LoRA").to_bits(), trained("Full").to_bits()),
            (0.01f64.to_bits(), 1f64.to_bits())
        );
    }
}
