//! Layers as closed formulas: Megatron, Transformer Engine and other stacks that fuse PyTorch's separate operations.
//!
//! Bytes per token of one layer on one rank, two bytes per number. `h` hidden, `q`, `κ` widths of queries and keys, `f`
//! feed-forward, `a` heads, `s` sequence, `t` tensor parallel; `t'` is `t` with sequence parallelism, else 1:
//!
//! ```text
//! attention          4h/t'  + (4q + 4κ + 4a)/t      its input and the normalized input; queries, keys, values; its output
//!   normalized q, k  + (2q + 2κ)/t
//! normalized outputs + 2h/t' in attention and in feed-forward: the outputs of both
//!   latent           4h/t' + (4·r_q + 4·r_kv + 2·d_r)/t' + a(6·d_n + 4·d_r + 4·d_v + 4)/t
//!   unfused          + 2·a·s/t, 5·a·s/t with dropout: the softmax; its dropout's mask and output
//! feed-forward       4h/t'  + 6f/t gated (gate, up, product), 4f/t plain
//! experts            4h/t' + 5E/t' + R·(2h + 6·f_m/e_t) + 6·f_shared/t       R = 1.15·K·e_t/t' routed rows per token
//! other mixers       4h/t'  and [`mixers::kept_token`]/t
//! gated attention    + 4q/t                          the gate's sigmoid, and its product
//! dropout            + 2h/t'                         two masks of one byte
//! under adapters     − 2h/t' for each norm whose output no adapter reads, − 2f/t without one on the last product
//! ```
//!
//! With a plain `f = 4h`, `q = κ = h` and dropout the sum is `h(10 + 24/t)` (Korthikanti et al. 2205.05198, equation 2;
//! equation 4 with sequence parallelism). Expert parallelism does not divide routed rows, and every rank of an expert's
//! tensor parallel group holds them all. A plain expert multiplies the output of its activation by the router's
//! probability in a separate operation, which keeps both: `6·f_m` as well. 1.15: logged ranks of dropless runs held
//! that much more than an even share (24 specifications of Megatron-LM's continuous integration). With a capacity factor
//! below it, no expert takes more.
//!
//! Offloading single modules hardly
//! lowers the peak (one published run: nine tenths stay). Tokens in transit to experts: see [`dispatch_token`] (14
//! published runs of Qwen3-235B).
//!
//! Full recomputation keeps each layer's input, `2h/t'`, and one layer's tensors while that layer is recomputed.
//! Selective recomputation drops the tensors of its modules; the default is the attention's matrices. The backward pass
//! of a layer holds the gradients of its feed-forward network, or those of its attention's matrices after the network's
//! tensors are freed.
//! Sources: Megatron-LM's and Transformer Engine's saved tensors; published allocated peaks of Megatron-LM's continuous
//! integration (dense, 58 specifications: median error 1 %).

use super::super::super::plan::{Plan, Stage};
use super::super::super::schedule;
use super::{mixers, named, unfused};
use crate::frameworks::profile::memory::Layers;
use crate::job::{Attention, Dispatcher, Precision, Recompute};
use crate::model::{Block, Channel, Experts, Mixer};
use crate::units::Bytes;

/// Bytes of one activation, relative to the two bytes of bf16.
fn scale(plan: &Plan) -> f64 {
    match plan.precision {
        Precision::FP32 | Precision::TF32 => 2.0,
        // Frozen products save no tensors that fp8 could shrink.
        Precision::FP8 | Precision::FP4 if plan.adapters.is_some() => 1.0,
        // Matrix products save fp8 inputs, all other tensors keep two bytes: about four fifths.
        Precision::FP8 | Precision::FP4 => 0.8,
        Precision::FP16 | Precision::BF16 => 1.0,
    }
}

/// The attention's sequence × sequence matrices, bytes per token; zero with fused kernels.
fn attention_matrices(plan: &Plan) -> f64 {
    if plan.attention != Attention::Unfused {
        return 0.0;
    }
    let each = if plan.attention_dropout { 5.0 } else { 2.0 };
    each * attention_matrix_elements(plan)
}

