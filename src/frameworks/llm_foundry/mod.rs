//! llm-foundry: `composer train.py pretrain/mpt-7b.yaml key=value …`, `llmfoundry train x.yaml`.
//!
//! **Recognised** by the launcher `composer`, or `llmfoundry train`, with a YAML file among the arguments. Words beat
//! the file. A value like `${max_seq_len}` is the value of another key. If the file is unknown, only the words are
//! read.
//!
//! `mpt_causal_lm` is built from dimensions: a plain feed-forward network of `expansion_ratio` times the width, an
//! output layer that shares the embedding, learned positions unless `alibi` or `rope` is set. `hf_causal_lm` names a
//! model. `mixed_precision: PURE` computes and reduces in two bytes and shards fp32. A microbatch of `auto` is found by
//! trial: such a job does not run out of memory, but makes its batch smaller.
//!
//! Read from mosaicml/llm-foundry 0.15, `llmfoundry/models/mpt/configuration_mpt.py` and `scripts/train/yamls`;
//! Composer 0.26.

pub(super) mod list;
pub(super) mod profile;

use serde_json::Value;

use crate::command::{Launch, Target};
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::complete::Written;
use crate::frameworks::reading::config::{self, Config};
use crate::frameworks::reading::flags::Takes::{List, Number, OneOf, Percent, Switch, Text};
use crate::frameworks::reading::flags::{Table, flag};
use crate::frameworks::reading::settings::{self, Place, Settings};
use crate::job::{
    Activation, Attention, Cause, Framework, Method, Normalization, Optimizer, Positions, Precision,
    Recompute, Sharding, field,
};

const SOURCE: &str = "llm-foundry 0.15 default";

const TABLE: Table = &[
    &flag(&["model.n_layers"], field::model::LAYERS, Number),
    &flag(&["model.d_model"], field::model::HIDDEN_SIZE, Number),
    &flag(&["model.n_heads"], field::model::ATTENTION_HEADS, Number),
    &flag(&["model.attn_config.kv_n_heads"], field::model::KEY_VALUE_HEADS, Number),
    &flag(&["model.vocab_size"], field::model::VOCAB_SIZE, Number),
    &flag(&["model.tie_word_embeddings"], field::model::TIED_EMBEDDINGS, Switch(true)),
    &flag(&["model.pretrained_model_name_or_path"], field::model::NAME, Text),
    &flag(&["model.peft_config.r"], field::finetuning::RANK, Number),
    &flag(&["model.peft_config.target_modules"], field::finetuning::TARGETS, List),
    &flag(&["model.peft_config.lora_dropout"], field::finetuning::DROPOUT, Percent),
    &flag(
        &["model.attn_config.attn_impl"],
        field::ATTENTION,
        OneOf(&[("flash", Attention::Flash), ("triton", Attention::Flash), ("torch", Attention::Unfused)]),
    ),
    &flag(&["max_seq_len"], field::batch::SEQUENCE_LENGTH, Number),
    &flag(&["global_train_batch_size"], field::batch::GLOBAL_BATCH_SIZE, Number),
    &flag(&["device_train_microbatch_size"], field::batch::MICRO_BATCH_SIZE, Number),
    &flag(
        &["precision"],
        field::PRECISION,
        OneOf(&[
            ("amp_bf16", Precision::BF16),
            ("bf16", Precision::BF16),
            ("amp_fp16", Precision::FP16),
            ("amp_fp8", Precision::FP8),
            ("fp32", Precision::FP32),
        ]),
    ),
    &flag(
        &["fsdp_config.sharding_strategy"],
        field::parallelism::SHARDING,
        OneOf(&[
            ("FULL_SHARD", Sharding::FSDP),
            ("SHARD_GRAD_OP", Sharding::FSDP),
            ("HYBRID_SHARD", Sharding::HSDP),
            ("_HYBRID_SHARD_ZERO2", Sharding::HSDP),
            ("NO_SHARD", Sharding::None),
        ]),
    ),
    &flag(&["fsdp_config.activation_cpu_offload"], field::offload::ACTIVATIONS, Switch(true)),
    &flag(&["fsdp_config.cpu_offload"], field::offload::PARAMETERS, Switch(true)),
    &flag(
        &["optimizer.name"],
        field::OPTIMIZER,
        OneOf(&[
            ("decoupled_adamw", Optimizer::AdamW),
            ("adamw", Optimizer::AdamW),
            ("adam", Optimizer::AdamW),
            ("decoupled_lionw", Optimizer::Lion),
            ("sgd", Optimizer::SGD),
        ]),
    ),
];

/// Whether the launch runs llm-foundry.
pub(crate) fn recognises(launch: &Launch) -> bool {
    let command =
        matches!(&launch.target, Target::Program(name) if name.split(' ').next() == Some("llmfoundry"));
    (command || launch.launcher("composer").is_some()) && config::positional(&launch.arguments).is_some()
}

