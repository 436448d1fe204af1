//! A transformer's dimensions, complete: every one given, derived, or assumed.
//!
//! A dimension that is not given follows from the others, by the rules of the field: head size = hidden size / heads,
//! key-value heads = heads, feed-forward width = 4 × hidden for GELU and 8/3 × hidden (rounded up to 256) for SwiGLU.
//! If only the number of parameters `P` is given, the family's usual shape is taken: width grows with depth,
//! `hidden ≈ 104 × layers` (the published Llama, Qwen, GPT and BLOOM shapes lie between 77 and 139), so that
//! `P ≈ 12 × layers × hidden²` fixes both. The true shape may be wider or narrower; [`Shape::of_size`] takes the
//! ratio.

use super::{Block, Blocks, Channel, Mixer};
use crate::job::{Activation, DenseLayers, Model, Normalization, Positions};
use crate::units::Count;

/// A transformer's dimensions.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// Transformer layers, `L`.
    pub layers: u64,
    /// Width of the residual stream, `h`.
    pub hidden: u64,
    /// Query heads, `a`.
    pub heads: u64,
    /// Key and value heads, `k`.
    pub key_value_heads: u64,
    /// Width of a head, `d`.
    pub head_size: u64,
    /// Width of the dense feed-forward network, `f`.
    pub ffn: u64,
    /// Entries of the vocabulary, `V`, as stored.
    pub vocab: u64,
    /// Whether the feed-forward network has two input matrices.
    pub gated: bool,
    /// Whether the output layer shares the embedding's weights.
    pub tied: bool,
    /// Rows of the learned position table. Zero with rotary positions.
    pub learned_positions: u64,
    /// Whether all linear layers have biases.
    pub biases: bool,
    /// Whether the query, key and value projections have biases.
    pub qkv_biases: bool,
    /// Whether queries and keys are normalized.
    pub query_key_norm: bool,
    /// Whether the outputs of attention and feed-forward are normalized before they are added.
    pub output_norm: bool,
    /// Whether logits are capped by a tanh.
    pub capped_logits: bool,
    /// Whether normalization layers have biases beside their weights.
    pub layer_norm: bool,
    /// The mixture of experts, if there is one.
    pub experts: Option<Experts>,
    /// Multi-head latent attention, if it is used.
    pub latent: Option<LatentAttention>,
    /// The kinds of layers, and their order.
    pub blocks: Blocks,
    /// The tokens that an encoder reads of every sample, if the model fixes them.
    pub encoder_length: Option<u64>,
    /// Whether attention adds a learned number for each distance to its scores.
    pub relative_positions: bool,
    /// The tokens that attention over a window sees.
    pub window: Option<u64>,
    /// Whether attention's output is gated, by a projection as wide as the queries'.
    pub gated_attention: bool,
    /// Attention over all tokens, if it differs from attention over a window: key heads, head size, and whether keys
    /// serve as values.
    pub global: Option<(u64, u64, bool)>,
    /// Linear attention, if any layer has it.
    pub linear: LinearAttention,
    /// State spaces, if any layer has one.
    pub state_space: StateSpace,
    /// Tokens that a short convolution sees.
    pub convolution: u64,
    /// Inputs and outputs of all layers that have adapters, if no dimension gives them.
    pub adapter_width: Option<u64>,
    /// Parameters of towers.
    pub towers: u64,
    /// Those of them that project to the hidden size.
    pub projection: u64,
    /// Parameters that no dimension gives.
    pub further: u64,
    /// Extra layers that predict further tokens.
    pub prediction_layers: u64,
    /// The given number of parameters, if the dimensions were not given. Sizes are scaled to it.
    pub declared: Option<u64>,
}

/// A mixture of experts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Experts {
    /// Routed experts a layer, `E`.
    pub count: u64,
    /// Experts for each token, `K`.
    pub per_token: u64,
    /// An expert's width.
    pub ffn: u64,
    /// Experts for all tokens.
    pub shared: u64,
    /// The width of all experts for all tokens, together.
    pub shared_ffn: u64,
    /// The width that routed experts read and write, if it is not the hidden size.
    pub latent: Option<u64>,
    /// Layers without experts.
    pub dense_layers: u64,
}

/// Linear attention's heads and sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinearAttention {
    /// Heads of queries and keys.
    pub key_heads: u64,
    /// Heads of values.
    pub value_heads: u64,
    /// A key head's width.
    pub key_head: u64,
    /// A value head's width.
    pub value_head: u64,
    /// Tokens that its short convolution sees.
    pub convolution: u64,
}

impl LinearAttention {
    /// Width of all keys.
    pub fn keys(self) -> u64 {
        self.key_heads.saturating_mul(self.key_head)
    }

