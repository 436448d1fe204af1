//! A layer as in Hugging Face's GPT-2 class, run eagerly by PyTorch.
//!
//! ```text
//! kept, bytes per token   c·(8h + 5f) + 4a + 16        c bytes per number; f = 4h: c·28h
//! ```
//!
//! `LayerNorm` keeps its input and two fp32 numbers per token. Queries, keys and values are views of one projection.
//! The GELU consists of separate operations (`NewGELUActivation`). It keeps its input, half of its input, the tanh, the
//! tanh plus one, and the product.
//! Autocast runs the power in fp32, and so all operations that use its result. Then the power's input, the tanh and the
//! tanh plus one take four bytes each, the product is cast once more for the projection, and norms keep their input in
//! fp32. With two-byte weights this is `20h + 16f` instead of `16h + 10f`, 24 % of GPT-2 medium's peak.
//! Source: PyTorch's list of operations that autocast runs in fp32 (`aten/src/ATen/autocast_mode.h`, CUDA's, not the
//! CPU's); `transformers/models/gpt2/modeling_gpt2.py`, `transformers/activations.py` (5.24).

use super::super::tape::{Tape, Tensor};
use super::Program;
use super::attention::attention;
use super::modules::{dropout, layer_norm, linear, wide_under_autocast};

/// The layer.
pub(super) fn layer(tape: &mut Tape, program: &Program<'_>, x: Tensor) -> Tensor {
    let h = program.shape.hidden;
    let normed = layer_norm(tape, x, h, program.trained);
    let attended = self_attention(tape, program, normed);
    tape.free(normed);
    let middle = tape.add(attended, x);
    tape.free(attended);
    let normed = layer_norm(tape, middle, h, program.trained);
    let fed = program.feed_forward(tape, normed);
    tape.free(normed);
    let fed = dropout(tape, program, fed);
    let output = tape.add(middle, fed);
    tape.free(middle);
    tape.free(fed);
    output
}

fn self_attention(tape: &mut Tape, program: &Program<'_>, x: Tensor) -> Tensor {
    let (shape, targets) = (program.shape, program.targets());
    let (h, q, k) = (shape.hidden, program.query_width(), program.key_width());
    let adapted = targets.query || targets.key || targets.value;
    let joint = linear(tape, program, x, h, q.saturating_add(k.saturating_mul(2)), true, adapted);
    let tokens = tape.tokens();
    let [query, key, value] = [q, k, k].map(|width| tape.view(joint, tokens.saturating_mul(width)));
    tape.free(joint);
    let attended = attention(tape, program, query, key, value);
    for states in [query, key, value] {
        tape.free(states);
    }
    let output = linear(tape, program, attended, q, h, true, targets.output);
    tape.free(attended);
    dropout(tape, program, output)
}

/// `down(0.5·x·(1 + tanh(√(2/π)·(x + 0.044715·x³))))`, with a tensor for every operation.
pub(super) fn gelu_in_steps(tape: &mut Tape, program: &Program<'_>, x: Tensor, f: u64) -> Tensor {
    let (h, targets) = (program.shape.hidden, program.targets());
    let up = linear(tape, program, x, h, f, true, targets.up);
    let product = in_steps(tape, up);
    tape.free(up);
    let output = linear(tape, program, product, f, h, true, targets.down);
    tape.free(product);
    output
}

/// `NewGELUActivation`, with a tensor for every operation.
pub(super) fn in_steps(tape: &mut Tape, up: Tensor) -> Tensor {
    let half = tape.map(up);
    let base = wide_under_autocast(tape, up);
    let cube = tape.power(base);
    tape.free(base);
    let scaled = tape.map(cube);
    tape.free(cube);
    let sum = tape.add(up, scaled);
    tape.free(scaled);
    let inner = tape.map(sum);
    tape.free(sum);
    let tanh = tape.map_saving_output(inner, tape.width(inner));
    tape.free(inner);
    let plus_one = tape.map(tanh);
    tape.free(tanh);
    let product = tape.multiply(half, plus_one);
    for tensor in [half, plus_one] {
        tape.free(tensor);
    }
    product
}

/// PyTorch's own GELU, one kernel that keeps its input and its output.
pub(super) fn gelu(tape: &mut Tape, program: &Program<'_>, x: Tensor, f: u64) -> Tensor {
    let (h, biases, targets) = (program.shape.hidden, program.shape.biases, program.targets());
    let up = linear(tape, program, x, h, f, biases, targets.up);
    let activated = tape.map_saving_input(up, 0);
    tape.free(up);
    let output = linear(tape, program, activated, f, h, biases, targets.down);
    tape.free(activated);
    output
}
