//! The memory that PyTorch's allocator reserves for a Hugging Face model on one device, besides the allocated memory.
//!
//! ```text
//! reserved = max(allocated, allocated at the loss + max(holes, 0.8 of one block of logits))
//! holes    = gradients − activations and casts of weights at the loss, at least zero
//! block    = 4·T·V: in fp32; compiled, in the format of the computation
//! ```
//!
//! Gradients that were freed after the last step leave blocks of a matrix's size. Activations and casts are no larger
//! than these blocks and fill them. Logits are larger and need their own place. So the blocks that activations do not
//! fill are reserved besides the logits. The logits, their logarithm and their gradient are allocated and freed in
//! different orders in the two passes. If no holes are larger, one of their blocks is idle at the peak, as far as later
//! activations have not used it. Evidence: `tests/accuracy/measured`, 90 runs on an H200. Their median error is 2 %;
//! with a share of the transient tensors instead it was 9 %. If batches differ in length, the lengths decide: see the
//! calibration.
//!
//! Captured CUDA graphs have a pool of their own, which keeps another 0.21 of the activations: their inputs, outputs and
//! gradients (six published runs of dense models on GH200; torch's count of live tensors does not include it). The number of
//! rows of an expert changes every step, so that a model with experts has graphs of its attention and routers alone. Their
//! share is not known, and counts as nothing.

use super::super::plan::{Plan, RankParameters};
use super::instants::Instant;
use super::{eager, gradients};
use crate::frameworks::profile::memory::{Layers, Loop};
use crate::job::{Loss, Sharding};
use crate::units::Bytes;

/// What captured graphs keep, as a share of the activations.
const GRAPHS: f64 = 0.21;

/// What captured graphs keep besides the live tensors.
pub(super) fn graphs(plan: &Plan, activations: Bytes) -> Bytes {
    let whole_layers = plan.cuda_graphs && plan.shape.experts.is_none();
    if whole_layers { activations.scale(GRAPHS) } else { Bytes::ZERO }
}

/// Whether runs of the plan's kind were measured.
fn is_measured(plan: &Plan) -> bool {
    matches!(plan.profile.layers, Layers::Transformers { run_by: Loop::Trainer, .. })
        && plan.sharding == Sharding::None
        && !plan.varying_lengths
        && plan.loss == Loss::Eager
        && eager::is_eager(plan)
}

/// A block of logits.
fn block(plan: &Plan) -> Bytes {
    let width = if plan.compile { plan.widths.compute } else { 4.0 };
    Bytes::of(plan.tokens().saturating_mul(plan.shape.vocab), width)
}

/// The idle block, if runs of the plan's kind were measured.
pub(super) fn idle_logits(plan: &Plan) -> Bytes {
    if is_measured(plan) { block(plan) } else { Bytes::ZERO }
}

/// The memory that the allocator wants to reserve, if `constant` is always allocated and `idle_logits` are idle. `None`
/// if no run of the plan's kind was measured.
pub(super) fn reserved(
    plan: &Plan,
    rank: RankParameters,
    constant: Bytes,
    idle_logits: Bytes,
    instants: &[Instant],
) -> Option<Bytes> {
    if !is_measured(plan) {
        return None;
    }
    let gradients = gradients::gradients(plan, rank);
    let with_idle = instants.iter().map(|instant| {
        let fill = instant.gradients + instant.activations + instant.working_set;
        let idle =
            if instant.logits > Bytes::ZERO { (gradients - fill).max(idle_logits) } else { Bytes::ZERO };
        instant.live() + idle
    });
    Some(constant + with_idle.max()?)
}
