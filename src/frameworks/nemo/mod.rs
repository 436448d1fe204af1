//! NeMo: `megatron_gpt_pretraining.py` with Hydra's configuration and `key=value` words, and NeMo 2's `nemo llm
//! pretrain --factory llama3_8b trainer.devices=8 …`.
//!
//! **Recognised** by the scripts' names, or by the program `nemo` with `llm`. Hydra's configuration is the file
//! `--config-path`/`--config-name`.yaml. Settings that are neither in a word nor in a known file stay open. NeMo 2's
//! factory names the model and decides all other settings. Fine-tuning factories tune adapters by default.
//!
//! Read from NVIDIA/NeMo 2.0: `examples/nlp/language_modeling`, `nemo/collections/llm/recipes`.

pub(super) mod list;

use crate::command::{Launch, Target};
use crate::frameworks::megatron_core;
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::complete::Written;
use crate::frameworks::reading::config;
use crate::frameworks::reading::settings::{Place, Settings};
use crate::job::{Framework, Method, Precision, field};

const SCRIPTS: &[&str] = &[
    "megatron_gpt_pretraining.py",
    "megatron_gpt_continue_training.py",
    "megatron_gpt_finetuning.py",
    "megatron_gpt_sft.py",
    "megatron_gpt_peft_tuning.py",
];
const TUNING_SCRIPTS: &[&str] = &["megatron_gpt_finetuning.py", "megatron_gpt_peft_tuning.py"];

/// Whether the launch runs NeMo.
pub(crate) fn recognises(launch: &Launch) -> bool {
    launch.runs_script(SCRIPTS) || is_command(launch)
}

/// Whether it is `nemo llm …`. Its last word is the task.
fn is_command(launch: &Launch) -> bool {
    let Target::Program(program) = &launch.target else { return false };
    let mut words = program.split(' ').chain(launch.arguments.words().iter().map(|word| word.text.as_str()));
    words.next() == Some("nemo") && words.next() == Some("llm")
}

/// Claims the settings of the launch.
pub(crate) fn read(launch: &Launch, claims: &mut Claims) {
    let mut settings = Settings::of(vec![Place::Words(&launch.arguments)]);
    claims.handed_on(field::FRAMEWORK, Framework::Megatron, format!("{}: its command", claims.place));
    if is_command(launch) {
        factory(launch, claims);
        megatron_core::recipe_may(claims);
    } else {
        if let Some(path) = configuration(launch)
            && let Some(file) = config::named(launch, &path, "--config-name", claims)
        {
            settings.add(Place::File(file));
            // By default, the fused optimizers sum in the format of the computation.
            claims.open(field::GRADIENT_PRECISION, Precision::BF16);
            if Written::default().may_hold_more(&launch.arguments) {
                megatron_core::recipe_may(claims);
            }
        } else {
            megatron_core::recipe_may(claims);
        }
        adapters(launch, &settings, claims);
    }
    megatron_core::read(&settings, claims);
}

/// Hydra's configuration file.
fn configuration(launch: &Launch) -> Option<String> {
    let name = launch.arguments.value("config-name")?;
    let name = name.trim_end_matches(".yaml");
    let folder = launch.arguments.value("config-path").unwrap_or(".");
    Some(format!("{}/{name}.yaml", folder.trim_end_matches('/')))
}

fn factory(launch: &Launch, claims: &mut Claims) {
    let Some(factory) = launch.arguments.value("factory") else { return };
    // `llama3_8b(num_nodes=2)`
    let name = factory.split('(').next().unwrap_or_default();
    claims.argument(field::model::NAME, name, "--factory");
    let Target::Program(program) = &launch.target else { return };
    let mut words = program.split(' ').chain(launch.arguments.words().iter().map(|word| word.text.as_str()));
    if words.any(|word| word == "finetune") {
        match launch.arguments.overridden("peft") {
            Some("lora" | "dora") => claims.argument(field::finetuning::METHOD, Method::LoRA, "peft"),
            Some("none" | "None" | "null") => {}
            _ => claims.open(field::finetuning::METHOD, Method::LoRA),
        }
    }
}

fn adapters(launch: &Launch, settings: &Settings<'_>, claims: &mut Claims) {
    let scheme = settings.get(&["model.peft.peft_scheme"]);
    if let Some(setting) = scheme {
        match setting.text().as_deref() {
            Some("lora") => setting.says(claims, field::finetuning::METHOD, Method::LoRA),
            Some("qlora") => setting.says(claims, field::finetuning::METHOD, Method::QLoRA),
            Some("none" | "null") => {}
            _ => claims.open(field::finetuning::METHOD, Method::LoRA),
        }
        if let Some(rank) = settings.get(&["model.peft.lora_tuning.adapter_dim"])
            && let Some(number) = rank.number()
        {
            rank.says(claims, field::finetuning::RANK, number);
        }
    } else if launch.runs_script(TUNING_SCRIPTS) {
        claims.open(field::finetuning::METHOD, Method::LoRA);
    }
}
