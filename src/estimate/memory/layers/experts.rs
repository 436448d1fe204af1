//! A mixture of experts as in Hugging Face's Mixtral and Qwen3-MoE classes, run eagerly by PyTorch.
//!
//! Every token is copied to each of its `K` experts, sorted by expert, and passes two grouped matrix products:
//!
//! ```text
//! kept, bytes per token   K·c·(2h + 4f) + router        c bytes per number, h hidden, f an expert's width
//!   gathered rows K·h, gate and up in one tensor K·2f, silu and product K·2f, the experts' outputs K·h
//! router                  4E + 48K                       the fp32 softmax, and indices of eight bytes
//! ```
//!
//! The router distributes the rows, but their number is fixed. So uneven routing changes none of these figures on one
//! rank. Before 5.0 the experts were a loop of three linear layers each, which kept as much. Grouped products do not
//! take part in autocast and run in the weights' format. Shared experts are one more feed-forward network. Source:
//! `transformers/integrations/moe.py` (`grouped_mm_experts_forward`), `models/mixtral`, `models/qwen3_moe` (5.24).

use super::super::tape::{Tape, Tensor, Weight};
use super::modules::linear;
use super::{Program, llama};
use crate::model::Experts;
use crate::units::Bytes;

/// The feed-forward network: router, experts, and shared experts if there are any.
pub(super) fn experts(tape: &mut Tape, program: &Program<'_>, experts: &Experts, x: Tensor) -> Tensor {
    let (tokens, h, rows) = (tape.tokens(), program.shape.hidden, experts.per_token);
    let weights = route(tape, program, experts, x);
    let stored = program.formats.parameter;
    let numbers = |per_row: u64| tokens.saturating_mul(rows).saturating_mul(per_row);
    let gathered = tape.fused((numbers(h), tape.width(x)), &[x], &[], Bytes(numbers(16)), false);
    let scratch = Bytes(tape.elements(x).saturating_mul(tape.width(x)));
    let gathered = tape.with_scratch(gathered, scratch);
    let share = |elements: u64| elements.saturating_mul(experts.count).div_ceil(program.expert_ranks);
    let matrix = |inputs: u64, outputs: u64| Weight {
        elements: share(inputs.saturating_mul(outputs)),
        outputs,
        bias: 0,
        width: stored,
        trained: program.trained,
    };
    let f = experts.ffn;
    let joint = tape.grouped(gathered, matrix(h, f.saturating_mul(2)), rows);
    tape.free(gathered);
    let gate = tape.view(joint, numbers(f));
    let up = tape.view(joint, numbers(f));
    tape.free(joint);
    let activated = tape.map_saving_input(gate, 0);
    tape.free(gate);
    let product = tape.multiply(activated, up);
    tape.free(activated);
    tape.free(up);
    let outputs = tape.grouped(product, matrix(f, h), rows);
    tape.free(product);
    let weighted = tape.multiply(outputs, weights);
    tape.free(outputs);
    tape.free(weights);
    let width = tape.width(weighted);
    let ordered = tape.fused((numbers(h), width), &[weighted], &[], Bytes(numbers(8)), false);
    let ordered = tape.with_scratch(ordered, Bytes(numbers(h).saturating_mul(width)));
    tape.free(weighted);
    let sum = tape.fused((tokens.saturating_mul(h), width), &[ordered], &[], Bytes::ZERO, false);
    tape.free(ordered);
    let routed = tape.cast(sum, tape.width(x));
    tape.free(sum);
    if experts.shared == 0 {
        return routed;
    }
    let shared = llama::gated(tape, program, x, experts.shared_ffn.div_ceil(program.tensor));
    let both = tape.add(routed, shared);
    tape.free(routed);
    tape.free(shared);
    both
}

/// The router: an fp32 softmax, and the weights of the chosen experts. Mixtral's weights stay in fp32. Models that also
/// normalize queries and keys (Qwen3-MoE) cast them back.
fn route(tape: &mut Tape, program: &Program<'_>, experts: &Experts, x: Tensor) -> Tensor {
    let logits = linear(tape, program, x, program.shape.hidden, experts.count, false, false);
    let wide = tape.cast(logits, 4);
    let softmax = tape.map_saving_output(wide, 4);
    tape.free(wide);
    let chosen = tape.tokens().saturating_mul(experts.per_token);
    // Indices of the largest weights, and the sum that divides these weights.
    let extra = Bytes(chosen.saturating_mul(20));
    let top = tape.fused((chosen, 4), &[softmax], &[], extra, false);
    tape.free(softmax);
    let weights =
        if program.shape.query_key_norm { tape.cast(top, tape.width(logits)) } else { tape.cast(top, 4) };
    tape.free(top);
    tape.free(logits);
    weights
}
