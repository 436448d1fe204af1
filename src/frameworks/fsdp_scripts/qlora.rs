//! `AnswerDotAI`'s `fsdp_qlora`: `python train.py --model_name … --train_type qlora --context_length 2048 --use_cpu_offload False`.
//!
//! **Recognised** by `--train_type` beside the model and one of its own options. Every setting is an option of `main` of
//! `train.py` at 05ed9f2, with these defaults: 4-bit weights with adapters of rank 64 on all linear layers but the output
//! projection of attention, a batch of 1, 512 tokens, full sharding, checkpointing, parameters on the host, and bf16 for all
//! states without mixed precision. It starts a process for each device itself, and takes PyTorch's own attention.

use crate::command::Launch;
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::flags::{Table, Takes, flag};
use crate::frameworks::reading::settings::{self, Place, Settings};
use crate::job::{
    Assignment, Attention, Cause, Framework, Method, Optimizer, Precision, Recompute, Sharding, field,
};

const SOURCE: &str = "fsdp_qlora default";

/// Its own options. A launch has one of them, beside `--train_type` and the model.
const TELLING: &[&str] =
    &["context_length", "reentrant_checkpointing", "use_cpu_offload", "low_memory", "no_sync", "hqq"];

const FLAGS: Table = &[
    &flag(&["model_name"], field::model::NAME, Takes::Text),
    &flag(&["batch_size"], field::batch::MICRO_BATCH_SIZE, Takes::Number),
    &flag(&["context_length"], field::batch::SEQUENCE_LENGTH, Takes::Number),
    &flag(&["num_epochs"], field::dataset::EPOCHS, Takes::Number),
    &flag(&["use_cpu_offload"], field::offload::PARAMETERS, Takes::Switch(true)),
    &flag(&["use_activation_cpu_offload"], field::offload::ACTIVATIONS, Takes::Switch(true)),
    &flag(&["lora_rank"], field::finetuning::RANK, Takes::Number),
    &flag(&["lora_dropout"], field::finetuning::DROPOUT, Takes::Percent),
    &flag(
        &["optimizer"],
        field::OPTIMIZER,
        Takes::OneOf(&[("adamw", Optimizer::AdamW), ("adam", Optimizer::AdamW), ("sgd", Optimizer::SGD)]),
    ),
    &flag(
        &["sharding_strategy"],
        field::parallelism::SHARDING,
        Takes::OneOf(&[
            ("full_shard", Sharding::FSDP),
            ("shard_grad_op", Sharding::FSDP),
            ("ddp", Sharding::None),
            ("hybrid_full_shard", Sharding::HSDP),
            ("hybrid_shard_grad_op", Sharding::HSDP),
        ]),
    ),
    &flag(
        &["train_type"],
        field::finetuning::METHOD,
        Takes::OneOf(&[
            ("full", Method::Full),
            ("lora", Method::LoRA),
            ("custom_lora", Method::LoRA),
            ("qlora", Method::QLoRA),
            ("custom_qlora", Method::QLoRA),
            ("hqq_lora", Method::QLoRA),
        ]),
    ),
];

const DEFAULTS: &[Assignment] = &[
    field::batch::MICRO_BATCH_SIZE.is(1),
    field::batch::SEQUENCE_LENGTH.is(512),
    field::RECOMPUTE.is(Recompute::Full),
    field::ATTENTION.is(Attention::Flash),
    field::offload::PARAMETERS.is(true),
    field::offload::ACTIVATIONS.is(false),
    field::parallelism::SHARDING.is(Sharding::FSDP),
    field::OPTIMIZER.is(Optimizer::AdamW),
];
const OF_ADAPTERS: &[Assignment] = &[field::finetuning::RANK.is(64), field::finetuning::DROPOUT.is(10)];
/// The layers of `--lora_target_modules all`.
const TARGETS: [&str; 6] = ["k_proj", "q_proj", "v_proj", "up_proj", "down_proj", "gate_proj"];

/// Whether the launch runs this script.
pub(super) fn recognises(launch: &Launch) -> bool {
    launch.runs_script(&["train.py"])
        && ["train_type", "model_name"].iter().all(|name| launch.arguments.has(name))
        && TELLING.iter().any(|name| launch.arguments.has(name))
}

/// Claims the settings of the launch.
pub(super) fn read(launch: &Launch, claims: &mut Claims) {
    let settings = Settings::of(vec![Place::Options(&launch.arguments)]);
    claims.argument(field::FRAMEWORK, Framework::FSDP, "--train_type");
    settings::read(FLAGS, &settings, claims);
    let kind = settings.text(&["train_type"]).unwrap_or_default();
    if kind.contains("dora") || kind.contains("llama_pro") {
        claims.beyond = Some(Cause::OtherAdapters);
    }
    if settings.get(&["n_bits"]).is_some_and(|bits| bits.number() != Some(4)) {
        claims.beyond = Some(Cause::StoredQuantized);
    }
    let strategy = settings.get(&["sharding_strategy"]);
    if let Some(setting) =
        strategy.filter(|setting| setting.text().is_some_and(|text| text.contains("grad_op")))
    {
        setting.says(claims, field::parallelism::RESHARD_AFTER_FORWARD, false);
    }
    if let Some((on, setting)) =
        settings.get(&["use_gradient_checkpointing"]).and_then(|setting| Some((setting.truth()?, setting)))
    {
        setting.says(claims, field::RECOMPUTE, if on { Recompute::Full } else { Recompute::None });
    }
    // Every sample of it has the whole length.
    if let Some(setting) = settings.get(&["dataset"]).filter(|data| data.text().as_deref() == Some("dummy")) {
        setting.says(claims, field::batch::PACKING, true);
    }
    precision(&settings, claims);
    settings::assume(DEFAULTS, SOURCE, claims);
    if claims.get(field::finetuning::METHOD) != Some(Method::Full) {
        settings::assume(OF_ADAPTERS, SOURCE, claims);
        if settings.text(&["lora_target_modules"]).is_none_or(|which| which == "all") {
            claims.assume(field::finetuning::TARGETS, TARGETS.to_vec(), SOURCE);
        }
    }
    claims.accumulation = match settings.get(&["gradient_accumulation_steps"]) {
        Some(setting) => setting.number().map(|steps| (steps, setting.source(claims))),
        None => Some((1, SOURCE.into())),
    };
    // They change nothing of what this reads.
    settings.inert(&[
        "reentrant_checkpointing",
        "low_memory",
        "no_sync",
        "dataset_samples",
        "lora_alpha",
        "lr",
    ]);
}

/// The format of the computation and of the weights. `bf16` has all states in it.
fn precision(settings: &Settings<'_>, claims: &mut Claims) {
    let Some(setting) = settings.get(&["precision"]) else {
        claims.assume(field::PRECISION, Precision::BF16, SOURCE);
        claims.assume(field::PARAMETER_PRECISION, Precision::BF16, SOURCE);
        return;
    };
    let (computed, stored) = match setting.text().as_deref() {
        Some("bf16" | "bf16_buffers_autocast") => (Precision::BF16, Precision::BF16),
        Some("bf16_autocast") => (Precision::BF16, Precision::FP32),
        Some("fp16_autocast") => (Precision::FP16, Precision::FP32),
        Some("fp32") => (Precision::FP32, Precision::FP32),
        _ => return claims.unparsed(field::PRECISION),
    };
    setting.says(claims, field::PRECISION, computed);
    setting.says(claims, field::PARAMETER_PRECISION, stored);
}
