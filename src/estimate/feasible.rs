//! The plan that a job runs with if the likeliest plan would not fit.
//!
//! A job may leave recomputation or sharding open. If it does not fit without them, we expect it to use them. Its time
//! is then the time of the first plan that fits. If no plan fits, or the memory is not known, its time is the likeliest
//! plan's.
//!
//! ```text
//! torchtitan     selective recomputation, as in its recipes; full recomputation
//! most others    full recomputation; full sharding; both
//! Megatron       no change: it has many means (single modules, offloading), and users choose those that cost least time
//! ```
//!
//! The memory estimate stays the likeliest plan's, because the job is judged as it is written.

use super::assume::Assumed;
use super::calibration::Calibration;
use super::memory;
use super::plan::Plan;
use crate::frameworks::profile::defaults::Remedies;
use crate::job::{AnyField, Recompute, field};
use crate::units::Bytes;

/// How far the estimate of a changed plan may exceed the memory: the estimate's own error.
const TOLERANCE: f64 = 1.1;

/// A change of open fields that costs time and saves memory.
struct Change {
    recompute: Option<Recompute>,
    shard: bool,
}

const SELECTIVE: Change = Change { recompute: Some(Recompute::Selective), shard: false };
const ALL: Change = Change { recompute: Some(Recompute::Full), shard: false };
const SHARD: Change = Change { recompute: None, shard: true };
const BOTH: Change = Change { recompute: Some(Recompute::Full), shard: true };

/// The changes that a framework's users try, in their order.
fn changes(remedies: Remedies) -> &'static [Change] {
    match remedies {
        Remedies::Many => &[],
        Remedies::Recompute => &[SELECTIVE, ALL],
        Remedies::RecomputeOrShard => &[ALL, SHARD, BOTH],
    }
}

/// The plan that runs instead, if the likeliest plan (which needs `needed`) does not fit and another one does.
pub fn feasible(assumed: &Assumed, needed: Bytes, calibration: &Calibration) -> Option<Plan> {
    let likely = &assumed.likely;
    let room = likely.accelerator_memory?.as_gib();
    if needed.as_gib() <= room {
        return None;
    }
    let open = |field: AnyField| assumed.choices.iter().find(|choice| choice.field == field);
    changes(likely.profile.remedies).iter().find_map(|change| {
        let mut plan = likely.clone();
        if let Some(recompute) = change.recompute {
            open(field::RECOMPUTE.erased())?;
            plan.recompute = recompute;
        }
        if change.shard {
            (open(field::parallelism::SHARDING.erased())?.lean)(&mut plan);
        }
        let needed = memory::peak(&plan, calibration).needed;
        (needed.as_gib() <= TOLERANCE * room).then_some(plan)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::assume::{Device, assume};
    use crate::job::{Accelerator, Batch, Model, Parallelism, Recompute, Sharding, TrainingJob};

    fn job(layers: u32, hidden: u32, sharding: Option<Sharding>) -> TrainingJob {
        TrainingJob {
            model: Some(Model {
                layers: Some(layers),
                hidden_size: Some(hidden),
                attention_heads: Some(hidden / 128),
                vocab_size: Some(32_000),
                ..Model::default()
            }),
            parallelism: Some(Parallelism { sharding, ..Parallelism::default() }),
            batch: Some(Batch { micro_batch_size: Some(4), sequence_length: Some(4096), ..Batch::default() }),
            accelerator: Some(Accelerator {
                kind: Some("H100-80GB".into()),
                count: Some(8),
                ..Accelerator::default()
            }),
            ..TrainingJob::default()
        }
    }

    fn feasible_of(job: &TrainingJob) -> Option<Plan> {
        let assumed = assume(job, Device { bf16: true }).unwrap();
        let needed = memory::peak(&assumed.likely, Calibration::builtin()).needed;
        feasible(&assumed, needed, Calibration::builtin())
    }

    #[test]
    fn a_changed_plan_may_exceed_the_memory_by_the_error_of_the_estimate() {
        let mut assumed = assume(&job(32, 4096, Some(Sharding::FSDP)), Device { bf16: true }).unwrap();
        let recomputed = Plan { recompute: Recompute::Full, ..assumed.likely.clone() };
        let needed = memory::peak(&recomputed, Calibration::builtin()).needed;
        let mut runs_in = |share: f64| {
            assumed.likely.accelerator_memory = Some(needed.scale(share));
            feasible(&assumed, needed.scale(10.0), Calibration::builtin()).is_some()
        };
        assert!(runs_in(1.0 / 1.09));
        assert!(!runs_in(1.0 / 1.11));
    }

    #[test]
    fn a_job_that_does_not_fit_recomputes() {
        assert!(feasible_of(&job(16, 2048, Some(Sharding::FSDP))).is_none());
        let plan = feasible_of(&job(32, 4096, Some(Sharding::FSDP))).unwrap();
        assert_eq!(plan.recompute, Recompute::Full);
        let stated = TrainingJob { recompute: Some(Recompute::None), ..job(32, 4096, Some(Sharding::FSDP)) };
        assert!(feasible_of(&stated).is_none(), "a stated field stays as it is");
    }
}
