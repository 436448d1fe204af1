//! Memory held by activations: what the backward pass needs of the forward pass, one implementation of a layer a file.
//!
//! [`fused`] has closed formulas for stacks whose kernels fuse what PyTorch runs apart. [`llama`] and [`gpt2`] are
//! written out as programs on a [`Tape`], which counts what eager PyTorch keeps and allocates for them; [`head`] is
//! what follows the last layer. Here are the pieces that they share.

mod experts;
pub(super) mod fused;
mod gpt2;
pub(super) mod head;
mod litgpt;
mod llama;
mod torchtitan;

use super::super::plan::{Adapters, Plan, Stage, Targets};
use super::super::schedule;
use super::tape::{Formats, Tape, Tensor, Weight};
use super::{logits, quantization};
use crate::model::Shape;
use crate::units::Bytes;
use crate::workload::{Attention, Framework, Recompute};

/// What a stage's layers and its head hold, for the frameworks that have no instants of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Needs {
    /// Kept when the warm-up is over.
    pub(super) kept: Bytes,
    /// Besides, while the heaviest layer runs backwards.
    pub(super) working_set: Bytes,
    /// Besides, at the loss.
    pub(super) loss: Bytes,
}

/// What a stage needs: counted by a program where the framework runs Hugging Face's modules, else by formula.
pub(super) fn needs(plan: &Plan, stage: Stage) -> Needs {
    if !written_out(plan) {
        return Needs {
            kept: fused::kept(plan, stage),
            working_set: fused::working_set(plan, stage),
            loss: if stage.output { logits::logits(plan) } else { Bytes::ZERO },
        };
    }
    let run = |mixture: bool, there: u64| {
        if there > 0 { Program::of(plan, mixture).run(plan.recompute, true) } else { LayerRun::default() }
    };
    let (dense, mixture) = (run(false, stage.dense_layers), run(true, stage.expert_layers));
    let kept = dense.kept * stage.dense_layers + mixture.kept * stage.expert_layers;
    let live = schedule::live_layers(plan, stage) / stage.layers().max(1) as f64;
    let heavy = if mixture.backward > dense.backward { mixture } else { dense };
    // Only the last layers' activations are still on the device when all are on their way to the host.
    let kept = if plan.offload_activations { heavy.kept * 2 } else { kept.scale(live) };
    let head =
        if stage.output { head::head(&Program::of(plan, false), plan) } else { head::HeadRun::default() };
    Needs { kept, working_set: heavy.backward - heavy.kept, loss: head.forward.max(head.backward) }
}

/// Whether the framework runs Hugging Face's modules.
pub(super) fn written_out(plan: &Plan) -> bool {
    matches!(plan.framework, Framework::HuggingFace | Framework::FSDP | Framework::DeepSpeed)
        && plan.shape.latent.is_none()
}

/// What a program of layers depends on.
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
    tokens: u64,
    tensor: u64,
    library: Framework,
    /// What unpacking a number of a quantized linear layer takes.
    unpacked: Option<u64>,
    /// Ranks among which experts are dealt.
    expert_ranks: u64,
    /// Whether the layer at hand has experts.
    mixture: bool,
}

impl<'a> Program<'a> {
    /// The program of a plan's layers, with experts or without.
    pub(super) fn of(plan: &'a Plan, mixture: bool) -> Self {
        let whole = |width: f64| width.round().max(1.0) as u64;
        let compute = whole(plan.widths.compute);
        // Where FSDP or DeepSpeed casts what it gathers, modules see the cast; autocast leaves fp32 modules.
        let parameter = if plan.autocast() { whole(plan.widths.parameter) } else { compute };
        Self {
            shape: &plan.shape,
            formats: Formats { parameter, compute, accumulates: plan.accumulates_whole() },
            trained: plan.adapters.is_none(),
            adapters: plan.adapters.as_ref(),
            attention: plan.attention,
            attention_dropout: plan.attention_dropout,
            hidden_dropout: plan.hidden_dropout,
            sequence: plan.sequence,
            tokens: plan.tokens(),
            tensor: plan.tensor.max(1),
            library: plan.framework,
            unpacked: quantization::is_quantized(plan).then(|| quantization::unpacked(plan)),
            expert_ranks: plan.expert.saturating_mul(plan.expert_tensor).max(1),
            mixture,
        }
    }

    /// What all layers share: the sine and cosine of rotary positions, and the tokens with their targets.
    pub(super) fn shared(&self) -> Bytes {
        let rotary = !self.shape.layer_norm && self.shape.learned_positions == 0;
        let angles =
            if rotary { self.sequence.saturating_mul(self.shape.head_size).saturating_mul(2) } else { 0 };
        Bytes(angles.saturating_mul(self.formats.parameter)) + Bytes(self.tokens) * 16
    }

