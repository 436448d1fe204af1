//! The activations of a Hugging Face layer if the whole model is compiled (`torch_compile=True`).
//!
//! ```text
//! kept, bytes per token  2·s·h + c·(4h + 2q + 2κ + 3f) + 4a     s bytes per number of the residual stream, c of a product;
//!                                                               2f without a gate
//! under autocast         also 2 bytes for each trained weight of a linear layer: its cast
//! ```
//!
//! Chains of element-wise operations become one kernel. They are recomputed from the inputs and outputs of the matrix
//! products: the two norms' inputs and outputs, both projections' additions to the stream, queries, keys, values, the
//! attention's output with its sums, gate, up and their product. The transient tensors of the backward pass are as
//! without compilation. Evidence: four runs on an H200 (`tests/accuracy/measured`), Llama 3.2 1B with and without fp32
//! weights, Qwen2.5 0.5B, and Llama 3.2 3B with LoRA: allocated within 3 %. A mixture of experts, recomputation,
//! quantized weights and adapters with dropout are not measured, and count as not compiled.

use super::super::super::plan::Plan;
use super::super::super::states;
use super::Program;
use crate::frameworks::profile::memory::{Layers, Loop};
use crate::job::Recompute;
use crate::model::{Block, Channel};
use crate::units::Bytes;

/// Whether layers and loss run compiled.
pub(super) fn is_compiled(plan: &Plan) -> bool {
    let trainer = matches!(plan.profile.layers, Layers::Transformers { run_by: Loop::Trainer, .. });
    plan.compile && trainer && !states::divided(plan.sharding).0
}

/// Whether compiled layers of this kind were measured.
pub(super) fn is_known(program: &Program<'_>, recompute: Recompute) -> bool {
    let dropped = program.adapters.is_some_and(|adapters| adapters.dropout);
    recompute == Recompute::None
        && program.unpacked.is_none()
        && program.block == Block::plain(Channel::Dense)
        && !dropped
}

/// The activations of a compiled layer, with the `casts` of its weights.
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
