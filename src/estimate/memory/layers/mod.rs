//! Memory of activations: the tensors that the backward pass needs from the forward pass. Each implementation of a
//! layer has a file.
//!
//! [`fused`] and [`unfused`] have closed formulas, for kernels that fuse norms and activations and for modules that do not.
//! [`llama`], [`gpt2`], [`encoder_decoder`] and [`joint_projection`] are programs on a [`Tape`], which counts the tensors that eager PyTorch keeps and allocates for them. [`head`]
//! follows the last layer. [`modules`], [`attention`] and [`mixers`] are their common parts.

mod attention;
mod compiled;
mod encoder_decoder;
mod experts;
pub(super) mod fused;
mod gpt2;
pub(super) mod head;
mod joint_projection;
mod llama;
mod log_probabilities;
mod mixers;
mod modules;
mod named;
mod unfused;

use super::super::plan::{Adapters, Plan, Stage, Targets};
use super::super::schedule;
use super::tape::{Formats, InputKept, Tape, Tensor};
use super::{logits, quantization, zero};
use crate::frameworks::profile::memory::Layers;
use crate::job::{Attention, LayerKernels, Recompute};
use crate::model::{Block, Channel, Mixer, Shape};
use crate::units::Bytes;

/// The memory of a stage's layers and head, for frameworks without their own instants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Needs {
    /// Activations that are kept after the warm-up.
    pub(super) kept: Bytes,
    /// The share of one layer in it.
    pub(super) one: Bytes,
    /// More, during the backward pass of the heaviest layer.
    pub(super) working_set: Bytes,
    /// More, at the loss.
    pub(super) loss: Bytes,
}

/// The needs of a stage. A program counts them if the framework runs Hugging Face's modules, otherwise a formula.
pub(super) fn needs(plan: &Plan, stage: Stage) -> Needs {
    if !runs_transformers(plan) {
        let kept = fused::kept(plan, stage);
        return Needs {
            kept,
            one: kept.scale(1.0 / schedule::live_layers(plan, stage).max(1.0)),
            working_set: fused::working_set(plan, stage),
            loss: if stage.output { logits::logits(plan) } else { Bytes::ZERO },
        };
    }
    let mut kept = Bytes::ZERO;
    let mut heavy = LayerRun::default();
    for (block, count) in stage.kinds(&plan.shape).filter(|(_, count)| *count > 0) {
        let run = Program::of(plan, block).run(plan.recompute, true);
        kept += run.kept * count;
        if run.backward > heavy.backward {
            heavy = run;
        }
    }
    let live = schedule::live_layers(plan, stage) / stage.layers().max(1) as f64;
    // If activations are offloaded, only the last layers' activations are still on the device.
    let kept = if plan.offload_activations { heavy.kept * 2 } else { kept.scale(live) };
    let head = if stage.output {
        head::head(&Program::of(plan, Block::plain(Channel::Dense)), plan)
    } else {
        head::HeadRun::default()
    };
    Needs {
        kept,
        one: heavy.kept,
        working_set: heavy.backward - heavy.kept,
        loss: head.forward.max(head.backward).max(head.compared),
    }
}

/// Whether the framework runs Hugging Face's modules.
pub(super) fn runs_transformers(plan: &Plan) -> bool {
    matches!(plan.profile.layers, Layers::Transformers { .. }) && plan.shape.latent.is_none()
}

/// The inputs of a program of layers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Program<'a> {
    pub(super) shape: &'a Shape,
    pub(super) formats: Formats,
    /// Whether the model's own weights are trained.
    pub(super) trained: bool,
    pub(super) adapters: Option<&'a Adapters>,
    attention: Attention,
    attention_dropout: bool,
    hidden_dropout: bool,
    sequence: u64,
    /// Tokens that a token attends to.
    seen: u64,
    tokens: u64,
    /// Tokens that an encoder reads of a sequence, and of all of them.
    source: (u64, u64),
    /// Tokens of a decoder's sequence.
    target: u64,
    /// What a step keeps, if the layers are not listed.
    unlisted: Bytes,
    tensor: u64,
    layers: Layers,
    /// Bytes per unpacked parameter of a quantized linear layer.
    unpacked: Option<u64>,
    /// Whether one kernel computes a layer with its adapter.
    joined_adapters: bool,
    /// How long such a layer keeps its input.
    input_kept: InputKept,
    /// Whether norms, activations and rotary positions run in Liger's kernels.
    liger: bool,
    /// The parts of the tokens on which the feed-forward network runs one after the other.
    tiles: u64,
    /// Whether the model is compiled.
    compiled: bool,
    /// The share of layers that is recomputed, if any is.
    recomputed: f64,
    /// Ranks that share the experts.
    expert_ranks: u64,
    /// The kind of layer.
    block: Block,
}

