//! How the accelerators are divided: the rest for data parallelism, and the number of microbatches in a step.

use super::Notes;
use crate::frameworks::Profile;
use crate::job::TrainingJob;

/// How many ranks must share one replica when the global batch is smaller than the number of replicas and no degree is
/// given. Every replica computes at least one microbatch. It counts as context parallelism, which leaves each rank the
/// most memory.
pub(super) fn implied(job: &TrainingJob) -> Option<u64> {
    let parallelism = job.parallelism.clone().unwrap_or_default();
    let stated = [parallelism.tensor, parallelism.pipeline, parallelism.context, parallelism.data];
    if stated.iter().any(Option::is_some) {
        return None;
    }
    let count = u64::from(job.accelerator.as_ref()?.count?);
    let batch = job.batch.as_ref()?;
    let micro_batch = u64::from(batch.micro_batch_size?);
    let ranks = count.saturating_mul(micro_batch).div_ceil(u64::from(batch.global_batch_size?).max(1));
    (ranks > 1).then_some(ranks.min(count))
}

/// The data parallel degree: the rest of the accelerators.
pub(super) fn data_parallel(
    job: &TrainingJob,
    tensor: u64,
    pipeline: u64,
    context: u64,
    notes: &mut Notes,
) -> u64 {
    let given = job.parallelism.as_ref().and_then(|p| p.data).map(u64::from);
    let count = job.accelerator.as_ref().and_then(|a| a.count).map(u64::from);
    let model = tensor.saturating_mul(pipeline).saturating_mul(context);
    let Some(count) = count else { return given.unwrap_or(1).max(1) };
    if count < model {
        notes.warnings.push(format!(
            "tensor × pipeline × context parallel is {model}, but only {count} accelerators are asked for"
        ));
        return given.unwrap_or(1).max(1);
    }
    if !count.is_multiple_of(model) {
        notes.warnings.push(format!(
            "{count} accelerators are no multiple of tensor × pipeline × context parallel = {model}"
        ));
    }
    let data = count / model;
    match given {
        Some(given) if given != data => {
            notes.warnings.push(format!(
                "data-parallel is {given}, but {count} accelerators and {model} a model replica make {data}"
            ));
            given.max(1)
        }
        _ => data.max(1),
    }
}

/// The micro-batch of a job that gives none. It is 1, unless the framework's version cuts a rank's batch into as many
/// microbatches as the pipeline has stages.
pub(super) fn usual_micro_batch(job: &TrainingJob, profile: &Profile, data: u64, pipeline: u64) -> u64 {
    let cut = profile.batches.cut_over_stages.hold(job.framework_version.as_deref());
    let global = job.batch.as_ref().and_then(|batch| batch.global_batch_size);
    match global {
        Some(global) if cut && pipeline > 1 => {
            (u64::from(global) / data.saturating_mul(pipeline).max(1)).max(1)
        }
        _ => 1,
    }
}

/// Microbatches of one step.
pub(super) fn micro_batches(
    batch: &crate::job::Batch,
    micro_batch: u64,
    data: u64,
    pipeline: u64,
    notes: &mut Notes,
) -> u64 {
    match batch.global_batch_size {
        None if pipeline > 1 => pipeline.saturating_mul(4),
        None => 1,
        Some(global) => {
            let at_once = micro_batch.saturating_mul(data).max(1);
            let global = u64::from(global);
            if global < at_once || !global.is_multiple_of(at_once) {
                notes.warnings.push(format!(
                    "global batch {global} is no multiple of micro-batch {micro_batch} × data parallel {data}"
                ));
            }
            (global / at_once).max(1)
        }
    }
}
