//! What follows the last layer: the final norm, the output layer, the loss.
//!
//! Bytes of one logit alive at once, two bytes a number: 10 in the forward pass of PyTorch's cross-entropy (the logits,
//! their fp32 copy, the logarithm of their softmax), 12 in its backward pass (that logarithm, its gradient, the
//! gradient of the fp32 logits); 4 are kept between. In fp32: 8 and 12. The final norm keeps 8h.
//! Chunked: 6 kept, 6.5 to 7 alive, as torchtune's published runs have it. Fused: no logits are kept.
//! Source: `transformers/loss/loss_utils.py`, `transformers/models/llama/modeling_llama.py` (5.24); before 4.45 the
//! logits were copied once more (18 forwards).

use super::super::super::plan::Plan;
use super::super::tape::{Tape, Tensor, Weight};
use super::Program;
use super::modules::{layer_norm, rms_norm};
use crate::units::Bytes;
use crate::workload::Loss;

/// What the head keeps and needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct HeadRun {
    /// Kept from its forward to its backward pass.
    pub(in super::super) kept: Bytes,
    /// The most at once during its forward pass.
    pub(in super::super) forward: Bytes,
    /// The most at once during its backward pass.
    pub(in super::super) backward: Bytes,
    /// Casts of weights, kept to the end of the forward pass.
    pub(in super::super) cached: Bytes,
    /// Gradients of the final norm's and the output layer's weights.
    pub(in super::super) gradients: Bytes,
}

/// Runs the head forwards and backwards.
pub(in super::super) fn head(program: &Program<'_>, plan: &Plan) -> HeadRun {
    let shape = program.shape;
    let h = shape.hidden;
    let mut tape = Tape::new(program.formats, program.tokens);
    let x = tape.input(h, program.formats.parameter, true);
    let normed = if shape.layer_norm {
        layer_norm(&mut tape, x, h, program.trained)
    } else {
        rms_norm(&mut tape, x, h, program.trained)
    };
    tape.free(x);
    match plan.loss {
        Loss::Eager | Loss::VocabParallel => whole(tape, program, normed),
        Loss::Chunked => in_parts(tape, program, normed, 6, 7),
        Loss::Fused => fused(tape, program, normed),
    }
}

/// The logits of all tokens at once.
fn whole(mut tape: Tape, program: &Program<'_>, x: Tensor) -> HeadRun {
    let logits = tape.linear(x, output_layer(program));
    let wide = tape.cast(logits, 4);
    let log_softmax = tape.map_saving_output(wide, 4);
    tape.free(wide);
    let forward = tape.take_fullest();
    let cached = tape.cached();
    for tensor in [log_softmax, logits, x] {
        tape.free(tensor);
    }
    let kept = tape.live();
    tape.take_fullest();
    tape.seed(log_softmax);
    tape.backward();
    HeadRun { kept, forward, backward: tape.take_fullest(), cached, gradients: tape.gradients() }
}

/// Cross-entropy in parts of the tokens: of each logit `kept` bytes stay, and half a byte more is alive for the part
/// at hand.
fn in_parts(mut tape: Tape, program: &Program<'_>, x: Tensor, kept: u64, most: u64) -> HeadRun {
    let weight = output_layer(program);
    let logits = program.tokens.saturating_mul(weight.outputs);
    let gradients = gradient(program);
    let stream = Bytes(tape.elements(x).saturating_mul(tape.width(x)));
    tape.take_fullest();
    let saved = tape.live() + Bytes(logits) * kept;
    let fullest = tape.live() + Bytes(logits) * most;
    HeadRun {
        kept: saved,
        forward: fullest,
        backward: fullest.max(saved + stream + gradients),
        cached: Bytes::ZERO,
        gradients,
    }
}

/// Liger's fused output layer and cross-entropy: gradients are computed in the forward pass, for as many tokens at a
/// time as make the logits about as large as the hidden states: `2^⌈log2(T / (V/h))⌉`.
fn fused(mut tape: Tape, program: &Program<'_>, x: Tensor) -> HeadRun {
    let weight = output_layer(program);
    let parts = weight.outputs.div_ceil(program.shape.hidden.max(1)).max(1);
    let rows = program.tokens.div_ceil(parts).checked_next_power_of_two().unwrap_or(u64::MAX);
    let chunk = Bytes(rows.min(program.tokens).saturating_mul(weight.outputs).saturating_mul(tape.width(x)));
    let gradients = gradient(program);
    let stream = Bytes(tape.elements(x).saturating_mul(tape.width(x)));
    tape.take_fullest();
    let kept = tape.live() + stream + gradients;
    HeadRun {
        kept,
        forward: kept + chunk + gradients,
        backward: kept + stream,
        cached: Bytes::ZERO,
        gradients,
    }
}

fn output_layer(program: &Program<'_>) -> Weight {
    let vocab = program.shape.vocab.div_ceil(program.tensor);
    Weight {
        elements: program.shape.hidden.saturating_mul(vocab),
        outputs: vocab,
        bias: 0,
        width: program.formats.parameter,
        trained: program.trained,
    }
}

/// The gradient of the output layer.
fn gradient(program: &Program<'_>) -> Bytes {
    let weight = output_layer(program);
    if weight.trained { Bytes(weight.elements.saturating_mul(weight.width)) } else { Bytes::ZERO }
}
