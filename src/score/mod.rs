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

mod report;
mod run;
pub mod statistics;

pub use report::{Bin, Gate, Group, Report};
pub use run::{Counter, Measured, Outcome, Run};

use serde::Serialize;
use serde_json::{Value, json};

use crate::estimate::assume::Device;
use crate::estimate::estimate_rank;
use crate::estimate::memory::Figure;
use crate::hardware::Accelerator;
use crate::job::{Ask, Quoting, Rank, keys};
use crate::judge::judge;
use crate::judgement::{Judgement, Verdict};
use crate::policy::World;
use crate::surroundings::Surroundings;

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
    /// The measured memory, in GiB per GPU.
    pub memory: Option<Comparison>,
    /// Tokens per second and GPU.
    pub tokens_per_second_per_gpu: Option<Comparison>,
    /// GPU-hours.
    pub gpu_hours: Option<Comparison>,
    /// The keys of the fields that are missing for a better judgement.
    pub missing: Vec<&'static str>,
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
}

impl Comparison {
    /// Estimated / measured − 1. Negative means underestimated.
    pub fn error(self) -> f64 {
        self.estimated / self.measured - 1.0
    }

    /// Whether the interval contains the measured value. `None` without an interval.
    pub fn is_covered(self) -> Option<bool> {
        Some((self.lower?..=self.upper?).contains(&self.measured))
    }
}

/// Judges a run and compares it with its measurements.
pub fn score(run: &Run, world: &World<'_>) -> Scored {
    let judgement = judged(run, world);
    let time = judgement.time.as_ref();
    Scored {
        source: run.source.clone(),
        name: run.name.clone(),
        outcome: run.outcome,
        verdict: judgement.verdict,
        oom_probability: judgement.oom_probability,
        memory: run.memory.and_then(|measured| memory(measured, &judgement, world)),
        tokens_per_second_per_gpu: run.tokens_per_second_per_gpu.and_then(|measured| {
            let estimated = time?.tokens_per_second_per_gpu;
            Some(Comparison { measured, estimated, lower: None, upper: None })
        }),
        gpu_hours: run.gpu_hours.and_then(|measured| {
            let time = time?;
            let (lower, upper) = (time.gpu_hours_low, time.gpu_hours_high);
            Some(Comparison { measured, estimated: time.gpu_hours?, lower, upper })
        }),
        missing: keys::of_fields(&judgement.missing),
    }
}

/// The judgement of the training: of several objects, the first one that trains.
fn judged(run: &Run, world: &World<'_>) -> Judgement {
    let ask = Ask { advice: false, quoting: Quoting::Everything, ..Ask::default() };
    let objects = match (&run.spec, &run.manifest) {
        (Some(spec), _) => {
            vec![json!({"apiVersion": "weighbridge.dev/v1alpha1", "kind": "TrainingEstimate", "spec": spec})]
        }
        (None, Some(Value::Array(objects))) => objects.clone(),
        (None, Some(object)) => vec![object.clone()],
        (None, None) => Vec::new(),
    };
    let around = Surroundings::of(&objects, world.kinds);
    let mut judgements = objects.iter().map(|object| judge(object, &around, world, &ask));
    judgements.find(|judgement| judgement.verdict.trains()).unwrap_or_else(|| {
        Judgement::without_figures(Verdict::NotTraining, crate::judgement::Reason::NotTraining)
    })
}

/// The worst rank's figure that the counter measures.
fn memory(measured: Measured, judgement: &Judgement, world: &World<'_>) -> Option<Comparison> {
    let kind = judgement.job.accelerator.as_ref().and_then(|accelerator| accelerator.kind.as_deref());
    let accelerator = kind.and_then(|kind| world.catalogue.find(kind));
    let device = Device { bf16: accelerator.is_none_or(Accelerator::computes_in_bf16) };
    let estimate = estimate_rank(&judgement.job, device, Rank::Worst).ok()?;
    let figure = match measured.counter {
        Counter::Allocated => Figure::Allocated,
        Counter::Reserved => Figure::Reserved,
        Counter::Process => Figure::Process,
    };
    let (lower, upper) = estimate.distribution(figure).bounds();
    Some(Comparison {
        measured: measured.gib,
        estimated: estimate.peak.figure(figure).as_gib(),
        lower: Some(lower.as_gib()),
        upper: Some(upper.as_gib()),
    })
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