fn attention_matrix_elements(plan: &Plan) -> f64 {
    plan.shape.heads as f64 * plan.sequence as f64 / plan.tensor as f64
}

/// The tensors that a norm on a block's output saves, bytes per token, undivided.
fn output_norm(plan: &Plan) -> f64 {
    if plan.shape.output_norm { 2.0 * plan.shape.hidden as f64 } else { 0.0 }
}

/// The tensors that the attention block saves without its matrices, bytes per token.
fn attention_token(plan: &Plan) -> f64 {
    let shape = &plan.shape;
    let h = shape.hidden as f64;
    let a = shape.heads as f64;
    let (t, t_outside) = (plan.tensor as f64, plan.sequence_divisor() as f64);
    let masks = if plan.hidden_dropout { h } else { 0.0 };
    let targets = plan.adapters.as_ref().map(|adapters| adapters.targets);
    // A frozen layer keeps the tensors that its norms and attention need, and the inputs of its adapters.
    let normalized = targets.is_none_or(|t| t.query || t.key || t.value) && !plan.recomputes("layernorm");
    let norm = if normalized { 4.0 * h } else { 2.0 * h } + output_norm(plan);
    let core = if let Some(latent) = &shape.latent {
        let (r_q, r_kv) = (latent.query_rank as f64, latent.key_value_rank as f64);
        let (d_r, d_n, d_v) = (latent.rope as f64, latent.nope as f64, latent.value as f64);
        let low = (4.0 * r_q + 4.0 * r_kv + 2.0 * d_r) / t_outside;
        let heads = if plan.recomputes("mla_up_proj") {
            2.0 * d_v + 4.0
        } else {
            6.0 * d_n + 4.0 * d_r + 4.0 * d_v + 4.0
        };
        low + a * heads / t
    } else {
        let (q, k) = (shape.query_width() as f64, shape.key_width() as f64);
        let head_norms = if shape.query_key_norm { 2.0 * q + 2.0 * k } else { 0.0 };
        let gate = if shape.gated_attention { 4.0 * q } else { 0.0 };
        (4.0 * q + 4.0 * k + 4.0 * a + head_norms + gate) / t
    };
    (norm + masks) / t_outside + core
}

/// The tensors that a mixer saves without attention's matrices, bytes per token.
fn mixer_token(plan: &Plan, mixer: Mixer) -> f64 {
    let others = mixers::kept_token(&plan.shape, mixer) / plan.tensor as f64;
    if mixer.attends() {
        return attention_token(plan) + others;
    }
    (4.0 * plan.shape.hidden as f64 + output_norm(plan)) / plan.sequence_divisor() as f64 + others
}

/// The matrices of a layer's attention, if it has attention.
fn matrices(plan: &Plan, block: Block) -> f64 {
    if block.mixer.is_some_and(Mixer::attends) { attention_matrices(plan) } else { 0.0 }
}

/// The tensors that a dense feed-forward network of width `f` saves besides its input, bytes per token, undivided.
fn ffn_width(plan: &Plan, f: f64, activation_again: bool) -> f64 {
    let each = match (plan.shape.gated, plan.profile.layers == Layers::Fused, &plan.adapters) {
        (true, true, Some(adapters)) if !adapters.targets.down => 4.0,
        (false, true, Some(adapters)) if !adapters.targets.down => 2.0,
        (true, _, Some(_)) | (true, true, None) => 6.0,
        (true, false, None) => 8.0,
        (false, true, _) => 4.0,
        (false, false, _) => 10.0,
    };
    (if activation_again { each - 2.0 } else { each }) * f
}

/// The tensors that a dense layer's feed-forward block saves, bytes per token.
fn dense_token(plan: &Plan) -> f64 {
    let h = plan.shape.hidden as f64;
    let t_outside = plan.sequence_divisor() as f64;
    let masks = if plan.hidden_dropout { h } else { 0.0 };
    if plan.recomputes("mlp") {
        return (2.0 * h + masks) / t_outside;
    }
    let targets = plan.adapters.as_ref().map(|adapters| adapters.targets);
    let normalized = targets.is_none_or(|t| t.gate || t.up) && !plan.recomputes("layernorm");
    let norm = if normalized { 4.0 * h } else { 2.0 * h } + output_norm(plan);
    (norm + masks) / t_outside + ffn_width(plan, plan.shape.ffn as f64, false) / plan.tensor as f64
}

