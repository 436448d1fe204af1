//! The accuracy of the estimates on measured runs.
//!
//! A run is one line of JSON ([`Run`]). It has the training, as the spec of a `TrainingEstimate` or as manifests, and
//! the measurements: outcome, one figure of memory, speed, hours. [`score`] judges the run like any workload, and
//! compares the measurements with the estimates. [`Report`] summarizes many runs by source.
//!
//! ```text
//! error     = estimated / measured − 1            negative: underestimated
//! covered   = lower ≤ measured ≤ upper            the 90 % interval of the same figure
//! ```
//!
//! A rounded figure stands for all values that round to it, so the estimate is compared with the nearest of them. If the
//! peak may be higher than the figure, only an estimate below the figure is wrong.
//!
//! [`stated`] tells which runs leave nothing open that matters. Only their errors are errors of the formulas.

mod report;
mod run;
pub mod speeds;
mod stated;
pub mod statistics;
mod tables;

pub use report::{Area, Bin, Gate, Group, Report};
pub use run::{Counter, Measured, Outcome, Run};
pub use tables::tables;

use serde::Serialize;
use serde_json::{Value, json};

use crate::estimate::assume::Device;
use crate::estimate::calibration::Calibration;
use crate::estimate::memory::Figure;
use crate::estimate::{Estimate, estimate_rank};
use crate::hardware::Accelerator;
use crate::job::{Ask, Framework, Quoting, Rank, keys};
use crate::judge::judge_with;
use crate::judgement::{Evidence, Judgement, Memory, Verdict};
use crate::policy::World;
use crate::surroundings::Surroundings;
use crate::units::Bytes;

/// A run with its estimates.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Scored {
    /// The party that measured it.
    pub source: String,
    /// The source's name for the run.
    pub name: Option<String>,
    /// The outcome.
    pub outcome: Option<Outcome>,
    /// The gate's verdict.
    pub verdict: Verdict,
    /// The probability of running out of memory, if known.
    pub oom_probability: Option<f64>,
    /// The estimated need.
    pub need: Option<Need>,
    /// The accelerator.
    pub accelerator: Option<String>,
    /// The framework.
    pub framework: Option<Framework>,
    /// How far the estimate of such jobs was compared with measurements.
    pub evidence: Option<Evidence>,
    /// Whether all fields that matter are known.
    pub stated: bool,
    /// The measured memory, in GiB per GPU.
    pub memory: Option<Comparison>,
    /// Tokens per second and GPU.
    pub tokens_per_second_per_gpu: Option<Comparison>,
    /// GPU-hours.
    pub gpu_hours: Option<Comparison>,
    /// The keys of the fields that are missing for a better judgement.
    pub missing: Vec<&'static str>,
}

/// The estimated need of one accelerator, in GiB.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Need {
    /// The point estimate.
    pub estimated: f64,
    /// The lower end of the 90 % interval.
    pub lower: f64,
    /// The upper end.
    pub upper: f64,
    /// What the accelerator offers, if it is known.
    pub capacity: Option<f64>,
}

impl Need {
    fn of(memory: &Memory) -> Self {
        Self {
            estimated: memory.peak_bytes.as_gib(),
            lower: memory.lower_bytes.as_gib(),
            upper: memory.upper_bytes.as_gib(),
            capacity: memory.capacity_bytes.map(Bytes::as_gib),
        }
    }

    /// The point estimate over what the accelerator offers.
    pub fn over_capacity(self) -> Option<f64> {
        Some(self.estimated / self.capacity?)
    }
}

/// A measured figure with its estimate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Comparison {
    /// The measured value.
    pub measured: f64,
    /// The estimated value.
    pub estimated: f64,
    /// The lower end of the 90 % interval, if there is one.
    pub lower: Option<f64>,
    /// The upper end.
    pub upper: Option<f64>,
    /// The step to which the measured value is rounded.
    #[serde(skip_serializing_if = "is_exact")]
    pub step: f64,
    /// Whether the true value may be higher than the measured one.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub at_least: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_exact(step: &f64) -> bool {
    *step <= 0.0
}

