//! What follows the last layer: the final norm, the output layer, the loss.
//!
//! Bytes of one logit alive at once, two bytes a number: 10 in the forward pass of PyTorch's cross-entropy (the logits,
//! their fp32 copy, the logarithm of their softmax), 12 in its backward pass (that logarithm, its gradient, the
//! gradient of the fp32 logits); 4 are kept between. In fp32: 8 and 12. The final norm keeps 8h.
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
    let loss = logits_and_loss(&mut tape, program, plan, normed);
    let forward = tape.take_fullest();
    let cached = tape.cached();
    for tensor in [loss.log_softmax, loss.logits, normed] {
        tape.free(tensor);
    }
    let kept = tape.live();
    tape.take_fullest();
    tape.seed(loss.log_softmax);
    tape.backward();
    HeadRun { kept, forward, backward: tape.take_fullest(), cached, gradients: tape.gradients() }
}

struct LossTensors {
    logits: Tensor,
    log_softmax: Tensor,
}

fn logits_and_loss(tape: &mut Tape, program: &Program<'_>, plan: &Plan, x: Tensor) -> LossTensors {
    let vocab = program.shape.vocab.div_ceil(program.tensor);
    // Chunked and fused losses hold the logits of a part of the tokens at a time.
    let _ = (plan, Loss::Eager);
    let output = Weight {
        elements: program.shape.hidden.saturating_mul(vocab),
        outputs: vocab,
        bias: 0,
        width: program.formats.parameter,
        trained: program.trained,
    };
    let logits = tape.linear(x, output);
    let wide = tape.cast(logits, 4);
    let log_softmax = tape.map_saving_output(wide, 4);
    tape.free(wide);
    LossTensors { logits, log_softmax }
}
