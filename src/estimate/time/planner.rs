//! The MFU for a planner, who does not say how the work is divided.
//!
//! Before there is a manifest, a planner knows a model, tokens, accelerators and their number. A competent team divides
//! the work so that accelerators compute most of the time. The remaining losses (exchange, recomputation and all else
//! in a published number of hours) are fitted on published hours:
//!
//! ```text
//! MFU = MFU of one accelerator that computes the model, 16k tokens at once, in the job's format, with only the
//!       recomputation that the job states, and without exchange   ·   exp(level + later + experts)
//! ```
//!
//! (`planner` in `data/time.toml`). `later` is for accelerators since Hopper, which have become faster than their
//! memory and links. `experts` is for models with experts, which compute like a dense model of their active parameters
//! and exchange more. Failures and restarts belong to the [goodput](crate::estimate::goodput), not to the MFU.

use super::coefficients::Planner;
use super::flops::Forward;
use super::generation::Generation;
use crate::estimate::plan::Plan;
use crate::frameworks::profile;
use crate::frameworks::profile::unknown;
use crate::job::{Method, Model, Recompute, Sharding, TrainingJob};
use crate::model::Shape;
use crate::units::Count;

/// Whether the division of the work is neither given nor implied: the job has only a size and accelerators, or its
/// framework leaves the division open on more accelerators than a node has.
pub fn lacks_layout(job: &TrainingJob) -> bool {
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

/// Whether layout, microbatch, batch or sequence are assumed. The degree of expert parallelism belongs to the layout: it is 1
/// if parameters are gathered, unless a dispatcher sends tokens to other ranks.
pub(super) fn assumes_layout(job: &TrainingJob) -> bool {
    let divided = job.parallelism.as_ref().is_some_and(|p| p.tensor.is_some() || p.sharding.is_some());
    let alone = job.accelerator.as_ref().and_then(|a| a.count) == Some(1);
    let gathered = job
        .parallelism
        .as_ref()
        .and_then(|parallelism| parallelism.sharding)
        .is_some_and(|sharding| matches!(sharding, Sharding::FSDP | Sharding::HSDP | Sharding::ZeRO3));
    let experts = job.model.as_ref().is_some_and(|model| model.experts.is_some());
    let placed = job.parallelism.as_ref().is_some_and(|parallelism| parallelism.expert.is_some());
    let sends = job.parallelism.as_ref().is_some_and(|parallelism| parallelism.dispatcher.is_some());
    let batched = job.batch.as_ref().is_some_and(|b| {
        b.micro_batch_size.is_some() && b.global_batch_size.is_some() && b.sequence_length.is_some()
    });
    !(divided || alone) || !batched || experts && !(placed || alone || gathered && !sends)
}

/// The planner's coefficients that apply, 1 or 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Class {
    /// For an accelerator since Hopper.
    pub later: f64,
    /// For a model with experts.
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
    /// ln(MFU / MFU of one accelerator).
    pub fn log_ratio(&self, class: Class) -> f64 {
        self.level + self.later * class.later + self.experts * class.experts
    }
}

fn has_experts(job: &TrainingJob, plan: &Plan) -> bool {
    let active = job.model.as_ref().and_then(|model| model.active_parameters);
    plan.shape.experts.is_some() || active.is_some()
}

/// The model on one accelerator. A model with experts becomes a dense one with as many parameters as are active.
pub fn on_one_accelerator(job: &TrainingJob, plan: &Plan) -> (TrainingJob, Plan) {
    let (model, shape) = if has_experts(job, plan) {
        let forward = Forward::of(plan, job.model.as_ref());
        let active = (0.5 * (forward.layers + forward.head)).max(1.0) as u64;
        let model = Model { parameters: Some(Count(active)), ..Model::default() };
        let shape = Shape::of_size(&model, active, plan.shape.vocab, 1.0);
        (Some(model), shape)
    } else {
        let mut shape = plan.shape.clone();
        if let Some(declared) = shape.declared {
            // The output layer has at most half of a model's parameters.
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
        // So many that the once-a-step work is negligible.
        micro_batches: 1 << 20,
        ..plan.clone()
    };
    (TrainingJob { model, ..TrainingJob::default() }, plan)
}
