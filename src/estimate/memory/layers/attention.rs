//! Attention between the projections: PyTorch's fused kernel, or written out.
//!
//! Source: `transformers/integrations/sdpa_attention.py`, and `eager_attention_forward` of the models (5.24).

use super::super::tape::{Tape, Tensor};
use super::Program;
use crate::units::Bytes;
use crate::workload::Attention;

/// Attention: PyTorch's fused kernel keeps its inputs, its output and an fp32 number a head and token.
pub(super) fn attention(
    tape: &mut Tape,
    program: &Program<'_>,
    query: Tensor,
    key: Tensor,
    value: Tensor,
) -> Tensor {
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
    let wide = program.formats.autocast || !program.shape.layer_norm;
    let softmax_width = if wide { 4 } else { width };
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
