//! The fine-tuning recipes of `SageMaker` `HyperPod`, which are called llmft: `torchrun … -m amzn_awsllm_fine_tuning.train_hp
//! --config-path=/config`.
//!
//! **Recognised** by its module, or by a file of Hydra with the groups `training_config.training_args` and
//! `training_config.model_config`. The program itself is not published. Read from github.com/aws/sagemaker-hyperpod-recipes at
//! 26319955 (`hydra_config/llmft`, `launcher/config_validator/schema/llmft_schema_validation.py`, `launcher/nemo/recipe_stages.py`,
//! `docs/HYPERPARAMETERS.md`, `docs/RECIPES.md`).
//!
//! ```text
//! max_len                  truncates samples, which are shorter
//! micro_train_batch_size   sequences of a device: in scale_config, times all devices it is at most train_batch_size
//! peft_config              adapters; without it all weights
//! fsdp_config              PyTorch's FSDP by its own names
//! scale_config             holds only where elastic_policy.is_elastic is on
//! ```
//!
//! No page says the formats of weights and computation, nor the loss. They stay open.

use crate::command::Launch;
use crate::frameworks::hugging_face::{objective, training_arguments};
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::config::{self, Config};
use crate::frameworks::reading::flags::{Table, Takes, flag};
use crate::frameworks::reading::hydra;
use crate::frameworks::reading::settings::{self, Place, Settings};
use crate::job::{Attention, Framework, Loss, Method, Objective, Placement, Precision, Sharding, field};

const SOURCE: &str = "SageMaker HyperPod recipes";
const MODULE: &str = "amzn_awsllm_fine_tuning.train_hp";
const ARGUMENTS: &str = "training_config.training_args";
const MODEL: &str = "training_config.model_config";
const FSDP: &str = "training_config.training_args.strategy.fsdp_config";
const ADAPTERS: &str = "training_config.model_config.peft_config";
/// Groups of data, experiments and generation.
const BESIDE: &[&str] = &[
    "elastic_policy",
    "mlflow",
    "run",
    "training_config.datasets",
    "training_config.mlflow",
    "training_config.model_config.generation_cfg",
    "training_config.training_args.trainer_callbacks",
];

const KEYS: Table = &[
    &flag(&["training_config.model_config.model_name_or_path"], field::model::NAME, Takes::Text),
    &flag(&["training_config.training_args.max_len"], field::batch::SEQUENCE_LENGTH, Takes::Number),
    &flag(
        &["training_config.training_args.micro_train_batch_size"],
        field::batch::MICRO_BATCH_SIZE,
        Takes::Number,
    ),
    &flag(
        &["training_config.training_args.train_batch_size"],
        field::batch::GLOBAL_BATCH_SIZE,
        Takes::Number,
    ),
    &flag(&["training_config.training_args.ring_attn_size"], field::parallelism::CONTEXT, Takes::Number),
    &flag(&["training_config.training_args.packing_samples"], field::batch::PACKING, Takes::Switch(true)),
    &flag(&["training_config.training_args.max_epochs"], field::dataset::EPOCHS, Takes::Number),
    &flag(
        &["training_config.training_args.strategy.fsdp_config.sharding_strategy"],
        field::parallelism::SHARDING,
        Takes::OneOf(STRATEGIES),
    ),
    &flag(
        &["training_config.training_args.strategy.fsdp_config.cpu_offload"],
        field::offload::PARAMETERS,
        Takes::Switch(true),
    ),
    &flag(
        &["training_config.model_config.attn_implementation"],
        field::ATTENTION,
        Takes::OneOf(training_arguments::ATTENTION),
    ),
];

/// `PyTorch`'s names.
const STRATEGIES: &[(&str, Sharding)] = &[
    ("FULL_SHARD", Sharding::FSDP),
    ("SHARD_GRAD_OP", Sharding::ZeRO2),
    ("HYBRID_SHARD", Sharding::HSDP),
    ("NO_SHARD", Sharding::None),
];

/// Whether it is its launch.
pub(crate) fn recognises(launch: &Launch) -> bool {
    launch.runs_module(MODULE) || {
        let file = file(launch, &mut Claims::default());
        file.is_some_and(|file| [ARGUMENTS, MODEL].iter().all(|group| file.get(group).is_some()))
    }
}

