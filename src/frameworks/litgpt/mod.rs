//! LitGPT: `litgpt finetune_lora meta-llama/Llama-3.2-1B --precision bf16-true --train.micro_batch_size 2`.
//!
//! **Recognised** by its program. Read from the release 0.5.8 (`litgpt/finetune/{lora,full}.py`, `litgpt/pretrain.py`).
//! Fine-tuning takes one device, a batch of 1 within 16, LoRA of rank 8 on queries and values, and FSDP over several
//! devices. Pretraining takes all devices, a batch of 4 within 512, and shards within each node. Both mix bf16 with
//! fp32 weights, but the shipped configurations set `bf16-true`. So the precision stays open if it is not set. Other
//! adapters than LoRA are not covered.

pub(super) mod list;
pub(super) mod profile;

use crate::command::Launch;
use crate::frameworks::hugging_face::training_arguments;
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::config;
use crate::frameworks::reading::flags::{Table, Takes, flag};
use crate::frameworks::reading::settings::{self, Place, Settings};
use crate::job::{Cause, Framework, Method, Optimizer, Precision, Sharding, field};

const SOURCE: &str = "LitGPT 0.5 default";

/// Subcommands, and the method of each.
const COMMANDS: &[(&str, &str)] = &[
    ("litgpt finetune", "LoRA"),
    ("litgpt finetune_lora", "LoRA"),
    ("litgpt finetune_full", "Full"),
    ("litgpt pretrain", "Full"),
    ("litgpt finetune_adapter", ""),
    ("litgpt finetune_adapter_v2", ""),
];

const FLAGS: Table = &[
    &flag(&["train.micro_batch_size"], field::batch::MICRO_BATCH_SIZE, Takes::Number),
    &flag(&["train.global_batch_size"], field::batch::GLOBAL_BATCH_SIZE, Takes::Number),
    &flag(&["train.max_seq_length"], field::batch::SEQUENCE_LENGTH, Takes::Number),
    &flag(&["train.max_steps"], field::dataset::STEPS, Takes::Number),
    &flag(&["train.epochs"], field::dataset::EPOCHS, Takes::Number),
    &flag(&["train.max_tokens"], field::dataset::TOKENS, Takes::Number),
];

/// Precisions: the format of the computation, and whether weights are stored in it, too.
const PRECISIONS: &[(&str, Precision, bool)] = &[
    ("bf16-true", Precision::BF16, true),
    ("16-true", Precision::FP16, true),
    ("bf16-mixed", Precision::BF16, false),
    ("16-mixed", Precision::FP16, false),
    ("32-true", Precision::FP32, true),
    ("32", Precision::FP32, true),
];

/// Switches of LoRA's layers: the name, the default, and the layers.
const LAYERS: &[(&str, bool, &[&str])] = &[
    ("lora_query", true, &["q_proj"]),
    ("lora_key", false, &["k_proj"]),
    ("lora_value", true, &["v_proj"]),
    ("lora_projection", false, &["o_proj"]),
    ("lora_mlp", false, &["gate_proj", "up_proj", "down_proj"]),
];

const ADAPTERS: Table = &[
    &flag(&["lora_r"], field::finetuning::RANK, Takes::Number),
    &flag(&["lora_dropout"], field::finetuning::DROPOUT, Takes::Percent),
];

/// Whether the launch runs LitGPT.
pub(crate) fn recognises(launch: &Launch) -> bool {
    command(launch).is_some()
}

fn command(launch: &Launch) -> Option<&'static (&'static str, &'static str)> {
    COMMANDS.iter().find(|(command, _)| launch.runs_program(command))
}

/// Claims the settings of the launch.
pub(crate) fn read(launch: &Launch, claims: &mut Claims) {
    let Some((command, method)) = command(launch) else { return };
    claims.argument(field::FRAMEWORK, Framework::LitGPT, command);
    let mut settings = Settings::of(vec![Place::Options(&launch.arguments)]);
    if let Some(path) = settings.text(&["config"]).filter(|path| config::is_config(path))
        && let Some(config) = config::named(launch, &path, "--config", claims)
    {
        settings.add(Place::File(config));
    }
    model(launch, &settings, claims);
    settings::read(FLAGS, &settings, claims);
    devices(&settings, command, claims);
    precision(&settings, claims);
    match *method {
        "" => claims.beyond = Some(Cause::OtherAdapters),
        "LoRA" => lora(&settings, command, claims),
        _ => claims.argument(field::finetuning::METHOD, Method::Full, command),
    }
    optimizer(&settings, claims);
    let batches = match *command {
        "litgpt pretrain" => [field::batch::MICRO_BATCH_SIZE.is(4), field::batch::GLOBAL_BATCH_SIZE.is(512)],
        _ => [field::batch::MICRO_BATCH_SIZE.is(1), field::batch::GLOBAL_BATCH_SIZE.is(16)],
    };
    settings::assume(&batches, SOURCE, claims);
}

