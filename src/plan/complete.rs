//! What a planner assumes, so that a layout is a complete job.
//!
//! A judged job leaves fields open, and its interval is as wide as they are. A plan is a proposal, so its author may choose:
//! each field that the job leaves open gets its usual value, and the plan states it. The learning problem is kept: model,
//! data, method and a stated batch never change.
//!
//! ```text
//! tokens of a step = 4M; a thousandth of the tokens, if these are fewer        32 sequences at least
//!                    128 sequences, where a method or an objective of fine-tuning is stated, and no tokens
//! global batch     = the multiple of micro-batch · data parallel that is nearest to it
//! ```
//!
//! All Llama 2 models were trained with 4M tokens a step (Touvron et al. 2023, table 1). A small training of fewer than a
//! thousand steps of this size takes smaller steps. Alpaca (Taori et al. 2023) and Tulu 2 (Ivison et al. 2023) were fine-tuned with
//! 128 sequences a step.

use crate::estimate::plan::Plan;
use crate::job::{Method, Objective, TrainingJob};

/// Tokens of one step.
const STEP_TOKENS: u64 = 4 << 20;
/// The fewest steps of a training.
const FEWEST_STEPS: u64 = 1000;
/// Sequences of one step of fine-tuning.
const FINETUNING_SEQUENCES: u64 = 128;
/// The smallest global batch that is proposed.
const FEWEST_SEQUENCES: u64 = 32;

/// The job with the plan's choices written down. Batch and number of accelerators stay open.
pub(super) fn completed(job: &TrainingJob, plan: &Plan) -> TrainingJob {
    let mut job = job.clone();
    job.precision.get_or_insert(plan.precision);
    job.optimizer.get_or_insert(plan.optimizer);
    job.attention.get_or_insert(plan.attention);
    job.loss.get_or_insert(plan.loss);
    if plan.adapters.is_none() {
        job.finetuning.get_or_insert_default().method.get_or_insert(Method::Full);
    }
    let batch = job.batch.get_or_insert_default();
    batch.sequence_length = batch.sequence_length.or(u32::try_from(plan.sequence).ok());
    // A plan fills its sequences. Whether samples are packed is the author's choice, and the figures are for full ones.
    batch.packing.get_or_insert(true);
    job
}

/// Whether a job states that it fine-tunes.
pub(super) fn is_finetuned(job: &TrainingJob) -> bool {
    let method = job.finetuning.as_ref().and_then(|finetuning| finetuning.method);
    method.is_some() || job.objective.is_some_and(|objective| objective != Objective::Pretraining)
}

/// The sequences of one step, about.
pub(super) fn sequences_of_a_step(tokens: Option<u64>, sequence: u64, is_finetuned: bool) -> u64 {
    if is_finetuned && tokens.is_none() {
        return FINETUNING_SEQUENCES;
    }
    let most = tokens.map_or(STEP_TOKENS, |tokens| (tokens / FEWEST_STEPS).min(STEP_TOKENS));
    (most / sequence.max(1)).max(FEWEST_SEQUENCES)
}

/// The global batch nearest to `wanted` that all replicas share evenly. `None` if the replicas are too many for it.
pub(super) fn global_batch(wanted: u64, micro_batch: u64, replicas: u64) -> Option<u32> {
    let at_once = micro_batch.saturating_mul(replicas).max(1);
    let rounds = (wanted + at_once / 2) / at_once;
    let fits = at_once <= wanted;
    fits.then(|| u32::try_from(rounds.saturating_mul(at_once)).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_has_four_million_tokens_unless_the_training_is_short() {
        assert_eq!(sequences_of_a_step(Some(2_000_000_000_000), 4096, false), 1024);
        assert_eq!(sequences_of_a_step(None, 4096, false), 1024);
        assert_eq!(sequences_of_a_step(Some(1_000_000_000), 4096, true), 244);
        assert_eq!(sequences_of_a_step(Some(1_000_000), 4096, true), 32);
        assert_eq!(sequences_of_a_step(None, 2048, true), 128);
    }

    #[test]
    fn replicas_share_the_batch_evenly() {
        for (micro_batch, replicas, expected) in
            [(1, 64, Some(1024)), (1, 60, Some(1020)), (2, 100, Some(1000)), (1, 1024, Some(1024))]
        {
            assert_eq!(global_batch(1024, micro_batch, replicas), expected, "{micro_batch} × {replicas}");
        }
        assert_eq!(global_batch(1024, 1, 1025), None);
    }
}
