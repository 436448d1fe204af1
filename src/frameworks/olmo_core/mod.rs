//! `OLMo-core`: `torchrun src/scripts/train/OLMo2/OLMo2-7B.py train run01 local --train_module.rank_microbatch_size=8192`, and
//! `src/examples/llm/train.py run01 --model-factory llama2_1B`.
//!
//! **Recognised** by its scripts. A script is a model with its length and its microbatch; options with a dotted path change
//! them. Batches count tokens. Read from github.com/allenai/OLMo-core at fa6c5014 (`src/scripts/train`, `src/examples/llm`,
//! `src/olmo_core/internal/experiment.py`): HSDP over groups of a node in the scripts, FSDP in the example, shards of fp32 that
//! are computed in bf16, gradients that are summed in fp32, compiled blocks, `AdamW`. A script of the long context and of 32
//! billion weights recomputes a part. A copy of a script may differ, so what no option says stays open.

pub(super) mod list;

use crate::command::{Launch, Target};
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::flags::{Table, Takes, flag};
use crate::frameworks::reading::settings::{self, Place, Settings};
use crate::job::{
    Assignment, Attention, Framework, Loss, Method, Optimizer, Precision, Recompute, Sharding, field,
};
use crate::model::known;

const SOURCE: &str = "OLMo-core fa6c501 default";
const EXAMPLE: &str = "src/examples/llm/train.py";
const FOLDER: &str = "scripts/train";

/// Beginnings of scripts' names: the model, the tokens of a sequence, and the sequences of a microbatch.
const SCRIPTS: &[(&str, &str, u64, u64)] = &[
    ("olmo2-1b", "allenai/OLMo-2-0425-1B", 4_096, 8),
    ("olmo2-7b-long-context", "allenai/OLMo-2-1124-7B", 65_536, 1),
    ("olmo2-7b", "allenai/OLMo-2-1124-7B", 4_096, 2),
    ("olmo2-13b", "allenai/OLMo-2-1124-13B", 4_096, 1),
    ("olmo2-32b", "allenai/OLMo-2-0325-32B", 4_096, 2),
    ("olmo-2-7b", "allenai/OLMo-2-1124-7B", 4_096, 2),
    ("olmo3-7b-long-context", "allenai/Olmo-3-1025-7B", 65_536, 1),
    ("olmo3-7b", "allenai/Olmo-3-1025-7B", 8_192, 1),
    ("olmo3-32b-long-context", "allenai/Olmo-3-1125-32B", 65_536, 1),
    ("olmo3-32b", "allenai/Olmo-3-1125-32B", 8_192, 1),
    ("olmo-3-7b", "allenai/Olmo-3-1025-7B", 16_384, 1),
    ("olmo-3-32b", "allenai/Olmo-3-1125-32B", 16_384, 1),
    ("olmoe-1b-7b", "allenai/OLMoE-1B-7B-0924", 4_096, 2),
    ("llama3-8b", "meta-llama/Meta-Llama-3-8B", 4_096, 2),
];

const LENGTH: Table = &[&flag(
    &["dataset.sequence_length", "train_module.max_sequence_length", "sequence_length", "seq_len"],
    field::batch::SEQUENCE_LENGTH,
    Takes::Number,
)];

const KEYS: Table = &[
    &flag(&["train_module.compile_model"], field::COMPILE, Takes::Switch(true)),
    &flag(&["train_module.tp_config.degree"], field::parallelism::TENSOR, Takes::Number),
    &flag(&["train_module.cp_config.degree"], field::parallelism::CONTEXT, Takes::Number),
    &flag(&["train_module.pp_config.degree"], field::parallelism::PIPELINE, Takes::Number),
    &flag(&["train_module.ep_config.degree"], field::parallelism::EXPERT, Takes::Number),
    &flag(
        &["train_module.dp_config.name"],
        field::parallelism::SHARDING,
        Takes::OneOf(&[("fsdp", Sharding::FSDP), ("hsdp", Sharding::HSDP), ("ddp", Sharding::None)]),
    ),
    &flag(&["train_module.dp_config.shard_degree"], field::parallelism::SHARDING_DEGREE, Takes::Number),
    &flag(&["train_module.ac_config.mode"], field::RECOMPUTE, Takes::OneOf(&[("full", Recompute::Full)])),
];