/// Claims the settings of the launch.
pub(crate) fn read(launch: &Launch, claims: &mut Claims) {
    claims.handed_on(field::FRAMEWORK, Framework::LLMFoundry, format!("{}: its command", claims.place));
    let mut settings = Settings::of(vec![Place::Words(&launch.arguments)]);
    let path = config::positional(&launch.arguments).unwrap_or_default();
    let known = match config::named(launch, path, "its argument", claims) {
        Some(mut file) => {
            resolve(&mut file);
            settings.add(Place::File(file));
            true
        }
        None => false,
    };
    settings::read(TABLE, &settings, claims);
    duration(&settings, claims);
    shape(&settings, claims);
    let on = |name: &str| settings.get(&[name]).and_then(|setting| Some((setting.truth()?, setting)));
    if let Some((checkpointing, setting)) = on("fsdp_config.activation_checkpointing") {
        setting.says(claims, field::RECOMPUTE, if checkpointing { Recompute::Full } else { Recompute::None });
    }
    if settings.text(&["fsdp_config.sharding_strategy"]).is_some_and(|strategy| strategy.contains("GRAD_OP"))
    {
        claims.handed_on(field::parallelism::RESHARD_AFTER_FORWARD, false, SOURCE.to_owned());
    }
    if let Some(setting) = settings.get(&["fsdp_config.mixed_precision"])
        && setting.text().as_deref() == Some("PURE")
    {
        setting.says(claims, field::GRADIENT_REDUCTION_PRECISION, Precision::BF16);
    }
    if let Some(setting) = settings.get(&["model.peft_config", "model.peft_config.r"]) {
        setting.says(claims, field::finetuning::METHOD, Method::LoRA);
    }
    if settings.text(&["device_train_microbatch_size"]).is_some_and(|size| size == "auto") {
        claims.open(field::batch::MICRO_BATCH_SIZE, 1);
    }
    if known && !Written::default().may_hold_more(&launch.arguments) {
        if !settings.has(&["fsdp_config"]) {
            claims.assume(field::parallelism::SHARDING, Sharding::None, SOURCE);
        }
        claims.assume(field::RECOMPUTE, Recompute::None, SOURCE);
    } else {
        claims.open(field::RECOMPUTE, Recompute::Full);
        claims.open(field::finetuning::METHOD, Method::LoRA);
        claims.open(field::offload::PARAMETERS, true);
    }
}

/// The facts about MPT that its dimensions leave open.
fn shape(settings: &Settings<'_>, claims: &mut Claims) {
    if settings.text(&["model.name"]).as_deref() != Some("mpt_causal_lm") {
        if settings.text(&["model.name"]).is_some_and(|name| name.contains("t5")) {
            claims.beyond = claims.beyond.or(Some(Cause::EncoderDecoder));
        }
        return;
    }
    let ratio =
        settings.text(&["model.expansion_ratio"]).map_or(Some(4.0), |ratio| ratio.parse::<f64>().ok());
    let width = settings.get(&["model.d_model"]);
    if let (Some(width), Some(ratio)) = (width, ratio)
        && let Some(number) = width.number()
    {
        width.says(claims, field::model::FFN_HIDDEN_SIZE, (number as f64 * ratio).round() as u64);
    }
    let rotary = ["model.attn_config.alibi", "model.attn_config.rope"]
        .iter()
        .any(|name| settings.on(&[name]) == Some(true))
        || settings.on(&["model.learned_pos_emb"]) == Some(false);
    let gated = settings.text(&["model.ffn_config.ffn_type"]).is_some_and(|kind| kind.contains("glu"));
    claims.assume(
        field::model::POSITIONS,
        if rotary { Positions::Rotary } else { Positions::Learned },
        SOURCE,
    );
    claims.assume(
        field::model::ACTIVATION,
        if gated { Activation::SwiGLU } else { Activation::GELU },
        SOURCE,
    );
    claims.assume(field::model::NORMALIZATION, Normalization::LayerNorm, SOURCE);
    claims.assume(field::model::BIASES, settings.on(&["model.no_bias"]) != Some(true), SOURCE);
    claims.assume(field::model::TIED_EMBEDDINGS, true, SOURCE);
    if settings.text(&["model.ffn_config.ffn_type"]).is_some_and(|kind| kind.contains("moe")) {
        claims.beyond = claims.beyond.or(Some(Cause::OwnExperts));
    }
}

/// `63900ba` are batches, `1ep` passes, `300e9tok` tokens.
fn duration(settings: &Settings<'_>, claims: &mut Claims) {
    let Some(setting) = settings.get(&["max_duration"]) else { return };
    let Some(text) = setting.text() else { return };
    let number = |unit: &str| {
        let number = text.strip_suffix(unit)?.replace('_', "").parse::<f64>().ok()?;
        (1.0..1e18).contains(&number).then_some(number as u64)
    };
    if let Some(steps) = number("ba") {
        setting.says(claims, field::dataset::STEPS, steps);
    } else if let Some(tokens) = number("tok") {
        setting.says(claims, field::dataset::TOKENS, tokens);
    } else if let Some(epochs) = number("ep") {
        setting.says(claims, field::dataset::EPOCHS, epochs);
    }
}

/// Replaces references to other keys by their values, as `OmegaConf` does: `${variables.max_seq_len}`.
fn resolve(config: &mut Config) {
    const MAX_DEPTH: usize = 8;
    let source = config.clone();
    walk(&mut config.tree, &source, MAX_DEPTH);
}

fn walk(value: &mut Value, source: &Config, depth: usize) {
    if depth == 0 {
        return;
    }
    match value {
        Value::Object(keys) => keys.values_mut().for_each(|value| walk(value, source, depth - 1)),
        Value::String(text) => {
            if let Some(key) = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) {
                let meant = source.get(key).filter(|meant| !meant.is_object() && !meant.is_array());
                *value = meant.cloned().unwrap_or(Value::Null);
            }
        }
        _ => {}
    }
}
