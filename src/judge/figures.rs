//! The figures of a judgement, from an estimate.

use crate::estimate::Estimate;
use crate::estimate::duration::{self, Duration};
use crate::estimate::memory::Figure;
use crate::estimate::objective::ObjectiveProfile;
use crate::estimate::time::{self, Machine};
use crate::job::{Input, TrainingJob, field};
use crate::judgement::{Component, Counted, Interval, Memory};
use crate::policy::{ObservedSpeed, Rules};
use crate::units::{Bytes, Decimal};
use crate::verdict::Distribution;

use super::capacity::Capacity;

/// The peak memory with its 90 % interval.
pub(super) fn memory(estimate: &Estimate, need: &Distribution, capacity: Option<Bytes>) -> Memory {
    let (peak, pipeline) = (&estimate.peak, estimate.assumed.likely.pipeline);
    let (lower, upper) = need.interval();
    let (least, _) = need.bounds();
    Memory {
        peak_bytes: peak.needed,
        least_bytes: least.min(peak.needed),
        lower_bytes: lower.min(peak.needed),
        upper_bytes: upper.max(peak.needed),
        allocated_bytes: peak.allocated,
        reserved_bytes: peak.reserved,
        process_bytes: peak.process,
        capacity_bytes: capacity,
        worst_rank: if pipeline > 1 {
            format!("pipeline stage {} of {pipeline}", peak.stage)
        } else {
            "every rank".into()
        },
        instant: peak.instant.to_owned(),
        components: peak.components.clone(),
        phases: peak.phases.clone(),
        instants: instants(estimate),
    }
}

/// The instants of a step. Neighbours of one name are one instant, with the fuller one's tensors.
fn instants(estimate: &Estimate) -> Vec<Component> {
    let mut instants: Vec<Component> = Vec::new();
    for (name, bytes) in estimate.instants() {
        match instants.last_mut().filter(|last| last.name == name) {
            Some(last) => last.bytes = last.bytes.max(bytes),
            None => instants.push(Component { name, bytes }),
        }
    }
    instants
}

/// The figures that PyTorch and the driver count, with their 90 % intervals.
pub(super) fn counted(
    estimate: &Estimate,
    [allocated, reserved, process]: &[Distribution; 3],
    unread_fields: bool,
) -> Counted {
    let interval = |figure: Figure, distribution: &Distribution| {
        let (lower, upper) = distribution.interval();
        Interval { estimated: estimate.peak.figure(figure), lower, upper }
    };
    Counted {
        allocated: interval(Figure::Allocated, allocated),
        reserved: interval(Figure::Reserved, reserved),
        process: interval(Figure::Process, process),
        unread_fields,
    }
}

/// How long the job takes. `None` if the accelerator's speed is unknown, or if the job has work that is not
/// counted: generation, the forward passes of other models, an encoder's tokens, layers that are
/// not listed.
pub(super) fn duration(
    job: &TrainingJob,
    estimate: &Estimate,
    capacity: &Capacity<'_>,
    rules: &Rules,
) -> Option<Duration> {
    let likely = &estimate.assumed.likely;
    let is_counted = ObjectiveProfile::of(likely.objective).is_plain()
        && !likely.shape.has_encoder()
        && !likely.shape.is_unlisted();
    let machine = machine(job, capacity, rules).filter(|_| is_counted)?;
    duration::duration(job, likely, estimate.running(), machine)
}

/// The assumed utilization, as an input. `None` if the job gives it.
pub(super) fn assumed_utilization(
    job: &TrainingJob,
    estimate: &Estimate,
    capacity: &Capacity<'_>,
    rules: &Rules,
) -> Option<Input> {
    let utilization = time::utilization(job, estimate.running(), machine(job, capacity, rules)?)?;
    let value = Decimal::from_f64((utilization.middle * 1000.0).round() / 10.0).to_string();
    let (runs, likely) = (estimate.running(), &estimate.assumed.likely);
    let to_fit = match (runs.recompute == likely.recompute, runs.sharding == likely.sharding) {
        (true, true) => "",
        (false, true) => ", recomputing activations to fit",
        (true, false) => ", sharding states to fit",
        (false, false) => ", recomputing activations and sharding states to fit",
    };
    let source = utilization.predicted_from? + to_fit;
    Some(Input { field: field::efficiency::MFU_PERCENT.into(), value, source })
}

/// The accelerator, or the part of it that the job gets, with the speed of the cluster's own runs.
fn machine<'c>(job: &TrainingJob, capacity: &Capacity<'c>, rules: &'c Rules) -> Option<Machine<'c>> {
    let share = capacity.compute_milli.map_or(1.0, |share| share as f64 / 1000.0);
    let accelerator = capacity.accelerator?;
    let observed = ObservedSpeed::of(&rules.observed_speeds, &accelerator.key, job.framework);
    Some(Machine { accelerator, share, observed })
}