impl Comparison {
    /// Two exact values without an interval.
    fn exact(measured: f64, estimated: f64) -> Self {
        Self { measured, estimated, lower: None, upper: None, step: 0.0, at_least: false }
    }

    /// Estimated / measured − 1. Negative means underestimated.
    pub fn error(self) -> f64 {
        let half = self.step / 2.0;
        let least = (self.measured - half).max(f64::MIN_POSITIVE);
        let most = if self.at_least { f64::INFINITY } else { self.measured + half };
        self.estimated / self.estimated.clamp(least, most.max(least)) - 1.0
    }

    /// The same, with a rounded value taken as exact.
    #[must_use]
    pub fn as_read(self) -> Self {
        Self { step: 0.0, ..self }
    }

    /// The width of the interval, relative to the estimate. `None` without an interval.
    pub fn width(self) -> Option<f64> {
        Some((self.upper? - self.lower?) / self.estimated)
    }

    /// Whether the interval contains the measured value. `None` without an interval.
    pub fn is_covered(self) -> Option<bool> {
        let (lower, upper) = (self.lower?, self.upper?);
        Some((self.at_least || lower <= self.measured) && self.measured <= upper)
    }
}

/// Judges a run and compares it with its measurements.
pub fn score(run: &Run, world: &World<'_>) -> Scored {
    score_with(run, world, Calibration::builtin())
}

/// Scores a run with other constants than the built-in ones.
pub fn score_with(run: &Run, world: &World<'_>, calibration: &'static Calibration) -> Scored {
    let judgement = judged(run, world, Rank::Worst, calibration);
    let time = judgement.time.as_ref();
    let memory = judgement.memory.as_ref();
    Scored {
        source: run.source.clone(),
        name: run.name.clone(),
        outcome: run.outcome,
        verdict: judgement.verdict,
        oom_probability: judgement.oom_probability,
        need: memory.map(Need::of),
        evidence: judgement.evidence,
        framework: judgement.job.framework,
        accelerator: judgement.summary.accelerator.clone(),
        stated: estimated(&judgement, world, calibration)
            .is_some_and(|estimate| stated::is_stated(run, &judgement, &estimate)),
        memory: run.memory.and_then(|measured| {
            if measured.last_stage {
                compared(measured, &judged(run, world, Rank::Last, calibration))
            } else {
                compared(measured, &judgement)
            }
        }),
        tokens_per_second_per_gpu: run.tokens_per_second_per_gpu.and_then(|measured| {
            let estimated = time?.tokens_per_second_per_gpu;
            Some(Comparison::exact(measured, estimated))
        }),
        gpu_hours: run.gpu_hours.and_then(|measured| {
            let time = time?;
            let (lower, upper) = (time.gpu_hours_low, time.gpu_hours_high);
            Some(Comparison { lower, upper, ..Comparison::exact(measured, time.gpu_hours?) })
        }),
        missing: keys::of_fields(&judgement.missing),
    }
}

/// The judgement of the training: of several objects, the first one that trains.
fn judged(run: &Run, world: &World<'_>, rank: Rank, calibration: &'static Calibration) -> Judgement {
    let ask = Ask { advice: false, quoting: Quoting::Everything, rank, ..Ask::default() };
    let objects = match (&run.spec, &run.manifest) {
        (Some(spec), _) => {
            vec![json!({"apiVersion": "weighbridge.dev/v1alpha1", "kind": "TrainingEstimate", "spec": spec})]
        }
        (None, Some(Value::Array(objects))) => objects.clone(),
        (None, Some(object)) => vec![object.clone()],
        (None, None) => Vec::new(),
    };
    let around = Surroundings::of(&objects, world.kinds);
    let mut judgements = objects.iter().map(|object| judge_with(object, &around, world, &ask, calibration));
    judgements.find(|judgement| judgement.verdict.trains()).unwrap_or_else(|| {
        Judgement::without_figures(Verdict::NotTraining, crate::judgement::Reason::NotTraining)
    })
}

