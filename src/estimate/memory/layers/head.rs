//! What follows the last layer: the final norm, the output layer, the loss.
//!
//! Bytes of one logit alive at once, two bytes a number: 10 in the forward pass of PyTorch's cross-entropy (the logits,
//! their fp32 copy, the logarithm of their softmax), 12 in its backward pass (that logarithm, its gradient, the
//! gradient of the fp32 logits); 4 are kept between. In fp32: 8 and 12. The final norm keeps 8h.
//! Source: `transformers/loss/loss_utils.py`, `transformers/models/llama/modeling_llama.py` (5.24); before 4.45 the
//! logits were copied once more (18 forwards).

use super::super::super::plan::Plan;
use super::super::quantization;
use super::super::tape::{Tape, Tensor, Weight};
use super::{Program, layer_norm, litgpt, rms_norm};
use crate::units::Bytes;
use crate::workload::Framework;

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
    /// Logits that the caller holds until the backward pass is over.
    pub(in super::super) lingering: Bytes,
}

/// Runs the head forwards and backwards.
pub(in super::super) fn head(program: &Program<'_>, plan: &Plan) -> HeadRun {
    let shape = program.shape;
    let h = shape.hidden;
    let mut tape = Tape::new(program.formats, program.tokens);
    let x = tape.input(h, program.formats.parameter, true);
    let normed = match (program.library, shape.layer_norm) {
        (_, true) => layer_norm(&mut tape, x, h, program.trained),
        (Framework::LitGPT, false) => litgpt::rms_norm(&mut tape, x, h, program.trained),
        (_, false) => rms_norm(&mut tape, x, h, program.trained),
    };
    tape.free(x);
    let logits = output_layer(&mut tape, program, plan, normed);
    let held = hold(&mut tape, program, plan, logits);
    let source = held.unwrap_or(logits);
    let wide = tape.cast(source, 4);
    let log_softmax = tape.map_saving_output(wide, 4);
    tape.free(wide);
    let forward = tape.take_fullest();
    let cached = tape.cached();
    for tensor in [log_softmax, logits, normed] {
        tape.free(tensor);
    }
    let kept = tape.live();
    let lingering = held.map_or(Bytes::ZERO, |held| tape.bytes_of(held));
    if let Some(part) = chunk(plan) {
        // Of one chunk at a time: the gradient of its logarithm and of its logits.
        let gradients = Bytes(tape.elements(log_softmax).saturating_mul(8)).scale(part);
        return HeadRun {
            kept,
            forward,
            backward: kept + gradients,
            cached,
            gradients: Bytes::ZERO,
            lingering,
        };
    }
    tape.take_fullest();
    tape.seed(log_softmax);
    tape.backward();
    HeadRun { kept, forward, backward: tape.take_fullest(), cached, gradients: tape.gradients(), lingering }
}

fn output_layer(tape: &mut Tape, program: &Program<'_>, plan: &Plan, x: Tensor) -> Tensor {
    let vocab = program.shape.vocab.div_ceil(program.tensor);
    let elements = program.shape.hidden.saturating_mul(vocab);
    if quantization::covers_output(plan) {
        let matrix = Bytes(elements.saturating_mul(quantization::unpacked(plan)));
        return tape.unpacked_linear(x, vocab, matrix, true);
    }
    let width = program.formats.parameter;
    tape.linear(x, Weight { elements, outputs: vocab, bias: 0, width, trained: program.trained })
}

/// Logits that the training loop itself holds: LitGPT's wrapper returns them in fp32.
fn hold(tape: &mut Tape, program: &Program<'_>, _plan: &Plan, logits: Tensor) -> Option<Tensor> {
    (program.library == Framework::LitGPT).then(|| tape.cast(logits, 4))
}

/// The share of the tokens whose loss is differentiated at once, where that is not all: LitGPT's chunks are of 128.
fn chunk(plan: &Plan) -> Option<f64> {
    (plan.framework == Framework::LitGPT).then(|| (128.0 / plan.sequence as f64).min(1.0))
}
