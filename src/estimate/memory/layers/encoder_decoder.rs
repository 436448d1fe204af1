//! Layers of an encoder, and of a decoder that attends to it: Hugging Face's T5, BART and Whisper classes, run eagerly.
//!
//! ```text
//! encoder's layer   norm, attention over the input, + x; norm, feed-forward network, + x
//! decoder's layer   norm, attention over the output, + x; norm, queries of the output, keys and values of the encoder's
//!                   tokens, + x; norm, feed-forward network, + x
//! shared            the encoder's output and its gradient, S·h each, and the bias of distances, a·s² for either side; of audio
//!                   the outputs of two convolutions, 5·S·h
//! ```
//!
//! `S` tokens that the encoder reads, `s` of a sequence, `a` heads. T5 (relative positions) has root mean square norms, no
//! biases, dropout inside its network, and the GELU of separate operations where it is gated; the others have
//! PyTorch's norms and GELU. BART's norms follow the sums, which changes no size. Source: Transformers 5.24,
//! `t5/modeling_t5.py`, `bart/modeling_bart.py`, `whisper/modeling_whisper.py`. `tests/accuracy/oracle.csv` has rows of T5
//! and Whisper.

use super::super::tape::{Tape, Tensor};
use super::attention::attention;
use super::modules::{dropout, layer_norm, linear, rms_norm};
use super::{Program, gpt2};
use crate::model::Mixer;
use crate::units::Bytes;

/// The layer.
pub(super) fn layer(tape: &mut Tape, program: &Program<'_>, x: Tensor) -> Tensor {
    let attended = around(tape, program, x, attend_to_itself);
    let decodes = program.block.mixer == Some(Mixer::Decoder);
    let attended = if decodes { after(tape, program, attended, attend_to_encoder) } else { attended };
    after(tape, program, attended, feed_forward)
}

/// What all layers share.
pub(super) fn shared(program: &Program<'_>) -> Bytes {
    let shape = program.shape;
    let ((source, all), target) = (program.source, program.target);
    let width = program.formats.parameter;
    let stream = all.saturating_mul(shape.hidden);
    // Two convolutions make the frames of audio: the first one's output and its GELU at twice the frames, and the second's.
    let convolved = if shape.encoder_length.is_some() { stream.saturating_mul(5) } else { 0 };
    let convolved = convolved.saturating_mul(program.formats.compute);
    let outputs = Bytes(stream.saturating_mul(width)) * 2 + Bytes(convolved);
    if !shape.relative_positions {
        return outputs;
    }
    let heads = shape.heads.div_ceil(program.tensor);
    let distances = source.saturating_mul(source).saturating_add(target.saturating_mul(target));
    outputs + Bytes(heads.saturating_mul(distances).saturating_mul(width)) * 2
}

type Part = fn(&mut Tape, &Program<'_>, Tensor) -> Tensor;

/// A part with its norm before it, its dropout behind it, and its sum.
fn around(tape: &mut Tape, program: &Program<'_>, x: Tensor, part: Part) -> Tensor {
    let h = program.shape.hidden;
    let normed = if program.shape.layer_norm {
        layer_norm(tape, x, h, program.trained)
    } else {
        rms_norm(tape, program, x, h)
    };
    let output = part(tape, program, normed);
    tape.free(normed);
    let output = dropout(tape, program, output);
    let sum = tape.add(x, output);
    tape.free(output);
    sum
}

/// The same, of a tensor that nothing else needs.
fn after(tape: &mut Tape, program: &Program<'_>, x: Tensor, part: Part) -> Tensor {
    let sum = around(tape, program, x, part);
    tape.free(x);
    sum
}

fn attend_to_itself(tape: &mut Tape, program: &Program<'_>, x: Tensor) -> Tensor {
    attend(tape, program, x, x)
}

/// Keys and values come from the encoder's tokens.
fn attend_to_encoder(tape: &mut Tape, program: &Program<'_>, x: Tensor) -> Tensor {
    let (seen, all) = program.source;
    let width = tape.width(x);
    let encoded = tape.outside(all.saturating_mul(program.shape.hidden), width);
    let attended = attend(tape, &Program { seen, ..*program }, x, encoded);
    tape.free(encoded);
    attended
}

fn attend(tape: &mut Tape, program: &Program<'_>, x: Tensor, seen: Tensor) -> Tensor {
    let (shape, targets) = (program.shape, program.targets());
    let (h, q, k, biased) = (shape.hidden, program.query_width(), program.key_width(), shape.biases);
    let query = linear(tape, program, x, h, q, biased, targets.query);
    let rows = tape.elements(seen) / h.max(1);
    let [key, value] = tape.on(rows, |tape| {
        [targets.key, targets.value].map(|adapted| linear(tape, program, seen, h, k, biased, adapted))
    });
    let attended = attention(tape, program, query, key, value);
    for states in [query, key, value] {
        tape.free(states);
    }
    let output = linear(tape, program, attended, q, h, biased, targets.output);
    tape.free(attended);
    output
}

fn feed_forward(tape: &mut Tape, program: &Program<'_>, x: Tensor) -> Tensor {
    let (shape, targets) = (program.shape, program.targets());
    let f = shape.ffn.div_ceil(program.tensor);
    if !shape.relative_positions {
        return gpt2::gelu(tape, program, x, f);
    }
    let up = linear(tape, program, x, shape.hidden, f, false, targets.up);
    let active = if shape.gated {
        let bent = gpt2::in_steps(tape, up);
        let straight = linear(tape, program, x, shape.hidden, f, false, targets.gate);
        let product = tape.multiply(bent, straight);
        tape.free(bent);
        tape.free(straight);
        product
    } else {
        tape.map_saving_output(up, tape.width(up))
    };
    tape.free(up);
    let dropped = dropout(tape, program, active);
    let output = linear(tape, program, dropped, f, shape.hidden, false, targets.down);
    tape.free(dropped);
    output
}
