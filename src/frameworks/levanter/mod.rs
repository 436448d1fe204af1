//! Levanter: `python -m levanter.main.train_lm --config_path config/llama2_7b.yaml --trainer.train_batch_size 512`.
//!
//! **Recognised** by its modules and its scripts. Options beat the file, and have the same paths. Read from
//! github.com/stanford-crfm/levanter at 9263f81e (`src/levanter/trainer.py`, `main/train_lm.py`, `main/lora_lm.py`,
//! `models/llama.py`). A step is a program of XLA, like `MaxText`'s, so it has that profile. All states are divided over the
//! axis `data` (`fsdp_axis`), all samples of a device are one microbatch unless `per_device_parallelism` is less, and every
//! layer is checkpointed. Parameters are fp32 (`mp: p=f32,c=bfloat16`). Packed samples have `model.seq_len` tokens, 2048 by
//! default.

pub(super) mod list;

use crate::command::{Launch, Target};
use crate::frameworks::hugging_face::training_arguments;
use crate::frameworks::reading::adapters::{self, Rank};
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::config;
use crate::frameworks::reading::flags::{self, Table, Takes, flag};
use crate::frameworks::reading::settings::{self, Place, Settings};
use crate::job::{
    Activation, Assignment, Attention, Cause, Framework, Loss, Method, Normalization, Optimizer, Positions,
    Precision, Recompute, Sharding, field,
};

const SOURCE: &str = "Levanter 9263f81 default";

/// Its programs.
const PROGRAMS: &[&str] = &["train_lm", "lora_lm", "sft", "sft_mixture", "train_dpo", "train_asr"];

const KEYS: Table = &[
    &flag(&["initialize_from_hf"], field::model::NAME, Takes::Text),
    &flag(&["trainer.train_batch_size"], field::batch::GLOBAL_BATCH_SIZE, Takes::Number),
    &flag(&["trainer.num_train_steps"], field::dataset::STEPS, Takes::Number),
    &flag(&["max_train_length", "max_seq_len"], field::batch::SEQUENCE_LENGTH, Takes::Number),
    &flag(&["model.seq_len"], field::batch::SEQUENCE_LENGTH, Takes::Number),
    &flag(&["trainer.model_axis_size"], field::parallelism::TENSOR, Takes::Number),
];

/// The dimensions of a model that is made, not loaded.
const DIMENSIONS: Table = &[
    &flag(&["model.hidden_dim"], field::model::HIDDEN_SIZE, Takes::Number),
    &flag(&["model.num_layers"], field::model::LAYERS, Takes::Number),
    &flag(&["model.num_heads"], field::model::ATTENTION_HEADS, Takes::Number),
    &flag(&["model.num_kv_heads"], field::model::KEY_VALUE_HEADS, Takes::Number),
    &flag(&["model.intermediate_dim"], field::model::FFN_HIDDEN_SIZE, Takes::Number),
    &flag(&["model.tie_word_embeddings"], field::model::TIED_EMBEDDINGS, Takes::Switch(true)),
];

/// What is special to GPT-2.
const GPT2: &[Assignment] = &[
    field::model::POSITIONS.is(Positions::Learned),
    field::model::ACTIVATION.is(Activation::GELU),
    field::model::NORMALIZATION.is(Normalization::LayerNorm),
    field::model::TIED_EMBEDDINGS.is(true),
    field::model::VOCAB_SIZE.is(50_257),
    field::batch::SEQUENCE_LENGTH.is(1_024),
];

const DEFAULTS: &[Assignment] = &[
    field::finetuning::METHOD.is(Method::Full),
    field::ATTENTION.is(Attention::Flash),
    field::OPTIMIZER.is(Optimizer::AdamW),
    field::parallelism::SHARDING.is(Sharding::FSDP),
    field::batch::GLOBAL_BATCH_SIZE.is(512),
    field::batch::SEQUENCE_LENGTH.is(2_048),
    field::batch::PACKING.is(true),
    field::RECOMPUTE.is(Recompute::Full),
];

/// Whether it is its launch.
pub(crate) fn recognises(launch: &Launch) -> bool {
    program(launch).is_some()
}

