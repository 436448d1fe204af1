//! Attention between the projections: PyTorch's fused kernel, or eager operations.
//!
//! Source: `transformers/integrations/sdpa_attention.py`, and `eager_attention_forward` of the models (5.24).

use super::super::tape::{Tape, Tensor};
use super::Program;
use super::modules::capped;
use crate::job::Attention;
use crate::units::Bytes;

/// Attention. PyTorch's fused kernel keeps its inputs, its output and one fp32 number per head and token. If padding is
/// masked, Transformers copies keys and values to every head, and each layer keeps the mask as its own bias.
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
        let masked = program.attention == Attention::Masked;
        let mask = if masked { program.seen.saturating_mul(compute) } else { 0 };
        let [key, value] =
            if masked { to_every_head(tape, program, query, [key, value]) } else { [key, value] };
        let inputs = [query, key, value];
        let kept = sums + Bytes(tape.tokens().saturating_mul(mask));
        let attended = tape.fused(size, &inputs, &inputs, kept, true);
        if masked {
            tape.free(key);
            tape.free(value);
        }
        attended
    };
    for states in [query, key, value] {
        tape.free(states);
    }
    attended
}

/// Keys and values, copied to every query head if they have fewer heads.
fn to_every_head(tape: &mut Tape, program: &Program<'_>, query: Tensor, states: [Tensor; 2]) -> [Tensor; 2] {
    let (all, few) = (program.query_width(), program.key_width());
    states.map(|x| {
        let width = tape.width(x);
        if all == few || tape.elements(x) == tape.elements(query) {
            return tape.cast(x, width);
        }
        let elements = (tape.elements(x) / few.max(1)).saturating_mul(all);
        tape.fused((elements, width), &[x], &[], Bytes::ZERO, false)
    })
}

/// Eager attention. Scores, an fp32 softmax and its cast are tensors of heads × sequence numbers per token. Fused
/// kernels cap the scores without a separate tensor, or not at all.
fn unfused(
    tape: &mut Tape,
    program: &Program<'_>,
    heads: u64,
    query: Tensor,
    key: Tensor,
    value: Tensor,
) -> Tensor {
    let width = tape.width(query);
    let elements = tape.tokens().saturating_mul(heads).saturating_mul(program.seen);
    let states = tape.elements(query);
    let [key, value] = to_every_head(tape, program, query, [key, value]);
    let scores = tape.fused((elements, width), &[query, key], &[query, key], Bytes::ZERO, false);
    let scaled = tape.map(scores);
    tape.free(scores);
    let scaled = if program.shape.capped_logits { capped(tape, scaled) } else { scaled };
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
