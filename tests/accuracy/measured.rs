//! Training steps of this project on one device, against the product's predictions.
//!
//! `measured/measure.py` runs Hugging Face's Trainer; `measured/h200.csv` is its output.
//! [`run`](super::throughput::measured) turns a row into the training job that a person would write. Parts of the
//! memory model come from these runs: the activations of compiled layers, the context, the workspace and the
//! allocator's holes on this device. The coefficients of the time are fitted on them and on the published runs.
//!
//! Runs that ran out of memory count only for the verdicts. Bounds: `measured/bounds.toml`.

use std::collections::BTreeMap;

use serde::Deserialize;
use weighbridge::estimate::assume::Device;
use weighbridge::estimate::estimate;
use weighbridge::estimate::time::time;
use weighbridge::hardware::{Accelerator, Catalogue};
use weighbridge::job::{Batch, Finetuning, Precision, TrainingJob};
use weighbridge::policy::World;
use weighbridge::score::{self as scoring, Counter, Measured, Need, Outcome, Scored};

use super::score;
use super::shown::{Shown, show};
use super::statistics::median;
use super::throughput::measured::{Run, runs};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bounds {
    memory: BTreeMap<String, MemoryBound>,
    verdicts: Verdicts,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MemoryBound {
    median: f64,
    p95: f64,
    worst_under: f64,
    holds_at_least: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Verdicts {
    fits_denied_at_most: usize,
    fits_warned_at_most: usize,
    ooms_warned_at_least: usize,
    fits_warned_of_little_said_at_most: usize,
}

impl Run {
    /// Rows of one group differ only in size.
    fn group(&self) -> String {
        let method = if self.get("method") == "full" { "full" } else { "LoRA" };
        let recompute = if self.get("recompute") == "full" { "recomputed" } else { "kept" };
        let more = if self.compiled() { ", compiled" } else { "" };
        let weights = if method == "full" { format!(" {}", self.get("weights")) } else { String::new() };
        format!("{method}{weights}, {recompute}{more}")
    }

    fn name(&self) -> String {
        ["model", "method", "weights", "optimizer", "recompute", "compile", "micro_batch", "sequence"]
            .map(|column| self.get(column))
            .join(" ")
            + &format!("x{} {}", self.get("accumulation"), self.get("options"))
    }

    /// The job of a person who gives only model, method, batch and device, and that the weights are in fp32, which
    /// Transformers since 5.0 does only on request.
    fn short_job(&self) -> TrainingJob {
        let job = self.job();
        let finetuning =
            job.finetuning.map(|finetuning| Finetuning { targets: None, dropout: None, ..finetuning });
        let batch = job.batch.map(|batch| Batch { packing: None, ..batch });
        TrainingJob {
            model: job.model,
            framework: job.framework,
            parameter_precision: job.parameter_precision.filter(|stored| *stored == Precision::FP32),
            finetuning,
            batch,
            accelerator: job.accelerator,
            ..TrainingJob::default()
        }
    }

    /// The row with one figure, as the job that is given.
    fn as_run(&self, job: &TrainingJob, counter: Counter, column: &str) -> scoring::Run {
        let memory = || Measured {
            gib: self.number(column),
            counter,
            assumed: false,
            step: 0.0,
            last_stage: false,
            at_least: false,
        };
        scoring::Run {
            source: "measured".to_owned(),
            name: Some(self.name()),
            spec: Some(serde_json::to_value(job).expect("a job is plain data")),
            manifest: None,
            outcome: Some(if self.fits() { Outcome::Fits } else { Outcome::Oom }),
            memory: self.fits().then(memory),
            tokens_per_second_per_gpu: None,
            gpu_hours: None,
        }
    }

    fn scored(&self, counter: Counter, column: &str) -> Scored {
        scoring::score(&self.as_run(&self.job(), counter, column), &World::built_in())
    }
}

const FIGURES: [(&str, Counter, &str); 3] = [
    ("allocated", Counter::Allocated, "allocated_gib"),
    ("reserved", Counter::Reserved, "reserved_gib"),
    ("process", Counter::Process, "process_gib"),
];

fn bounds() -> Bounds {
    toml::from_str(include_str!("measured/bounds.toml")).expect("bounds.toml is valid")
}

fn h200() -> &'static Accelerator {
    Catalogue::builtin().find("H200").expect("it is in the catalogue")
}

/// ln predicted − ln measured tokens per second, and whether the interval covers the measured value.
fn throughput(row: &Run) -> (f64, bool) {
    let job = row.job();
    let estimate = estimate(&job, Device { bf16: true }).expect("a shape");
    let taken = time(&job, estimate.running(), h200().into()).expect("a rate");
    let ratio = row.number("tokens_per_second") / taken.tokens_per_second_per_gpu;
    let (low, high) = (taken.mfu_low / taken.mfu, taken.mfu_high / taken.mfu);
    (-ratio.ln(), (low..=high).contains(&ratio))
}

#[test]
fn errors_on_measured_memory_do_not_grow() {
    let mut shown = Shown::new("measured-memory");
    let rows = runs();
    let bounds = bounds();
    for (name, counter, column) in FIGURES {
        let scored: Vec<(&Run, Scored)> =
            rows.iter().filter(|row| row.fits()).map(|row| (row, row.scored(counter, column))).collect();
        let by = |key: fn(&Run) -> String| score::by(scored.iter().map(|(row, one)| (key(row), one)));
        let report = by(Run::group);
        show!(shown, "{name}\n{}", score::memory(&report));
        if name == "allocated" {
            show!(shown, "{name}, by model\n{}", score::memory(&by(|row| row.get("model").to_owned())));
        }
        let all = score::group(&report.memory, "all");
        let bound = &bounds.memory[name];
        assert!(all.median <= bound.median && all.p95 <= bound.p95, "{name}: {all:?}");
        assert!(all.worst_under >= bound.worst_under, "{name}: {all:?}");
        assert!(all.covered.is_some_and(|covered| covered >= bound.holds_at_least), "{name}: {all:?}");
    }
    shown.end();
}

#[test]
fn verdicts_match_measured_outcomes() {
    let mut shown = Shown::new("measured-verdicts");
    let scored: Vec<Scored> = runs().iter().map(|row| row.scored(Counter::Process, "process_gib")).collect();
    for one in &scored {
        let need = one.need.and_then(Need::over_capacity).expect("the device is known");
        if need > 0.85 {
            let probability = one.oom_probability.expect("it is judged");
            let (outcome, name) = (one.outcome.expect("it ended"), one.name.as_deref().unwrap_or_default());
            show!(shown, "{outcome:?} {:?} {probability:.3} {need:.3} {name}", one.verdict);
        }
    }
    let report = scoring::Report::of(scored);
    show!(shown, "{}", score::gate(&report));
    let (all, bounds) = (report.gate.last().expect("there are runs"), bounds().verdicts);
    assert!(all.fits_refused <= bounds.fits_denied_at_most, "{all:?}");
    assert!(all.fits_troubled() <= bounds.fits_warned_at_most, "{all:?}");
    assert!(all.ooms_noticed() >= bounds.ooms_warned_at_least, "{all:?}");
    shown.end();
}

/// Fewer stated fields widen the interval, and it still covers the measured value.
#[test]
fn a_measured_run_with_few_stated_fields_is_not_denied() {
    let mut shown = Shown::new("measured-little-said");
    let world = World::built_in();
    let scored = runs().into_iter().map(|row| row.as_run(&row.short_job(), Counter::Process, "process_gib"));
    let report = scoring::Report::of(scored.map(|run| scoring::score(&run, &world)).collect());
    show!(shown, "{}", score::memory(&report));
    show!(shown, "{}", score::gate(&report));
    for one in &report.runs {
        let Some(figure) = one.memory.filter(|figure| figure.is_covered() == Some(false)) else { continue };
        show!(
            shown,
            "{} {:.1} {:.1} {:.1}..{:.1}",
            one.name.as_deref().unwrap_or_default(),
            figure.measured,
            figure.estimated,
            figure.lower.unwrap_or_default(),
            figure.upper.unwrap_or_default()
        );
    }
    let (all, bounds) = (report.gate.last().expect("there are runs"), bounds().verdicts);
    assert!(all.fits_refused <= bounds.fits_denied_at_most, "{all:?}");
    assert!(all.fits_troubled() <= bounds.fits_warned_of_little_said_at_most, "{all:?}");
    assert!(all.ooms_noticed() >= bounds.ooms_warned_at_least, "{all:?}");
    shown.end();
}

/// The time model has its own bounds on published rows; this test only prints its errors on these.
#[test]
fn the_errors_on_measured_throughput_are_shown() {
    let mut shown = Shown::new("measured-throughput");
    let rows: Vec<Run> = runs().into_iter().filter(Run::fits).collect();
    let mut groups: BTreeMap<String, Vec<(f64, bool)>> = BTreeMap::new();
    for row in &rows {
        for group in [row.group(), row.get("model").to_owned(), "all".to_owned()] {
            groups.entry(group).or_default().push(throughput(row));
        }
    }
    show!(shown, "tokens a second                                n    MAPE  median    bias  covered");
    for (name, of) in &groups {
        let errors: Vec<f64> = of.iter().map(|(left, _)| left.exp() - 1.0).collect();
        let sizes: Vec<f64> = errors.iter().map(|error| error.abs()).collect();
        let mean = sizes.iter().sum::<f64>() / sizes.len() as f64;
        let covered = of.iter().filter(|(_, held)| *held).count() as f64 / of.len() as f64;
        show!(
            shown,
            "{name:43}{:5}{:6.1} %{:6.1} %{:+6.1} %{:6.0} %",
            of.len(),
            100.0 * mean,
            100.0 * median(&sizes),
            100.0 * median(&errors),
            100.0 * covered
        );
    }
    shown.end();
}