impl<'a> Program<'a> {
    /// The program of a plan's layers of a kind.
    pub(super) fn of(plan: &'a Plan, block: Block) -> Self {
        let whole = |width: f64| width.round().max(1.0) as u64;
        let compute = whole(plan.widths.compute);
        // If FSDP or DeepSpeed casts the gathered parameters, modules see the cast. Autocast leaves the modules in
        // fp32.
        let parameter = if plan.autocast() { whole(plan.widths.parameter) } else { compute };
        let source = (plan.source, plan.source_tokens());
        let encodes = block.mixer == Some(Mixer::Encoder);
        let (sequence, tokens) = if encodes { source } else { (plan.sequence, plan.tokens()) };
        Self {
            shape: &plan.shape,
            formats: Formats {
                parameter,
                compute,
                autocast: plan.picks_formats(),
                accumulates: plan.accumulates_whole() || zero::reduces_at_once(plan),
            },
            trained: plan.adapters.is_none(),
            adapters: plan.adapters.as_ref(),
            attention: plan.attention,
            attention_dropout: plan.attention_dropout,
            hidden_dropout: plan.hidden_dropout,
            sequence,
            seen: sequence,
            tokens,
            source,
            target: plan.sequence,
            unlisted: plan.sample_activations * plan.sequences(),
            tensor: plan.tensor.max(1),
            layers: plan.profile.layers,
            unpacked: quantization::is_quantized(plan).then(|| quantization::unpacked(plan)),
            joined_adapters: plan.profile.fine_tuning.adapters_joined,
            input_kept: quantization::input_kept(plan),
            liger: plan.layer_kernels == LayerKernels::Liger,
            tiles: if plan.tiled_layers {
                plan.sequence.div_ceil(plan.shape.hidden.max(1)).max(1)
            } else {
                1
            },
            compiled: compiled::is_compiled(plan),
            recomputed: recomputed(plan),
            expert_ranks: plan.expert.saturating_mul(plan.expert_tensor).max(1),
            block,
        }
    }

    /// Tensors that all layers share: the sine and cosine of rotary positions, and the tokens with their targets.
    pub(super) fn shared(&self) -> Bytes {
        if self.shape.has_encoder() {
            return encoder_decoder::shared(self);
        }
        if self.shape.is_unlisted() {
            return self.unlisted;
        }
        let rotary = !self.shape.layer_norm && self.shape.learned_positions == 0;
        let angles =
            if rotary { self.sequence.saturating_mul(self.shape.head_size).saturating_mul(2) } else { 0 };
        Bytes(angles.saturating_mul(self.formats.parameter)) + Bytes(self.tokens) * 16
    }

    /// Bytes per number of a weight's gradient after the backward pass.
    pub(super) fn gradient_width(&self) -> f64 {
        self.formats.parameter as f64
    }

    fn targets(&self) -> Targets {
        self.adapters.map_or(Targets::NONE, |adapters| adapters.targets)
    }

    fn query_width(&self) -> u64 {
        self.shape.query_width().div_ceil(self.tensor)
    }

    fn key_width(&self) -> u64 {
        self.shape.key_width().div_ceil(self.tensor)
    }

    fn feed_forward(&self, tape: &mut Tape, x: Tensor) -> Tensor {
        if let Some(mixture) = self.shape.experts.as_ref().filter(|_| self.block.has_experts()) {
            return experts::experts(tape, self, mixture, x);
        }
        let f = self.shape.ffn.div_ceil(self.tensor);
        if self.tiles > 1 {
            return self.tiled(tape, x);
        }
        match (self.shape.gated, self.shape.learned_positions > 0) {
            (true, _) => llama::gated(tape, self, x, f),
            (false, true) => gpt2::gelu_in_steps(tape, self, x, f),
            (false, false) => gpt2::gelu(tape, self, x, f),
        }
    }

