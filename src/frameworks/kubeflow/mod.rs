//! Kubeflow's fine-tuning image: `hf_llm_training.py --model_uri hf://… --training_parameters '{…}' --lora_config
//! '{…}'`, as `TrainingClient().train()` of its SDK writes it.
//!
//! **Recognised** by `--model_uri` with `--training_parameters`, which holds the Trainer's arguments as JSON. The image
//! has the command. Read from kubeflow/training-operator's `sdk/python/kubeflow/trainer/hf_llm_training.py` at
//! 1034403b. With `--lora_config`, LoRA has PEFT's defaults: rank 8 without dropout. A process may split the model over
//! its accelerators.

use crate::command::Launch;
use crate::frameworks::hugging_face::{peft, training_arguments};
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::config;
use crate::frameworks::reading::flags::{Table, Takes, flag};
use crate::frameworks::reading::settings::{self, Place, Settings};
use crate::job::{Cause, Framework, Method, Sharding, field};

const SOURCE: &str = "Kubeflow SDK default";

const ADAPTERS: Table = &[
    &flag(&["r"], field::finetuning::RANK, Takes::Number),
    &flag(&["lora_dropout"], field::finetuning::DROPOUT, Takes::Percent),
];

/// Whether the launch runs Kubeflow's trainer.
pub(crate) fn recognises(launch: &Launch) -> bool {
    ["model_uri", "training_parameters"].iter().all(|name| launch.arguments.has(name))
}

/// Claims the settings of the launch.
pub(crate) fn read(launch: &Launch, claims: &mut Claims) {
    claims.argument(field::FRAMEWORK, Framework::HuggingFace, "--training_parameters");
    let mut settings = Settings::of(vec![Place::Options(&launch.arguments)]);
    let uri = settings.get(&["model_uri"]);
    if let Some((model, setting)) = uri.and_then(|setting| Some((setting.text()?, setting))) {
        setting.says(claims, field::model::NAME, model.trim_start_matches("hf://"));
    }
    if settings.text(&["transformer_type"]).is_some_and(|kind| kind != "AutoModelForCausalLM") {
        claims.beyond = Some(Cause::NotCausal);
    }
    for name in ["training_parameters", "lora_config"] {
        if let Some(text) = settings.text(&[name])
            && let Some(config) = config::named(launch, &text, &format!("--{name}"), claims)
        {
            settings.add(Place::File(config));
        }
    }
    match settings.get(&["lora_config"]) {
        Some(setting) => {
            if settings.has(&["quantization_config"]) {
                claims.open(field::finetuning::METHOD, Method::QLoRA);
                settings::read(ADAPTERS, &settings, claims);
            } else {
                peft::adapters(&settings, &setting, false, claims);
            }
            settings::assume(
                &[field::finetuning::RANK.is(8), field::finetuning::DROPOUT.is(0)],
                SOURCE,
                claims,
            );
        }
        None => claims.open(field::finetuning::METHOD, Method::QLoRA),
    }
    training_arguments::read(launch, &settings, claims);
    training_arguments::precision(&settings, claims);
    training_arguments::loaded_unasked(&settings, SOURCE, claims);
    training_arguments::steps_at_once(&settings, claims);
    claims.open(field::parallelism::SHARDING, Sharding::FSDP);
    settings::assume(&[field::batch::MICRO_BATCH_SIZE.is(8)], SOURCE, claims);
}
