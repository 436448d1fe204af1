//! The exact floating-point operations of one token, by matrix product and attention core.
//!
//! ```text
//! forward       2·[ Σ layers (attention + feed-forward) + h·V·(1 + d) ]  +  Σ layers A
//! attention     h·(q + 2κ) + q·h
//! latent        h·r_q + r_q·q + h·(r_kv + d_r) + r_kv·a·(d_n + d_v) + a·d_v·h     (without a query rank: h·q)
//! feed-forward  (3 gated | 2 plain)·h·f;   experts: (K + shared)·(3 | 2)·h·f_m + h·E of the router
//! other mixers  their matrices: [`crate::model::mixers`]; Gated DeltaNet's and a state space's state, 4·K·d_v and 4·I·N a
//!               token, which is written and read once; a chunk's own products are not counted
//! prediction    each of d layers: one more layer, and 2·h·h that joins two hidden states
//! core A        s·a·(d_k + d_v), both products, causal: half of the full square; of a window w < s, 2·w − w²/s for s
//! model         3 × forward                                       (every weight trained)
//!               2 × frozen products + 3 × (adapters + core)       (adapters: no gradient of frozen weights)
//! hardware      model + recomputation: the layers' forward again (full), the core's (selective), or half of the layers'
//!               products (torchtitan's selective: every second product)
//! ```
//!
//! Symbols: `h` hidden, `q` and `κ` widths of all queries and keys, `a` heads, `d_k`, `d_v` head sizes, `f`
//! feed-forward, `E` experts, `K` experts per token, `V` vocabulary, `s` sequence, `r` ranks. A product and a sum count
//! as two. The embedding is a look-up; norms, activations and the softmax are not products. The output layer counts,
//! tied or not. Short samples attend only to themselves: `s` is the typical length if one is given.
//!
//! **Causal attention is counted once.** Megatron-LM has counted this way since 2025 (`num_floating_point_operations`).
//! Older Megatron-LM, torchtitan, llm-foundry and Chowdhery et al. 2022 count the whole square, so the same run's MFU
//! is up to a fifth higher at 8k tokens. Megatron's formula omits the router. Narayanan et al. 2021 count the square,
//! and the recomputation with it: 96·B·s·L·h²·(1 + s/6h + V/16Lh).
//!
//! If only the size of a model is known, its products are those of the usual shape, scaled to the size. If its active
//! parameters are given too, the products are scaled to them, and the core is that of a dense model with so many
//! parameters.

use crate::estimate::plan::{Adapters, Plan};
use crate::frameworks::profile::kernels::Selective;
use crate::job::{Model, Recompute};
use crate::model::{Block, Channel, LayerParameters, Mixer, Parameters, Shape, mixers};
use crate::units::Count;

/// The convention of the counts, for reports.
pub const CONVENTION: &str = "model FLOPs: matrix products and attention, forward and backward, causal attention \
                              counted once, recomputation not counted";

/// Operations of one token's forward pass, grouped by their cost in the backward pass.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Forward {
    /// Products with the weights of layers.
    pub layers: f64,
    /// Products with the output layer.
    pub head: f64,
    /// The attention's core.
    pub core: f64,
    /// Products with adapters.
    pub adapters: f64,
    /// Whether the layers' own weights are frozen.
    pub frozen: bool,
}

impl Forward {
    /// Counts a plan.
    pub fn of(plan: &Plan, model: Option<&Model>) -> Self {
        let shape = &plan.shape;
        let scale = scale(shape, model);
        let extra = shape.prediction_layers as f64;
        let last = if shape.experts.is_some() { Channel::Experts } else { Channel::Dense };
        let joining = 2.0 * (shape.hidden as f64).powi(2);
        let of_kinds = shape.blocks.all().map(|(block, count)| block_products(shape, block) * count as f64);
        let layers = of_kinds.sum::<f64>() + (block_products(shape, Block::plain(last)) + joining) * extra;
        let all = shape.hidden as f64 * shape.vocab as f64;
        // A model has no more products than parameters. At most half of them are in the output layer.
        let all = shape.declared.map_or(all, |declared| all.min(declared as f64 / 2.0));
        let head = all * (1.0 + extra);
        Self {
            layers: 2.0 * layers * scale,
            head: 2.0 * head,
            core: core(shape)
                * plan.typical_sequence as f64
                * (attention_layers(shape, plan.typical_sequence as f64) + extra)
                * attention_share(shape, model),
            adapters: plan.adapters.as_ref().map_or(0.0, |adapters| 2.0 * adapter(shape, adapters)),
            frozen: plan.adapters.is_some(),
        }
    }

