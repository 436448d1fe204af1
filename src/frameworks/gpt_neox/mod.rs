//! GPT-NeoX: `python deepy.py train.py configs/6-9B.yml configs/local_setup.yml`, `deepy.py train.py -d configs small.yml`.
//!
//! **Recognised** by its starter `deepy.py`, or by its `train.py` under DeepSpeed with a file that has `pipe_parallel_size`.
//! All files count together. Keys may have dashes or underscores.
//!
//! Read from the branch main at ea7aefd8 (`megatron/neox_arguments`, `configs/neox_arguments.md`): Megatron's layers of 2021
//! on DeepSpeed's engine. `pipe_parallel_size: 0` and 1 are no pipeline. Defaults: fp16 if no format is given, no ZeRO, no
//! checkpointing, unfused attention unless `attention_config` names `flash`, a feed-forward network of 4·h, learned
//! positions, embeddings tied. A gated network of `intermediate_size` f has two branches of f/3 (`model/transformer.py`).

pub(super) mod list;

use serde_json::Value;

use crate::command::Launch;
use crate::frameworks::deepspeed;
use crate::frameworks::hugging_face::training_arguments;
use crate::frameworks::megatron_deepspeed;
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::config;
use crate::frameworks::reading::flags::{Table, Takes, flag};
use crate::frameworks::reading::settings::{self, Place, Settings};
use crate::job::{
    Activation, Assignment, Attention, Cause, Framework, Method, Normalization, Optimizer, Positions,
    Precision, Recompute, Sharding, field,
};

const SOURCE: &str = "GPT-NeoX default";

/// The most files of a launch that are read.
const MOST_FILES: usize = 8;

const KEYS: Table = &[
    &flag(&["num_layers", "num-layers"], field::model::LAYERS, Takes::Number),
    &flag(&["hidden_size", "hidden-size"], field::model::HIDDEN_SIZE, Takes::Number),
    &flag(&["num_attention_heads", "num-attention-heads"], field::model::ATTENTION_HEADS, Takes::Number),
    &flag(&["num_kv_heads", "num-kv-heads"], field::model::KEY_VALUE_HEADS, Takes::Number),
    &flag(
        &["max_position_embeddings", "max-position-embeddings"],
        field::model::MAX_POSITIONS,
        Takes::Number,
    ),
    &flag(&["vocab_size", "vocab-size"], field::model::VOCAB_SIZE, Takes::Number),
    &flag(&["padded_vocab_size"], field::model::PADDED_VOCAB_SIZE, Takes::Number),
    &flag(&["use_bias_in_attn_linear", "use_bias_in_mlp"], field::model::BIASES, Takes::Switch(true)),
    &flag(&["no_weight_tying", "no-weight-tying"], field::model::TIED_EMBEDDINGS, Takes::Switch(false)),
    &flag(
        &["norm"],
        field::model::NORMALIZATION,
        Takes::OneOf(&[
            ("layernorm", Normalization::LayerNorm),
            ("non_parametric_layernorm", Normalization::LayerNorm),
            ("te_layernorm", Normalization::LayerNorm),
            ("rmsnorm", Normalization::RMSNorm),
            ("te_rmsnorm", Normalization::RMSNorm),
        ]),
    ),
    &flag(
        &["pos_emb", "pos-emb"],
        field::model::POSITIONS,
        Takes::OneOf(&[
            ("learned", Positions::Learned),
            ("rotary", Positions::Rotary),
            ("alibi", Positions::Rotary),
            ("sinusoidal", Positions::Rotary),
            ("rpe", Positions::Rotary),
            ("none", Positions::Rotary),
        ]),
    ),
    &flag(
        &["activation"],
        field::model::ACTIVATION,
        Takes::OneOf(&[
            ("gelu", Activation::GELU),
            ("relu", Activation::GELU),
            ("softsign", Activation::GELU),
            ("swish", Activation::GELU),
            ("mish", Activation::GELU),
            ("silu", Activation::GELU),
            ("swiglu", Activation::SwiGLU),
            ("geglu", Activation::SwiGLU),
            ("reglu", Activation::SwiGLU),
        ]),
    ),
    &flag(&["hidden_dropout", "hidden-dropout"], field::model::HIDDEN_DROPOUT, Takes::Percent),
    &flag(&["attention_dropout", "attention-dropout"], field::model::ATTENTION_DROPOUT, Takes::Percent),
    &flag(&["seq_length", "seq-length"], field::batch::SEQUENCE_LENGTH, Takes::Number),
    &flag(&["train_micro_batch_size_per_gpu"], field::batch::MICRO_BATCH_SIZE, Takes::Number),
    &flag(&["train_batch_size"], field::batch::GLOBAL_BATCH_SIZE, Takes::Number),
    &flag(&["train_iters", "train-iters"], field::dataset::STEPS, Takes::Number),
    &flag(&["model_parallel_size", "model-parallel-size"], field::parallelism::TENSOR, Takes::Number),
    &flag(&["context_parallel_size"], field::parallelism::CONTEXT, Takes::Number),
    &flag(&["sequence_parallel"], field::parallelism::SEQUENCE, Takes::Switch(true)),
];

