//! Exact parameter counts.
//!
//! ```text
//! attention        h·q + 2·h·κ + q·h            (+ q + 2κ biases of q, k, v; + h bias of the output)
//! latent attention h·r_q + r_q + r_q·a(d_n+d_r) (without a query rank: h·a(d_n+d_r))
//!                  + h(r_kv+d_r) + r_kv + r_kv·a(d_n+d_v) + a·d_v·h
//! feed-forward     (3 gated | 2 plain)·h·f      (+ f (2f gated) + h biases)
//! experts          E·(3|2)·h·f_m + router h·E + (3|2)·h·f_shared    (latent: E·(3|2)·l·f_m, and 2·h·l into and out of it)
//! decoder's layer  attention twice, of the output and of the encoder's tokens, where there is an encoder
//! norms            2·h a layer (LayerNorm 4·h), + 2·d with query-key normalization; h in a layer of one part, 3·h in such a decoder's
//! model            Σ layers + V·h (+ V·h untied) + S·h learned positions + h (LayerNorm 2·h) + towers + further
//! ```
//!
//! The mixers of other layers are in [`super::mixers`].
//!
//! Symbols: `h` hidden, `l` the experts' latent width, `q` width of all queries, `κ` of all keys, `f` feed-forward, `E` experts, `V` vocabulary,
//! `S` positions, `r` ranks, `d_n`, `d_r`, `d_v` head sizes without positions, rotary, of values.
//! Source: the published model definitions. The tests below check the counts against published ones, to the last
//! parameter.
//!
//! Parameters that tensor parallelism divides are counted apart from those that every rank holds. Column- and
//! row-parallel matrices and the biases of column-parallel ones are divided; norms, routers and the biases of
//! row-parallel ones are not.

use super::{Block, Channel, Mixer, Shape, mixers};

/// A layer's parameters, by their division.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LayerParameters {
    /// Divided by tensor parallelism.
    pub tensor_sharded: u64,
    /// Held by every rank of the tensor parallel group.
    pub replicated: u64,
    /// Routed experts: divided by expert parallelism and the experts' own tensor parallelism.
    pub experts: u64,
}

impl LayerParameters {
    /// The total.
    pub fn total(self) -> u64 {
        self.tensor_sharded.saturating_add(self.replicated).saturating_add(self.experts)
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            tensor_sharded: self.tensor_sharded.saturating_add(other.tensor_sharded),
            replicated: self.replicated.saturating_add(other.replicated),
            experts: self.experts.saturating_add(other.experts),
        }
    }
}

/// A model's parameters, by their place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// A layer of each kind, in the order of the shape's kinds.
    pub kinds: Vec<LayerParameters>,
    /// The layer that predicts a further token, without its projection.
    pub prediction_layer: LayerParameters,
    /// The embedding's matrix, and the learned positions.
    pub embedding: u64,
    /// The output layer's matrix. Zero if it is tied.
    pub output: u64,
    /// The final normalization.
    pub final_norm: u64,
    /// Towers, with their projections.
    pub towers: u64,
    /// Parameters that no dimension gives.
    pub further: u64,
    /// The total.
    pub total: u64,
    /// The parameters that process one token.
    pub active: u64,
}

