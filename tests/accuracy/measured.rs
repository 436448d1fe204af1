//! Training steps of this project on one device, against the product's predictions.
//!
//! `measured/measure.py` runs Hugging Face's Trainer; `measured/h200.csv` is its output.
//! [`run`](super::throughput::measured) turns a row into the training job that a person would write. Parts of the
//! memory model come from these runs: the activations of compiled layers, the context, the workspace and the
//! allocator's holes on this device. The coefficients of the time are fitted on them and on the published runs.
//!
//! Runs that ran out of memory count only for the verdicts. Bounds: `measured/bounds.toml`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Deserialize;
use weighbridge::estimate::assume::Device;
use weighbridge::estimate::estimate;
use weighbridge::estimate::time::time;
use weighbridge::hardware::{Accelerator, Catalogue};
use weighbridge::job::{Batch, Finetuning, Precision, TrainingJob};

use super::published::{self, Measured, Outcome};
use super::score::{Scored, score_one};
use super::shown::{Shown, show};
use super::statistics::median;
use super::table;
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

    /// One figure of the row, as a published row.
    fn published(&self, kind: Measured, column: &str) -> published::Row {
        published::Row {
            source: "measured",
            name: self.name(),
            figure: self.fits().then(|| (kind, self.number(column))),
            outcome: if self.fits() { Outcome::Fits } else { Outcome::Oom },
            last_rank: false,
            reading: 0.0,
            job: self.job(),
        }
    }

    fn scored(&self, kind: Measured, column: &str) -> Scored {
        score_one(&[&self.published(kind, column)]).expect("there is a row")
    }
}

const FIGURES: [(&str, Measured, &str); 3] = [
    ("allocated", Measured::Allocated, "allocated_gib"),
    ("reserved", Measured::Reserved, "reserved_gib"),
    ("process", Measured::Process, "process_gib"),
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
    for (name, kind, column) in FIGURES {
        let scored: Vec<(String, Scored)> =
            rows.iter().filter(|row| row.fits()).map(|row| (row.group(), row.scored(kind, column))).collect();
        let all: Vec<&Scored> = scored.iter().map(|(_, one)| one).collect();
        let group = |one: &Scored| {
            scored
                .iter()
                .find(|(_, other)| std::ptr::eq(other, one))
                .map_or_else(String::new, |(g, _)| g.clone())
        };
        show!(shown, "{}", table::accuracy(&format!("measured: {name}"), &all, group));
        if name == "allocated" {
            let model = |one: &Scored| one.name.split(' ').next().unwrap_or_default().to_owned();
            show!(shown, "{}", table::accuracy("measured: allocated, by model", &all, model));
        }
        let line = table::line(all.iter().filter_map(|one| one.figure.as_ref()));
        let bound = &bounds.memory[name];
        assert!(line.median <= bound.median && line.p95 <= bound.p95, "{name}: {line:?}");
        assert!(line.worst_under >= bound.worst_under, "{name}: {line:?}");
        assert!(line.coverage >= bound.holds_at_least, "{name}: {line:?}");
    }
    shown.end();
}

#[test]
fn verdicts_match_measured_outcomes() {
    let mut shown = Shown::new("measured-verdicts");
    let scored: Vec<Scored> = runs().iter().map(|row| row.scored(Measured::Process, "process_gib")).collect();
    show!(shown, "{}", table::verdicts(&scored));
    for one in &scored {
        let judged = one.judged.expect("the device is known");
        if judged.fullness > 0.85 {
            show!(
                shown,
                "{:?} {:?} {:.3} {:.3} {}",
                one.outcome,
                judged.verdict,
                judged.probability,
                judged.fullness,
                one.name
            );
        }
    }
    let (all, bounds) = (table::confusion(scored.iter()), bounds().verdicts);
    assert!(all.fits_denied <= bounds.fits_denied_at_most, "{all:?}");
    assert!(all.fits_warned <= bounds.fits_warned_at_most, "{all:?}");
    assert!(all.ooms_warned >= bounds.ooms_warned_at_least, "{all:?}");
    shown.end();
}

/// Fewer stated fields widen the interval, and it still covers the measured value.
#[test]
fn a_measured_run_with_few_stated_fields_is_not_denied() {
    let mut shown = Shown::new("measured-little-said");
    let scored: Vec<Scored> = runs()
        .iter()
        .map(|row| {
            let published = row.published(Measured::Process, "process_gib");
            let short = published::Row { job: row.short_job(), ..published };
            score_one(&[&short]).expect("there is a row")
        })
        .collect();
    let all: Vec<&Scored> = scored.iter().collect();
    show!(shown, "{}", table::accuracy("measured, little said: process", &all, |_| "any".to_owned()));
    show!(shown, "{}", table::verdicts(&scored));
    for one in &scored {
        if let Some(figure) = one.figure.filter(|figure| !figure.is_covered()) {
            show!(
                shown,
                "{} {:.1} {:.1} {:.1}..{:.1}",
                one.name,
                figure.measured,
                figure.estimated,
                figure.lower,
                figure.upper
            );
        }
    }
    let (all, bounds) = (table::confusion(scored.iter()), bounds().verdicts);
    assert!(all.fits_denied <= bounds.fits_denied_at_most, "{all:?}");
    assert!(all.fits_warned <= bounds.fits_warned_of_little_said_at_most, "{all:?}");
    assert!(all.ooms_warned >= bounds.ooms_warned_at_least, "{all:?}");
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

/// `cargo test --test local every_measured_row -- --ignored --nocapture`: every row, tab-separated.
#[test]
#[ignore = "prints; there is nothing to fail"]
fn every_measured_row() {
    for row in runs() {
        let figures = FIGURES.map(|(_, kind, column)| row.scored(kind, column).figure);
        let mut text = row.name();
        for figure in figures.into_iter().flatten() {
            let _ = write!(
                text,
                "\t{:.2} {:.2} {:+.1}%{}",
                figure.measured,
                figure.estimated,
                100.0 * figure.error(),
                if figure.is_covered() { "" } else { "!" }
            );
        }
        if row.fits() {
            let _ = write!(text, "\t{:+.1}%", 100.0 * (throughput(&row).0.exp() - 1.0));
        }
        println!("ROW\t{text}");
    }
}
