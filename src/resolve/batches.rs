//! The batch of each rank and of all ranks, where one follows from the other.
//!
//! ```text
//! micro-batch = micro-batch of all ranks / data parallel
//! global batch = micro-batch · data parallel · accumulation steps
//! data parallel = accelerators / (tensor · pipeline · context)      where it is not given
//! ```
//!
//! A batch that is given stays as it is.

use crate::job::{Provenance, Source, field};

/// The largest global batch that the spec allows.
const MAX_GLOBAL_BATCH: u64 = 2_147_483_647;

/// Sets the micro-batch of a rank, if the number of ranks is known.
pub(super) fn divide(provenance: &mut Provenance, sequences: u64, source: &Source) {
    if let Some(data) = data_parallel(provenance) {
        provenance.assume(field::batch::MICRO_BATCH_SIZE, (sequences / data.max(1)).max(1), source);
    }
}

/// Sets the global batch, if the batch of each rank and the number of ranks are known.
pub(super) fn fill(provenance: &mut Provenance, steps: u64, source: &Source) {
    let global = data_parallel(provenance).zip(provenance.number(field::batch::MICRO_BATCH_SIZE));
    let global = global.and_then(|(data, micro)| data.checked_mul(micro)?.checked_mul(steps));
    if let Some(global) = global.filter(|global| (1..=MAX_GLOBAL_BATCH).contains(global)) {
        provenance.assume(field::batch::GLOBAL_BATCH_SIZE, global, source);
    }
}

fn data_parallel(provenance: &Provenance) -> Option<u64> {
    let degrees = [field::parallelism::TENSOR, field::parallelism::PIPELINE, field::parallelism::CONTEXT];
    let degrees = degrees.map(|degree| provenance.number(degree).unwrap_or(1).max(1));
    let model = degrees.into_iter().fold(1, u64::saturating_mul);
    let count = provenance.number(field::accelerator::COUNT).filter(|count| count.is_multiple_of(model));
    provenance.number(field::parallelism::DATA).or_else(|| Some(count? / model))
}
