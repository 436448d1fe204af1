//! The published throughput in `rows.csv`, with the shapes of `models.toml`, and in `runs.jsonl`, in the format of
//! `weighbridge score`. `sources.toml` has the origins of both.
//!
//! Every row becomes the training job that its source describes, in the fields of a user's job. Fields that the source
//! does not state stay open, as in any job. The runs of this project ([`measured`]) follow them. Coefficients are
//! fitted on these runs too, but the tables of published rows do not count them.

use std::collections::BTreeMap;

use serde::Deserialize;
use weighbridge::estimate::time::planner;
use weighbridge::hardware::{Accelerator, Catalogue};
use weighbridge::job::{
    Accelerator as Asked, Attention, Batch, Dispatcher, Finetuning, Framework, Method, Model, Offload,
    Parallelism, Precision, Recompute, Sharding, TrainingJob,
};
use weighbridge::score::Run;
use weighbridge::units::Decimal;

use super::measured;

/// One published run.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// The name in the file.
    pub(crate) name: String,
    /// The source's key in `sources.toml`.
    pub(crate) source: String,
    /// The project that measured it; several sources may belong to one.
    pub(crate) origin: String,
    /// The model's name.
    pub(crate) model: String,
    /// The accelerator.
    pub(crate) accelerator: &'static Accelerator,
    /// The source's facts about the run.
    pub(crate) job: TrainingJob,
    /// Tokens per second on one accelerator.
    pub(crate) measured: f64,
    /// Whether layout, microbatch, batch, sequence and shape are stated.
    pub(crate) complete: bool,
    /// Whether the division of the work is stated, or has only one possible value.
    pub(crate) laid_out: bool,
}

/// The origin of rows.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Source {
    /// The document.
    pub(crate) from: String,
    /// The project that measured them, if it has several sources.
    pub(crate) origin: Option<String>,
    /// Whether the document says that each expert is given an even share of the tokens: a capacity factor of 1.
    #[serde(default)]
    pub(crate) balanced: bool,
}

/// `sources.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sources {
    /// By key.
    pub(crate) source: BTreeMap<String, Source>,
    /// Rows that are not scored: the rule, and their names.
    pub(crate) left_out: BTreeMap<String, Vec<String>>,
}

/// All sources.
pub(crate) fn sources() -> Sources {
    toml::from_str(include_str!("sources.toml")).expect("sources.toml is valid")
}

/// A capacity factor of 1.
const EVEN: Decimal = Decimal { micros: 1_000_000 };

/// The source of this project's runs.
pub(crate) const MEASURED: &str = "h200";

/// The published names of measured models, so that a held-out model is excluded from both.
const PUBLISHED_AS: [(&str, &str); 3] =
    [("llama-3.1-8b", "LLAMA3_8B"), ("qwen2.5-7b", "Qwen2.5 7B"), ("qwen3-8b", "Qwen3 8B")];

/// The runs of this project that completed.
fn measured_rows() -> impl Iterator<Item = Row> {
    let accelerator = Catalogue::builtin().find("H200").expect("it is in the catalogue");
    measured::runs().into_iter().filter(measured::Run::fits).enumerate().map(move |(index, run)| {
        let model = run.get("model");
        let published = PUBLISHED_AS.iter().find(|(name, _)| *name == model);
        Row {
            name: format!("{MEASURED}-{:04}", index + 1),
            source: MEASURED.to_owned(),
            origin: MEASURED.to_owned(),
            model: published.map_or(model, |(_, name)| name).to_owned(),
            accelerator,
            job: run.job(),
            measured: run.number("tokens_per_second"),
            complete: true,
            laid_out: true,
        }
    })
}

/// All rows: the file's, in its order, then this project's.
pub(crate) fn rows() -> Vec<Row> {
    let models: BTreeMap<String, Model> =
        toml::from_str(include_str!("models.toml")).expect("models.toml is valid");
    let sources = sources();
    let lines = include_str!("rows.csv").lines().filter(|line| !line.starts_with('#'));
    let runs = include_str!("runs.jsonl").lines().map(|line| run(line, &sources));
    lines.skip(1).map(|line| row(line, &models, &sources)).chain(runs).chain(measured_rows()).collect()
}

/// Whether layout, microbatch, batch, sequence and shape are stated.
fn is_complete(job: &TrainingJob) -> bool {
    let parallelism = job.parallelism.clone().unwrap_or_default();
    let divided = parallelism.tensor.is_some() || parallelism.pipeline.is_some();
    let gathered = matches!(parallelism.sharding, Some(Sharding::FSDP | Sharding::HSDP | Sharding::ZeRO3));
    // Without one of these, the ranks have whole models.
    let replicated = parallelism.data.is_some() && parallelism.sharding.is_some();
    let alone = job.accelerator.as_ref().and_then(|accelerator| accelerator.count) == Some(1);
    let batched = job.batch.as_ref().is_some_and(|batch| {
        batch.micro_batch_size.is_some()
            && batch.global_batch_size.is_some()
            && batch.sequence_length.is_some()
    });
    let shaped = job.model.as_ref().is_some_and(|model| model.layers.is_some());
    // Experts are divided in one way or another.
    let experts = job.model.as_ref().is_some_and(|model| model.experts.is_some());
    let gathered_here = gathered && parallelism.dispatcher.is_none();
    let placed = !experts || alone || parallelism.expert.is_some() || gathered_here;
    (divided || gathered || replicated || alone) && batched && shaped && placed
}