/// Routed rows relative to an even share.
const UNEVEN: f64 = 1.15;

/// Routed rows per token on one rank. Experts drop the tokens above their capacity.
fn routed_rows(plan: &Plan, experts: &Experts) -> f64 {
    plan.capacity_factor.map_or(UNEVEN, |factor| factor.min(UNEVEN))
        * experts.per_token as f64
        * plan.expert_tensor.min(plan.tensor) as f64
        / plan.sequence_divisor() as f64
}

/// The tensors that a mixture of experts saves, bytes per token.
fn experts_token(plan: &Plan, experts: &Experts) -> f64 {
    let h = plan.shape.hidden as f64;
    let t_outside = plan.sequence_divisor() as f64;
    if plan.recomputes("moe") {
        return 2.0 * h / t_outside;
    }
    let norm = if plan.recomputes("layernorm") { 2.0 * h } else { 4.0 * h } + output_norm(plan);
    let activation_again = plan.recomputes("moe_act");
    let weighted = if plan.shape.gated { 0.0 } else { 2.0 * experts.ffn as f64 };
    let inside =
        (ffn_width(plan, experts.ffn as f64, activation_again) + weighted) / plan.expert_tensor as f64;
    let shared = ffn_width(plan, experts.shared_ffn as f64, false) / plan.tensor as f64;
    (norm + 5.0 * experts.count as f64) / t_outside
        + routed_rows(plan, experts) * (2.0 * experts.latent.map_or(h, |latent| latent as f64) + inside)
        + if plan.recomputes("shared_experts") { 0.0 } else { shared }
}

/// The tensors that one layer saves without its attention's matrices, bytes per token.
fn layer_token(plan: &Plan, block: Block) -> f64 {
    let plain = block.mixer == Some(Mixer::Attention) && block.channel.is_some();
    if plan.profile.layers == Layers::Unfused && plain {
        return unfused::layer_token(plan, block.has_experts()) * scale(plan);
    }
    let mixer = block.mixer.map_or(0.0, |mixer| mixer_token(plan, mixer));
    let channel = match (block.channel, &plan.shape.experts) {
        (Some(Channel::Experts), Some(shape)) => experts_token(plan, shape),
        (Some(_), _) => dense_token(plan),
        (None, _) => 0.0,
    };
    let eager = if plan.profile.layers == Layers::Fused { 0.0 } else { 8.0 * plan.shape.hidden as f64 };
    (mixer + channel + eager) * scale(plan)
}

/// The tensors that one layer keeps until its backward pass, bytes per token.
fn kept_token(plan: &Plan, block: Block) -> f64 {
    let input = 2.0 * plan.shape.hidden as f64 / plan.sequence_divisor() as f64 * scale(plan);
    if plan.profile.layers == Layers::Unfused && plan.shape.blocks.is_plain() {
        return unfused::kept_token(plan, block.has_experts());
    }
    let whole = layer_token(plan, block);
    let named = named::kept_token(plan, matches!(block.channel, Some(Channel::Experts)))
        .filter(|_| plan.recompute == Recompute::Selective);
    if let Some(kept) = named {
        return kept * scale(plan);
    }
    match plan.recompute {
        Recompute::None | Recompute::Selective if plan.offload_activations => on_the_device(plan) * whole,
        Recompute::None => whole + matrices(plan, block),
        Recompute::Selective if plan.profile.layers == Layers::Fused => {
            let core = plan.recompute_modules.is_empty() || plan.recomputes("core_attn");
            whole + if core { 0.0 } else { matrices(plan, block) }
        }
        // Every second matrix product and the attention's output: 17h of the 41h of a Llama layer.
        Recompute::Selective => (0.4 * whole).max(input),
        Recompute::Full if plan.offload_activations => 0.0,
        Recompute::Full => input,
    }
}