fn program(launch: &Launch) -> Option<&'static str> {
    PROGRAMS.iter().copied().find(|name| match &launch.target {
        Target::Module(module) => module.strip_prefix("levanter.main.") == Some(name),
        Target::Script(path) => path.ends_with(&format!("levanter/main/{name}.py")),
        Target::Program(_) | Target::Unknown => false,
    })
}

/// Claims the settings of the launch.
pub(crate) fn read(launch: &Launch, claims: &mut Claims) {
    let Some(program) = program(launch) else { return };
    claims.argument(field::FRAMEWORK, Framework::MaxText, "Levanter, a program of XLA like MaxText's");
    if program == "train_asr" {
        claims.beyond = claims.beyond.or(Some(Cause::EncoderDecoder));
    }
    if program == "train_dpo" {
        claims.beyond = claims.beyond.or(Some(Cause::PreferenceOptimization));
    }
    let mut settings = Settings::of(vec![Place::Options(&launch.arguments)]);
    let path = settings.text(&["config_path", "config"]);
    let file = path.as_deref().and_then(|path| config::named(launch, path, "--config_path", claims));
    let lacking = path.is_some() && file.is_none();
    if let Some(file) = file {
        settings.add(Place::File(file));
    }
    settings::read(KEYS, &settings, claims);
    if !claims.knows(field::model::NAME) {
        settings::read(DIMENSIONS, &settings, claims);
        if settings.text(&["model.type"]).as_deref() == Some("gpt2") {
            settings::assume(GPT2, SOURCE, claims);
        }
    }
    training_arguments::recompute(&settings, &["model.gradient_checkpointing"], claims);
    precision(&settings, claims);
    adapters(&settings, claims);
    if let Some(each) = settings.get(&["trainer.per_device_parallelism"])
        && let Some(samples) = each.number().filter(|samples| *samples > 0)
    {
        each.says(claims, field::batch::MICRO_BATCH_SIZE, samples);
    }
    if lacking {
        // The file may set any of them.
        claims.open(field::finetuning::METHOD, Method::LoRA);
        return;
    }
    if settings.get(&["model.cross_entropy_block_size"]).is_some() {
        claims.open(field::LOSS, Loss::Chunked);
    }
    settings::assume(DEFAULTS, SOURCE, claims);
}

/// The formats of a policy: `p=f32,c=bfloat16`, `compute=bfloat16,params=float32`.
fn precision(settings: &Settings<'_>, claims: &mut Claims) {
    let Some(setting) = settings.get(&["trainer.mp"]) else {
        // All is in fp32 without a policy.
        claims.assume(field::PRECISION, Precision::FP32, SOURCE);
        return;
    };
    let text = setting.text().unwrap_or_default();
    let part = |names: [&str; 2]| {
        let value = text.split(',').filter_map(|part| part.split_once('='));
        let value = value.into_iter().find(|(name, _)| names.contains(&name.trim()))?.1.trim().to_owned();
        let value = if value == "f32" { "float32" } else { &value };
        flags::one_of(training_arguments::FORMATS, value)
    };
    match part(["c", "compute"]) {
        Some(format) => setting.says(claims, field::PRECISION, format),
        None => claims.unparsed(field::PRECISION),
    }
    if let Some(format) = part(["p", "params"]) {
        setting.says(claims, field::PARAMETER_PRECISION, format);
    }
}

fn adapters(settings: &Settings<'_>, claims: &mut Claims) {
    match adapters::rank(settings, &["lora.r"], claims) {
        Rank::None if settings.has(&["lora"]) => {
            claims.argument(field::finetuning::METHOD, Method::LoRA, "lora");
            claims.assume(field::finetuning::RANK, 8, SOURCE);
        }
        Rank::None | Rank::Of(_) | Rank::Unknown => {}
    }
    if claims.get(field::finetuning::METHOD) == Some(Method::LoRA) {
        claims.assume(field::finetuning::TARGETS, vec!["all-linear"], SOURCE);
        claims.assume(field::finetuning::DROPOUT, 0, SOURCE);
    }
}
