//! Scripts that build a transformer from dimensions and train it with PyTorch's FSDP, with the flags of AWS's examples:
//! awsome-distributed-training's `3.test_cases/pytorch/FSDP/src` (`model_utils/arguments.py` at 03282a1a, `train.py` at
//! 016d8f39) and the `SageMaker` model parallel library's, which share them.
//!
//! **Recognised** under any name by four flags that no other framework has together: `--hidden_width`, `--num_layers`,
//! `--num_heads` and `--max_context_width`.
//!
//! Defaults of `model_utils/arguments.py`: a vocabulary of 50 432, a batch of 2, bf16 and activation checkpointing on,
//! offloading of activations off. `train.py` shards fp32 parameters, computes in bf16, and steps after each batch. With
//! FSDP it reduces in bf16. With FSDP2 it reduces in fp32, and `hybrid` shards fully. So both fields stay open.
//! `--model_type` fixes the rest of the shape: `mixtral` has 8 experts, and 2 of them see a token; `gpt_neox` has a
//! plain feed-forward network of four times the width.
//!
//! [`qlora`] is a script of the same kind for published models.

mod qlora;

use crate::command::Launch;
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::flags::{Table, Takes, flag};
use crate::frameworks::reading::settings::{self, Place, Setting, Settings};
use crate::job::{
    Activation, Assignment, Framework, Normalization, Positions, Precision, Recompute, Sharding, field,
};

const SOURCE: &str = "awsome-distributed-training FSDP default";

/// The flags of such a script. It has all of them.
const TELLING: &[&str] = &["hidden_width", "num_layers", "num_heads", "max_context_width"];

const DIMENSIONS: Table = &[
    &flag(&["hidden_width"], field::model::HIDDEN_SIZE, Takes::Number),
    &flag(&["num_layers"], field::model::LAYERS, Takes::Number),
    &flag(&["num_heads"], field::model::ATTENTION_HEADS, Takes::Number),
    &flag(&["num_key_value_heads"], field::model::KEY_VALUE_HEADS, Takes::Number),
    &flag(&["vocab_size"], field::model::VOCAB_SIZE, Takes::Number),
];

const FLAGS: Table = &[
    &flag(&["max_context_width"], field::batch::SEQUENCE_LENGTH, Takes::Number),
    &flag(&["train_batch_size"], field::batch::MICRO_BATCH_SIZE, Takes::Number),
    &flag(&["max_steps", "max_training_steps"], field::dataset::STEPS, Takes::Number),
    &flag(&["offload_activations"], field::offload::ACTIVATIONS, Takes::Switch(true)),
    &flag(&["cpu_offload"], field::offload::PARAMETERS, Takes::Switch(true)),
    &flag(&["tensor_parallel_degree"], field::parallelism::TENSOR, Takes::Number),
    &flag(&["context_parallel_degree"], field::parallelism::CONTEXT, Takes::Number),
    &flag(&["expert_parallel_degree"], field::parallelism::EXPERT, Takes::Number),
    &flag(&["hybrid_shard_degree"], field::parallelism::SHARDING_DEGREE, Takes::Number),
];

const SHARDING: Table = &[&flag(
    &["sharding_strategy"],
    field::parallelism::SHARDING,
    Takes::OneOf(&[
        ("full", Sharding::FSDP),
        ("full_shard", Sharding::FSDP),
        ("shard_grad_op", Sharding::FSDP),
        ("hybrid_shard", Sharding::HSDP),
        ("_hybrid_shard_zero2", Sharding::HSDP),
        ("no_shard", Sharding::None),
    ]),
)];

const DEFAULTS: &[Assignment] = &[
    field::PRECISION.is(Precision::BF16),
    field::RECOMPUTE.is(Recompute::Full),
    field::offload::ACTIVATIONS.is(false),
    field::batch::MICRO_BATCH_SIZE.is(2),
    field::parallelism::SHARDING.is(Sharding::FSDP),
];

const WIDTH: Table =
    &[&flag(&["intermediate_size", "llama_intermediate_size"], field::model::FFN_HIDDEN_SIZE, Takes::Number)];

/// The width of the feed-forward network without `--intermediate_size`.
const INTERMEDIATE: u64 = 11_008;

