//! What a rank must hold by arithmetic alone, whatever the framework's kernels: a lower bound of the need.
//!
//! ```text
//! floor = weights + optimizer states + other models of known size + gradients or activations, both if gradients persist
//! gradients     all of the trained parameters, at the step
//! activations   bytes per token of a layer, in two-byte formats, as many layers as are alive ([`crate::estimate::schedule`])
//!   none recomputed   2h + 4q + 4κ + 4f    the residual stream at a norm; queries, keys, values and the attention's
//!                                          output; gate and up (2f without a gate)
//!   fully recomputed  2h                   the layer's input
//! ```
//!
//! All are divided by `t`, as if sequences were. No kernel can differentiate attention without queries, keys, values
//! and output, a norm without its input, or a gated unit without both inputs; everything else could be computed again.
//! Experts count as nothing, because capacity may drop tokens, and so do layers of encoders and their decoders, whose
//! samples have two lengths. Activations count if nothing but full recomputation takes them away: no selective
//! recomputation, no offloading, no partial one. Gradients count if a step needs all of them: not with plain SGD, which
//! may step tensor by tensor, and not in XLA's programs, which may reuse their memory.
//! Sources: the formulas of the other files here; Dao, FlashAttention-2 (2307.08691), algorithm 2.

use super::super::objective::ObjectiveProfile;
use super::super::plan::{Other, Plan, RankParameters, Stage};
use super::super::schedule;
use super::{gradients, optimizer, others, weights, zero};
use crate::frameworks::profile::memory::{GradientBuffer, Stepper};
use crate::job::{Optimizer, Precision, Recompute, Sharding};
use crate::model::{Block, Channel, Mixer, Parameters};
use crate::units::Bytes;

/// The floor of a stage.
pub(super) fn of_stage(plan: &Plan, counted: &Parameters, stage: Stage) -> Bytes {
    let rank = RankParameters::of(plan, counted, stage);
    let sized =
        |name: &str| plan.others.iter().filter(|other| other.role.name() == name).all(Other::is_sized);
    let others = others::others(plan, stage).into_iter().filter(|other| sized(other.name));
    let held = weights::weights(plan, rank)
        + optimizer::optimizer_states(plan, rank)
        + others.map(|other| other.bytes).sum();
    let (gradients, activations) = (whole_gradients(plan, rank), activations(plan, stage));
    let buffered = plan.profile.gradients.buffer != GradientBuffer::Lazy;
    let both = buffered || plan.micro_batches > 1;
    held + if both { gradients + activations } else { gradients.max(activations) }
}

/// All gradients, if the step needs all of them at once.
fn whole_gradients(plan: &Plan, rank: RankParameters) -> Bytes {
    let at_once = !plan.step_in_backward && plan.optimizer != Optimizer::SGD && !plan.offload_optimizer;
    match plan.sharding {
        _ if !at_once || is_compiled_whole(plan) => Bytes::ZERO,
        Sharding::ZeRO1 | Sharding::ZeRO2 | Sharding::ZeRO3 if zero::divides(plan) => {
            zero::gradients(plan, rank)
        }
        _ => gradients::gradients(plan, rank),
    }
}

/// Whether a step may be one compiled program, whose memory its compiler plans.
fn is_compiled_whole(plan: &Plan) -> bool {
    plan.profile.optimizer.by == Stepper::Unpublished
}