fn run(line: &str, sources: &Sources) -> Row {
    let run = Run::parse(line).unwrap_or_else(|e| panic!("{line}: {e}"));
    let spec = run.spec.unwrap_or_else(|| panic!("{line}: no spec"));
    let job: TrainingJob = serde_json::from_value(spec).unwrap_or_else(|e| panic!("{line}: {e}"));
    let origin = sources.source.get(&run.source).unwrap_or_else(|| panic!("{} has no origin", run.source));
    let kind =
        job.accelerator.as_ref().and_then(|accelerator| accelerator.kind.as_deref()).unwrap_or_default();
    let model = job.model.clone().unwrap_or_default();
    Row {
        name: run.name.unwrap_or_else(|| panic!("{line}: no name")),
        origin: origin.origin.clone().unwrap_or_else(|| run.source.clone()),
        // Models of different depths that were cut from one are one model.
        model: format!("{:?} wide, {:?} experts", model.hidden_size, model.experts),
        accelerator: Catalogue::builtin()
            .find(kind)
            .unwrap_or_else(|| panic!("{kind} is not in the catalogue")),
        measured: run.tokens_per_second_per_gpu.unwrap_or_else(|| panic!("{line}: no speed")),
        complete: is_complete(&job),
        laid_out: !planner::lacks_layout(&job),
        source: run.source,
        job,
    }
}

fn row(line: &str, models: &BTreeMap<String, Model>, sources: &Sources) -> Row {
    let fields: Vec<&str> = line.split(',').collect();
    let text = |at: usize| fields.get(at).copied().filter(|field| !field.is_empty());
    let number =
        |at: usize| text(at).map(|field| field.parse::<u32>().unwrap_or_else(|e| panic!("{line}: {e}")));
    let known = |at: usize| text(at).unwrap_or_else(|| panic!("{line}: field {at} is empty"));
    let word = |at: usize, read: &dyn Fn(&str) -> bool| {
        assert!(text(at).is_none_or(read), "{line}: field {at} is no known word");
    };
    word(3, &|word| Framework::from_word(word).is_some());
    word(17, &|word| Sharding::from_word(word).is_some());
    let (name, source, model) = (known(0), known(1), known(2));
    let origin = sources.source.get(source).unwrap_or_else(|| panic!("{source} has no origin"));
    let shape = models.get(model).unwrap_or_else(|| panic!("{model} has no shape")).clone();
    let experts = shape.experts.is_some();
    let method = text(7).and_then(Method::from_word);
    let offload = text(18);
    let parallelism = Parallelism {
        tensor: number(11),
        pipeline: number(12),
        virtual_pipeline: number(13),
        context: number(14),
        expert: number(15),
        dispatcher: text(16).and_then(Dispatcher::from_word),
        capacity_factor: (origin.balanced && experts).then_some(EVEN),
        sharding: text(17).and_then(Sharding::from_word),
        ..Parallelism::default()
    };
    let batch = Batch {
        micro_batch_size: number(19),
        global_batch_size: number(20),
        sequence_length: number(21),
        ..Batch::default()
    };
    let framework = text(3).and_then(Framework::from_word);
    let accelerators = number(5);
    let job = TrainingJob {
        model: Some(shape),
        framework,
        precision: text(6).and_then(Precision::from_word),
        recompute: text(9).and_then(Recompute::from_word),
        attention: text(10).and_then(Attention::from_word),
        compile: text(23).map(|word| word == "yes"),
        finetuning: Some(Finetuning {
            method: method.or(Some(Method::Full)),
            rank: number(8),
            ..Finetuning::default()
        }),
        offload: offload.map(|what| Offload {
            optimizer: Some(what != "parameters"),
            parameters: Some(what != "optimizer"),
            ..Offload::default()
        }),
        accelerator: Some(Asked { kind: Some(known(4).to_owned()), count: accelerators, ..Asked::default() }),
        parallelism: Some(parallelism),
        batch: Some(batch),
        ..TrainingJob::default()
    };
    Row {
        complete: is_complete(&job),
        laid_out: !planner::lacks_layout(&job),
        accelerator: Catalogue::builtin()
            .find(known(4))
            .unwrap_or_else(|| panic!("{} is not in the catalogue", known(4))),
        measured: known(22).parse().unwrap_or_else(|e| panic!("{line}: {e}")),
        name: name.to_owned(),
        origin: origin.origin.clone().unwrap_or_else(|| source.to_owned()),
        source: source.to_owned(),
        model: model.to_owned(),
        job,
    }
}
