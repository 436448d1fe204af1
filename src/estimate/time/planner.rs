//! What a planner does not say: the division of the work.
//!
//! Before there is a manifest, a planner knows a model, tokens, accelerators and their number. A competent team will
//! divide the work so that accelerators compute most of the time; what they still lose to each other, to small layers, to
//! restarts and to whatever else a published number of hours holds is fitted on such numbers, by size:
//!
//! ```text
//! MFU = MFU of one accelerator that computes the usual model of 10e9 parameters, 32k tokens at once, in the job's format,
//!       nothing recomputed or exchanged   ·   exp(level + size·tanh(log₁₀(active parameters / 10e9)))
//! ```
//!
//! (`planner` in `data/time.toml`). Experts count as the active parameters that they are.

use crate::estimate::plan::Plan;
use crate::model::Shape;
use crate::units::Count;
use crate::workload::{Framework, Method, Model, Recompute, Sharding, TrainingJob};

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
    let implied = matches!(
        job.framework,
        Some(
            Framework::FSDP
                | Framework::LLMFoundry
                | Framework::Torchtitan
                | Framework::HuggingFace
                | Framework::Torchtune
                | Framework::LitGPT
        )
    );
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

/// Tens of active parameters above 10e9, flat at both ends.
pub fn size(active: f64) -> f64 {
    (active.max(1.0) / 1e10).log10().tanh()
}

/// One accelerator that computes the usual model of 10e9 parameters.
pub fn alone(plan: &Plan) -> (TrainingJob, Plan) {
    const PARAMETERS: u64 = 10_000_000_000;
    let model = Model { parameters: Some(Count(PARAMETERS)), ..Model::default() };
    let plan = Plan {
        shape: Shape::of_size(&model, PARAMETERS, 64_000, 1.0),
        framework: Framework::FSDP,
        tensor: 1,
        sequence_parallel: false,
        pipeline: 1,
        virtual_pipeline: 1,
        context: 1,
        expert: 1,
        data: 1,
        sharding: Sharding::None,
        recompute: Recompute::None,
        adapters: None,
        offload_optimizer: false,
        offload_parameters: false,
        sequence: 4096,
        typical_sequence: 4096,
        micro_batch: 8,
        // So many that what a step does once is lost among them.
        micro_batches: 1 << 20,
        ..plan.clone()
    };
    (TrainingJob { model: Some(model), ..TrainingJob::default() }, plan)
}