    /// Bytes of a weight's gradient as the backward pass leaves it.
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
        if let Some(mixture) = self.shape.experts.as_ref().filter(|_| self.mixture) {
            return experts::experts(tape, self, mixture, x);
        }
        let f = self.shape.ffn.div_ceil(self.tensor);
        match (self.shape.gated, self.shape.learned_positions > 0) {
            (true, _) => llama::gated(tape, self, x, f),
            (false, true) => gpt2::written_out_gelu(tape, self, x, f),
            (false, false) => gpt2::gelu(tape, self, x, f),
        }
    }

    fn layer(&self, tape: &mut Tape, x: Tensor) -> Tensor {
        match (self.library, self.shape.layer_norm) {
            (Framework::LitGPT, _) => litgpt::layer(tape, self, x),
            (_, true) => gpt2::layer(tape, self, x),
            (_, false) => llama::layer(tape, self, x),
        }
    }

    /// Runs one layer forwards and backwards.
    ///
    /// `differentiable`: whether its input has a gradient; the first layer's has none under adapters, unless
    /// recomputation asks for one.
    pub(super) fn run(&self, recompute: Recompute, differentiable: bool) -> LayerRun {
        let mut tape = Tape::new(self.formats, self.tokens);
        let x = tape.input(self.shape.hidden, self.formats.parameter, differentiable);
        let input = tape.live();
        let output = self.layer(&mut tape, x);
        let forward = tape.take_fullest();
        let narrow = self.formats.compute < self.formats.parameter;
        let stream = Bytes(tape.elements(output).saturating_mul(tape.width(output)));
        tape.free(output);
        // A checkpoint holds the layer's input while the layer is computed again and run backwards.
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
        // Computing again ends with the last tensor that is saved. Meanwhile the output's gradient waits, and under
        // autocast its cast for the residual's other half.
        let again = tape.fullest_saving() + stream + if narrow { stream.share(2) } else { Bytes::ZERO };
        match recompute {
            Recompute::Full => {
                let backward = backward.max(again);
                LayerRun { kept: input, cached, forward, backward, gradients, outliving }
            }
            // Every second matrix product and the attention's output: 17h of a Llama layer's 41h.
            Recompute::Selective => {
                let kept = saved.scale(0.4).max(input.min(saved));
                LayerRun { kept, cached, forward, backward, gradients, outliving }
            }
            Recompute::None => {
                LayerRun { kept: saved, cached: Bytes::ZERO, forward, backward, gradients, outliving }
            }
        }
    }
}

/// What one layer keeps and needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LayerRun {
    /// Kept from its forward to its backward pass.
    pub(super) kept: Bytes,
    /// Casts of its weights, kept from its forward pass to the end of all.
    pub(super) cached: Bytes,
    /// The most at once during its forward pass, its input included.
    pub(super) forward: Bytes,
    /// The most at once during its backward pass, with what it kept and the gradients of its weights.
    pub(super) backward: Bytes,
    /// Gradients of its weights.
    pub(super) gradients: Bytes,
    /// What stays of the microbatch before.
    pub(super) outliving: Bytes,
}

/// A linear layer, with its adapter where it has one.
///
/// An adapter computes `y + B(A(x))` in its own format; it keeps `x` cast to that, and `r` numbers a token.
fn linear(
    tape: &mut Tape,
    program: &Program<'_>,
    x: Tensor,
    inputs: u64,
    outputs: u64,
    biased: bool,
    adapted: bool,
) -> Tensor {
    let y = base(tape, program, x, inputs, outputs, biased);
    let Some(adapters) = program.adapters.filter(|_| adapted) else { return y };
    let adapter =
        |elements, outputs| Weight { elements, outputs, bias: 0, width: adapters.width, trained: true };
    let wide = tape.cast(x, adapters.width);
    let low = tape.linear(wide, adapter(inputs.saturating_mul(adapters.rank), adapters.rank));
    tape.free(wide);
    let high = tape.linear(low, adapter(outputs.saturating_mul(adapters.rank), outputs));
    tape.free(low);
    let narrow = tape.cast(high, tape.width(y));
    tape.free(high);
    let sum = tape.add(y, narrow);
    tape.free(y);
    tape.free(narrow);
    sum
}