impl Parameters {
    /// Counts a shape's parameters.
    pub fn of(shape: &Shape) -> Self {
        let h = shape.hidden;
        let norm = if shape.layer_norm { 2 * h } else { h };
        let kinds: Vec<_> = shape.blocks.kinds().iter().map(|block| layer(shape, *block)).collect();
        let counts = shape.blocks.all().map(|(_, count)| count);
        let layers = kinds.iter().zip(counts).map(|(layer, count)| layer.total().saturating_mul(count));
        let layers = layers.fold(0u64, u64::saturating_add);
        let expert_layers = shape.expert_layers();
        let idle = shape.experts.as_ref().map_or(0, |experts| {
            one_expert(shape).saturating_mul(experts.count.saturating_sub(experts.per_token))
        });
        let matrix = shape.vocab.saturating_mul(h);
        let embedding = matrix.saturating_add(shape.learned_positions.saturating_mul(h));
        let output = if shape.tied { 0 } else { matrix };
        // A prediction layer has one ordinary layer, a projection of two hidden states to one, and three norms.
        let last = if expert_layers > 0 { Channel::Experts } else { Channel::Dense };
        let prediction_layer = layer(shape, Block::plain(last));
        let prediction =
            shape.prediction_layers.saturating_mul(sum(&[prediction_layer.total(), 2 * h * h, 3 * norm]));
        let total = sum(&[layers, embedding, output, norm, prediction, shape.towers, shape.further]);
        let counted = Self {
            kinds,
            prediction_layer,
            embedding,
            output,
            final_norm: norm,
            towers: shape.towers,
            further: shape.further,
            total,
            active: total.saturating_sub(idle.saturating_mul(expert_layers)),
        };
        match shape.declared {
            Some(declared) => counted.scaled_to(declared),
            None => counted,
        }
    }

    /// A layer of a kind.
    pub fn of_kind(&self, kind: usize) -> LayerParameters {
        self.kinds.get(kind).copied().unwrap_or_default()
    }

    /// The same proportions with another total, for a model with a known size alone.
    fn scaled_to(self, declared: u64) -> Self {
        // The vocabulary gives the size of embedding and head. The layers take the rest.
        let fixed = sum(&[self.embedding, self.output, self.final_norm]).min(declared / 2);
        let layers = self.total.saturating_sub(sum(&[self.embedding, self.output, self.final_norm])).max(1);
        let ratio = (declared - fixed) as f64 / layers as f64;
        let outer = fixed as f64 / sum(&[self.embedding, self.output, self.final_norm]).max(1) as f64;
        let scale = |layer: LayerParameters| LayerParameters {
            tensor_sharded: (layer.tensor_sharded as f64 * ratio).round() as u64,
            replicated: (layer.replicated as f64 * ratio).round() as u64,
            experts: (layer.experts as f64 * ratio).round() as u64,
        };
        Self {
            kinds: self.kinds.into_iter().map(scale).collect(),
            prediction_layer: scale(self.prediction_layer),
            embedding: (self.embedding as f64 * outer).round() as u64,
            output: (self.output as f64 * outer).round() as u64,
            total: declared,
            active: (self.active as f64 / self.total.max(1) as f64 * declared as f64).round() as u64,
            ..self
        }
    }
}

pub(super) fn sum(parts: &[u64]) -> u64 {
    parts.iter().fold(0, |total, part| total.saturating_add(*part))
}

/// A layer of a kind: its parts, and a norm before each.
fn layer(shape: &Shape, block: Block) -> LayerParameters {
    let norm = if shape.layer_norm { 2 * shape.hidden } else { shape.hidden };
    let norms = norm * if shape.output_norm { 2 } else { 1 };
    let mixers = match block.mixer {
        None => 0,
        Some(Mixer::Decoder) => 2,
        Some(_) => 1,
    };
    let parts = mixers + u64::from(block.channel.is_some());
    let mixer = block.mixer.map_or_else(LayerParameters::default, |mixer| mixer_of(shape, mixer));
    let channel = match (block.channel, &shape.experts) {
        (Some(Channel::Experts), Some(_)) => experts(shape),
        (Some(_), _) => {
            let (weights, bias_sharded, bias_replicated) = feed_forward(shape, shape.ffn);
            LayerParameters {
                tensor_sharded: weights.saturating_add(bias_sharded),
                replicated: bias_replicated,
                experts: 0,
            }
        }
        (None, _) => LayerParameters::default(),
    };
    let norms = LayerParameters { replicated: norms * parts, ..LayerParameters::default() };
    mixer.and(channel).and(norms)
}

