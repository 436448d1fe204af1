//! What a planner does not say: the layout that a competent team would use.
//!
//! Before there is a manifest, a planner knows a model, tokens, accelerators and their number. The division of the work is
//! then taken to be the usual one:
//!
//! ```text
//! tensor    8 from 30e9 parameters, else 1        pipeline  the fewest stages whose states fill half the memory,
//! expert    8, from 100e9 parameters 64                     6·N + 12·N/d bytes a rank
//! micro-batch  4096 tokens                        batch     4M tokens, 8 microbatches a stage at least
//! ```
//!
//! What published runs took beyond that is fitted on them, by size (`planner` in `data/time.toml`).

use crate::estimate::plan::Plan;
use crate::hardware::Accelerator;
use crate::model::Parameters;
use crate::workload::{Dispatcher, Framework, Recompute, Sharding, TrainingJob};

/// Whether neither the division of the work nor a batch is given.
pub fn knows_little(job: &TrainingJob) -> bool {
    let divided = job.parallelism.as_ref().is_some_and(|p| {
        [p.tensor, p.pipeline, p.context, p.expert, p.data].iter().any(Option::is_some)
            || p.sharding.is_some()
    });
    let batched =
        job.batch.as_ref().is_some_and(|b| b.micro_batch_size.is_some() || b.global_batch_size.is_some());
    !divided && !batched && job.finetuning.is_none()
}

/// Whether layout, microbatch, batch or sequence are assumed.
pub(super) fn leaves_open(job: &TrainingJob) -> bool {
    let divided = job.parallelism.as_ref().is_some_and(|p| p.tensor.is_some() || p.sharding.is_some());
    let alone = job.accelerator.as_ref().and_then(|a| a.count) == Some(1);
    let batched = job.batch.as_ref().is_some_and(|b| {
        b.micro_batch_size.is_some() && b.global_batch_size.is_some() && b.sequence_length.is_some()
    });
    !(divided || alone) || !batched
}

/// Tens of active parameters above 10e9, flat at both ends.
pub(super) fn size(active: f64) -> f64 {
    (active.max(1.0) / 1e10).log10().tanh()
}

/// The usual layout.
pub(super) fn usual(job: &TrainingJob, plan: &Plan, accelerator: &Accelerator) -> Plan {
    let parameters = Parameters::of(&plan.shape).total as f64;
    let mut plan = Plan { framework: Framework::Megatron, ..plan.clone() };
    let world = job.accelerator.as_ref().and_then(|a| a.count).map(u64::from);
    let within = |n: u64| world.map_or(n, |world| n.min(world)).max(1);
    plan.tensor = within(if parameters >= 30e9 { 8 } else { 1 });
    plan.sequence_parallel = plan.tensor > 1;
    plan.context = 1;
    let room = accelerator.usable().as_f64() / 2.0;
    let fits = |pipeline: u64| 7.0 * parameters / (plan.tensor * pipeline) as f64 <= room;
    let most = within(plan.shape.layers.max(1)) / plan.tensor;
    plan.pipeline = if plan.shape.experts.is_some() || room <= 0.0 {
        1
    } else {
        (0..8).map(|power| 1u64 << power).find(|n| fits(*n)).unwrap_or(128).min(most.max(1))
    };
    plan.virtual_pipeline = 1;
    plan.data = world.map_or(64, |world| (world / (plan.tensor * plan.pipeline)).max(1));
    plan.expert =
        if plan.shape.experts.is_some() { within(if parameters >= 1e11 { 64 } else { 8 }) } else { 1 };
    plan.dispatcher = Dispatcher::AllToAll;
    plan.sharding = Sharding::DistributedOptimizer;
    plan.sharding_degree = None;
    plan.recompute = Recompute::None;
    plan.micro_batch = (4096 / plan.sequence.max(1)).max(1);
    let at_once = (plan.micro_batch * plan.sequence).saturating_mul(plan.data).max(1);
    plan.micro_batches = (4_000_000 / at_once).max(if plan.pipeline > 1 { 8 * plan.pipeline } else { 1 });
    plan
}
