//! The workers of data loaders.
//!
//! ```text
//! workers        = ranks × workers × (pages that a worker does not share + batch)
//! shared memory  = ranks × workers × prefetch × batch
//! batch          = sequences × tokens × 3 × 8 bytes, or sequences × the memory of a sample
//! ```
//!
//! A worker is forked from its rank and shares its pages until it writes them. Batches pass to the rank through shared memory
//! (`torch/utils/data/_utils/worker.py`); a worker holds `prefetch_factor` of them ready, two by default. A batch of text has three
//! tensors of int64: tokens, labels and mask. The samples of the batch that a worker is collating are its own. A dataset that is
//! mapped from its files is page cache, and does not count.

use super::{HostPlan, Part};
use crate::units::Bytes;

/// Tensors of a batch of text, and the bytes of one number.
const TENSORS: u64 = 3;
const NUMBER: u64 = 8;

/// The workers of a pod.
pub(super) fn workers(host: &HostPlan<'_>) -> Part {
    let worker = host.end.mib(host.constants.worker.mib) + batch(host);
    Part::measured("data loader workers", worker * host.workers * host.ranks)
}

/// The batches of a pod that are ready in shared memory.
pub(super) fn batches(host: &HostPlan<'_>) -> Bytes {
    batch(host) * host.workers * host.prefetch.max(1) * host.ranks
}

fn batch(host: &HostPlan<'_>) -> Bytes {
    let plan = host.plan;
    let sample = host.sample.unwrap_or_else(|| Bytes(plan.sequence.saturating_mul(TENSORS * NUMBER)));
    sample * plan.sequences()
}