    /// Forward and backward: model FLOPs.
    pub fn model(&self) -> f64 {
        let weights = if self.frozen { 2.0 } else { 3.0 };
        weights * (self.layers + self.head) + 3.0 * (self.core + self.adapters)
    }

    /// The operations of recomputation.
    pub fn recomputed(&self, plan: &Plan) -> f64 {
        let again = Recomputed::of(plan);
        (self.layers + self.adapters) * again.products + self.core * again.core
    }
}

/// The shares of the forward pass that recomputation repeats.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Recomputed {
    /// The share of the layers' products.
    pub products: f64,
    /// The share of the attention's core.
    pub core: f64,
}

impl Recomputed {
    /// The shares of a plan.
    pub fn of(plan: &Plan) -> Self {
        let layers = plan.shape.layers.div_ceil(plan.pipeline.max(1)).max(1) as f64;
        let covered = plan.recompute_layers.map_or(1.0, |covered| (covered as f64 / layers).min(1.0));
        let (products, core) = match plan.recompute {
            Recompute::None => (0.0, 0.0),
            Recompute::Selective => match plan.profile.kernels.selective {
                Selective::Products => (0.5, 0.0),
                Selective::Attention => (0.0, 1.0),
            },
            Recompute::Full => (1.0, 1.0),
        };
        Self { products: products * covered, core: core * covered }
    }
}

/// Products of a layer of a kind, in multiplications per token.
fn block_products(shape: &Shape, block: Block) -> f64 {
    let mixed = block.mixer.map_or(0.0, |mixer| mixer_products(shape, mixer));
    mixed
        + match block.channel {
            Some(Channel::Experts) if shape.experts.is_some() => active_experts(shape),
            Some(_) => feed_forward(shape),
            None => 0.0,
        }
}

/// Products of a mixer's matrices and of its state.
fn mixer_products(shape: &Shape, mixer: Mixer) -> f64 {
    let (linear, space) = (shape.linear, shape.state_space);
    let delta = 2.0 * linear.values() as f64 * linear.key_head as f64;
    let scan = 2.0 * space.inner() as f64 * space.state as f64;
    let matrices = |parameters: LayerParameters| parameters.total() as f64;
    match mixer {
        Mixer::Attention | Mixer::Window | Mixer::Cross | Mixer::Encoder => attention_of(shape, mixer),
        Mixer::Decoder => 2.0 * attention_of(shape, mixer),
        Mixer::Parallel => {
            attention_of(shape, Mixer::Attention) + matrices(mixers::state_space(shape)) + scan
        }
        Mixer::StateSpace => matrices(mixers::state_space(shape)) + scan,
        Mixer::GatedDelta => matrices(mixers::gated_delta(shape)) + delta,
        Mixer::KimiDelta => matrices(mixers::kimi_delta(shape)) + delta,
        Mixer::Lightning => {
            let state = 2.0 * shape.query_width() as f64 * shape.head_size as f64;
            matrices(mixers::lightning(shape)) + state
        }
        Mixer::Convolution => matrices(mixers::convolution(shape)),
    }
}

/// The layers with attention over all tokens that have as much of attention's core as the model. A window of `w` of `s`
/// tokens has `(2 − w/s)·w/s` of it.
fn attention_layers(shape: &Shape, sequence: f64) -> f64 {
    if shape.blocks.is_plain() {
        return shape.layers as f64;
    }
    let share = |mixer: Mixer| match (mixer, shape.window) {
        (Mixer::Window, Some(window)) if (window as f64) < sequence => {
            let seen = window as f64 / sequence;
            (2.0 - seen) * seen
        }
        (mixer, _) => f64::from(u8::from(mixer.attends())),
    };
    shape.blocks.all().map(|(block, count)| block.mixer.map_or(0.0, share) * count as f64).sum()
}

/// Products of the mixers of a layer, in multiplications per token: the mean over the layers.
pub fn attention(shape: &Shape) -> f64 {
    if shape.blocks.is_plain() {
        return attention_of(shape, Mixer::Attention);
    }
    let mixed = |(block, count): (Block, u64)| {
        block.mixer.map_or(0.0, |mixer| mixer_products(shape, mixer)) * count as f64
    };
    shape.blocks.all().map(mixed).sum::<f64>() / shape.layers.max(1) as f64
}