    /// Width of all values.
    pub fn values(self) -> u64 {
        self.value_heads.saturating_mul(self.value_head)
    }
}

/// A state space's sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateSpace {
    /// Heads.
    pub heads: u64,
    /// A head's width.
    pub head: u64,
    /// Numbers of a channel's state.
    pub state: u64,
    /// Groups of heads with the same inputs and outputs of the state.
    pub groups: u64,
    /// Tokens that its short convolution sees.
    pub convolution: u64,
    /// The rank of the time step's projection, of the first Mamba.
    pub time_step_rank: Option<u64>,
}

impl StateSpace {
    /// Channels.
    pub fn inner(self) -> u64 {
        self.heads.saturating_mul(self.head)
    }
}

/// Multi-head latent attention's ranks and sizes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LatentAttention {
    /// The queries' rank. Zero if queries are projected directly.
    pub query_rank: u64,
    /// The keys' and values' rank.
    pub key_value_rank: u64,
    /// The rotary part of a head.
    pub rope: u64,
    /// The part of a head without positions.
    pub nope: u64,
    /// A value head's width.
    pub value: u64,
}

/// Why a shape cannot be completed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// Neither a size nor enough dimensions are known.
    #[error("neither the number of parameters nor layers and hidden size are known")]
    Unknown,
}

/// The next multiple that is not smaller.
fn up_to(value: u64, multiple: u64) -> u64 {
    value.div_ceil(multiple.max(1)).saturating_mul(multiple.max(1))
}

/// The widest dimension that is counted. A wider one counts as this, which is above any capacity.
const WIDEST: u64 = 1 << 24;

/// The most parameters that a part may have that no dimension gives.
const LARGEST: u64 = 1 << 50;

/// The most layers of a model with a pattern, as many as a spec may have.
const MOST_LISTED: u64 = 10_000;

/// A given dimension, within the bound.
fn bounded(value: u32) -> u64 {
    u64::from(value).clamp(1, WIDEST)
}

impl Shape {
    /// The shape with the given dimensions, or, without them, the usual shape of the given size.
    ///
    /// `sequence` is the length of a learned position table, and `vocab` the size of the vocabulary, if these are not
    /// given.
    ///
    /// # Errors
    /// [`ShapeError::Unknown`] if neither `parameters` nor `layers` and `hiddenSize` are given.
    pub fn complete(model: &Model, sequence: u64, vocab: u64, aspect: f64) -> Result<Self, ShapeError> {
        let (Some(layers), Some(hidden)) = (model.layers, model.hidden_size) else {
            let Some(Count(parameters)) = model.parameters else { return Err(ShapeError::Unknown) };
            return Ok(Self::of_size(model, parameters, vocab, aspect));
        };
        let (layers, hidden) = (bounded(layers), bounded(hidden));
        let heads = model.attention_heads.map_or_else(|| (hidden / 128).max(1), bounded);
        let head_size = model.head_size.map_or_else(|| (hidden / heads).max(1), bounded);
        let learned = model.positions == Some(Positions::Learned);
        // GPT-style models have learned positions, biases, LayerNorm and GELU together.
        let gated = match model.activation {
            Some(activation) => activation == Activation::SwiGLU,
            None => !learned && model.biases != Some(true),
        };
        let ffn = match model.ffn_hidden_size {
            Some(f) => bounded(f),
            None if gated => up_to(hidden.saturating_mul(8) / 3, 256),
            None => hidden.saturating_mul(4),
        };
        let vocab = model.padded_vocab_size.or(model.vocab_size).map_or(vocab, bounded);
        let shape = Self {
            layers,
            hidden,
            heads,
            key_value_heads: model.key_value_heads.map_or(heads, bounded),
            head_size,
            ffn,
            vocab,
            gated,
            tied: model.tied_embeddings.unwrap_or(false),
            learned_positions: if learned { model.max_positions.map_or(sequence, bounded) } else { 0 },
            biases: model.biases.unwrap_or(learned),
            qkv_biases: model.qkv_biases.or(model.biases).unwrap_or(learned),
            query_key_norm: model.query_key_normalization.unwrap_or(false),
            output_norm: model.output_normalization.unwrap_or(false),
            capped_logits: model.capped_logits.unwrap_or(false),
            layer_norm: model.normalization.map_or(learned, |n| n == Normalization::LayerNorm),
            experts: Self::experts(model, layers, ffn),
            latent: model.latent_attention.as_ref().map(|latent| LatentAttention {
                query_rank: latent.query_rank.map_or(0, |rank| u64::from(rank).min(WIDEST)),
                key_value_rank: latent.key_value_rank.map_or(512, bounded),
                rope: latent.rope_head_size.map_or(64, bounded),
                nope: latent.nope_head_size.map_or(head_size, bounded),
                value: latent.value_head_size.map_or(head_size, bounded),
            }),
            blocks: Self::blocks(model, layers),
            encoder_length: model.encoder_length.map(bounded),
            relative_positions: model.positions == Some(Positions::Relative),
            window: model.sliding_window.map(u64::from),
            gated_attention: model.gated_attention.unwrap_or(false),
            global: model.global_attention.as_ref().map(|global| {
                let heads = global.key_value_heads.or(model.key_value_heads).map_or(heads, bounded);
                let size = global.head_size.map_or(head_size, bounded);
                (heads, size, global.keys_are_values.unwrap_or(false))
            }),
            linear: Self::linear(model, heads, head_size),
            state_space: Self::state_space(model, hidden),
            convolution: model.short_convolution.map_or(3, bounded),
            adapter_width: model.adapter_width.map(u64::from),
            towers: model.tower_parameters.map_or(0, |count| count.0.min(LARGEST)),
            projection: model.projection_parameters.map_or(0, |count| count.0.min(LARGEST)),
            further: model.further_parameters.map_or(0, |count| count.0.min(LARGEST)),
            prediction_layers: model.multi_token_prediction_layers.map_or(0, |n| u64::from(n).min(1000)),
            declared: None,
        };
        Ok(shape)
    }

