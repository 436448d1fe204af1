//! The published runs' devices, from the product's own catalogue.

use weighbridge::hardware::{Accelerator, Catalogue};
use weighbridge::job::TrainingJob;

fn accelerator(job: &TrainingJob) -> Option<&'static Accelerator> {
    Catalogue::builtin().find(job.accelerator.as_ref()?.kind.as_ref()?)
}

/// Whether the device computes in bf16.
pub(crate) fn bf16(job: &TrainingJob) -> bool {
    accelerator(job).is_none_or(Accelerator::computes_in_bf16)
}
