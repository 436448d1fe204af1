//! KAITO's program for tuning: `accelerate launch --num_processes=1 /workspace/tfs/fine_tuning.py`.
//!
//! **Recognised** by its path. It reads the file that `YAML_FILE_PATH` names, `/mnt/config/training_config.yaml` otherwise,
//! with a group for each part: `ModelConfig`, `QuantizationConfig`, `LoraConfig` and `TrainingArguments`, under the names of
//! Transformers and PEFT. TRL's trainer gets adapters in any case, and layers are checkpointed where weights are quantized
//! (`prepare_model_for_kbit_training`). Each process has the whole model on its device. If the file is not known, the one
//! that KAITO's chart has is likely: rank 8, no dropout, batches of 1. The adapted layers are in `DEFAULT_TARGET_MODULES`.
//!
//! Read from 0.9 (`presets/workspace/tuning/text-generation`, `charts/kaito/workspace/templates`, at 056b8280b).

use crate::command::{Launch, Target};
use crate::frameworks::hugging_face::{peft, training_arguments};
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::config;
use crate::frameworks::reading::flags::{Table, Takes, flag};
use crate::frameworks::reading::settings::{self, Place, Settings};
use crate::job::{Assignment, Framework, Loss, Method, OpenField, Recompute, Sharding, ValueOf, field};

const SOURCE: &str = "KAITO 0.9 default";
/// The file, unless a variable names another one.
const FILE: &str = "/mnt/config/training_config.yaml";
const VARIABLE: &str = "YAML_FILE_PATH";
/// The variable with the adapted layers.
const TARGETS: &str = "DEFAULT_TARGET_MODULES";

const FLAGS: Table = &[
    &flag(&["pretrained_model_name_or_path"], field::model::NAME, Takes::Text),
    &flag(&["max_length", "max_seq_length"], field::batch::SEQUENCE_LENGTH, Takes::Number),
];

/// The values of the chart's file.
const USUAL: &[Assignment] = &[
    field::batch::MICRO_BATCH_SIZE.is(1),
    field::finetuning::METHOD.is(Method::LoRA),
    field::finetuning::RANK.is(8),
    field::finetuning::DROPOUT.is(0),
];

/// Whether the launch runs it.
pub(crate) fn recognises(launch: &Launch) -> bool {
    matches!(&launch.target, Target::Script(path) if path.ends_with("/tfs/fine_tuning.py"))
}

/// Claims the settings of its file.
pub(crate) fn read(launch: &Launch, claims: &mut Claims) {
    claims.argument(field::FRAMEWORK, Framework::HuggingFace, "fine_tuning.py");
    let mut settings = Settings::default();
    let path = launch.environment.get(VARIABLE).unwrap_or(FILE);
    let file =
        launch.files.meant(path).is_some().then(|| config::named(launch, path, VARIABLE, claims)).flatten();
    let known = file.is_some();
    if let Some(mut file) = file {
        file.flatten();
        settings.add(Place::File(file));
    }
    settings::read(FLAGS, &settings, claims);
    if let Some(by) = settings.get(&["r", "load_in_4bit"]) {
        peft::adapters(&settings, &by, false, claims);
    }
    training_arguments::read(launch, &settings, claims);
    training_arguments::precision(&settings, claims);
    if let Some(layers) = launch.environment.get(TARGETS).filter(|layers| !layers.is_empty()) {
        let layers: Vec<&str> = layers.split(',').map(str::trim).collect();
        claims.environment(field::finetuning::TARGETS, layers, TARGETS);
    }
    if !known {
        settings::assume(USUAL, SOURCE, claims);
        claims.open(field::finetuning::METHOD, Method::QLoRA);
    }
    claims.assume(field::parallelism::SHARDING, Sharding::None, SOURCE);
    claims.assume(field::batch::SEQUENCE_LENGTH, 1024, "TRL 0.24 default");
    claims.assume(field::batch::MICRO_BATCH_SIZE, 8, "transformers 4.57 default");
    checkpointing(claims);
    training_arguments::steps_at_once(&settings, claims);
    // TRL 1.16 fuses the output layer and the loss.
    claims.open(field::LOSS, Loss::Fused);
}

/// On where weights are quantized, and by default since TRL 0.20.
fn checkpointing(claims: &mut Claims) {
    claims.assume(field::RECOMPUTE, Recompute::Full, SOURCE);
    if claims.get(field::finetuning::METHOD) != Some(Method::QLoRA) {
        claims.open_field(OpenField {
            field: field::RECOMPUTE.erased(),
            leanest: Some(Recompute::Full.json()),
            heaviest: Some(Recompute::None.json()),
            although_given: false,
        });
    }
}