    /// The feed-forward network in parts. It keeps its input. The backward pass of each part runs it again.
    fn tiled(&self, tape: &mut Tape, x: Tensor) -> Tensor {
        let part = Self { tiles: 1, tokens: self.tokens.div_ceil(self.tiles), ..*self };
        let mut one = Tape::new(self.formats, part.tokens);
        let input = one.input(self.shape.hidden, tape.width(x), true);
        let output = part.feed_forward(&mut one, input);
        one.free(output);
        one.seed(output);
        one.backward();
        // The gradients of the weights are counted by themselves.
        let scratch = one.take_fullest() - one.gradients();
        let weights = one.gradients();
        let y = tape.fused((tape.elements(x), tape.width(x)), &[x], &[x], Bytes::ZERO, false);
        let y = tape.with_scratch(y, scratch);
        tape.with_gradient(y, weights)
    }

    fn layer(&self, tape: &mut Tape, x: Tensor) -> Tensor {
        match (self.layers, self.shape.layer_norm) {
            _ if self.shape.has_encoder() => encoder_decoder::layer(tape, self, x),
            (Layers::JointProjection, _) => joint_projection::layer(tape, self, x),
            (_, true) => gpt2::layer(tape, self, x),
            (_, false) => llama::layer(tape, self, x),
        }
    }

    /// Runs the forward and backward pass of one layer.
    ///
    /// `differentiable`: whether its input has a gradient. Under adapters the first layer's input has none, unless
    /// recomputation requires one.
    pub(super) fn run(&self, recompute: Recompute, differentiable: bool) -> LayerRun {
        let mut tape = Tape::new(self.formats, self.tokens);
        let x = tape.input(self.shape.hidden, self.formats.parameter, differentiable);
        let input = tape.live();
        let output = self.layer(&mut tape, x);
        let forward = tape.take_fullest();
        let narrow = self.formats.compute < self.formats.parameter;
        let stream = Bytes(tape.elements(output).saturating_mul(tape.width(output)));
        tape.free(output);
        // A checkpoint holds the layer's input during recomputation and the backward pass.
        if recompute != Recompute::Full {
            tape.free(x);
        }
        let (saved, cached) = (tape.live(), tape.cached());
        tape.take_fullest();
        tape.seed(output);
        tape.backward();
        let backward = tape.take_fullest();
        let gradients = tape.gradients();
        let outliving = tape.outliving();
        // Recomputation ends with the last saved tensor. Meanwhile the output's gradient is alive, and under autocast
        // its cast for the other half of the residual.
        let again = tape.fullest_saving() + stream + if narrow { stream.share(2) } else { Bytes::ZERO };
        // If only some layers are recomputed, each layer counts the average.
        let mean = |kept: Bytes| kept.scale(self.recomputed) + saved.scale(1.0 - self.recomputed);
        let run = LayerRun { kept: saved, cached, forward, backward, gradients, outliving };
        if self.compiled && compiled::is_known(self, recompute) {
            let kept = compiled::kept(self, cached);
            let (forward, backward) = (kept + (forward - saved), kept + (backward - saved));
            return LayerRun { kept, cached: Bytes::ZERO, forward, backward, ..run };
        }
        match recompute {
            Recompute::Full => LayerRun { kept: mean(input), backward: backward.max(again), ..run },
            // Every second matrix product and the attention's output: 17h of the 41h of a Llama layer.
            Recompute::Selective => LayerRun { kept: mean(saved.scale(0.4).max(input.min(saved))), ..run },
            Recompute::None => LayerRun { cached: Bytes::ZERO, ..run },
        }
    }
}

/// The share of a stage's layers that is recomputed: all, unless a number is given.
fn recomputed(plan: &Plan) -> f64 {
    let layers = plan.shape.layers.div_ceil(plan.pipeline.max(1)).max(1);
    plan.recompute_layers.map_or(1.0, |some| (some as f64 / layers as f64).clamp(0.0, 1.0))
}

