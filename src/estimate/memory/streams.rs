//! The memory that PyTorch's allocator reserves under FSDP's first version.
//!
//! The allocator gives a freed block back only to the stream that allocated it. FSDP's first version gathers parameters on
//! one stream, reduces gradients on another, and computes on a third, so no memory passes between the three:
//!
//! ```text
//! reserved = weights + optimizer states + workspaces
//!          + (1 + slack) · max over instants (activations + working set + logits)     the stream that computes
//!          + max over instants (gathered parameters)                                  the stream that gathers
//!          + gradients                                                                the stream that reduces
//!          + the step's own workspace
//! ```
//!
//! The step's workspace is new memory too. Adam's moments are made in the first step, in the blocks that the first
//! activations left, and then stay there. So the next activations, and the step's workspace, find no such blocks. `slack`:
//! a block that another stream used is reused only after that stream has passed it. Whole gradients of earlier microbatches
//! are live beside their shards while they are reduced. Sources: `torch/distributed/fsdp/_runtime_utils.py` (streams of
//! `_init_streams`, `_unshard`, `_reduce_grad`); `c10/cuda/CUDACachingAllocator.cpp` (pools by stream, `recordStream`).
//! Evidence: fms-acceleration's tables of Mistral 7B, with torch's peak and the device's memory of every run.

use super::super::plan::{Plan, RankParameters};
use super::gradients;
use super::instants::Instant;
use crate::frameworks::profile::memory::{Layers, Loop};
use crate::job::Sharding;
use crate::units::Bytes;

/// Whether FSDP's first version divides the model, under a loop whose instants are known.
pub(super) fn divides(plan: &Plan) -> bool {
    matches!(plan.profile.layers, Layers::Transformers { run_by: Loop::Trainer | Loop::Own, .. })
        && matches!(plan.sharding, Sharding::FSDP | Sharding::HSDP)
        && plan.shard_group() > 1
        && plan.is_of(plan.profile.fsdp.first)
}

/// The memory that the allocator wants to reserve, if `constant` is always allocated, and it keeps `slack` of the
/// transient tensors.
pub(super) fn reserved(
    plan: &Plan,
    rank: RankParameters,
    constant: Bytes,
    slack: impl Fn(Bytes) -> Bytes,
    instants: &[Instant],
) -> Option<Bytes> {
    if !divides(plan) {
        return None;
    }
    let most = |of: &dyn Fn(&Instant) -> Bytes| instants.iter().map(of).max().unwrap_or(Bytes::ZERO);
    let computed = most(&|instant| instant.activations + instant.working_set + instant.logits);
    let gathered = most(&|instant| instant.communication);
    let shards = if plan.accumulates_whole() { gradients::gradients(plan, rank) } else { Bytes::ZERO };
    let reduced = most(&|instant| instant.gradients) + shards;
    let step = most(&|instant| instant.step);
    Some(constant + computed + slack(computed) + gathered + reduced + step)
}
