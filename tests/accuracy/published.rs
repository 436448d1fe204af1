//! The published figures in `published/*.toml`.
//!
//! ```text
//! [job]       the common facts of the source's runs, as fields of a training job
//! [models]    the shapes to which the rows refer
//! [left_out]  rows of the source that are not scored: the rule, and their names
//! reading     the step of the source's figures in GiB, if they are rounded coarsely: 1.0 for whole GB
//! [rows]      name = { figure, gib, outcome, rank, model, rows, job = { … } }
//! ```
//!
//! `figure` is the kind of the measurement: `allocated`, `reserved`, `process` (all memory in use on the device) or
//! `unstated`. `rank` is the measured rank: the worst, unless the source logged the last. `rows` counts equal rows of
//! the source.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::{Table, Value};
use weighbridge::job::TrainingJob;

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
];

/// The kind of a source's measurement.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Measured {
    Allocated,
    Reserved,
    Process,
    Unstated,
}

/// Whether the run fit.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    Fits,
    Oom,
}

/// One published run.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) source: &'static str,
    pub(crate) name: String,
    pub(crate) figure: Option<(Measured, f64)>,
    pub(crate) outcome: Outcome,
    pub(crate) last_rank: bool,
    /// The step to which the figure is rounded, in GiB.
    pub(crate) reading: f64,
    pub(crate) job: TrainingJob,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    reading: f64,
    job: Table,
    models: Table,
    #[serde(default)]
    left_out: BTreeMap<String, Vec<String>>,
    rows: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    figure: Option<Measured>,
    gib: Option<f64>,
    outcome: Outcome,
    rank: Option<Rank>,
    model: String,
    #[serde(default, rename = "rows")]
    _equal: u32,
    job: Table,
}

#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Rank {
    Last,
}

/// All published runs, in the files' order.
pub(crate) fn rows() -> Vec<Row> {
    FILES.iter().flat_map(|(source, text)| of_file(source, text)).collect()
}

fn of_file(source: &'static str, text: &str) -> Vec<Row> {
    let file: File = toml::from_str(text).unwrap_or_else(|error| panic!("{source}: {error}"));
    let row = |(name, entry): (String, Entry)| {
        let mut job = file.job.clone();
        job.insert("model".into(), file.models[&entry.model].clone());
        merge(&mut job, entry.job);
        assert!(file.left_out.values().all(|names| !names.contains(&name)), "{name} is left out");
        Row {
            source,
            figure: entry.figure.zip(entry.gib),
            outcome: entry.outcome,
            reading: file.reading,
            last_rank: entry.rank == Some(Rank::Last),
            job: Value::Table(job).try_into().unwrap_or_else(|error| panic!("{name}: {error}")),
            name,
        }
    };
    file.rows.into_iter().map(row).collect()
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