/// The memory of one layer's passes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LayerRun {
    /// Kept from the forward to the backward pass.
    pub(super) kept: Bytes,
    /// Casts of its weights, kept until the end of the whole forward pass.
    pub(super) cached: Bytes,
    /// The peak of the forward pass, with the input.
    pub(super) forward: Bytes,
    /// The peak of the backward pass, with the kept tensors and the gradients of the weights.
    pub(super) backward: Bytes,
    /// Gradients of the weights.
    pub(super) gradients: Bytes,
    /// Memory that stays from the previous microbatch.
    pub(super) outliving: Bytes,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::assume::{Device, assume};
    use crate::estimate::plan::Saved;
    use crate::job::OuterModules;
    use crate::job::{
        Activation, Batch, Framework, LayerPattern, LinearAttention, Model, Normalization, Parallelism,
        Positions, Precision, Sharding, StateSpace, TrainingJob,
    };

    const TOKENS: u64 = 64;

    fn plan(model: Model, precision: Precision, stored: Precision) -> Plan {
        let job = TrainingJob {
            model: Some(Model { layers: Some(2), vocab_size: Some(1000), ..model }),
            parallelism: Some(Parallelism { sharding: Some(Sharding::None), ..Parallelism::default() }),
            batch: Some(Batch {
                micro_batch_size: Some(1),
                global_batch_size: Some(1),
                sequence_length: Some(u32::try_from(TOKENS).unwrap()),
                ..Batch::default()
            }),
            precision: Some(precision),
            parameter_precision: Some(stored),
            framework: Some(Framework::HuggingFace),
            ..TrainingJob::default()
        };
        assume(&job, Device { bf16: true }).unwrap().likely
    }

    /// Bytes per token that a layer keeps.
    fn kept(plan: &Plan, mixture: bool) -> u64 {
        let block = Block::plain(if mixture { Channel::Experts } else { Channel::Dense });
        Program::of(plan, block).run(Recompute::None, true).kept.0 / TOKENS
    }

    /// h = 512, q = 512, κ = 128, f = 1536, a = 8.
    fn llama() -> Model {
        Model {
            hidden_size: Some(512),
            attention_heads: Some(8),
            key_value_heads: Some(2),
            ffn_hidden_size: Some(1536),
            activation: Some(Activation::SwiGLU),
            ..Model::default()
        }
    }

    #[test]
    fn a_llama_layer_keeps_the_bytes_of_its_formula() {
        let (h, q, k, f, a) = (512, 512, 128, 1536, 8);
        for (precision, stored, expected) in [
            (Precision::BF16, Precision::BF16, 16 * h + 4 * q + 4 * k + 8 * f + 4 * a + 8),
            (Precision::FP32, Precision::FP32, 24 * h + 8 * q + 8 * k + 16 * f + 4 * a + 8),
        ] {
            assert_eq!(kept(&plan(llama(), precision, stored), false), expected, "{precision}");
        }
        let normalized = Model { output_normalization: Some(true), ..llama() };
        let expected = 28 * h + 4 * q + 4 * k + 8 * f + 4 * a + 16;
        assert_eq!(kept(&plan(normalized, Precision::BF16, Precision::BF16), false), expected);
        // Autocast also keeps the casts of the weights.
        let casts = 2 * (h * q + 2 * h * k + q * h + 3 * h * f) / TOKENS;
        let expected = 26 * h + 4 * q + 4 * k + 8 * f + 4 * a + 8 + casts;
        assert_eq!(kept(&plan(llama(), Precision::BF16, Precision::FP32), false), expected);
    }

    #[test]
    fn ligers_kernels_keep_the_bytes_of_their_formula() {
        let (h, q, k, f, a) = (512, 512, 128, 1536, 8);
        let plan = plan(llama(), Precision::BF16, Precision::BF16);
        let liger = Plan { layer_kernels: LayerKernels::Liger, ..plan };
        assert_eq!(kept(&liger, false), 8 * h + 4 * q + 4 * k + 6 * f + 4 * a + 8);
    }

    #[test]
    fn a_tiled_feed_forward_network_keeps_its_input() {
        let (h, q, k, a) = (512, 512, 128, 8);
        let plan = plan(llama(), Precision::BF16, Precision::BF16);
        let tiled = Plan { tiled_layers: true, sequence: 2 * h, ..plan };
        assert_eq!(kept(&tiled, false) * TOKENS / tiled.sequence, 16 * h + 4 * q + 4 * k + 4 * a + 8);
    }

    #[test]
    fn a_gpt2_layer_keeps_the_bytes_of_its_formula() {
        let (h, f, a) = (512, 2048, 8);
        let gpt2 = Model {
            hidden_size: Some(512),
            attention_heads: Some(8),
            ffn_hidden_size: Some(2048),
            activation: Some(Activation::GELU),
            positions: Some(Positions::Learned),
            normalization: Some(Normalization::LayerNorm),
            ..Model::default()
        };
        let mixed = plan(gpt2, Precision::BF16, Precision::BF16);
        let plan = Plan { mixed: false, ..mixed.clone() };
        assert_eq!(kept(&plan, false), 2 * (8 * h + 5 * f) + 4 * a + 16);
        assert_eq!(kept(&mixed, false), 20 * h + 16 * f + 4 * a + 16);
    }

    #[test]
    fn experts_keep_the_bytes_of_their_formula() {
        let (h, q, k, f, a, e, top) = (512, 512, 128, 256, 8, 16, 2);
        let mixture = Model {
            experts: Some(16),
            experts_per_token: Some(2),
            expert_ffn_hidden_size: Some(256),
            ..llama()
        };
        let attention = 16 * h + 4 * q + 4 * k + 4 * a + 8;
        let experts = top * 2 * (2 * h + 4 * f) + 4 * e + 48 * top;
        let plan = plan(mixture, Precision::BF16, Precision::BF16);
        assert_eq!(kept(&plan, true), attention + experts);
    }

    /// Bytes per token that a layer of a kind keeps, in a model of `letter` alone.
    fn kept_by(letter: &str, more: Model) -> u64 {
        let pattern = LayerPattern::try_from(letter.to_owned()).unwrap();
        let plan = plan(Model { layer_pattern: Some(pattern), ..more }, Precision::BF16, Precision::BF16);
        let block = plan.shape.blocks.kinds().first().copied().unwrap();
        Program::of(&plan, block).run(Recompute::None, true).kept.0 / TOKENS
    }

    #[test]
    fn a_short_convolution_keeps_the_bytes_that_pytorch_counts() {
        // Saved tensors of LFM2's layer in Transformers 5.24, each storage once: 26,640 with two numbers a norm in fp32.
        let (h, f) = (512, 1536);
        assert_eq!(kept_by("C", llama()), 16 * h + 8 * f + 12 * h + 8);
    }

    #[test]
    fn linear_attention_and_state_spaces_keep_the_bytes_of_their_formulas() {
        let (h, f) = (512, 1536);
        let norms_and_network = 16 * h + 8 * f + 8;
        let linear = LinearAttention {
            key_heads: Some(4),
            value_heads: Some(8),
            key_head_size: Some(64),
            value_head_size: Some(64),
            convolution: Some(4),
        };
        let (keys, values, heads) = (256, 512, 8);
        let mixed = 2 * (2 * keys + values);
        // The norm, its gate and their product in separate operations, in fp32.
        let gated_norm = 4 * values + 2 * values + 2 * values + 4 * values + 4 * values + 2 * values;
        let delta = 2 * mixed + 140 * heads + gated_norm + 4;
        let model = Model { linear_attention: Some(linear), ..llama() };
        assert_eq!(kept_by("G", model), norms_and_network + delta);
        let space = StateSpace {
            heads: Some(16),
            head_size: Some(64),
            state_size: Some(128),
            groups: Some(1),
            ..StateSpace::default()
        };
        let (inner, state) = (1024, 128);
        // The joint projection, the scan's output, and the input of the last product.
        let scan = 2 * (2 * inner + 2 * state + 16) + 2 * inner + 2 * inner;
        let model = Model { state_space: Some(space), ..llama() };
        assert_eq!(kept_by("MC", model.clone()), norms_and_network + scan);
        assert_eq!(kept_by("M", model), 8 * h + 4 + scan);
    }

    #[test]
    fn an_adapters_dropout_keeps_a_mask_of_its_input() {
        let of = |dropout| {
            let mut plan = plan(llama(), Precision::BF16, Precision::BF16);
            let targets = Targets::ALL;
            let saved = Saved { modules: OuterModules::default(), widths: plan.widths };
            plan.adapters = Some(Adapters { rank: 8, targets, quantized: None, width: 4, dropout, saved });
            kept(&plan, false)
        };
        let (h, q, f) = (512, 512, 1536);
        assert_eq!(of(true) - of(false), 5 * h + q + f);
    }

    #[test]
    fn a_checkpointed_layer_keeps_its_input() {
        let plan = plan(llama(), Precision::BF16, Precision::BF16);
        assert_eq!(
            Program::of(&plan, Block::plain(Channel::Dense)).run(Recompute::Full, true).kept,
            Bytes(TOKENS * 2 * 512)
        );
    }
}