fn mixer_of(shape: &Shape, mixer: Mixer) -> LayerParameters {
    match mixer {
        Mixer::Attention | Mixer::Window | Mixer::Cross | Mixer::Encoder => attention(shape, mixer),
        Mixer::Decoder => attention(shape, mixer).and(attention(shape, mixer)),
        Mixer::Parallel => attention(shape, Mixer::Attention).and(mixers::state_space(shape)),
        Mixer::StateSpace => mixers::state_space(shape),
        Mixer::GatedDelta => mixers::gated_delta(shape),
        Mixer::KimiDelta => mixers::kimi_delta(shape),
        Mixer::Lightning => mixers::lightning(shape),
        Mixer::Convolution => mixers::convolution(shape),
    }
}

fn attention(shape: &Shape, mixer: Mixer) -> LayerParameters {
    let h = shape.hidden;
    let (q, k, made) = shape.attention_widths(mixer);
    let head_size = if shape.latent.is_some() { shape.head_size } else { q / shape.heads.max(1) };
    let head_norms = if shape.query_key_norm { 2 * head_size } else { 0 };
    let gate = if shape.gated_attention { h.saturating_mul(q) } else { 0 };
    if let Some(latent) = &shape.latent {
        let heads = shape.heads;
        let rank = latent.query_rank;
        let queries = if rank > 0 { rank.saturating_mul(q) } else { h.saturating_mul(q) };
        let low_rank_queries = if rank > 0 { h.saturating_mul(rank) } else { 0 };
        return LayerParameters {
            tensor_sharded: sum(&[
                queries,
                latent.key_value_rank.saturating_mul(heads).saturating_mul(latent.nope + latent.value),
                heads.saturating_mul(latent.value).saturating_mul(h),
            ]),
            replicated: sum(&[
                head_norms,
                low_rank_queries,
                rank,
                h.saturating_mul(latent.key_value_rank + latent.rope),
                latent.key_value_rank,
            ]),
            experts: 0,
        };
    }
    let biases = if shape.qkv_biases { q + 2 * k } else { 0 };
    LayerParameters {
        tensor_sharded: sum(&[
            h.saturating_mul(q),
            h.saturating_mul(k).saturating_mul(made),
            q.saturating_mul(h),
            gate,
            biases,
        ]),
        replicated: if shape.biases { h } else { 0 } + head_norms,
        experts: 0,
    }
}

/// Matrices, biases that tensor parallelism divides, and biases that it does not.
fn feed_forward(shape: &Shape, width: u64) -> (u64, u64, u64) {
    let matrices = shape.ffn_matrices();
    let weights = matrices.saturating_mul(shape.hidden).saturating_mul(width);
    if shape.biases { (weights, (matrices - 1) * width, shape.hidden) } else { (weights, 0, 0) }
}

/// One routed expert.
fn one_expert(shape: &Shape) -> u64 {
    let Some(experts) = &shape.experts else { return 0 };
    let width = experts.latent.unwrap_or(shape.hidden);
    shape.ffn_matrices().saturating_mul(width).saturating_mul(experts.ffn)
}