    /// The kinds of layers. Layers without experts come first, unless a pattern gives their places.
    fn blocks(model: &Model, layers: u64) -> Blocks {
        let mixture = model.experts.is_some_and(|count| count > 1);
        match &model.layer_pattern {
            Some(pattern) => {
                Blocks::of(pattern, layers.min(MOST_LISTED), mixture, model.dense_layers.as_ref())
            }
            None if mixture => {
                let dense = Self::first_dense(model, layers);
                Blocks::plain(dense, layers - dense)
            }
            None => Blocks::plain(layers, 0),
        }
    }

    /// The number of layers without experts, of a model that has experts.
    fn first_dense(model: &Model, layers: u64) -> u64 {
        match &model.dense_layers {
            None => 0,
            Some(DenseLayers::Count(first)) => u64::from(*first).min(layers),
            Some(DenseLayers::List(list)) => (list.len() as u64).min(layers),
        }
    }

    /// Linear attention. Without sizes of its own it has attention's.
    fn linear(model: &Model, heads: u64, head_size: u64) -> LinearAttention {
        let given = model.linear_attention.clone().unwrap_or_default();
        let value_heads = given.value_heads.map_or(heads, bounded);
        let key_head = given.key_head_size.map_or(head_size, bounded);
        LinearAttention {
            key_heads: given.key_heads.map_or(value_heads, bounded),
            value_heads,
            key_head,
            value_head: given.value_head_size.map_or(key_head, bounded),
            convolution: given.convolution.map_or(4, bounded),
        }
    }

    /// State spaces. Without sizes of their own they have those of Mamba-2: twice the hidden size, in heads of 64.
    fn state_space(model: &Model, hidden: u64) -> StateSpace {
        let given = model.state_space.clone().unwrap_or_default();
        let head = given.head_size.map_or(64, bounded);
        StateSpace {
            heads: given.heads.map_or_else(|| (2 * hidden / head).max(1), bounded),
            head,
            state: given.state_size.map_or(128, bounded),
            groups: given.groups.map_or(1, bounded),
            convolution: given.convolution.map_or(4, bounded),
            time_step_rank: given.time_step_rank.map(bounded),
        }
    }

    fn experts(model: &Model, layers: u64, ffn: u64) -> Option<Experts> {
        let count = u64::from(model.experts?).min(WIDEST);
        if count < 2 {
            return None;
        }
        let own = model.expert_ffn_hidden_size.map_or(ffn, bounded);
        let shared = model.shared_experts.map_or(0, |n| u64::from(n).min(WIDEST));
        Some(Experts {
            count,
            per_token: model.experts_per_token.map_or(2, bounded).min(count),
            ffn: own,
            shared,
            shared_ffn: match model.shared_expert_ffn_hidden_size {
                Some(width) if shared > 0 => bounded(width),
                _ => own.saturating_mul(shared),
            },
            latent: model.expert_latent_size.map(bounded),
            dense_layers: Self::first_dense(model, layers),
        })
    }