const DEFAULTS: &[Assignment] = &[
    field::PRECISION.is(Precision::FP16),
    field::RECOMPUTE.is(Recompute::None),
    field::parallelism::TENSOR.is(1),
    field::parallelism::PIPELINE.is(1),
    field::parallelism::SHARDING.is(Sharding::None),
    field::finetuning::METHOD.is(Method::Full),
    field::model::TIED_EMBEDDINGS.is(true),
    field::model::POSITIONS.is(Positions::Learned),
    field::model::NORMALIZATION.is(Normalization::LayerNorm),
    field::model::ACTIVATION.is(Activation::GELU),
    field::model::BIASES.is(true),
    field::OPTIMIZER.is(Optimizer::AdamW),
];

/// Whether the launch runs GPT-NeoX.
pub(crate) fn recognises(launch: &Launch) -> bool {
    let words = || launch.arguments.words().iter().take(MOST_FILES);
    if launch.runs_script(&["deepy.py"]) {
        return words().any(|word| word.text.ends_with("train.py"));
    }
    launch.launcher("deepspeed").is_some() && launch.runs_script(&["train.py"]) && {
        let files = files(launch, &mut Claims::default());
        files
            .iter()
            .any(|file| file.get("pipe_parallel_size").or_else(|| file.get("pipe-parallel-size")).is_some())
    }
}

/// The configuration files, in the folder of `-d`.
fn files(launch: &Launch, claims: &mut Claims) -> Vec<config::Config> {
    let options = Settings::of(vec![Place::Options(&launch.arguments)]);
    let folder = options.text(&["conf_dir", "d"]);
    let words = launch.arguments.words().iter().take(64).filter(|word| word.known);
    let names = words.map(|word| word.text.as_str()).filter(|word| config::is_config(word));
    names
        .take(MOST_FILES)
        .filter_map(|name| {
            let within = folder.as_deref().map(|folder| format!("{}/{name}", folder.trim_end_matches('/')));
            let path = within.filter(|_| !name.starts_with('/')).unwrap_or_else(|| name.to_owned());
            config::named(launch, &path, "its argument", claims)
        })
        .collect()
}

/// Claims the settings of the launch.
pub(crate) fn read(launch: &Launch, claims: &mut Claims) {
    claims.argument(field::FRAMEWORK, Framework::MegatronDeepSpeed, "deepy.py");
    let files = files(launch, claims);
    for file in &files {
        deepspeed::of(file, claims);
    }
    let mut settings = Settings::default();
    for file in files {
        settings.add(Place::File(file));
    }
    settings::read(KEYS, &settings, claims);
    let known = settings.get(&["hidden_size", "hidden-size"]).is_some();
    stages(&settings, claims);
    attention(&settings, claims);
    formats(&settings, claims);
    megatron_deepspeed::gradients_of_stage_one(claims);
    if let Some(setting) = settings.get(&["checkpoint_activations", "checkpoint-activations"]) {
        match setting.truth() {
            Some(on) => {
                setting.says(claims, field::RECOMPUTE, if on { Recompute::Full } else { Recompute::None });
            }
            None => claims.unparsed(field::RECOMPUTE),
        }
    }
    let spared =
        [["partition_activations", "partition-activations"], ["checkpoint_in_cpu", "checkpoint-in-cpu"]];
    if spared.iter().any(|names| settings.on(names) == Some(true)) {
        // The tensor group divides what a checkpoint saves, or the host holds it.
        claims.open(field::offload::ACTIVATIONS, true);
    }
    training_arguments::optimizer(&settings, &["optimizer.type"], claims);
    settings::accumulation(&settings, &["gradient_accumulation_steps"], claims);
    if settings.has(&["moe_num_experts"]) {
        claims.beyond = Some(Cause::OtherBackend);
    }
    if !known {
        deepspeed::unknown(claims);
        return;
    }
    vocabulary(&settings, claims);
    width(&settings, claims);
    settings::assume(DEFAULTS, SOURCE, claims);
}

