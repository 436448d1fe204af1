//! Unsloth's command lines: `python unsloth-cli.py --model_name unsloth/llama-3-8b …`, and `unsloth train --model … -c run.yaml`.
//!
//! **Recognised** by the script's name or by the program. Read from `unsloth-cli.py` at 2025.10, and from
//! `unsloth_cli/config.py` of the release 2026.10. Both train adapters on the seven linear layers of a block without dropout,
//! unless all weights are asked for:
//!
//! | | `unsloth-cli.py` | `unsloth train` |
//! | --- | --- | --- |
//! | tokens | 2048 | 2048 |
//! | batch, accumulation | 2, 4 | 2, 4 |
//! | rank | 16 | 64 |
//! | weights | 16 bits, unless `--load_in_4bit` | 4 bits, unless `--no-load-in-4bit` |
//! | optimizer | `adamw_8bit` | `adamw_8bit` |
//! | checkpointing | `"unsloth"` | the same |

use crate::command::Launch;
use crate::frameworks::hugging_face::{peft, training_arguments};
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::config;
use crate::frameworks::reading::flags::{Table, Takes, flag};
use crate::frameworks::reading::settings::{self, Place, Settings};
use crate::job::{
    Assignment, Attention, Framework, Method, Optimizer, Precision, Recompute, Sharding, field,
};

const SCRIPT: &str = "unsloth-cli 2025.10 default";
const PROGRAM: &str = "Unsloth 2026.10 default";

const FLAGS: Table = &[
    &flag(&["model", "model_name"], field::model::NAME, Takes::Text),
    &flag(&["max_seq_length"], field::batch::SEQUENCE_LENGTH, Takes::Number),
    &flag(&["per_device_train_batch_size", "batch_size"], field::batch::MICRO_BATCH_SIZE, Takes::Number),
    &flag(&["packing"], field::batch::PACKING, Takes::Switch(true)),
    &flag(&["num_train_epochs", "num_epochs"], field::dataset::EPOCHS, Takes::Number),
];

const DEFAULTS: &[Assignment] = &[
    field::batch::SEQUENCE_LENGTH.is(2048),
    field::batch::MICRO_BATCH_SIZE.is(2),
    field::batch::PACKING.is(false),
    field::finetuning::DROPOUT.is(0),
    field::OPTIMIZER.is(Optimizer::AdamW8bit),
    field::PRECISION.is(Precision::BF16),
    field::ATTENTION.is(Attention::Flash),
];

/// Whether the launch runs Unsloth's command line.
pub(crate) fn recognises(launch: &Launch) -> bool {
    is_script(launch) || launch.runs_program("unsloth train")
}

fn is_script(launch: &Launch) -> bool {
    launch.runs_script(&["unsloth-cli.py"])
}

/// Claims the settings of the launch.
pub(crate) fn read(launch: &Launch, claims: &mut Claims) {
    claims.argument(field::FRAMEWORK, Framework::Unsloth, "unsloth");
    let mut settings = Settings::of(vec![Place::Options(&launch.arguments)]);
    let path = settings.text(&["config", "c"]).filter(|_| !is_script(launch));
    let mut known = true;
    if let Some(path) = path {
        match config::named(launch, &path, "--config", claims) {
            Some(mut file) => {
                file.flatten();
                settings.add(Place::File(file));
            }
            None => known = false,
        }
    }
    settings::read(FLAGS, &settings, claims);
    let source = if is_script(launch) { SCRIPT } else { PROGRAM };
    if known {
        method(launch, &settings, source, claims);
        settings::assume(DEFAULTS, source, claims);
    } else {
        claims.open(field::finetuning::METHOD, Method::QLoRA);
    }
    checkpointing(&settings, known.then_some(source), claims);
    training_arguments::optimizer(&settings, &["optim"], claims);
    if let Some(setting) = settings.get(&["gradient_accumulation_steps"]) {
        claims.accumulation = setting.number().map(|steps| (steps, setting.source(claims)));
    } else if known {
        claims.accumulation = Some((4, source.into()));
    }
    let steps = settings.get(&["max_steps"]).and_then(|setting| Some((setting.number()?, setting)));
    if let Some((steps, setting)) = steps.filter(|(steps, _)| *steps > 0) {
        setting.says(claims, field::dataset::STEPS, steps);
    }
    claims.assume(field::parallelism::SHARDING, Sharding::None, source);
    super::kernels(claims);
}

/// Unsloth's own checkpointing, unless another is asked for.
fn checkpointing(settings: &Settings<'_>, default: Option<&str>, claims: &mut Claims) {
    let names = &["use_gradient_checkpointing", "gradient_checkpointing"];
    match settings.get(names).filter(|setting| setting.text().is_some_and(|text| text == "unsloth")) {
        Some(setting) => setting.says(claims, field::offload::ACTIVATIONS, true),
        None if settings.has(names) => {}
        None => {
            if let Some(source) = default {
                claims.assume(field::RECOMPUTE, Recompute::Full, source);
                claims.assume(field::offload::ACTIVATIONS, true, source);
            }
        }
    }
    training_arguments::recompute(settings, names, claims);
}

/// The trained weights, and the bits of the others.
fn method(launch: &Launch, settings: &Settings<'_>, source: &str, claims: &mut Claims) {
    let trained = settings.get(&["training_type"]);
    if let Some(setting) =
        trained.filter(|setting| setting.text().is_some_and(|text| text.eq_ignore_ascii_case("full")))
    {
        return setting.says(claims, field::finetuning::METHOD, Method::Full);
    }
    match settings.get(&["load_in_4bit"]) {
        Some(setting) => match setting.truth() {
            Some(true) => setting.says(claims, field::finetuning::METHOD, Method::QLoRA),
            Some(false) => setting.says(claims, field::finetuning::METHOD, Method::LoRA),
            None => claims.open(field::finetuning::METHOD, Method::QLoRA),
        },
        None if is_script(launch) || settings.has(&["no_load_in_4bit"]) => {
            claims.assume(field::finetuning::METHOD, Method::LoRA, source);
        }
        None => claims.assume(field::finetuning::METHOD, Method::QLoRA, source),
    }
    peft::ranks(settings, claims);
    claims.assume(field::finetuning::RANK, if is_script(launch) { 16 } else { 64 }, source);
    claims.assume(field::finetuning::TARGETS, super::TARGETS.to_vec(), source);
    if claims.get(field::finetuning::METHOD).is_some_and(|method| method == Method::QLoRA) {
        super::four_bits(claims);
    }
}
