//! What PyTorch's allocator reserves for a Hugging Face model on one device, beside what is allocated.
//!
//! ```text
//! reserved = max(allocated, allocated at the loss + max(holes, 0.8 of one block of logits))
//! holes    = gradients − activations and casts of weights at the loss, where that is more than nothing
//! block    = 4·T·V: in fp32; compiled, in the format of the computation
//! ```
//!
//! Gradients that were freed after the last step leave blocks of a matrix's size. Activations and casts are no larger, and fill
//! them; logits are, and need a place of their own, so that what activations do not fill is held besides. The logits, their
//! logarithm and gradient come and go in other orders forwards and backwards, and one of their blocks lies idle at the
//! peak where no holes are larger, as far as activations that came since have not cut into it. Evidence:
//! `tests/accuracy/measured`, 90 runs on an H200, of which this leaves 2 % in the middle where a share of what comes and
//! goes left 9 %. Where batches differ in length, it is the lengths that decide: see the calibration.

use super::super::plan::{Plan, RankParameters};
use super::instants::Instant;
use super::{eager, gradients};
use crate::frameworks::profile::memory::{Layers, Loop};
use crate::job::{Loss, Sharding};
use crate::units::Bytes;

/// Whether it is a plan of the kind that was measured.
fn known(plan: &Plan) -> bool {
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

/// The block that lies idle, where it is known that one does.
pub(super) fn idle_logits(plan: &Plan) -> Bytes {
    if known(plan) { block(plan) } else { Bytes::ZERO }
}

/// What the allocator wishes to reserve where `standing` is there all the time and `idle_logits` lie idle; nothing where
/// that is not known of the plan's kind.
pub(super) fn reserved(
    plan: &Plan,
    rank: RankParameters,
    standing: Bytes,
    idle_logits: Bytes,
    instants: &[Instant],
) -> Option<Bytes> {
    if !known(plan) {
        return None;
    }
    let gradients = gradients::gradients(plan, rank);
    let with_idle = instants.iter().map(|instant| {
        let fill = instant.gradients + instant.activations + instant.working_set;
        let idle =
            if instant.logits > Bytes::ZERO { (gradients - fill).max(idle_logits) } else { Bytes::ZERO };
        instant.live() + idle
    });
    Some(standing + with_idle.max()?)
}