/// Products of attention's projections.
fn attention_of(shape: &Shape, mixer: Mixer) -> f64 {
    let (q, k, made) = shape.attention_widths(mixer);
    let (h, q, k, made) = (shape.hidden as f64, q as f64, k as f64, made as f64);
    let gate = if shape.gated_attention { h * q } else { 0.0 };
    let Some(latent) = &shape.latent else { return h * (q + made * k) + q * h + gate };
    let (a, rank) = (shape.heads as f64, latent.query_rank as f64);
    let queries = if rank > 0.0 { h * rank + rank * q } else { h * q };
    let low = latent.key_value_rank as f64;
    queries
        + h * (low + latent.rope as f64)
        + low * a * (latent.nope + latent.value) as f64
        + a * latent.value as f64 * h
}

/// Products of the dense feed-forward network.
pub fn feed_forward(shape: &Shape) -> f64 {
    shape.ffn_matrices() as f64 * shape.hidden as f64 * shape.ffn as f64
}

/// Products of one expert.
pub fn expert(shape: &Shape) -> f64 {
    let (ffn, latent) = shape.experts.as_ref().map_or((0, None), |experts| (experts.ffn, experts.latent));
    shape.ffn_matrices() as f64 * latent.unwrap_or(shape.hidden) as f64 * ffn as f64
}

/// Products of the experts of one token, and of the router.
pub fn active_experts(shape: &Shape) -> f64 {
    shape.experts.as_ref().map_or(0.0, |experts| {
        let h = shape.hidden as f64;
        // Experts of all tokens may have a width of their own.
        let own =
            experts.shared_ffn == experts.ffn.saturating_mul(experts.shared) && experts.latent.is_none();
        let passed = experts.per_token.saturating_add(if own { experts.shared } else { 0 }) as f64;
        let shared = if own { 0.0 } else { shape.ffn_matrices() as f64 * h * experts.shared_ffn as f64 };
        let latent = experts.latent.map_or(0.0, |latent| 2.0 * h * latent as f64);
        passed * expert(shape) + h * experts.count as f64 + shared + latent
    })
}

/// The attention core's operations per token, layer and token of the sequence: both products, causal.
pub fn core(shape: &Shape) -> f64 {
    let value = shape.latent.as_ref().map_or(shape.head_size, |latent| latent.value);
    shape.query_width() as f64 + shape.heads as f64 * value as f64
}

/// Weights of all adapters, as multiplications per token: `Σ r·(d_in + d_out)`.
fn adapter(shape: &Shape, adapters: &Adapters) -> f64 {
    let (inputs, outputs) = adapter_widths(shape, adapters);
    adapters.rank as f64 * (inputs + outputs) * shape.layers as f64
}

/// The summed inputs and outputs of a layer's adapters, `Σ d_in` and `Σ d_out`.
pub(super) fn adapter_widths(shape: &Shape, adapters: &Adapters) -> (f64, f64) {
    let (h, q, k) = (shape.hidden as f64, shape.query_width() as f64, shape.key_width() as f64);
    let f = match &shape.experts {
        Some(experts) => experts.ffn as f64 * experts.per_token as f64,
        None => shape.ffn as f64,
    };
    let on = adapters.targets;
    [
        (on.query, h, q),
        (on.key, h, k),
        (on.value, h, k),
        (on.output, q, h),
        (on.gate && shape.gated, h, f),
        (on.up, h, f),
        (on.down, f, h),
    ]
    .into_iter()
    .filter(|(on, ..)| *on)
    .fold((0.0, 0.0), |(inputs, outputs), (_, input, output)| (inputs + input, outputs + output))
}

/// The size of the layers relative to the usual shape, if only sizes of the model are known.
pub fn scale(shape: &Shape, model: Option<&Model>) -> f64 {
    let Some(declared) = shape.declared else { return 1.0 };
    let active = model.and_then(|m| m.active_parameters).map(|Count(active)| active);
    let usual = Parameters::of(&Shape { declared: None, ..shape.clone() });
    let (target, counted) = match active {
        Some(active) => (active.min(declared), usual.active),
        None => (declared, usual.total),
    };
    let outer = usual.embedding.saturating_add(usual.output) as f64;
    let layers = (counted as f64 - outer).max(1.0);
    // Embedding and output layer are at most half of a model.
    (target as f64 - outer).max(target as f64 / 2.0) / layers
}

/// The attention of a model with experts, relative to a dense model of the same size. It is `L·h` of the active
/// parameters, because experts do not widen attention.
fn attention_share(shape: &Shape, model: Option<&Model>) -> f64 {
    match (shape.declared, &shape.experts, model.and_then(|m| m.active_parameters)) {
        (Some(declared), None, Some(Count(active))) => {
            (active.min(declared) as f64 / declared.max(1) as f64).powf(2.0 / 3.0)
        }
        _ => 1.0,
    }
}

#[cfg(test)]
#[path = "flops_tests.rs"]
mod tests;