const DEFAULTS: &[Assignment] = &[
    field::finetuning::METHOD.is(Method::Full),
    field::PRECISION.is(Precision::BF16),
    field::PARAMETER_PRECISION.is(Precision::FP32),
    field::OPTIMIZER.is(Optimizer::AdamW),
    field::ATTENTION.is(Attention::Flash),
    field::RECOMPUTE.is(Recompute::None),
    field::LOSS.is(Loss::Eager),
    field::COMPILE.is(true),
    field::batch::PACKING.is(true),
    field::offload::PARAMETERS.is(false),
];

/// Whether it is its launch.
pub(crate) fn recognises(launch: &Launch) -> bool {
    let trains = launch.arguments.words().first().is_some_and(|word| word.text.starts_with("train"));
    is_example(launch) || script(launch).is_some() && trains
}

fn is_example(launch: &Launch) -> bool {
    matches!(&launch.target, Target::Script(path) if path.ends_with(EXAMPLE))
}

/// The row of the script.
fn script(launch: &Launch) -> Option<&'static (&'static str, &'static str, u64, u64)> {
    let Target::Script(path) = &launch.target else { return None };
    let name = path.rsplit('/').next()?.to_lowercase();
    SCRIPTS.iter().find(|(begin, ..)| path.contains(FOLDER) && name.starts_with(begin))
}

/// Claims the settings of the launch.
pub(crate) fn read(launch: &Launch, claims: &mut Claims) {
    let settings = Settings::of(vec![Place::Options(&launch.arguments)]);
    claims.argument(field::FRAMEWORK, Framework::FSDP, "OLMo-core");
    settings::read(LENGTH, &settings, claims);
    settings::read(KEYS, &settings, claims);
    if let Some((_, model, length, sequences)) = script(launch) {
        claims.argument(field::model::NAME, *model, "the script's name");
        claims.assume(field::batch::SEQUENCE_LENGTH, *length, SOURCE);
        claims.assume(field::parallelism::SHARDING, Sharding::HSDP, SOURCE);
        batch(&settings, *sequences, claims);
    } else {
        let factory = settings.get(&["model-factory", "model_factory"]);
        if let Some((name, setting)) = factory.and_then(|setting| Some((setting.text()?, setting)))
            && known::find(&name).is_some()
        {
            setting.says(claims, field::model::NAME, name);
        }
        claims.assume(field::batch::SEQUENCE_LENGTH, 2_048, SOURCE);
        claims.assume(field::parallelism::SHARDING, Sharding::FSDP, SOURCE);
        batch(&settings, 8, claims);
    }
    if !settings.has(&["train_module.dp_config.name"]) {
        claims.open(field::parallelism::SHARDING, Sharding::FSDP);
    }
    if !settings.has(&["train_module.ac_config.mode"]) {
        claims.open(field::RECOMPUTE, Recompute::Full);
    }
    settings.has(&["train_module.ac_config.activation_memory_budget"]);
    settings::assume(DEFAULTS, SOURCE, claims);
    claims.open(field::LOSS, Loss::Fused);
}

/// Batches in tokens. `usual`: the sequences of a microbatch.
fn batch(settings: &Settings<'_>, usual: u64, claims: &mut Claims) {
    let length = claims.get(field::batch::SEQUENCE_LENGTH).map_or(1, u64::from).max(1);
    let micro = settings.get(&["train_module.rank_microbatch_size"]);
    match micro.as_ref().map(|setting| (setting.number(), setting)) {
        Some((Some(tokens), setting)) => {
            setting.says(claims, field::batch::MICRO_BATCH_SIZE, (tokens / length).max(1));
        }
        Some((None, _)) => claims.unparsed(field::batch::MICRO_BATCH_SIZE),
        None => {
            claims.assume(field::batch::MICRO_BATCH_SIZE, usual, SOURCE);
            claims.open(field::batch::MICRO_BATCH_SIZE, 1);
        }
    }
    if let Some(setting) = settings.get(&["data_loader.global_batch_size"])
        && let Some(tokens) = setting.number()
    {
        setting.says(claims, field::batch::GLOBAL_BATCH_SIZE, (tokens / length).max(1));
    }
}
