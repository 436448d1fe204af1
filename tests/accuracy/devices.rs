//! The memory of the published runs' devices, from the product's own catalogue.

use weighbridge::hardware::{Accelerator, Catalogue};
use weighbridge::job::TrainingJob;
use weighbridge::units::Bytes;

fn accelerator(job: &TrainingJob) -> Option<&'static Accelerator> {
    Catalogue::builtin().find(job.accelerator.as_ref()?.kind.as_ref()?)
}

/// The memory that a process can address on the job's device. `None` if the device is not given.
pub(crate) fn capacity(job: &TrainingJob) -> Option<Bytes> {
    accelerator(job).map(Accelerator::usable)
}

/// Whether the device computes in bf16.
pub(crate) fn bf16(job: &TrainingJob) -> bool {
    accelerator(job).is_none_or(Accelerator::computes_in_bf16)
}
