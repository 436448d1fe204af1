//! The knobs of the advice, each with its turns from the smallest to the largest.

use crate::estimate::plan::Plan;
use crate::job::{Recompute, Sharding, TrainingJob};

/// A knob: one setting that can change, with its possible values.
pub(super) struct Knob {
    /// From the smallest change to the largest.
    pub(super) turns: Vec<Turn>,
}

/// One change.
pub(super) struct Turn {
    /// The change in words.
    pub(super) change: String,
    /// Makes the change.
    pub(super) apply: Box<dyn Fn(&mut TrainingJob)>,
}

fn turn(change: String, apply: impl Fn(&mut TrainingJob) + 'static) -> Turn {
    Turn { change, apply: Box::new(apply) }
}

/// The knobs of a job. Those that cost least speed come first.
pub(super) fn knobs(job: &TrainingJob, plan: &Plan) -> Vec<Knob> {
    [sharding(plan), pipeline(plan), tensor(job, plan), micro_batch(plan), recompute(plan)]
        .into_iter()
        .filter(|knob| !knob.turns.is_empty())
        .collect()
}

fn recompute(plan: &Plan) -> Knob {
    let turns = match plan.recompute {
        Recompute::Full => Vec::new(),
        _ => vec![turn("recompute=full".into(), |job| job.recompute = Some(Recompute::Full))],
    };
    Knob { turns }
}

/// The next states that the framework can divide.
fn sharding(plan: &Plan) -> Knob {
    if plan.shard_group() <= 1 || plan.adapters.is_some() {
        return Knob { turns: Vec::new() };
    }
    let next = plan.profile.sharding.next.iter().find(|(from, _)| *from == plan.sharding);
    let turns = next.into_iter().flat_map(|(_, next)| *next).map(|sharding| {
        let sharding = *sharding;
        turn(format!("sharding={}", word(sharding)), move |job| {
            job.parallelism.get_or_insert_default().sharding = Some(sharding);
        })
    });
    Knob { turns: turns.collect() }
}

/// The annotation's word for a sharding.
fn word(sharding: Sharding) -> &'static str {
    match sharding {
        Sharding::None => "ddp",
        Sharding::ZeRO1 => "zero1",
        Sharding::ZeRO2 => "zero2",
        Sharding::ZeRO3 => "zero3",
        Sharding::FSDP => "fsdp",
        Sharding::HSDP => "hsdp",
        Sharding::DistributedOptimizer => "distributed-optimizer",
    }
}

/// Doubled as long as it divides layers and accelerators.
fn pipeline(plan: &Plan) -> Knob {
    let model_parallel = plan.tensor > 1 || plan.pipeline > 1;
    let turns = doublings(plan.pipeline, 64)
        .filter(|p| {
            model_parallel
                && plan.shape.layers.is_multiple_of(*p)
                && plan.world().is_multiple_of(plan.tensor * p * plan.context)
        })
        .map(|p| {
            turn(format!("pipeline-parallel {} → {p}", plan.pipeline), move |job| {
                job.parallelism.get_or_insert_default().pipeline = u32::try_from(p).ok();
                job.parallelism.get_or_insert_default().data = None;
            })
        });
    Knob { turns: turns.collect() }
}

/// Doubled up to the accelerators of a node.
fn tensor(job: &TrainingJob, plan: &Plan) -> Knob {
    let per_node = job.accelerator.as_ref().and_then(|a| a.per_node).map_or(8, u64::from);
    let model_parallel = plan.tensor > 1 || plan.pipeline > 1;
    let turns = doublings(plan.tensor, per_node)
        .filter(|t| {
            model_parallel
                && plan.shape.heads.is_multiple_of(*t)
                && plan.world().is_multiple_of(t * plan.pipeline * plan.context)
        })
        .map(|t| {
            turn(format!("tensor-parallel {} → {t}", plan.tensor), move |job| {
                job.parallelism.get_or_insert_default().tensor = u32::try_from(t).ok();
                job.parallelism.get_or_insert_default().data = None;
            })
        });
    Knob { turns: turns.collect() }
}

fn doublings(from: u64, most: u64) -> impl Iterator<Item = u64> {
    std::iter::successors(Some(from.max(1)), |value| value.checked_mul(2))
        .skip(1)
        .take_while(move |value| *value <= most)
}

fn micro_batch(plan: &Plan) -> Knob {
    let turns = std::iter::successors(Some(plan.micro_batch), |b| Some(b / 2))
        .skip(1)
        .take_while(|b| *b >= 1)
        .map(|b| {
            turn(format!("micro-batch-size {} → {b}", plan.micro_batch), move |job| {
                job.batch.get_or_insert_default().micro_batch_size = u32::try_from(b).ok();
            })
        });
    Knob { turns: turns.collect() }
}