/// Experts, their router, the experts of all tokens, and the projections to the latent width and back.
fn experts(shape: &Shape) -> LayerParameters {
    let Some(experts) = &shape.experts else { return LayerParameters::default() };
    let h = shape.hidden;
    let (shared, _, _) = feed_forward(shape, experts.shared_ffn);
    let latent = experts.latent.map_or(0, |latent| h.saturating_mul(latent).saturating_mul(2));
    LayerParameters {
        tensor_sharded: shared,
        replicated: h.saturating_mul(experts.count).saturating_add(latent),
        experts: one_expert(shape).saturating_mul(experts.count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{Activation, DenseLayers, LatentAttention, Model, Normalization, Positions};

    fn llama(layers: u32, hidden: u32, heads: u32, kv: u32, ffn: u32, vocab: u32) -> Model {
        Model {
            layers: Some(layers),
            hidden_size: Some(hidden),
            attention_heads: Some(heads),
            key_value_heads: Some(kv),
            ffn_hidden_size: Some(ffn),
            vocab_size: Some(vocab),
            activation: Some(Activation::SwiGLU),
            ..Model::default()
        }
    }

    fn count(model: &Model) -> u64 {
        Parameters::of(&Shape::complete(model, 1024, 0, 1.0).unwrap()).total
    }

    /// Published counts: the sum over the tensors of the published checkpoints, from their model cards.
    #[test]
    fn counts_equal_the_published_ones() {
        let qwen25 = Model { qkv_biases: Some(true), ..llama(28, 3584, 28, 4, 18944, 152_064) };
        let qwen3 = Model {
            head_size: Some(128),
            query_key_normalization: Some(true),
            ..llama(36, 4096, 32, 8, 12288, 151_936)
        };
        let qwen3_moe = Model {
            head_size: Some(128),
            query_key_normalization: Some(true),
            experts: Some(128),
            experts_per_token: Some(8),
            expert_ffn_hidden_size: Some(768),
            ..llama(48, 2048, 32, 4, 6144, 151_936)
        };
        let mixtral =
            Model { experts: Some(8), experts_per_token: Some(2), ..llama(32, 4096, 32, 8, 14336, 32_000) };
        let deepseek_v3 = Model {
            experts: Some(256),
            experts_per_token: Some(8),
            expert_ffn_hidden_size: Some(2048),
            shared_experts: Some(1),
            dense_layers: Some(DenseLayers::Count(3)),
            latent_attention: Some(LatentAttention {
                query_rank: Some(1536),
                key_value_rank: Some(512),
                rope_head_size: Some(64),
                nope_head_size: Some(128),
                value_head_size: Some(128),
            }),
            ..llama(61, 7168, 128, 128, 18432, 129_280)
        };
        let gpt2 = Model {
            activation: Some(Activation::GELU),
            positions: Some(Positions::Learned),
            normalization: Some(Normalization::LayerNorm),
            biases: Some(true),
            tied_embeddings: Some(true),
            ..llama(12, 768, 12, 12, 3072, 50_257)
        };
        for (name, model, published) in [
            ("Llama-2-7B", llama(32, 4096, 32, 32, 11008, 32_000), 6_738_415_616),
            ("Llama-3-8B", llama(32, 4096, 32, 8, 14336, 128_256), 8_030_261_248),
            ("Llama-3-70B", llama(80, 8192, 64, 8, 28672, 128_256), 70_553_706_496),
            ("Llama-3.1-405B", llama(126, 16384, 128, 8, 53248, 128_256), 405_853_388_800),
            ("Qwen2.5-7B", qwen25, 7_615_616_512),
            ("Qwen3-8B", qwen3, 8_190_735_360),
            ("Qwen3-30B-A3B", qwen3_moe, 30_532_122_624),
            ("Mixtral-8x7B", mixtral, 46_702_792_704),
            // The router's score-correction bias, E a layer, is a buffer of the checkpoint: 58 × 256.
            ("DeepSeek-V3", deepseek_v3, 671_026_419_200 - 58 * 256),
            ("GPT-2", gpt2, 124_439_808),
        ] {
            assert_eq!(count(&model), published, "{name}");
        }
    }

    #[test]
    fn a_size_alone_gives_a_shape_of_that_size() {
        for parameters in [125_000_000, 7_000_000_000, 70_000_000_000, 1_000_000_000_000] {
            let model = Model { parameters: Some(crate::units::Count(parameters)), ..Model::default() };
            let shape = Shape::complete(&model, 4096, 32_000, 1.0).unwrap();
            assert_eq!(Parameters::of(&shape).total, parameters);
            let ratio = shape.hidden as f64 / shape.layers as f64;
            assert!((60.0..180.0).contains(&ratio), "{parameters}: {ratio}");
        }
    }
}