/// Hydra's file. The package's own name of it is `config`.
fn file(launch: &Launch, claims: &mut Claims) -> Option<Config> {
    let path = hydra::configuration(launch).or_else(|| {
        let folder = launch.runs_module(MODULE).then(|| launch.arguments.value("config-path"))??;
        Some(format!("{}/config.yaml", folder.trim_end_matches('/')))
    })?;
    launch.files.meant(&path)?;
    config::named(launch, &path, "--config-name", claims)
}

/// Claims the settings of the file.
pub(crate) fn read(launch: &Launch, claims: &mut Claims) {
    claims.argument(field::FRAMEWORK, Framework::FSDP, "amzn_awsllm_fine_tuning");
    let mut settings = Settings::of(vec![Place::Words(&launch.arguments)]);
    match file(launch, claims) {
        Some(file) => settings.add(Place::File(file)),
        None => claims.open(field::finetuning::METHOD, Method::QLoRA),
    }
    settings::read(KEYS, &settings, claims);
    for (field, leanest) in [
        (field::batch::TYPICAL_SEQUENCE_LENGTH, 64),
        // The settings of an elastic job are those of its number of nodes.
        (field::batch::MICRO_BATCH_SIZE, 1),
    ] {
        claims.open(field, leanest);
    }
    training_arguments::recompute(
        &settings,
        &["training_config.training_args.gradient_checkpointing"],
        claims,
    );
    adapters(&settings, claims);
    trained(&settings, claims);
    if settings.on(&["elastic_policy.is_elastic"]) == Some(false) {
        settings.pass_over("scale_config");
    }
    for group in BESIDE.iter().chain(&[FSDP]) {
        settings.pass_over(group);
    }
    claims.assume(field::ATTENTION, Attention::Flash, SOURCE);
    claims.assume(field::PRECISION, Precision::BF16, SOURCE);
    claims.open(field::PARAMETER_PRECISION, Precision::BF16);
    claims.open(field::LOSS, Loss::Fused);
    claims.assume(field::LOSS, Loss::Eager, SOURCE);
}

/// Adapters, or all weights.
fn adapters(settings: &Settings<'_>, claims: &mut Claims) {
    let key = |name: &str| format!("{ADAPTERS}.{name}");
    let Some(method) = settings.get(&[&key("peft_type")]) else {
        return claims.assume(field::finetuning::METHOD, Method::Full, SOURCE);
    };
    if method.text().is_none_or(|text| !text.eq_ignore_ascii_case("lora")) {
        return claims.unparsed(field::finetuning::METHOD);
    }
    method.says(claims, field::finetuning::METHOD, Method::LoRA);
    if let Some(rank) = settings.get(&[&key("r")])
        && let Some(number) = rank.number()
    {
        rank.says(claims, field::finetuning::RANK, number);
    }
    if let Some(targets) = settings.get(&[&key("target_modules")]) {
        let names: Vec<String> = match targets.text() {
            Some(name) => vec![name],
            None => targets.texts().map(str::to_owned).collect(),
        };
        targets.says(claims, field::finetuning::TARGETS, names);
    }
    if let Some(dropout) = settings.get(&[&key("lora_dropout")]) {
        let percent =
            dropout.text().and_then(|text| text.parse::<f64>().ok()).map(|share| (share * 100.0) as u64);
        if let Some(percent) = percent {
            dropout.says(claims, field::finetuning::DROPOUT, percent);
        }
    }
    for inert in ["lora_alpha", "task_type", "bias"] {
        settings.has(&[&key(inert)]);
    }
}

/// The objective, and the model that it compares with.
fn trained(settings: &Settings<'_>, claims: &mut Claims) {
    let key = |name: &str| format!("{ARGUMENTS}.{name}");
    let Some(kind) = settings.get(&[&key("trainer_type")]) else { return };
    match kind.text().as_deref() {
        Some("sft") => kind.says(claims, field::OBJECTIVE, Objective::Supervised),
        Some("dpo") => {
            kind.says(claims, field::OBJECTIVE, Objective::DPO);
            settings.has(&[&key("loss_type")]);
            if settings.on(&[&key("reference_free")]) == Some(true) {
                claims.assume(field::roles::REFERENCE_MODEL, Placement::Elsewhere, SOURCE);
            } else if settings.on(&[&key("ref_offload")]) == Some(true) {
                claims.assume(field::roles::REFERENCE_MODEL, Placement::Offloaded, SOURCE);
            } else {
                objective::reference(SOURCE, claims);
            }
        }
        _ => claims.unparsed(field::OBJECTIVE),
    }
}