/// The activations that every implementation keeps.
fn activations(plan: &Plan, stage: Stage) -> Bytes {
    let wide = match plan.precision {
        Precision::FP32 | Precision::TF32 => 2.0,
        Precision::FP16 | Precision::BF16 => 1.0,
        Precision::FP8 | Precision::FP4 => return Bytes::ZERO,
    };
    let whole = plan.recompute_layers.is_none() && !plan.offload_activations;
    let plain = ObjectiveProfile::of(plan.objective).is_plain() && !plan.varying_lengths;
    if !whole || !plain || is_compiled_whole(plan) {
        return Bytes::ZERO;
    }
    let shape = &plan.shape;
    let h = shape.hidden as f64;
    // An encoder and its decoder have other numbers of tokens.
    if shape.has_encoder() {
        return Bytes::ZERO;
    }
    let dense = |channel: Option<Channel>| channel == Some(Channel::Dense);
    let of_block = |(block, count): (Block, u64)| {
        let bytes = match plan.recompute {
            Recompute::Full => 2.0 * h,
            Recompute::Selective => 0.0,
            Recompute::None => {
                let attention = match block.mixer {
                    Some(Mixer::Attention) if shape.latent.is_none() => {
                        2.0 * h + 4.0 * (shape.query_width() + shape.key_width()) as f64
                    }
                    _ => 0.0,
                };
                let inner = if shape.gated { 4.0 } else { 2.0 } * shape.ffn as f64;
                attention + if dense(block.channel) { inner } else { 0.0 }
            }
        };
        bytes * count as f64
    };
    let all: f64 = stage.kinds(shape).map(of_block).sum();
    let alive = schedule::live_layers(plan, stage) / stage.layers().max(1) as f64;
    Bytes::from_f64(all * wide * alive * plan.tokens() as f64 / plan.tensor.max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::assume::{Device, assume};
    use crate::estimate::memory;
    use crate::job::TrainingJob;

    const LAYERS: u64 = 4;
    const TOKENS: u64 = 1024;

    fn job(change: &serde_json::Value) -> Plan {
        let mut job = serde_json::json!({
            "model": {"layers": LAYERS, "hiddenSize": 512, "attentionHeads": 8, "keyValueHeads": 8,
                      "ffnHiddenSize": 2048, "vocabSize": 1000, "activation": "SwiGLU"},
            "framework": "Megatron", "recompute": "None", "precision": "BF16",
            "parallelism": {"data": 1, "sharding": "None"},
            "batch": {"microBatchSize": 1, "globalBatchSize": 2, "sequenceLength": TOKENS},
        });
        job.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let job: TrainingJob = serde_json::from_value(job).unwrap();
        assume(&job, Device { bf16: true }).unwrap().likely
    }

    /// Bytes per parameter of a job whose activations count as nothing, and bytes per token of its activations.
    fn parts(change: &serde_json::Value) -> (f64, u64) {
        let plan = job(change);
        let all = memory::floor(&plan);
        let activations = activations(&plan, plan.stage(0));
        (
            (all - activations).as_f64() / Parameters::of(&plan.shape).total as f64,
            activations.0 / TOKENS / LAYERS,
        )
    }

    #[test]
    fn a_rank_holds_weights_states_gradients_and_what_a_layer_cannot_do_without() {
        let of_layer = 2 * 512 + 4 * 512 + 4 * 512 + 4 * 2048;
        assert_eq!(parts(&serde_json::json!({})), (18.0, of_layer));
        let recomputed = parts(&serde_json::json!({"recompute": "Full"}));
        assert_eq!(recomputed, (18.0, 2 * 512));
        let selective = parts(&serde_json::json!({"recompute": "Selective"}));
        assert_eq!(selective, (18.0, 0));
    }

    #[test]
    fn gradients_that_a_step_does_not_need_at_once_count_as_nothing() {
        let of = |optimizer: &str| parts(&serde_json::json!({"optimizer": optimizer})).0;
        assert_eq!((of("SGD"), of("Lion")), (6.0, 2.0 + 4.0 + 4.0 + 4.0));
    }

    proptest::proptest! {
        #[test]
        fn the_floor_is_never_above_the_allocated_memory(
            framework in proptest::sample::select(vec!["Megatron", "HuggingFace", "Torchtitan", "DeepSpeed", "FSDP"]),
            sharding in proptest::sample::select(vec!["None", "ZeRO1", "ZeRO2", "ZeRO3", "FSDP"]),
            recompute in proptest::sample::select(vec!["None", "Selective", "Full"]),
            tokens in 64u32..8192, steps in 1u32..4, data in 1u32..9,
        ) {
            let plan = job(&serde_json::json!({
                "framework": framework, "recompute": recompute,
                "parallelism": {"data": data, "sharding": sharding},
                "batch": {"microBatchSize": 1, "globalBatchSize": data * steps, "sequenceLength": tokens},
            }));
            let peak = memory::peak(&plan, crate::estimate::calibration::Calibration::builtin());
            proptest::prop_assert!(memory::floor(&plan) <= peak.allocated, "{plan:?}");
        }
    }
}
