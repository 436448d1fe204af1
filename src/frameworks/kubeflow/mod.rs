//! Kubeflow's own fine-tuning image: `hf_llm_training.py --model_uri hf://… --training_parameters '{…}' --lora_config '{…}'`,
//! as `TrainingClient().train()` of its SDK writes it.
//!
//! **Recognised** by `--model_uri` beside `--training_parameters`, which hold the Trainer's arguments as JSON; the image
//! brings its command. Read from kubeflow/training-operator's `sdk/python/kubeflow/trainer/hf_llm_training.py` at 1034403b: LoRA of
//! rank 8 without dropout, PEFT's own defaults, wherever `--lora_config` stands. A process may split the model over what it sees.

use crate::command::Launch;
use crate::frameworks::hugging_face::{peft, training_arguments};
use crate::frameworks::reading::config;
use crate::frameworks::reading::flags::Takes;
use crate::frameworks::reading::said::Said;
use crate::frameworks::reading::settings::{self, Place, Settings};

const SOURCE: &str = "Kubeflow SDK default";

/// Whether it is its launch.
pub(crate) fn recognises(launch: &Launch) -> bool {
    ["model_uri", "training_parameters"].iter().all(|name| launch.arguments.has(name))
}

/// What it says.
pub(crate) fn read(launch: &Launch, said: &mut Said) {
    said.argument("framework", "HuggingFace", "--training_parameters");
    let mut settings = Settings::of(vec![Place::Options(&launch.arguments)]);
    let uri = settings.get(&["model_uri"]);
    if let Some((model, setting)) = uri.and_then(|setting| Some((setting.text()?, setting))) {
        setting.says(said, "model.name", model.trim_start_matches("hf://"));
    }
    if settings.text(&["transformer_type"]).is_some_and(|kind| kind != "AutoModelForCausalLM") {
        said.beyond = Some("it is no model of causal language");
    }
    for name in ["training_parameters", "lora_config"] {
        if let Some(text) = settings.text(&[name])
            && let Some(config) = config::named(launch, &text, &format!("--{name}"), said)
        {
            settings.add(Place::File(config));
        }
    }
    match settings.get(&["lora_config"]) {
        Some(setting) => {
            if settings.has(&["quantization_config"]) {
                said.may("finetuning.method", "QLoRA");
                settings::read_one(&settings, &["r"], "finetuning.rank", Takes::Number, said);
                settings::read_one(&settings, &["lora_dropout"], "finetuning.dropout", Takes::Percent, said);
            } else {
                peft::adapters(&settings, &setting, false, said);
            }
            settings::assume(&[("finetuning.rank", "8"), ("finetuning.dropout", "0")], SOURCE, said);
        }
        None => said.may("finetuning.method", "QLoRA"),
    }
    training_arguments::read(launch, &settings, said);
    training_arguments::precision(&settings, said);
    training_arguments::loaded_unasked(&settings, SOURCE, said);
    training_arguments::steps_at_once(&settings, said);
    said.may("parallelism.sharding", "FSDP");
    settings::assume(&[("batch.microBatchSize", "8")], SOURCE, said);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frameworks::examples::told;

    #[test]
    fn its_json_is_the_trainers_arguments() {
        let launch = Launch::of_words(&[
            "torchrun",
            "hf_llm_training.py",
            "--model_uri",
            "hf://meta-llama/Llama-2-7b-hf",
            "--transformer_type",
            "AutoModelForCausalLM",
            "--lora_config",
            r#"{"r": 16, "lora_alpha": 32, "target_modules": ["q_proj", "v_proj"]}"#,
            "--training_parameters",
            r#"{"output_dir": "/o", "per_device_train_batch_size": 2, "bf16": true, "gradient_checkpointing": true}"#,
        ]);
        insta::assert_snapshot!(told(launch));
    }
}
