//! Model FLOPs utilization, given or predicted, with an interval of 90 %.
//!
//! ```text
//! MFU      = tokens/s · FLOPs per token / peak,   tokens/s of one accelerator, from a step's work and coefficients
//! interval = MFU · exp(± 1.645 · σ)
//! σ²       = (of the class of evidence)² + open² + (accelerator | generation)² + framework²
//! ```
//!
//! Each part of `σ` was measured on sources that the coefficients were not fitted on (`data/time.toml`). A class of evidence
//! is a framework, on one node or several, with a dense model or one with experts. `open` counts if layout, microbatch or
//! sequence are assumed; `accelerator` and `framework` count if there are no measurements of them, and `generation` also if
//! no kernel of it was measured. If a job gives only model and accelerators, see [planner](super::planner). The generation's
//! largest matrix product is the upper bound. A utilization that the user gives is taken as it is, with a fixed spread,
//! because days depend on other figures too.

use super::coefficients::{Coefficients, Known, framework_name};
use super::step::step;
use super::work::Work;
use super::{Machine, planner};
use crate::estimate::plan::Plan;
use crate::job::TrainingJob;

/// Model FLOPs utilization with a 90 % interval, 0 to 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Utilization {
    /// The middle.
    pub middle: f64,
    /// The interval's lower end.
    pub low: f64,
    /// The interval's upper end.
    pub high: f64,
    /// The pipeline's bubble as a share of the step, as scheduled.
    pub bubble: f64,
    /// The basis of the prediction, unless the user gave the utilization.
    pub predicted_from: Option<String>,
}

/// Standard deviations between the middle and either end of an interval of 90 %.
const NINETY_PERCENT: f64 = 1.645;

/// The user's utilization, or the predicted one. `None` if no rate of the accelerator is known.
pub fn utilization(job: &TrainingJob, plan: &Plan, machine: Machine<'_>) -> Option<Utilization> {
    let coefficients = Coefficients::builtin();
    let given = job.efficiency.as_ref().and_then(|e| e.mfu_percent).map(|percent| percent.as_f64() / 100.0);
    if let Some(mfu) = given.filter(|mfu| *mfu > 0.0) {
        let spread = coefficients.spread.given;
        let (low, high) = (mfu * (1.0 - spread), mfu * (1.0 + spread));
        let bubble = scheduled_bubble(plan);
        return Some(Utilization { middle: mfu, low, high, bubble, predicted_from: None });
    }
    predicted(job, plan, machine, coefficients)
}

/// The bubble is `(p − 1) / (v·m)` of the time without it. This is its share of the time with it.
fn scheduled_bubble(plan: &Plan) -> f64 {
    let idle = plan.pipeline.saturating_sub(1) as f64
        / (plan.virtual_pipeline.max(1) as f64 * plan.micro_batches.max(1) as f64);
    idle / (1.0 + idle)
}

/// The utilization that the coefficients predict.
pub(super) fn predicted(
    job: &TrainingJob,
    plan: &Plan,
    machine: Machine<'_>,
    coefficients: &Coefficients,
) -> Option<Utilization> {
    let accelerator = machine.accelerator;
    let (generation, sustained) = (coefficients.generation(accelerator), coefficients.sustained(accelerator));
    let planned = planner::lacks_layout(job);
    let (own, spread, work) = if planned {
        let (job_alone, plan_alone) = planner::on_one_accelerator(job, plan);
        let own = coefficients.planner.log_ratio(planner::Class::of(job, plan, generation));
        let work = Work::of(&job_alone, &plan_alone, accelerator, generation, sustained)?;
        (own, coefficients.planner.spread, work)
    } else {
        let name = job.framework.map(|framework| framework_name(framework, generation));
        let own = name.as_ref().and_then(|name| coefficients.frameworks.get(name)).copied();
        let work = Work::of(job, plan, accelerator, generation, sustained)?;
        let known = Known {
            framework: name.as_deref().filter(|_| own.is_some()),
            accelerator: coefficients.accelerators.contains_key(&accelerator.key)
                || machine.observed.is_some(),
            generation: coefficients.has_measured(generation) && !generation.guessed
                || machine.observed.is_some(),
            layout: !planner::assumes_layout(job),
            experts: work.experts,
            several_nodes: work.several_nodes,
        };
        (own.unwrap_or(0.0), coefficients.spread.of(known), work)
    };
    let step = step(&work, &coefficients.terms, coefficients.efficiency(accelerator));
    let observed = machine.observed.map_or(1.0, crate::policy::ObservedSpeed::factor);
    let tokens_per_second = work.tokens / step.seconds * own.exp() * observed;
    let middle = (tokens_per_second * work.flops / work.peak).clamp(1e-4, generation.ceiling);
    let factor = (NINETY_PERCENT * spread).exp();
    let by = if planned { "size" } else { "layout" };
    let on =
        if generation.accelerators.is_empty() { String::new() } else { format!(" on {}", generation.name) };
    Some(Utilization {
        middle,
        low: middle / factor,
        high: (middle * factor).min(1.0),
        bubble: scheduled_bubble(plan),
        predicted_from: Some(match machine.observed {
            Some(observed) => {
                format!("predicted from published runs{on} and {} of this cluster, by {by}", observed.runs)
            }
            None => format!("predicted from published runs{on}, by {by}"),
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::assume::{Device, assume};
    use crate::job::{Model, TrainingJob};
    use crate::units::Count;

    /// Eight stages of two chunks and 28 microbatches: 7 / (2 · 28) = 1/8 of the work, 1/9 of the step.
    #[test]
    fn the_bubble_is_that_of_the_schedule() {
        let model = Model { parameters: Some(Count(70_000_000_000)), ..Model::default() };
        let job = TrainingJob { model: Some(model), ..TrainingJob::default() };
        let plan = assume(&job, Device { bf16: true }).unwrap().likely;
        let plan = Plan { pipeline: 8, virtual_pipeline: 2, micro_batches: 28, ..plan };
        assert!((scheduled_bubble(&plan) - 1.0 / 9.0).abs() < 1e-12);
        assert!(scheduled_bubble(&Plan { pipeline: 1, ..plan }).abs() < 1e-12);
    }
}
