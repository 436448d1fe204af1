//! The published figures in `published/*.toml`, as the runs that `weighbridge score` reads.
//!
//! ```text
//! [job]       the common facts of the source's runs, as fields of a training job
//! [models]    the shapes to which the rows refer
//! [left_out]  rows of the source that are not scored: the rule, and their names
//! reading     the step of the source's figures in GiB, if they are rounded coarsely: 1.0 for whole GB
//! counter     the counter of figures whose kind the source does not state; `process`, unless the file names one
//! party       who measured, if several files are one party's, or one file is several parties'
//! held_out    whether no constant is fitted on the rows
//! [rows]      name = { figure, gib, outcome, rank, model, rows, at_least, job = { … } }
//! ```
//!
//! `figure` is the kind of the measurement: `allocated`, `reserved`, `process` (all memory in use on the device) or
//! `unstated`. `rank` is the measured rank: the worst, unless the source logged the last. `rows` counts equal rows of
//! the source. `at_least` marks a figure that was read before the fullest instant.
//!
//! Equal specifications are one run, with the median of their figures.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;
use toml::{Table, Value};
use weighbridge::job::TrainingJob;
use weighbridge::score::{Counter, Measured, Outcome, Run};

use super::statistics::median;

const FILES: &[(&str, &str)] = &[
    ("megatron-core", include_str!("published/megatron-core.toml")),
    ("openeurollm-megatron", include_str!("published/openeurollm-megatron.toml")),
    ("openeurollm-torchtitan", include_str!("published/openeurollm-torchtitan.toml")),
    ("bigscience", include_str!("published/bigscience.toml")),
    ("torchtitan", include_str!("published/torchtitan.toml")),
    ("litgpt", include_str!("published/litgpt.toml")),
    ("peft", include_str!("published/peft.toml")),
    ("fsdp-qlora", include_str!("published/fsdp-qlora.toml")),
    ("torchtune", include_str!("published/torchtune.toml")),
    ("swift", include_str!("published/swift.toml")),
    ("qwen", include_str!("published/qwen.toml")),
    ("mlperf", include_str!("published/mlperf.toml")),
    ("llm-foundry", include_str!("published/llm-foundry.toml")),
    ("nvidia", include_str!("published/nvidia.toml")),
    ("papers", include_str!("published/papers.toml")),
    ("fms-acceleration", include_str!("published/fms-acceleration.toml")),
    ("megatron-core-2", include_str!("published/megatron-core-2.toml")),
    ("simumax", include_str!("published/simumax.toml")),
    ("mindspeed", include_str!("published/mindspeed.toml")),
    ("torchao", include_str!("published/torchao.toml")),
    ("unsloth", include_str!("published/unsloth.toml")),
];

/// One published run.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// Who measured. Independent of all other parties.
    pub(crate) party: String,
    /// Whether no constant is fitted on it.
    pub(crate) held_out: bool,
    pub(crate) run: Run,
    pub(crate) job: TrainingJob,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    reading: f64,
    counter: Option<Counter>,
    #[serde(default)]
    party: Party,
    #[serde(default)]
    held_out: bool,
    job: Table,
    models: Table,
    #[serde(default)]
    left_out: BTreeMap<String, Vec<String>>,
    rows: BTreeMap<String, Entry>,
}

/// Who measured the rows of a file.
#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Party {
    /// One party, that the file is named after.
    #[default]
    File,
    /// This party.
    Named(String),
    /// Several: a row's name begins with its publication.
    Publications,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    figure: Option<Kind>,
    gib: Option<f64>,
    outcome: Outcome,
    rank: Option<Rank>,
    model: String,
    #[serde(default, rename = "rows")]
    _equal: u32,
    #[serde(default)]
    at_least: bool,
    job: Table,
}

/// The kind of a source's measurement.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Allocated,
    Reserved,
    Process,
    Unstated,
}

#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Rank {
    Last,
}

/// All published runs, in the files' order.
pub(crate) fn rows() -> &'static [Row] {
    static ROWS: LazyLock<Vec<Row>> =
        LazyLock::new(|| FILES.iter().flat_map(|(source, text)| of_file(source, text)).collect());
    &ROWS
}

fn of_file(source: &str, text: &str) -> Vec<Row> {
    let file: File = toml::from_str(text).unwrap_or_else(|error| panic!("{source}: {error}"));
    let mut equal: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    for (name, entry) in &file.rows {
        assert!(file.left_out.values().all(|names| !names.contains(name)), "{name} is left out");
        let row = file.row(source, name, entry);
        let Run { spec, outcome, memory, .. } = &row.run;
        let kind = memory.map(|memory| Measured { gib: 0.0, ..memory });
        equal.entry(format!("{kind:?} {outcome:?} {spec:?}")).or_default().push(row);
    }
    let mut rows: Vec<Row> = equal.into_values().filter_map(|rows| together(&rows)).collect();
    rows.sort_by(|one, other| one.run.name.cmp(&other.run.name));
    rows
}

/// Equal specifications, with the median of their figures.
fn together(rows: &[Row]) -> Option<Row> {
    let mut row = rows.first()?.clone();
    let figures: Vec<f64> = rows.iter().filter_map(|row| row.run.memory).map(|memory| memory.gib).collect();
    row.run.memory = row.run.memory.map(|memory| Measured { gib: median(&figures), ..memory });
    Some(row)
}

impl File {
    fn row(&self, source: &str, name: &str, entry: &Entry) -> Row {
        let mut job = self.job.clone();
        job.insert("model".into(), self.models[&entry.model].clone());
        merge(&mut job, entry.job.clone());
        let spec = serde_json::to_value(&job).expect("TOML without dates is JSON");
        let counter = |kind| match kind {
            Kind::Allocated => (Counter::Allocated, false),
            Kind::Reserved => (Counter::Reserved, false),
            Kind::Process => (Counter::Process, false),
            Kind::Unstated => (self.counter.unwrap_or(Counter::Process), true),
        };
        let memory = entry.figure.map(counter).zip(entry.gib).map(|((counter, assumed), gib)| Measured {
            gib,
            counter,
            assumed,
            step: self.reading,
            last_stage: entry.rank == Some(Rank::Last),
            at_least: entry.at_least,
        });
        let publication = || name.split('-').next().unwrap_or_default().to_owned();
        Row {
            party: match &self.party {
                Party::File => source.to_owned(),
                Party::Named(party) => party.clone(),
                Party::Publications => publication(),
            },
            held_out: self.held_out,
            job: Value::Table(job).try_into().unwrap_or_else(|error| panic!("{name}: {error}")),
            run: Run {
                source: source.to_owned(),
                name: Some(name.to_owned()),
                spec: Some(spec),
                manifest: None,
                outcome: Some(entry.outcome),
                memory,
                tokens_per_second_per_gpu: None,
                gpu_hours: None,
            },
        }
    }
}

fn merge(into: &mut Table, from: Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Table(inner)), Value::Table(more)) => merge(inner, more),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

/// `cargo test --test local published_runs_as_lines -- --ignored --nocapture`: every run, as `weighbridge score` reads it.
#[test]
#[ignore = "prints; there is nothing to fail"]
fn published_runs_as_lines() {
    for row in rows() {
        println!("{}", serde_json::to_string(&row.run).expect("a run is plain data"));
    }
}
