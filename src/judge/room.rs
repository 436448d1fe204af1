//! How far a job that fits can grow: the largest micro-batch and the longest sequences with which it still fits.
//!
//! ```text
//! value = the present or assumed value, doubled as long as the job with it fits
//! ```
//!
//! Each field is tried alone, with everything else as it is. A field that cannot grow is left out. A length ends at the positions of the model, if these are known:
//! a longer one is another model. The work is bounded by the number of doublings.

use crate::estimate::Estimate;
use crate::job::{TrainingJob, field, keys};
use crate::judgement::Room;
use crate::units::Bytes;

/// The most doublings of a field.
const MOST: usize = 14;

/// The room of a job that fits. `fits` gives the need of a job that fits.
pub(super) fn room(
    job: &TrainingJob,
    estimate: &Estimate,
    fits: impl Fn(&TrainingJob) -> Option<Bytes>,
) -> Vec<Room> {
    let plan = &estimate.assumed.likely;
    // What is kept for a sample is not known.
    if plan.shape.is_unlisted() {
        return Vec::new();
    }
    let positions = job.model.as_ref().and_then(|model| model.max_positions).map_or(u64::MAX, u64::from);
    let global = job.batch.as_ref().and_then(|batch| batch.global_batch_size).map_or(u64::MAX, u64::from);
    let most = (global / plan.data.max(1)).max(1);
    let micro_batch = |value: u32| {
        let mut changed = job.clone();
        changed.batch.get_or_insert_default().micro_batch_size = Some(value);
        changed
    };
    let sequence = |value: u32| {
        let mut changed = job.clone();
        changed.batch.get_or_insert_default().sequence_length = Some(value);
        changed
    };
    let found = |key: &'static str, from: u64, most: u64, changed: &dyn Fn(u32) -> TrainingJob| {
        let values = std::iter::successors(Some(from), |value| value.checked_mul(2)).take(MOST);
        let values = values.take_while(|value| *value <= most).map_while(|value| u32::try_from(value).ok());
        let fitting = values.map_while(|value| Some((value, fits(&changed(value))?)));
        fitting.last().filter(|(value, _)| u64::from(*value) > from).map(|(value, peak)| Room {
            key,
            at_most: value.into(),
            peak_bytes: peak,
        })
    };
    let keys = [field::batch::MICRO_BATCH_SIZE.erased(), field::batch::SEQUENCE_LENGTH.erased()];
    let [batch_key, length_key] = keys.map(keys::of_field);
    let batch = found(batch_key, plan.micro_batch.max(1), most, &micro_batch);
    let length = found(length_key, plan.sequence.max(1), positions, &sequence);
    batch.into_iter().chain(length).collect()
}
