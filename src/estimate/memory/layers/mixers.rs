//! Mixers other than attention, as Hugging Face's modules run them with the kernels of flash-linear-attention and
//! mamba-ssm.
//!
//! Bytes per token that a mixer keeps for the backward pass besides its input, two bytes per number, all operations fused:
//!
//! ```text
//! Gated DeltaNet        2·(2K + V)·2 + 6·V + 140·n      before and after the convolution; norm, gate and their product;
//!                                                       64 numbers of a chunk's matrix, decay and gate in fp32 a head
//! Kimi Delta Attention  as before, + 8·K + 128·n        a decay for each channel; a second matrix of a chunk
//! Mamba-2               2·(2·I + 2·g·N + n) + 2·I       the joint projection, and the scan's output; the rest again
//! Mamba                 12·I + 2·(r + 2·N)
//! lightning attention   18·q
//! short convolution     12·h
//! ```
//!
//! Symbols as in [`crate::model::mixers`]. These formulas follow from the code, and no run was compared with them:
//! [`crate::model::Shape::is_checked`]. Sources: fla-core 0.6.0, `ops/gated_delta_rule/chunk.py` and `ops/kda/chunk.py`;
//! mamba-ssm 2, `ops/triton/ssd_combined.py` (`MambaSplitConv1dScanCombinedFn`); Transformers 5.24, `qwen3_5`, `lfm2`,
//! `jamba`, `minimax`. Without these kernels Transformers runs the recurrences in steps of PyTorch, which keep more.

use super::super::tape::{Tape, Tensor};
use super::Program;
use super::llama::self_attention;
use super::modules::{linear, rms_norm};
use crate::model::{Mixer, Shape};
use crate::units::Bytes;

/// Numbers of a chunk's matrix for each head and token.
const CHUNK: u64 = 64;
/// Numbers of a block of lightning attention for each head and token.
const BLOCK: u64 = 256;

/// Bytes per token that a mixer keeps with fused kernels, besides its input. Attention has its own formulas.
pub(super) fn kept_token(shape: &Shape, mixer: Mixer) -> f64 {
    let number = |number: u64| number as f64;
    let (linear, space) = (shape.linear, shape.state_space);
    let (keys, values, heads) = (number(linear.keys()), number(linear.values()), number(linear.value_heads));
    let (inner, state) = (number(space.inner()), number(space.state));
    let gated_delta = 4.0 * (2.0 * keys + values) + 6.0 * values + 140.0 * heads;
    match mixer {
        Mixer::Attention | Mixer::Window | Mixer::Cross | Mixer::Encoder => 0.0,
        // Attention once more: queries, keys, values, the output, and the norm's input.
        Mixer::Decoder => {
            2.0 * number(shape.hidden) + 4.0 * number(shape.query_width()) + 4.0 * number(shape.key_width())
        }
        Mixer::GatedDelta => gated_delta,
        Mixer::KimiDelta => gated_delta + 8.0 * keys + 128.0 * heads,
        Mixer::StateSpace | Mixer::Parallel => match space.time_step_rank {
            Some(rank) => 12.0 * inner + 2.0 * (number(rank) + 2.0 * state),
            None => 6.0 * inner + 4.0 * number(space.groups) * state + 2.0 * number(space.heads),
        },
        Mixer::Lightning => 18.0 * number(shape.query_width()),
        Mixer::Convolution => 12.0 * number(shape.hidden),
    }
}

/// Runs a mixer on its normalized input.
pub(super) fn mix(tape: &mut Tape, program: &Program<'_>, mixer: Mixer, x: Tensor) -> Tensor {
    match mixer {
        Mixer::Attention | Mixer::Window | Mixer::Cross | Mixer::Encoder | Mixer::Decoder => {
            self_attention(tape, program, mixer, x)
        }
        Mixer::Parallel => {
            let attended = self_attention(tape, program, Mixer::Attention, x);
            let scanned = state_space(tape, program, x);
            let sum = tape.add(attended, scanned);
            tape.free(attended);
            tape.free(scanned);
            sum
        }
        Mixer::StateSpace => state_space(tape, program, x),
        Mixer::GatedDelta | Mixer::KimiDelta => delta(tape, program, mixer, x),
        Mixer::Lightning => lightning(tape, program, x),
        Mixer::Convolution => convolution(tape, program, x),
    }
}

/// One operation of `outputs` numbers per token that keeps its input.
fn step(tape: &mut Tape, x: Tensor, outputs: u64, extra_per_token: u64) -> Tensor {
    let size = (tape.tokens().saturating_mul(outputs), tape.width(x));
    let extra = Bytes(tape.tokens().saturating_mul(extra_per_token));
    tape.fused(size, &[x], &[x], extra, false)
}