/// The share of activations that stays on the device. Modules that are offloaded leave nine tenths. Whole layers leave those of
/// the other layers, and of the two that are on their way. Source: Megatron-LM core 0.14, `transformer_config.py`
/// (`cpu_offloading_num_layers`, without a pipeline), and Transformer Engine 2.8, `cpu_offload.py`.
fn on_the_device(plan: &Plan) -> f64 {
    const OF_MODULES: f64 = 0.9;
    const ON_THEIR_WAY: u64 = 2;
    let layers = plan.shape.layers.max(1);
    let stay = |offloaded: u64| (layers.saturating_sub(offloaded) + ON_THEIR_WAY).min(layers);
    plan.offloaded_layers.map_or(OF_MODULES, |offloaded| stay(offloaded) as f64 / layers as f64)
}

/// Activations alive on a stage when memory is fullest.
pub(in super::super) fn kept(plan: &Plan, stage: Stage) -> Bytes {
    let prediction = if stage.output { plan.shape.prediction_layers as f64 } else { 0.0 };
    let h = plan.shape.hidden as f64 / plan.sequence_divisor() as f64 * scale(plan);
    // The last norm's input and output; the mask of the embedding's dropout.
    let outside = if stage.output { 4.0 * h } else { 0.0 }
        + if stage.embedding && plan.hidden_dropout { h } else { 0.0 };
    let last = if plan.shape.experts.is_some() { Channel::Experts } else { Channel::Dense };
    let of_prediction = prediction * kept_token(plan, Block::plain(last));
    let layers = if stage.layers() == 0 { 0.0 } else { layers_token(plan, stage) };
    Bytes::from_f64((layers + of_prediction + outside) * plan.tokens() as f64)
}

fn layers_token(plan: &Plan, stage: Stage) -> f64 {
    let live = schedule::live_layers(plan, stage);
    let mixed = |token: &dyn Fn(Block) -> f64| {
        let all = stage.kinds(&plan.shape).map(|(block, count)| token(block) * count as f64);
        all.sum::<f64>() / stage.layers() as f64
    };
    let recomputed = mixed(&|block| kept_token(plan, block));
    let share = match (plan.recompute, plan.recompute_layers) {
        (Recompute::Full | Recompute::Selective, Some(layers)) => {
            (layers as f64 / stage.layers() as f64).clamp(0.0, 1.0)
        }
        _ => 1.0,
    };
    let whole =
        if share < 1.0 { mixed(&|block| layer_token(plan, block) + matrices(plan, block)) } else { 0.0 };
    (recomputed * share + whole * (1.0 - share)) * live
}

/// More memory in the backward pass of the heaviest layer: recomputed tensors and their gradients.
pub(in super::super) fn working_set(plan: &Plan, stage: Stage) -> Bytes {
    if stage.layers() == 0 {
        return Bytes::ZERO;
    }
    // In a plain decoder a layer with experts is the heaviest.
    let heaviest = plan.shape.blocks.is_plain() && stage.has_experts(&plan.shape);
    let kinds = stage.kinds(&plan.shape);
    let kinds = kinds.filter(|(block, count)| *count > 0 && (!heaviest || block.has_experts()));
    kinds.map(|(block, _)| working_set_of(plan, block)).max().unwrap_or(Bytes::ZERO)
}

/// More memory in the backward pass of a layer of a kind.
fn working_set_of(plan: &Plan, block: Block) -> Bytes {
    let experts = block.has_experts();
    let whole = layer_token(plan, block) + matrices(plan, block);
    let again = match plan.recompute {
        Recompute::None => 0.0,
        _ => (whole - kept_token(plan, block)).max(0.0),
    };
    let h = plan.shape.hidden as f64 / plan.sequence_divisor() as f64;
    let ffn = match &plan.shape.experts {
        _ if plan.profile.layers == Layers::Unfused => 0.5 * whole,
        Some(_) if experts => {
            let mixer = block.mixer.map_or(0.0, |mixer| mixer_token(plan, mixer));
            layer_token(plan, block) - mixer * scale(plan)
        }
        // The gradients inside the feed-forward network, and of its output.
        _ => (2.0 * h + ffn_width(plan, plan.shape.ffn as f64, false) / plan.tensor as f64) * scale(plan),
    };
    // The matrix's gradient, once.
    let matrices = if matrices(plan, block) > 0.0 { 2.0 * attention_matrix_elements(plan) } else { 0.0 };
    let gradients = ffn.max(matrices - ffn).max(0.0);
    let dispatch = plan.shape.experts.as_ref().filter(|_| experts).map_or(0.0, |e| dispatch_token(plan, e));
    let imbalance = if experts { unfused::imbalance_token(plan) } else { 0.0 };
    let gathered = unfused::gathered_token(plan);
    Bytes::from_f64((again + gradients + dispatch + imbalance + gathered) * plan.tokens() as f64)
}