/// A linear layer of the model itself.
///
/// A quantized one unpacks its matrix for each product. bitsandbytes kept its input too before 0.44, which LitGPT pinned,
/// and not as a saved tensor: it goes only with the graph, when the next microbatch's loss takes this one's name.
fn base(
    tape: &mut Tape,
    program: &Program<'_>,
    x: Tensor,
    inputs: u64,
    outputs: u64,
    biased: bool,
) -> Tensor {
    let elements = inputs.saturating_mul(outputs);
    if let Some(unpacked) = program.unpacked {
        let matrix = Bytes(elements.saturating_mul(unpacked));
        return tape.unpacked_linear(x, outputs, matrix, program.library == Framework::LitGPT);
    }
    let weight = Weight {
        elements,
        outputs,
        bias: if biased { outputs } else { 0 },
        width: program.formats.parameter,
        trained: program.trained,
    };
    tape.linear(x, weight)
}

/// Root mean square norm, in fp32 whatever comes in.
fn rms_norm(tape: &mut Tape, x: Tensor, features: u64, trained: bool) -> Tensor {
    let wide = tape.cast(x, 4);
    let square = tape.power(wide);
    let mean = tape.mean(square);
    tape.free(square);
    let scale = tape.map_saving_output(mean, 4);
    tape.free(mean);
    let normed = tape.multiply(wide, scale);
    tape.free(wide);
    tape.free(scale);
    let narrow = tape.cast(normed, tape.width(x));
    tape.free(normed);
    let y = tape.multiply_weight(narrow, features, trained);
    tape.free(narrow);
    y
}

/// PyTorch's own layer norm, one kernel: keeps its input, and mean and deviation of each token in fp32.
fn layer_norm(tape: &mut Tape, x: Tensor, features: u64, trained: bool) -> Tensor {
    let statistics = Bytes(tape.tokens().saturating_mul(8));
    let size = (tape.elements(x), tape.width(x));
    let y = tape.fused(size, &[x], &[x], statistics, false);
    if trained { tape.with_weight(y, features.saturating_mul(2), program_width(tape)) } else { y }
}

fn program_width(tape: &Tape) -> u64 {
    tape.formats().parameter
}

/// Dropout keeps a mask of one byte a number; without it, nothing happens.
fn dropout(tape: &mut Tape, program: &Program<'_>, x: Tensor) -> Tensor {
    if !program.hidden_dropout {
        return x;
    }
    let mask = Bytes(tape.elements(x));
    let size = (tape.elements(x), tape.width(x));
    let y = tape.fused(size, &[x], &[], mask, false);
    tape.free(x);
    y
}

/// Attention: PyTorch's fused kernel keeps its inputs, its output and an fp32 number a head and token.
fn attention(tape: &mut Tape, program: &Program<'_>, query: Tensor, key: Tensor, value: Tensor) -> Tensor {
    let compute = program.formats.compute;
    let [query, key, value] = [query, key, value].map(|states| tape.cast(states, compute));
    let heads = program.shape.heads.div_ceil(program.tensor);
    let attended = if program.attention == Attention::Unfused {
        unfused(tape, program, heads, query, key, value)
    } else {
        let sums = Bytes(tape.tokens().saturating_mul(heads).saturating_mul(4));
        let size = (tape.elements(query), tape.width(query));
        let inputs = [query, key, value];
        tape.fused(size, &inputs, &inputs, sums, true)
    };
    for states in [query, key, value] {
        tape.free(states);
    }
    attended
}

/// Attention written out: scores, an fp32 softmax and its cast are tensors of heads × sequence numbers a token.
fn unfused(
    tape: &mut Tape,
    program: &Program<'_>,
    heads: u64,
    query: Tensor,
    key: Tensor,
    value: Tensor,
) -> Tensor {
    let width = tape.width(query);
    let elements = tape.tokens().saturating_mul(heads).saturating_mul(program.sequence);
    let states = tape.elements(query);
    // Keys and values are copied to every query head.
    let [key, value] = [key, value].map(|x| {
        if tape.elements(x) == states {
            return tape.cast(x, width);
        }
        tape.fused((states, width), &[x], &[], Bytes::ZERO, false)
    });
    let scores = tape.fused((elements, width), &[query, key], &[query, key], Bytes::ZERO, false);
    let scaled = tape.map(scores);
    tape.free(scores);
    let masked = tape.map(scaled);
    tape.free(scaled);
    let softmax_width = if program.shape.layer_norm { width } else { 4 };
    let softmax = tape.map_saving_output(masked, softmax_width);
    tape.free(masked);
    let narrow = tape.cast(softmax, width);
    tape.free(softmax);
    let weights = if program.attention_dropout {
        let dropped = tape.fused((elements, width), &[narrow], &[], Bytes(elements), false);
        tape.free(narrow);
        dropped
    } else {
        narrow
    };
    let attended = tape.fused((states, width), &[weights, value], &[weights, value], Bytes::ZERO, false);
    for tensor in [weights, key, value] {
        tape.free(tensor);
    }
    attended
}
