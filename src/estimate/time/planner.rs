//! What a planner does not say: the division of the work.
//!
//! Before there is a manifest, a planner knows a model, tokens, accelerators and their number. A competent team will
//! divide the work so that accelerators compute most of the time; what they still lose to each other, to recomputation and
//! to whatever else a published number of hours holds is fitted on such numbers:
//!
//! ```text
//! MFU = MFU of one accelerator that computes the model, 16k tokens at once, in the job's format, nothing recomputed
//!       that the job does not say, nothing exchanged   ·   exp(level + later + experts)
//! ```
//!
//! (`planner` in `data/time.toml`). `later` is of accelerators since Hopper, which have grown faster than what feeds them;
//! `experts` of models with experts, which compute as a dense model of their active parameters does, and exchange more.
//! Failures and restarts are the [goodput's](crate::estimate::goodput), not the MFU's.

use super::coefficients::Planner;
use super::flops::Forward;
use super::generation::Generation;
use crate::estimate::plan::Plan;
use crate::frameworks::profile;
use crate::frameworks::profile::unknown;
use crate::job::{Method, Model, Recompute, Sharding, TrainingJob};
use crate::model::Shape;
use crate::units::Count;

/// Whether the division of the work is neither given nor implied: by nothing but a size and accelerators, or by a
/// framework that leaves it open, on more accelerators than a node has.
pub fn knows_little(job: &TrainingJob) -> bool {
    let divided = job.parallelism.as_ref().is_some_and(|p| {
        [p.tensor, p.pipeline, p.context, p.expert, p.data].iter().any(Option::is_some)
            || p.sharding.is_some()
    });
    let batched =
        job.batch.as_ref().is_some_and(|b| b.micro_batch_size.is_some() || b.global_batch_size.is_some());
    let adapted = job
        .finetuning
        .as_ref()
        .is_some_and(|f| f.rank.is_some() || f.method.is_some_and(|method| method != Method::Full));
    let many = job.accelerator.as_ref().and_then(|a| a.count).is_some_and(|count| count > 8);
    let implied = profile(job.framework).batches.imply_division;
    !divided && !adapted && (!batched || many && !implied)
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

/// Which of the planner's coefficients hold, 1 or 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Class {
    /// Of an accelerator since Hopper.
    pub later: f64,
    /// Of a model with experts.
    pub experts: f64,
}

impl Class {
    /// The class of a job.
    pub fn of(job: &TrainingJob, plan: &Plan, generation: &Generation) -> Self {
        let share = |holds: bool| if holds { 1.0 } else { 0.0 };
        Self { later: share(!generation.early), experts: share(has_experts(job, plan)) }
    }
}

impl Planner {
    /// ln(MFU / that of one accelerator alone).
    pub fn off(&self, class: Class) -> f64 {
        self.level + self.later * class.later + self.experts * class.experts
    }
}

fn has_experts(job: &TrainingJob, plan: &Plan) -> bool {
    let active = job.model.as_ref().and_then(|model| model.active_parameters);
    plan.shape.experts.is_some() || active.is_some()
}

/// One accelerator that computes the model, or a dense one of as many parameters as are active.
pub fn alone(job: &TrainingJob, plan: &Plan) -> (TrainingJob, Plan) {
    let (model, shape) = if has_experts(job, plan) {
        let forward = Forward::of(plan, job.model.as_ref());
        let active = (0.5 * (forward.layers + forward.head)).max(1.0) as u64;
        let model = Model { parameters: Some(Count(active)), ..Model::default() };
        let shape = Shape::of_size(&model, active, plan.shape.vocab, 1.0);
        (Some(model), shape)
    } else {
        let mut shape = plan.shape.clone();
        if let Some(declared) = shape.declared {
            // Half of a model's parameters, at most, are the output layer's.
            shape.vocab = shape.vocab.min(declared / 2 / shape.hidden.max(1)).max(1);
        }
        (job.model.clone(), shape)
    };
    let plan = Plan {
        shape,
        profile: unknown::planned(),
        tensor: 1,
        sequence_parallel: false,
        pipeline: 1,
        virtual_pipeline: 1,
        context: 1,
        expert: 1,
        data: 1,
        sharding: Sharding::None,
        recompute: job.recompute.unwrap_or(Recompute::None),
        adapters: None,
        offload_optimizer: false,
        offload_parameters: false,
        sequence: 4096,
        typical_sequence: 4096,
        micro_batch: 4,
        // So many that what a step does once is lost among them.
        micro_batches: 1 << 20,
        ..plan.clone()
    };
    (TrainingJob { model, ..TrainingJob::default() }, plan)
}