/// Gated `DeltaNet`, or Kimi Delta Attention.
fn delta(tape: &mut Tape, program: &Program<'_>, mixer: Mixer, x: Tensor) -> Tensor {
    let (h, sizes) = (program.shape.hidden, program.shape.linear);
    let share = |width: u64| width.div_ceil(program.tensor);
    let (keys, values, heads) = (share(sizes.keys()), share(sizes.values()), share(sizes.value_heads));
    let targets = program.targets();
    let mixed_width = keys.saturating_mul(2).saturating_add(values);
    let mixed = linear(tape, program, x, h, mixed_width, false, targets.query);
    let convolved = step(tape, mixed, mixed_width, 0);
    tape.free(mixed);
    // The rule keeps normalized queries and keys, values, decay, gate and a chunk's matrices, not its input.
    let width = tape.width(x);
    let matrices = if mixer == Mixer::KimiDelta { 2 } else { 1 };
    let decay = if mixer == Mixer::KimiDelta { keys.saturating_mul(8) } else { 0 };
    let each_head = CHUNK.saturating_mul(2 * matrices) + 12;
    let kept = mixed_width.saturating_mul(width) + heads.saturating_mul(each_head) + decay;
    let size = (tape.tokens().saturating_mul(values), width);
    let kept = Bytes(tape.tokens().saturating_mul(kept));
    let attended = tape.fused(size, &[convolved], &[], kept, false);
    tape.free(convolved);
    let normed = rms_norm(tape, program, attended, sizes.value_head);
    tape.free(attended);
    let gate = linear(tape, program, x, h, values, false, targets.gate);
    let wide = tape.cast(gate, 4);
    tape.free(gate);
    let open = tape.map_saving_input(wide, 0);
    tape.free(wide);
    let gated = tape.multiply(normed, open);
    tape.free(normed);
    tape.free(open);
    let narrow = tape.cast(gated, width);
    tape.free(gated);
    let output = linear(tape, program, narrow, values, h, false, targets.output);
    tape.free(narrow);
    output
}

/// Mamba, or Mamba-2. The scan of Mamba-2 computes its convolution, its norm and the input of its last product again.
fn state_space(tape: &mut Tape, program: &Program<'_>, x: Tensor) -> Tensor {
    let (h, space) = (program.shape.hidden, program.shape.state_space);
    let share = |width: u64| width.div_ceil(program.tensor);
    let (inner, targets, width) = (share(space.inner()), program.targets(), tape.width(x));
    let ends = space.groups.saturating_mul(space.state).saturating_mul(2);
    let heads =
        if space.time_step_rank.is_some() { 0 } else { share(ends).saturating_add(share(space.heads)) };
    let projected_width = inner.saturating_mul(2).saturating_add(heads);
    let projected = linear(tape, program, x, h, projected_width, false, targets.query);
    let kept = match space.time_step_rank {
        Some(rank) => {
            let low = rank.saturating_add(space.state.saturating_mul(2));
            inner.saturating_mul(width.saturating_mul(2) + 4).saturating_add(low.saturating_mul(width))
        }
        None => inner.saturating_mul(width),
    };
    let scanned = step(tape, projected, inner, kept);
    let again = tape.bytes_of(projected) * 2;
    let scanned = tape.with_scratch(scanned, again);
    tape.free(projected);
    let output = linear(tape, program, scanned, inner, h, false, targets.output);
    tape.free(scanned);
    output
}

fn lightning(tape: &mut Tape, program: &Program<'_>, x: Tensor) -> Tensor {
    let (h, q, width) = (program.shape.hidden, program.query_width(), tape.width(x));
    let targets = program.targets();
    let joint = linear(tape, program, x, h, q.saturating_mul(3), false, targets.query);
    let active = tape.map_saving_input(joint, 0);
    tape.free(joint);
    let heads = program.shape.heads.div_ceil(program.tensor);
    let blocks = heads.saturating_mul(BLOCK).saturating_add(q).saturating_mul(2).saturating_mul(width);
    let attended = step(tape, active, q, blocks);
    tape.free(active);
    let normed = rms_norm(tape, program, attended, q);
    tape.free(attended);
    let gate = linear(tape, program, x, h, q, false, targets.gate);
    let open = tape.map_saving_output(gate, width);
    tape.free(gate);
    let gated = tape.multiply(normed, open);
    tape.free(normed);
    tape.free(open);
    let output = linear(tape, program, gated, q, h, false, targets.output);
    tape.free(gated);
    output
}

/// Two gates around a short convolution.
fn convolution(tape: &mut Tape, program: &Program<'_>, x: Tensor) -> Tensor {
    let (h, targets) = (program.shape.hidden, program.targets());
    let joint = linear(tape, program, x, h, h.saturating_mul(3), false, targets.query);
    let gated = step(tape, joint, h, 0);
    let convolved = step(tape, gated, h, 0);
    tape.free(gated);
    let size = (tape.elements(convolved), tape.width(convolved));
    let product = tape.fused(size, &[convolved, joint], &[convolved, joint], Bytes::ZERO, false);
    tape.free(convolved);
    tape.free(joint);
    let output = linear(tape, program, product, h, h, false, targets.output);
    tape.free(product);
    output
}