/// Whether the launch runs such a script.
pub(crate) fn recognises(launch: &Launch) -> bool {
    TELLING.iter().all(|name| launch.arguments.has(name)) || qlora::recognises(launch)
}

/// Claims the settings of the launch.
pub(crate) fn read(launch: &Launch, claims: &mut Claims) {
    if qlora::recognises(launch) {
        return qlora::read(launch, claims);
    }
    let settings = Settings::of(vec![Place::Options(&launch.arguments)]);
    claims.argument(field::FRAMEWORK, Framework::FSDP, "--hidden_width");
    settings::read(FLAGS, &settings, claims);
    if let Some(setting) = settings.get(&["activation_checkpointing"])
        && let Some(on) = setting.truth()
    {
        setting.says(claims, field::RECOMPUTE, if on { Recompute::Full } else { Recompute::None });
    }
    match settings.get(&["bf16"]).and_then(|setting| Some((setting.truth()?, setting))) {
        Some((true, setting)) => setting.says(claims, field::PRECISION, Precision::BF16),
        Some((false, setting)) if !settings.has(&["fp16", "fp8"]) => {
            setting.says(claims, field::PRECISION, Precision::FP32);
        }
        _ => {}
    }
    let unsharded = ["shard_grad_op", "_hybrid_shard_zero2"];
    if let Some(setting) = settings.get(&["sharding_strategy"])
        && setting.text().is_some_and(|text| unsharded.contains(&text.to_ascii_lowercase().as_str()))
    {
        setting.says(claims, field::parallelism::RESHARD_AFTER_FORWARD, false);
    }
    match settings.get(&["sharding_strategy"]) {
        Some(hybrid) if hybrid.text().is_some_and(|text| text == "hybrid") => {
            let source = hybrid.source(claims);
            claims.assume(field::parallelism::SHARDING, Sharding::HSDP, source);
            claims.open(field::parallelism::SHARDING, Sharding::FSDP);
        }
        _ => settings::read(SHARDING, &settings, claims),
    }
    claims.open(field::GRADIENT_REDUCTION_PRECISION, Precision::BF16);
    settings::assume(DEFAULTS, SOURCE, claims);
    claims.accumulation = Some((1, SOURCE.into()));
    // A published model's dimensions replace the given ones.
    let pretrained = &["hf_pretrained_model_name_or_dir"];
    match settings.get(pretrained).and_then(|setting| Some((setting.text()?, setting))) {
        Some((name, setting)) if !name.is_empty() && name != "None" => {
            setting.says(claims, field::model::NAME, name);
        }
        _ => shape(&settings, claims),
    }
}

fn shape(settings: &Settings<'_>, claims: &mut Claims) {
    settings::read(DIMENSIONS, settings, claims);
    settings::assume(&[field::model::VOCAB_SIZE.is(50_432)], SOURCE, claims);
    let Some(kind) = settings.get(&["model_type"]) else { return };
    let text = kind.text().unwrap_or_default().to_ascii_lowercase();
    if text.contains("mixtral") {
        kind.says(claims, field::model::EXPERTS, 8);
        kind.says(claims, field::model::EXPERTS_PER_TOKEN, 2);
    }
    if text.contains("gpt_neox") || text.contains("gpt2") {
        plain(settings, &kind, claims);
    } else if text.contains("llama") || text.contains("mistral") || text.contains("mixtral") {
        settings::read(WIDTH, settings, claims);
        claims.assume(field::model::FFN_HIDDEN_SIZE, INTERMEDIATE, SOURCE);
    }
}

/// A GPT's shape: a plain feed-forward network, layer norms, biases.
fn plain(settings: &Settings<'_>, kind: &Setting, claims: &mut Claims) {
    if let Some(width) = settings.number(&["hidden_width"]) {
        kind.says(claims, field::model::FFN_HIDDEN_SIZE, width.saturating_mul(4));
    }
    kind.says(claims, field::model::ACTIVATION, Activation::GELU);
    kind.says(claims, field::model::NORMALIZATION, Normalization::LayerNorm);
    kind.says(claims, field::model::BIASES, true);
    let gpt2 = kind.text().is_some_and(|text| text.contains("gpt2"));
    kind.says(claims, field::model::POSITIONS, if gpt2 { Positions::Learned } else { Positions::Rotary });
    kind.says(claims, field::model::TIED_EMBEDDINGS, gpt2);
}
