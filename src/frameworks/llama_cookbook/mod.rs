//! Meta's llama-cookbook, formerly llama-recipes: `finetuning.py --enable_fsdp --fsdp_config.pure_bf16 --model_name …`.
//!
//! **Recognised** by the script's or the module's name together with one of its own flags. Read from
//! `src/llama_cookbook/configs/{training,fsdp,peft}.py` at 1a97f6fd: a batch of 4, samples packed into 4096 tokens,
//! `AdamW`, bf16. `--enable_fsdp` turns on full sharding and activation checkpointing; without it,
//! every rank holds a whole model. `--use_peft` turns on LoRA of
//! rank 8 on queries and values.
//!
//! `pure_bf16` keeps two bytes of every state. Without it, some versions shard fp32 and others bf16, so this stays
//! open. The spec has no word for an 8-bit base model. Its memory lies between LoRA's and QLoRA's.

use crate::command::Launch;
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::complete;
use crate::frameworks::reading::flags::{Table, Takes, flag};
use crate::frameworks::reading::settings::{self, Place, Setting, Settings};
use crate::job::{
    Assignment, Attention, Framework, Method, Optimizer, Precision, Recompute, Sharding, field,
};

const SOURCE: &str = "llama-cookbook 0.0.5 default";

const SCRIPTS: &[&str] = &["finetuning.py", "llama_finetuning.py"];
const MODULES: &[&str] = &["llama_recipes.finetuning", "llama_cookbook.finetuning"];
/// Its own flags. A launch has at least one of them.
const TELLING: &[&str] =
    &["enable_fsdp", "batch_size_training", "fsdp_config.pure_bf16", "peft_method", "batching_strategy"];

const FLAGS: Table = &[
    &flag(&["model_name"], field::model::NAME, Takes::Text),
    &flag(&["batch_size_training"], field::batch::MICRO_BATCH_SIZE, Takes::Number),
    &flag(&["context_length"], field::batch::SEQUENCE_LENGTH, Takes::Number),
    &flag(&["max_train_step"], field::dataset::STEPS, Takes::Number),
    &flag(&["num_epochs"], field::dataset::EPOCHS, Takes::Number),
    &flag(&["use_fast_kernels"], field::ATTENTION, Takes::Word(Attention::Flash)),
    &flag(&["fsdp_config.fsdp_cpu_offload"], field::offload::PARAMETERS, Takes::Switch(true)),
    &flag(&["fsdp_config.sharding_group_size"], field::parallelism::SHARDING_DEGREE, Takes::Number),
];

const LORA: Table = &[
    &flag(&["lora_config.r", "r"], field::finetuning::RANK, Takes::Number),
    &flag(&["lora_config.target_modules", "target_modules"], field::finetuning::TARGETS, Takes::List),
    &flag(&["lora_config.lora_dropout", "lora_dropout"], field::finetuning::DROPOUT, Takes::Percent),
];

const DEFAULTS: &[Assignment] = &[
    field::batch::MICRO_BATCH_SIZE.is(4),
    field::batch::SEQUENCE_LENGTH.is(4096),
    field::PRECISION.is(Precision::BF16),
    field::OPTIMIZER.is(Optimizer::AdamW),
];

/// Whether the launch runs llama-cookbook.
pub(crate) fn recognises(launch: &Launch) -> bool {
    let named = launch.runs_script(SCRIPTS) || MODULES.iter().any(|module| launch.runs_module(module));
    named && launch.arguments.has("model_name") && TELLING.iter().any(|flag| launch.arguments.has(flag))
}

/// Claims the settings of the launch.
pub(crate) fn read(launch: &Launch, claims: &mut Claims) {
    let settings = Settings::of(vec![Place::Options(&launch.arguments)]);
    claims.argument(field::FRAMEWORK, Framework::FSDP, "--model_name");
    settings::read(FLAGS, &settings, claims);
    packing(&settings, claims);
    method(&settings, claims);
    sharding(&settings, claims);
    precision(&settings, claims);
    settings::assume(DEFAULTS, SOURCE, claims);
    claims.accumulation = match settings.get(&["gradient_accumulation_steps"]) {
        Some(setting) => setting.number().map(|steps| (steps, setting.source(claims))),
        None => Some((1, SOURCE.into())),
    };
    if settings.on(&["freeze_layers"]) == Some(true) {
        complete::leave_frozen_open(claims);
    }
}

