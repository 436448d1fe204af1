//! What a layer of Hugging Face's keeps when the whole model is compiled (`torch_compile=True`).
//!
//! ```text
//! kept, bytes a token    2·s·h + c·(4h + 2q + 2κ + 3f) + 4a     s bytes a number of the residual stream, c of a product;
//!                                                               2f without a gate
//! under autocast         besides, 2 bytes for each trained weight of a linear layer: its cast
//! ```
//!
//! Chains of element-wise operations become one kernel and are computed again from what the matrix products took and
//! gave: the two norms' inputs and outputs, what both projections add to the stream, queries, keys, values and the attention's
//! output with its sums, gate, up and their product. What the backward pass takes for a moment is as without compilation.
//! Evidence: four runs on an H200 (`tests/accuracy/measured`), Llama 3.2 1B with and without fp32 weights, Qwen2.5 0.5B, and
//! Llama 3.2 3B with LoRA: allocated within 3 %. A mixture of experts, recomputation, quantized weights and
//! adapters behind a dropout are not measured and count as not compiled.

use super::super::super::plan::Plan;
use super::super::super::states;
use super::Program;
use crate::frameworks::profile::memory::{Layers, Loop};
use crate::job::Recompute;
use crate::units::Bytes;

/// Whether layers and loss run compiled.
pub(super) fn is_compiled(plan: &Plan) -> bool {
    let trainer = matches!(plan.profile.layers, Layers::Transformers { run_by: Loop::Trainer, .. });
    plan.compile && trainer && !states::divided(plan.sharding).0
}

/// Whether what a layer keeps is known of it compiled.
pub(super) fn is_known(program: &Program<'_>, recompute: Recompute) -> bool {
    let dropped = program.adapters.is_some_and(|adapters| adapters.dropout);
    recompute == Recompute::None && program.unpacked.is_none() && !program.mixture && !dropped
}

/// What a compiled layer keeps; `casts` of its weights are kept with it.
pub(super) fn kept(program: &Program<'_>, casts: Bytes) -> Bytes {
    let shape = program.shape;
    let (h, q, k) = (shape.hidden, program.query_width(), program.key_width());
    let f = shape.ffn.div_ceil(program.tensor).saturating_mul(if shape.gated { 3 } else { 2 });
    let widths = [h.saturating_mul(4), q.saturating_mul(2), k.saturating_mul(2), f];
    let products = widths.iter().fold(0u64, |sum, width| sum.saturating_add(*width));
    let stream = h.saturating_mul(program.formats.parameter).saturating_mul(2);
    let sums = shape.heads.div_ceil(program.tensor).saturating_mul(4);
    let token = stream.saturating_add(products.saturating_mul(program.formats.compute)).saturating_add(sums);
    Bytes(program.tokens.saturating_mul(token)) + casts
}