/// A stage count of zero is no pipeline.
fn stages(settings: &Settings<'_>, claims: &mut Claims) {
    let Some(setting) = settings.get(&["pipe_parallel_size", "pipe-parallel-size"]) else { return };
    match setting.number() {
        Some(stages) => setting.says(claims, field::parallelism::PIPELINE, stages.max(1)),
        None => claims.unparsed(field::parallelism::PIPELINE),
    }
}

/// `attention_config` has the kinds of layers, by name and number: `[[["flash"], 32]]`.
fn attention(settings: &Settings<'_>, claims: &mut Claims) {
    let Some(setting) = settings.get(&["attention_config", "attention-config"]) else {
        claims.assume(field::ATTENTION, Attention::Unfused, SOURCE);
        return;
    };
    let mut names = Vec::new();
    words(&setting.value, &mut names);
    if names.iter().any(|name| matches!(name.as_str(), "mamba" | "rwkv" | "gmlp" | "amlp")) {
        claims.beyond = Some(Cause::StateSpace);
    } else if !names.is_empty() && names.iter().all(|name| name == "flash") {
        setting.says(claims, field::ATTENTION, Attention::Flash);
    } else if names.iter().all(|name| name == "global") {
        setting.says(claims, field::ATTENTION, Attention::Unfused);
    } else {
        claims.open(field::ATTENTION, Attention::Flash);
    }
}

fn words(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::String(name) => names.push(name.clone()),
        Value::Array(values) => values.iter().for_each(|value| words(value, names)),
        _ => {}
    }
}

/// The format of the computation.
fn formats(settings: &Settings<'_>, claims: &mut Claims) {
    if let Some(setting) = settings.get(&["precision"]) {
        let named = setting.text();
        let format = [("bfloat16", Precision::BF16), ("fp16", Precision::FP16), ("fp32", Precision::FP32)];
        match format.iter().find(|(name, _)| named.as_deref() == Some(name)) {
            Some((_, format)) => setting.says(claims, field::PRECISION, *format),
            None => claims.unparsed(field::PRECISION),
        }
    }
}

/// The tokenizer's vocabulary: GPT-2's, and that of GPT-NeoX-20B and Pythia.
fn vocabulary(settings: &Settings<'_>, claims: &mut Claims) {
    let kind = settings.text(&["tokenizer_type", "tokenizer-type"]);
    let file = settings.text(&["vocab_file", "vocab-file"]).unwrap_or_default();
    let size = match kind.as_deref() {
        Some("HFTokenizer") if file.contains("20B_tokenizer") => 50_277,
        Some("GPT2BPETokenizer") | None => 50_257,
        _ => return,
    };
    claims.assume(field::model::VOCAB_SIZE, size, "GPT-NeoX's tokenizer");
}

/// The width of the feed-forward network. `intermediate_size` of a gated one is three times a branch's width.
fn width(settings: &Settings<'_>, claims: &mut Claims) {
    let number = |names: &[&str]| settings.number(names);
    let Some(hidden) = number(&["hidden_size", "hidden-size"]).filter(|hidden| *hidden < 1 << 20) else {
        return;
    };
    let given = settings.get(&["intermediate_size", "intermediate-size"]);
    let whole = given.as_ref().and_then(settings::Setting::number).filter(|width| *width < 1 << 24);
    let multiple =
        number(&["mlp_multiple_of"]).filter(|multiple| (1..=1 << 16).contains(multiple)).unwrap_or(1);
    let gated = claims.get(field::model::ACTIVATION) == Some(Activation::SwiGLU);
    let whole = whole.unwrap_or(4 * hidden);
    let width =
        if gated { (whole * 2 / 3 / 2).next_multiple_of(multiple) } else { whole.next_multiple_of(multiple) };
    match given {
        Some(setting) => setting.says(claims, field::model::FFN_HIDDEN_SIZE, width),
        None => claims.assume(field::model::FFN_HIDDEN_SIZE, width, SOURCE),
    }
}