/// The transient tensors of a layer of experts while tokens are in transit, bytes per token: `10h` per routed row. If
/// every rank gathers all tokens, also `12h` for each of the group's `e` ranks.
fn dispatch_token(plan: &Plan, experts: &Experts) -> f64 {
    let h = plan.shape.hidden as f64;
    let gathered = match plan.dispatcher {
        Dispatcher::AllGather => 12.0 * plan.expert as f64,
        Dispatcher::AllToAll | Dispatcher::DeepEP | Dispatcher::HybridEP => 0.0,
    };
    if plan.expert <= 1 || plan.profile.layers == Layers::Unfused {
        0.0
    } else {
        h * (gathered + 10.0 * routed_rows(plan, experts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::assume::{Device, assume};
    use crate::job::TrainingJob;

    /// A Megatron job with experts on two pipeline stages, and this change.
    fn plan(change: &serde_json::Value) -> Plan {
        let mut job = serde_json::json!({
            "model": {"layers": 6, "hiddenSize": 512, "experts": 8, "expertsPerToken": 2, "expertFfnHiddenSize": 256},
            "parallelism": {"pipeline": 3, "data": 1}, "framework": "Megatron", "recompute": "None",
            "attention": "Flash", "batch": {"microBatchSize": 1, "globalBatchSize": 3, "sequenceLength": 64},
        });
        job.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let job: TrainingJob = serde_json::from_value(job).unwrap();
        assume(&job, Device { bf16: true }).unwrap().likely
    }

    /// The activations of the middle stage, which has neither embedding nor loss.
    fn kept_by(change: &serde_json::Value) -> f64 {
        let plan = plan(change);
        kept(&plan, plan.stage(1)).as_f64()
    }

    #[test]
    fn a_rank_gets_fifteen_percent_more_rows_than_an_even_share() {
        let plan = plan(&serde_json::json!({}));
        let rows = routed_rows(&plan, plan.shape.experts.as_ref().unwrap());
        assert!((rows - 1.15 * 2.0).abs() < 1e-9, "two experts per token: {rows}");
    }

    #[test]
    fn a_capacity_factor_bounds_the_rows() {
        let rows = |factor: &str| {
            let plan = plan(
                &serde_json::json!({"parallelism": {"pipeline": 3, "data": 1, "capacityFactor": factor}}),
            );
            routed_rows(&plan, plan.shape.experts.as_ref().unwrap())
        };
        assert!((rows("1") - 2.0).abs() < 1e-9 && (rows("2") - 2.3).abs() < 1e-9);
    }

    #[test]
    fn offloading_of_single_modules_leaves_nine_tenths() {
        let stay = kept_by(&serde_json::json!({"offload": {"activations": false}}));
        let offloaded = kept_by(&serde_json::json!({"offload": {"activations": true}}));
        assert!((offloaded / stay - 0.9).abs() < 1e-6, "{}", offloaded / stay);
    }

    #[test]
    fn offloading_of_layers_leaves_the_others_and_two_on_their_way() {
        let stay = kept_by(&serde_json::json!({}));
        let left = |layers: u32| {
            kept_by(&serde_json::json!({"offload": {"activations": true}, "offloadedLayers": layers})) / stay
        };
        assert_eq!(
            [left(0), left(2), left(4), left(6)].map(|share| format!("{share:.3}")),
            ["1.000", "1.000", "0.667", "0.333"]
        );
    }
}