fn packing(settings: &Settings<'_>, claims: &mut Claims) {
    match settings.get(&["batching_strategy"]) {
        Some(setting) => {
            if let Some(text) = setting.text() {
                setting.says(claims, field::batch::PACKING, text == "packing");
            }
        }
        None => claims.assume(field::batch::PACKING, true, SOURCE),
    }
}

fn method(settings: &Settings<'_>, claims: &mut Claims) {
    let Some(peft) = settings.get(&["use_peft"]) else {
        claims.assume(field::finetuning::METHOD, Method::Full, SOURCE);
        return;
    };
    if peft.truth() != Some(true) {
        return;
    }
    settings::read(LORA, settings, claims);
    settings::assume(&[field::finetuning::RANK.is(8), field::finetuning::DROPOUT.is(5)], SOURCE, claims);
    claims.assume(field::finetuning::TARGETS, vec!["q_proj", "v_proj"], SOURCE);
    match settings.get(&["quantization"]) {
        None => peft.says(claims, field::finetuning::METHOD, Method::LoRA),
        Some(bits) if bits.text().is_some_and(|text| text.contains('4')) => {
            bits.says(claims, field::finetuning::METHOD, Method::QLoRA);
        }
        Some(_) => claims.open(field::finetuning::METHOD, Method::QLoRA),
    }
}

fn sharding(settings: &Settings<'_>, claims: &mut Claims) {
    let Some(fsdp) = settings.get(&["enable_fsdp"]) else {
        claims.assume(field::parallelism::SHARDING, Sharding::None, SOURCE);
        return;
    };
    if fsdp.truth() != Some(true) {
        return;
    }
    let strategy = settings.get(&["fsdp_config.sharding_strategy"]);
    let text = strategy.as_ref().and_then(Setting::text).unwrap_or_default();
    let hybrid = settings.on(&["fsdp_config.hsdp"]) == Some(true) || text.contains("HYBRID");
    let by = strategy.unwrap_or_else(|| fsdp.clone());
    match text.as_str() {
        "NO_SHARD" => by.says(claims, field::parallelism::SHARDING, Sharding::None),
        _ if hybrid => by.says(claims, field::parallelism::SHARDING, Sharding::HSDP),
        _ => by.says(claims, field::parallelism::SHARDING, Sharding::FSDP),
    }
    if text == "SHARD_GRAD_OP" {
        by.says(claims, field::parallelism::RESHARD_AFTER_FORWARD, false);
    }
    let checkpointing = settings.get(&["fsdp_config.fsdp_activation_checkpointing"]);
    match checkpointing.and_then(|setting| Some((setting.truth()?, setting))) {
        Some((on, setting)) => {
            setting.says(claims, field::RECOMPUTE, if on { Recompute::Full } else { Recompute::None });
        }
        None => claims.assume(field::RECOMPUTE, Recompute::Full, SOURCE),
    }
}

fn precision(settings: &Settings<'_>, claims: &mut Claims) {
    let pure = settings.get(&["fsdp_config.pure_bf16", "pure_bf16"]);
    let half = settings.get(&["use_fp16", "fsdp_config.use_fp16"]);
    if let Some(pure) = pure.filter(|setting| setting.truth() == Some(true)) {
        pure.says(claims, field::PRECISION, Precision::BF16);
        pure.says(claims, field::PARAMETER_PRECISION, Precision::BF16);
        return;
    }
    if let Some(half) = half.filter(|setting| setting.truth() == Some(true)) {
        half.says(claims, field::PRECISION, Precision::FP16);
    }
    claims.open(field::PARAMETER_PRECISION, Precision::BF16);
}
