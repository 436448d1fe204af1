//! A layer as in Hugging Face's Llama, Mistral, Qwen2, Qwen3 and Gemma classes, run eagerly by PyTorch.
//!
//! Bytes per token that it keeps for the backward pass, by number formats (`h` hidden, `q`, `κ` widths of queries and
//! keys, `f` feed-forward, `a` heads):
//!
//! ```text
//! two bytes            16h + 4q + 4κ + 8f + 4a + 8
//! four bytes           24h + 8q + 8κ + 16f + 4a + 8
//! autocast over fp32   26h + 4q + 4κ + 8f + 4a + 8, and 2 per parameter: the casts of the weights
//! normalized outputs   + 12h + 8 in two bytes, + 16h + 8 in four: two more norms, whose output is only added
//! Liger, two bytes     8h + 4q + 4κ + 6f + 4a + 8
//! ```
//!
//! Liger's kernels compute the rotation in place, keep gate and up of SwiGLU, not its silu, and write their gradients over
//! them. A tiled feed-forward network keeps its input alone, computes each of ⌈sequence / hidden⌉ parts again in its
//! backward pass, and holds the tensors of one part.
//!
//! The norms compute in fp32. They keep their input's cast (4h), the tensor that their weight multiplies (2h), and
//! their output (2h). SwiGLU keeps gate, its silu, the up projection and the product. Positions are rotary: only the
//! shared sine and cosine are kept. Gemma scales by its weights plus one, in fp32. This keeps 2h more for each trained
//! norm and is not counted. Source: `transformers/models/llama/modeling_llama.py`, `qwen2`, `qwen3`, `gemma2` (5.24);
//! `liger_kernel/ops/swiglu.py`, `rope.py`, `tiled_mlp.py` (0.8.5).
//! The tests of [`super`] assert these formulas.

use super::super::tape::{Tape, Tensor};
use super::Program;
use super::attention::attention;
use super::mixers;
use super::modules::{linear, rms_norm};
use crate::model::Mixer;
use crate::units::Bytes;

/// The layer: a mixer and a feed-forward network, or one of them, each with a norm before it and a residual.
pub(super) fn layer(tape: &mut Tape, program: &Program<'_>, x: Tensor) -> Tensor {
    let mixed = program
        .block
        .mixer
        .map(|mixer| residual(tape, program, x, |tape, normed| mixers::mix(tape, program, mixer, normed)));
    if program.block.channel.is_none() {
        return mixed.unwrap_or(x);
    }
    let output =
        residual(tape, program, mixed.unwrap_or(x), |tape, normed| program.feed_forward(tape, normed));
    if let Some(middle) = mixed {
        tape.free(middle);
    }
    output
}

/// A part of a layer, with its norm and its residual.
fn residual(
    tape: &mut Tape,
    program: &Program<'_>,
    x: Tensor,
    part: impl FnOnce(&mut Tape, Tensor) -> Tensor,
) -> Tensor {
    let normed = rms_norm(tape, program, x, program.shape.hidden);
    let made = part(tape, normed);
    tape.free(normed);
    let made = output_norm(tape, program, made);
    let sum = tape.add(x, made);
    tape.free(made);
    sum
}

/// A norm on the output of attention or feed-forward network, if the model has one.
fn output_norm(tape: &mut Tape, program: &Program<'_>, x: Tensor) -> Tensor {
    if !program.shape.output_norm {
        return x;
    }
    let normed = rms_norm(tape, program, x, program.shape.hidden);
    tape.free(x);
    normed
}

/// Attention, with a gate on its output if the model has one.
pub(super) fn self_attention(tape: &mut Tape, program: &Program<'_>, mixer: Mixer, x: Tensor) -> Tensor {
    let (shape, targets) = (program.shape, program.targets());
    let (q, k, _) = shape.attention_widths(mixer);
    let (h, q, k) = (shape.hidden, q.div_ceil(program.tensor), k.div_ceil(program.tensor));
    let biased = shape.qkv_biases;
    let normalized = |tape: &mut Tape, states: Tensor| {
        if !shape.query_key_norm {
            return states;
        }
        let normed = rms_norm(tape, program, states, shape.head_size);
        tape.free(states);
        normed
    };
    let query = linear(tape, program, x, h, q, biased, targets.query);
    let query = normalized(tape, query);
    let key = linear(tape, program, x, h, k, biased, targets.key);
    let key = normalized(tape, key);
    let value = linear(tape, program, x, h, k, biased, targets.value);
    let (rotated_query, rotated_key) = (rotary(tape, program, query), rotary(tape, program, key));
    tape.free(query);
    tape.free(key);
    let attended = attention(tape, program, rotated_query, rotated_key, value);
    for states in [rotated_query, rotated_key, value] {
        tape.free(states);
    }
    let attended = gate(tape, program, x, attended, q);
    let output = linear(tape, program, attended, q, h, shape.biases, targets.output);
    tape.free(attended);
    output
}

/// The output of attention, times the sigmoid of a projection of its input, if the model has such a gate.
fn gate(tape: &mut Tape, program: &Program<'_>, x: Tensor, attended: Tensor, q: u64) -> Tensor {
    if !program.shape.gated_attention {
        return attended;
    }
    let gate = linear(tape, program, x, program.shape.hidden, q, false, program.targets().query);
    let open = tape.map_saving_output(gate, tape.width(gate));
    tape.free(gate);
    let gated = tape.multiply(attended, open);
    tape.free(open);
    tape.free(attended);
    gated
}

/// `x·cos + rotate_half(x)·sin`. It keeps no tensor of its own; its derivative holds two more tensors of its size.
/// Sine, cosine and the result have the residual stream's format.
pub(super) fn rotary(tape: &mut Tape, program: &Program<'_>, x: Tensor) -> Tensor {
    if program.liger {
        return tape.view(x, tape.elements(x));
    }
    let width = tape.width(x).max(program.formats.parameter);
    let rotated = tape.fused((tape.elements(x), width), &[x], &[], Bytes::ZERO, false);
    let scratch = Bytes(tape.elements(x).saturating_mul(width)) * 2;
    tape.with_scratch(rotated, scratch)
}

/// SwiGLU as `down(silu(gate(x)) · up(x))`.
pub(super) fn gated(tape: &mut Tape, program: &Program<'_>, x: Tensor, f: u64) -> Tensor {
    let (h, biases, targets) = (program.shape.hidden, program.shape.biases, program.targets());
    let gate = linear(tape, program, x, h, f, biases, targets.gate);
    let product = if program.liger {
        let up = linear(tape, program, x, h, f, biases, targets.up);
        let inputs = [gate, up];
        let size = (tape.elements(gate), tape.width(gate));
        let product = tape.fused(size, &inputs, &inputs, Bytes::ZERO, false);
        let product = tape.over_inputs(product);
        tape.free(gate);
        tape.free(up);
        product
    } else {
        let activated = tape.map_saving_input(gate, 0);
        tape.free(gate);
        let up = linear(tape, program, x, h, f, biases, targets.up);
        let product = tape.multiply(activated, up);
        tape.free(activated);
        tape.free(up);
        product
    };
    // A kernel of the whole network computes the product again from gate and up.
    let adapted = targets.down && !program.joined_adapters;
    let output = linear(tape, program, product, f, h, biases, adapted);
    tape.free(product);
    output
}