/// The optimizer's name, or its class in a block.
fn optimizer(settings: &Settings<'_>, claims: &mut Claims) {
    let names = ["optimizer.class_path", "optimizer"];
    if settings.text(&names).is_some() {
        training_arguments::optimizer(settings, &names, claims);
    } else if !settings.has(&names) {
        claims.assume(field::OPTIMIZER, Optimizer::AdamW, SOURCE);
    }
    settings.set_aside("optimizer.init_args");
}

fn model(launch: &Launch, settings: &Settings<'_>, claims: &mut Claims) {
    const NAMES: &[&str] = &["checkpoint_dir", "model_name"];
    const NAMED: Table = &[&flag(NAMES, field::model::NAME, Takes::Text)];
    settings::read(NAMED, settings, claims);
    // The first word that belongs to no option, after the subcommand if that was not split off.
    let words = launch.arguments.words().iter();
    let first = words
        .take(2)
        .find(|word| word.known && !word.text.starts_with("finetune") && word.text != "pretrain");
    if let Some(first) = first.filter(|word| !word.text.starts_with('-') && !settings.has(NAMES)) {
        claims.argument(field::model::NAME, first.text.clone(), "checkpoint_dir");
    }
}

fn devices(settings: &Settings<'_>, command: &str, claims: &mut Claims) {
    if command == "litgpt pretrain" {
        // On one node, sharding within the node is full sharding.
        let one = settings.get(&["num_nodes"]).is_none_or(|setting| setting.number() == Some(1));
        claims.assume(
            field::parallelism::SHARDING,
            if one { Sharding::FSDP } else { Sharding::HSDP },
            SOURCE,
        );
        claims.open(field::parallelism::SHARDING, Sharding::FSDP);
        // It takes all available devices.
        if !settings.has(&["devices"]) {
            return;
        }
    }
    let devices = settings.number_or(&["devices"], 1);
    let Some((devices, nodes)) = devices.zip(settings.number_or(&["num_nodes"], 1)) else { return };
    let Some(ranks) = devices.checked_mul(nodes).filter(|ranks| *ranks > 0) else { return };
    if let Some(setting) = settings.get(&["devices"]) {
        setting.says(claims, field::parallelism::DATA, ranks);
    } else {
        claims.assume(field::parallelism::DATA, ranks, SOURCE);
    }
    claims.assume(
        field::parallelism::SHARDING,
        if ranks > 1 { Sharding::FSDP } else { Sharding::None },
        SOURCE,
    );
}

fn precision(settings: &Settings<'_>, claims: &mut Claims) {
    let Some(setting) = settings.get(&["precision"]) else { return };
    let text = setting.text().unwrap_or_default();
    let Some((_, format, stored)) = PRECISIONS.iter().find(|(name, ..)| *name == text) else { return };
    setting.says(claims, field::PRECISION, *format);
    setting.says(claims, field::PARAMETER_PRECISION, if *stored { *format } else { Precision::FP32 });
}

fn lora(settings: &Settings<'_>, command: &str, claims: &mut Claims) {
    match settings.get(&["quantize"]) {
        Some(setting) if setting.text().is_some_and(|text| text.contains('4') || text.contains("nf")) => {
            setting.says(claims, field::finetuning::METHOD, Method::QLoRA);
        }
        Some(_) => claims.open(field::finetuning::METHOD, Method::QLoRA),
        None => claims.argument(field::finetuning::METHOD, Method::LoRA, command),
    }
    settings::read(ADAPTERS, settings, claims);
    settings::assume(&[field::finetuning::RANK.is(8), field::finetuning::DROPOUT.is(5)], SOURCE, claims);
    let on = |name: &str, usual: bool| settings.on(&[name]).unwrap_or(usual);
    let targets = LAYERS.iter().filter(|(name, usual, _)| on(name, *usual)).flat_map(|(.., layers)| *layers);
    let targets: Vec<&str> = targets.copied().collect();
    match LAYERS.iter().find_map(|(name, ..)| settings.get(&[name])) {
        Some(setting) => setting.says(claims, field::finetuning::TARGETS, targets),
        None => claims.assume(field::finetuning::TARGETS, targets, SOURCE),
    }
}