/// The estimate of the judged job.
fn estimated(
    judgement: &Judgement,
    world: &World<'_>,
    calibration: &'static Calibration,
) -> Option<Estimate> {
    let kind = judgement.job.accelerator.as_ref().and_then(|accelerator| accelerator.kind.as_deref());
    let accelerator = kind.and_then(|kind| world.catalogue.find(kind));
    let device = Device { bf16: accelerator.is_none_or(Accelerator::computes_in_bf16) };
    estimate_rank(&judgement.job, device, Rank::Worst, calibration).ok()
}

/// The figure that the counter measures.
fn compared(measured: Measured, judgement: &Judgement) -> Option<Comparison> {
    let counted = judgement.counted?;
    let figure = match measured.counter {
        Counter::Allocated => counted.allocated,
        Counter::Reserved => counted.reserved,
        Counter::Process => counted.process,
    };
    Some(Comparison {
        measured: measured.gib,
        estimated: figure.estimated.as_gib(),
        lower: Some(figure.lower.as_gib()),
        upper: Some(figure.upper.as_gib()),
        step: measured.step,
        at_least: measured.at_least,
    })
}

impl Counter {
    /// The estimated figure that the counter measures.
    pub fn figure(self) -> Figure {
        match self {
            Self::Allocated => Figure::Allocated,
            Self::Reserved => Figure::Reserved,
            Self::Process => Figure::Process,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scored(line: &str) -> Scored {
        score(&Run::parse(line).unwrap(), &World::built_in())
    }

    #[test]
    fn a_run_is_compared_by_its_counter() {
        let line = |counter: &str| {
            format!(
                r#"{{"source": "a", "outcome": "fits", "memory": {{"gib": 40, "counter": "{counter}"}},
                    "spec": {{"model": {{"name": "llama-2-7b"}}, "accelerator": {{"type": "A100-80GB", "count": 8}},
                    "batch": {{"microBatchSize": 1, "sequenceLength": 2048}}}}}}"#
            )
        };
        let figure = |counter: &str| scored(&line(counter)).memory.unwrap();
        let (allocated, reserved, process) = (figure("allocated"), figure("reserved"), figure("process"));
        assert!(allocated.estimated <= reserved.estimated && reserved.estimated < process.estimated);
        assert!((allocated.error() - (allocated.estimated / 40.0 - 1.0)).abs() < 1e-12);
        assert!(
            allocated.lower.unwrap() <= allocated.estimated
                && allocated.estimated <= allocated.upper.unwrap()
        );
    }

    #[test]
    fn a_rounded_figure_stands_for_all_values_that_round_to_it() {
        let error = |estimated: f64, step: f64, at_least: bool| {
            Comparison { step, at_least, ..Comparison::exact(40.0, estimated) }.error()
        };
        assert!(error(40.4, 1.0, false).abs() < 1e-12 && error(39.6, 1.0, false).abs() < 1e-12);
        assert!((error(81.0, 1.0, false) - 1.0).abs() < 1e-12);
        assert!((error(44.0, 0.0, false) - 0.1).abs() < 1e-12);
        assert!(error(44.0, 0.0, true).abs() < 1e-12 && (error(36.0, 0.0, true) + 0.1).abs() < 1e-12);
    }

    #[test]
    fn a_manifest_is_judged_as_at_the_gate() {
        let line = r#"{"source": "a", "outcome": "oom", "manifest": [{"apiVersion": "v1", "kind": "Service"},
            {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"annotations": {"weighbridge.dev/parameters": "70B",
            "weighbridge.dev/sharding": "ddp", "weighbridge.dev/gpu-type": "A100-80GB"}}, "spec": {"template": {"spec": {
            "containers": [{"name": "a", "resources": {"limits": {"nvidia.com/gpu": 8}}}]}}}}]}"#;
        let scored = scored(&line.replace('\n', " "));
        assert_eq!(scored.verdict, Verdict::OutOfMemory);
        assert!(scored.oom_probability.unwrap() > 0.9);
    }
}