    /// The usual dense shape of `parameters`. Its width is `aspect` times the middle of the family.
    pub fn of_size(model: &Model, parameters: u64, vocab: u64, aspect: f64) -> Self {
        const WIDTH_PER_LAYER: f64 = 104.0;
        let middle = (parameters as f64 * WIDTH_PER_LAYER / 12.0).cbrt();
        let hidden = model.hidden_size.map_or_else(|| up_to((middle * aspect).ceil() as u64, 128), bounded);
        let per_layer = 12.0 * (hidden as f64).powi(2);
        let layers =
            model.layers.map_or_else(|| ((parameters as f64 / per_layer).round() as u64).max(1), bounded);
        let heads = model.attention_heads.map_or_else(|| (hidden / 128).max(1), bounded);
        let ffn = model.ffn_hidden_size.map_or_else(|| up_to(hidden.saturating_mul(8) / 3, 256), bounded);
        Self {
            layers,
            hidden,
            heads,
            key_value_heads: model.key_value_heads.map_or(heads, bounded).max(1),
            head_size: (hidden / heads.max(1)).max(1),
            ffn,
            vocab: model.padded_vocab_size.or(model.vocab_size).map_or(vocab, bounded),
            gated: model.activation.is_none_or(|a| a == Activation::SwiGLU),
            tied: model.tied_embeddings.unwrap_or(false),
            learned_positions: 0,
            biases: false,
            qkv_biases: false,
            query_key_norm: false,
            output_norm: false,
            capped_logits: false,
            layer_norm: false,
            experts: Self::experts(model, layers, ffn),
            latent: None,
            blocks: Self::blocks(&Model { layer_pattern: None, ..model.clone() }, layers),
            encoder_length: None,
            relative_positions: false,
            window: None,
            gated_attention: false,
            global: None,
            linear: Self::linear(model, heads, (hidden / heads.max(1)).max(1)),
            state_space: Self::state_space(model, hidden),
            convolution: 3,
            adapter_width: None,
            towers: 0,
            projection: 0,
            further: 0,
            prediction_layers: 0,
            declared: Some(parameters),
        }
    }

    /// Width of all queries, `q = a·d`.
    pub fn query_width(&self) -> u64 {
        match &self.latent {
            Some(latent) => self.heads.saturating_mul(latent.nope + latent.rope),
            None => self.heads.saturating_mul(self.head_size),
        }
    }

    /// Width of all keys, `κ = k·d`.
    pub fn key_width(&self) -> u64 {
        match &self.latent {
            Some(_) => self.query_width(),
            None => self.key_value_heads.saturating_mul(self.head_size),
        }
    }

    /// The matrices of the feed-forward network, inputs and output: 3 if gated, else 2.
    pub fn ffn_matrices(&self) -> u64 {
        if self.gated { 3 } else { 2 }
    }

    /// Layers with experts.
    pub fn expert_layers(&self) -> u64 {
        self.blocks.all().filter(|(block, _)| block.has_experts()).map(|(_, count)| count).sum()
    }

    /// Layers with a dense feed-forward network.
    pub fn dense_layers(&self) -> u64 {
        let dense =
            |(block, count): (Block, u64)| if block.channel == Some(Channel::Dense) { count } else { 0 };
        self.blocks.all().map(dense).sum()
    }

    /// Whether its layers are not listed, so that only its parameters are counted.
    pub fn is_unlisted(&self) -> bool {
        self.blocks.kinds().iter().any(|block| block.is_unlisted())
    }

    /// Whether it has an encoder, whose tokens its decoder attends to.
    pub fn has_encoder(&self) -> bool {
        self.blocks.kinds().iter().any(|block| block.mixer == Some(Mixer::Encoder))
    }

    /// Whether activations of all its parts were compared with measurements or with PyTorch's own count: a decoder of
    /// attention alone, without a gate and without a tower. Of other models only weights and states are counted exactly.
    pub fn is_checked(&self) -> bool {
        let checked = |mixer| matches!(mixer, None | Some(Mixer::Attention | Mixer::Window));
        let parts = self.blocks.kinds().iter().all(|block| checked(block.mixer));
        let others = self.gated_attention || self.global.is_some() || self.towers > 0 || self.further > 0;
        parts && !others
    }

    /// The width of queries and of keys in attention of a kind, and how many projections make keys and values.
    pub fn attention_widths(&self, mixer: Mixer) -> (u64, u64, u64) {
        match self.global {
            Some((heads, size, keys_are_values)) if mixer != Mixer::Window && self.latent.is_none() => {
                let projections = if keys_are_values { 1 } else { 2 };
                (self.heads.saturating_mul(size), heads.saturating_mul(size), projections)
            }
            _ => (self.query_width(), self.key_width(), 2),
        }
    }

    /// The vocabulary as Megatron stores it: padded to a multiple of 128 × tensor parallel.
    pub fn vocab_padded_for(&self, tensor: u64) -> u64 {
        up_to(self.vocab, 128u64.saturating_mul(tensor.max(1)))
    }
}
