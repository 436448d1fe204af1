//! Images without a command that variables of their environment configure: `MODEL_NAME=google/gemma-2b LORA_R=8
//! TRAIN_BATCH_SIZE=1 MAX_SEQ_LENGTH=512`.
//!
//! **Recognised** if there is no command, or a shell script that is not known, a variable names a model, and two more variables have names that only
//! fine-tuning has. The names are conventions without documentation. So all other fields stay open, adapters and their
//! quantization included. A rank with a scale (`LORA_R`, `LORA_ALPHA`), or a switch that is on (`USE_LORA`), means
//! LoRA. Its base model may still be quantized. One process may split the model over its accelerators.

use crate::command::{Launch, Target};
use crate::frameworks::deepspeed;
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::flags::{Table, Takes, flag};
use crate::frameworks::reading::settings::{self, Place, Settings};
use crate::job::{Framework, Method, Precision, field};
use crate::model::known;

const MODEL: &[&str] = &[
    "MODEL_NAME",
    "MODEL_ID",
    "MODEL_NAME_OR_PATH",
    "BASE_MODEL",
    "BASE_MODEL_ID",
    "HF_MODEL",
    "HF_MODEL_ID",
    "MODEL",
];

const VARIABLES: Table = &[
    &flag(MODEL, field::model::NAME, Takes::Text),
    &flag(
        &["PER_DEVICE_TRAIN_BATCH_SIZE", "TRAIN_BATCH_SIZE", "MICRO_BATCH_SIZE", "BATCH_SIZE"],
        field::batch::MICRO_BATCH_SIZE,
        Takes::Number,
    ),
    &flag(
        &["MAX_SEQ_LENGTH", "MAX_SEQ_LEN", "MAX_LENGTH", "SEQUENCE_LENGTH"],
        field::batch::SEQUENCE_LENGTH,
        Takes::Number,
    ),
    &flag(RANK, field::finetuning::RANK, Takes::Number),
    &flag(&["LORA_TARGET_MODULES"], field::finetuning::TARGETS, Takes::List),
    &flag(&["LORA_DROPOUT"], field::finetuning::DROPOUT, Takes::Percent),
    &flag(&["NUM_TRAIN_EPOCHS", "NUM_EPOCHS"], field::dataset::EPOCHS, Takes::Number),
    &flag(&["MAX_STEPS"], field::dataset::STEPS, Takes::Number),
    &flag(&["BF16"], field::PRECISION, Takes::Word(Precision::BF16)),
    &flag(&["FP16"], field::PRECISION, Takes::Word(Precision::FP16)),
];

const RANK: &[&str] = &["LORA_R", "LORA_RANK"];
const SCALE: &[&str] = &["LORA_ALPHA"];
const SWITCH: &[&str] = &["USE_LORA", "USE_PEFT", "ENABLE_LORA"];
const QUANTIZED: &[&str] = &["LOAD_IN_4BIT", "USE_4BIT", "USE_QLORA"];

/// Names that only fine-tuning has. A launch has at least two of them.
const TELLING: &[&str] = &[
    "LORA_R",
    "LORA_RANK",
    "LORA_ALPHA",
    "LORA_DROPOUT",
    "TRAIN_BATCH_SIZE",
    "PER_DEVICE_TRAIN_BATCH_SIZE",
    "GRADIENT_ACCUMULATION_STEPS",
    "NUM_TRAIN_EPOCHS",
    "LEARNING_RATE",
    "WARMUP_RATIO",
    "EPOCHS",
    "SEQUENCE_LENGTH",
];

/// Whether variables configure an image for fine-tuning.
pub(crate) fn recognises(launch: &Launch) -> bool {
    let no_command = match &launch.target {
        Target::Unknown => launch.arguments.words().is_empty(),
        // A script of the shell that is not known.
        Target::Program(name) => name.is_empty() || name.strip_suffix(".sh").is_some(),
        _ => false,
    };
    let has = |name: &&&str| launch.environment.get(name).is_some();
    // The short name is that of many things.
    let named = MODEL.iter().any(|name| match launch.environment.get(name) {
        Some(model) => *name != "MODEL" || known::find(model).is_some(),
        None => false,
    });
    no_command && named && TELLING.iter().filter(has).count() >= 2
}

/// Claims the settings of the variables.
pub(crate) fn read(launch: &Launch, claims: &mut Claims) {
    let settings = Settings::of(vec![Place::Environment(&launch.environment)]);
    claims.assume(field::FRAMEWORK, Framework::HuggingFace, "variables of fine-tuning images");
    settings::read(VARIABLES, &settings, claims);
    settings::accumulation(&settings, &["GRADIENT_ACCUMULATION_STEPS"], claims);
    method(&settings, claims);
    claims.open(field::finetuning::METHOD, Method::QLoRA);
    deepspeed::unknown(claims);
}

/// LoRA or QLoRA, if the variables agree. A switch that is off leaves the method open.
fn method(settings: &Settings<'_>, claims: &mut Claims) {
    if let Some(setting) = settings.get(QUANTIZED).filter(|setting| setting.truth() == Some(true)) {
        setting.says(claims, field::finetuning::METHOD, Method::QLoRA);
        return;
    }
    let switch = settings.get(SWITCH).map(|setting| (setting.truth(), setting));
    let rank = settings.get(RANK).filter(|setting| setting.number().is_some_and(|rank| rank > 0));
    let by = match switch {
        Some((Some(true), setting)) => Some(setting),
        Some(_) => None,
        None => rank.filter(|_| settings.has(SCALE)),
    };
    if let Some(by) = by {
        let source = by.source(claims);
        claims.assume(field::finetuning::METHOD, Method::LoRA, source);
    }
}
