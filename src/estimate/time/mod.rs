//! The duration of training.
//!
//! ```text
//! seconds = FLOPs per token · tokens / (peak · N · MFU) / goodput
//! ```
//!
//! `N` accelerators. [`flops`] counts the operations of a token, and [`peak`] gives their highest possible rate. MFU is
//! the share of the peak that model FLOPs reach. It is the user's if given. Otherwise it is [predicted](utilization)
//! from a step's [`Work`]: the time of each part at the data sheets' rates, times a fitted coefficient ([`terms`],
//! [`step`]). The MFU includes recomputation, the pipeline's bubble and every exchange, because they are not work of
//! the model.

mod coefficients;
pub mod flops;
mod generation;
mod peak;
pub mod planner;
mod step;
mod terms;
mod tokens;
mod utilization;
mod work;

pub use coefficients::{Coefficients, Known, Planner, Spread, framework_name};
pub use generation::{Generation, Sustained};
pub use peak::peak;
pub use step::{Step, step};
pub use terms::{COUNT, Term, Terms};
pub use tokens::tokens;
pub use utilization::{Utilization, utilization};
pub use work::Work;

use super::plan::Plan;
use crate::hardware::Accelerator;
use crate::job::TrainingJob;
use crate::judgement::Time;
use crate::policy::ObservedSpeed;
use crate::units::{FlopRate, Flops};
use flops::Forward;

/// The accelerators that a job runs on.
#[derive(Clone, Copy, Debug)]
pub struct Machine<'a> {
    /// One accelerator.
    pub accelerator: &'a Accelerator,
    /// The share of the accelerator's speed that the job has: less than 1 for a partition.
    pub share: f64,
    /// The speed of earlier runs of the cluster, with the same accelerators and framework.
    pub observed: Option<&'a ObservedSpeed>,
}

impl<'a> From<&'a Accelerator> for Machine<'a> {
    fn from(accelerator: &'a Accelerator) -> Self {
        Self { accelerator, share: 1.0, observed: None }
    }
}

/// Model FLOPs of one token, forward and backward, causal attention counted once.
pub fn flops_per_token(job: &TrainingJob, plan: &Plan) -> u64 {
    Forward::of(plan, job.model.as_ref()).model() as u64
}

/// The time of a plan. `None` if the accelerator's speed is not known.
pub fn time(job: &TrainingJob, plan: &Plan, machine: Machine<'_>) -> Option<Time> {
    let (_, peak) = peak(machine.accelerator, plan.precision)?;
    let peak = peak.at_utilization(machine.share);
    let forward = Forward::of(plan, job.model.as_ref());
    let per_token = forward.model() as u64;
    let mfu = utilization(job, plan, machine)?;
    let goodput = job
        .efficiency
        .as_ref()
        .and_then(|e| e.goodput_percent)
        .map_or(1.0, |percent| (percent.as_f64() / 100.0).clamp(0.01, 1.0));
    let accelerators = job.accelerator.as_ref().and_then(|a| a.count).map(|count| f64::from(count.max(1)));
    let flops = tokens(job).map(|tokens| Flops(u128::from(per_token)) * tokens);
    let hours = |mfu: f64| flops.map(|flops| flops.seconds_at(peak.at_utilization(mfu)) / 3600.0 / goodput);
    let (gpu_hours, gpu_hours_low, gpu_hours_high) = (hours(mfu.middle), hours(mfu.high), hours(mfu.low));
    let days = |hours: Option<f64>| Some(hours? / accelerators? / 24.0);
    let step_tokens = job
        .batch
        .as_ref()
        .and_then(|batch| Some(f64::from(batch.global_batch_size?) * f64::from(batch.sequence_length?)));
    let rate = peak.0 as f64 * mfu.middle;
    let time = Time {
        days: days(gpu_hours),
        days_low: days(gpu_hours_low),
        days_high: days(gpu_hours_high),
        gpu_hours,
        gpu_hours_low,
        gpu_hours_high,
        step_seconds: step_tokens
            .zip(accelerators)
            .map(|(tokens, count)| tokens * per_token as f64 / (rate * count)),
        tokens_per_second_per_gpu: rate / per_token.max(1) as f64,
        mfu: mfu.middle,
        mfu_low: mfu.low,
        mfu_high: mfu.high,
        flops_per_token: per_token as f64,
        hardware_flops_per_token: forward.model() + forward.recomputed(plan),
        pipeline_bubble: mfu.bubble,
        convention: flops::CONVENTION,
        flops,
    };
    (time.tokens_per_second_per_gpu > 0.0).then_some(time)
}

/// How many accelerators finish `flops` within `days`, rounded up.
pub fn accelerators_for(flops: Flops, days: f64, peak: FlopRate, mfu: f64) -> u64 {
    let seconds = flops.seconds_at(peak.at_utilization(mfu));
    (seconds / (days * 86_400.0)).ceil() as u64
}
