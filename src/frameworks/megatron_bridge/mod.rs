//! Megatron-Bridge: `run_script.py --model_recipe_name llama3_70b …` of its performance scripts, and `run_recipe.py
//! --recipe llama3_8b_pretrain_config key=value …`.
//!
//! **Recognised** by `--model_recipe_name`, in 0.1 by `--model_name llama3 --model_size 70b`, by its short form in a script of that name, or by `--recipe` of one of its
//! training scripts. The recipe names the model. The recipe, `--gpu` and `--compute_dtype` decide the settings without
//! an option or a key, so these stay open. What the recipes of the catalogue set is assumed ([`recipes`]). **`--gpu` names a preset, not the accelerator** that the job runs on.
//! Recipes divide the optimizer's states, or all states.
//!
//! The performance scripts take their settings from a table by recipe, task, `--gpu` and `--compute_dtype` ([`workloads`]).
//! If the table has the launch's row, nothing else is open.
//!
//! Read from NVIDIA-NeMo/Megatron-Bridge at 0.2 to 0.5, scripts/performance and scripts/training.

pub(super) mod list;
mod recipes;
mod workloads;

use crate::command::Launch;
use crate::frameworks::megatron_core;
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::config;
use crate::frameworks::reading::settings::{Place, Settings};
use crate::job::{Cause, Framework, Method, Precision, field};

const SOURCE: &str = "Megatron-Bridge 0.2 default";
const SCRIPTS: &[&str] = &["run_script.py", "setup_experiment.py"];
const RECIPE_SCRIPTS: &[&str] =
    &["run_recipe.py", "pretrain_gpt.py", "finetune_gpt.py", "pretrain_decoder.py", "finetune_decoder.py"];

/// Whether the launch runs Megatron-Bridge.
pub(crate) fn recognises(launch: &Launch) -> bool {
    let has = |name: &str| launch.arguments.has(name);
    has("model_recipe_name")
        || has("model_name") && has("model_size") && has("gpus_per_node")
        || launch.runs_script(SCRIPTS) && has("mr")
        || launch.runs_script(RECIPE_SCRIPTS) && has("recipe")
}

/// Claims the settings of the launch.
pub(crate) fn read(launch: &Launch, claims: &mut Claims) {
    let mut settings = Settings::of(vec![Place::Options(&launch.arguments), Place::Words(&launch.arguments)]);
    if let Some(path) = settings.text(&["config-file", "config_file"])
        && let Some(file) = config::named(launch, &path, "--config-file", claims)
    {
        settings.add(Place::File(file));
    }
    let domain = settings.text(&["domain"]);
    if domain.is_some_and(|domain| domain != "llm") {
        claims.beyond = claims.beyond.or(Some(Cause::Images));
    }
    claims.handed_on(field::FRAMEWORK, Framework::Megatron, format!("{}: its options", claims.place));
    let recipe = recipe(launch);
    if let Some((option, recipe)) = &recipe {
        claims.argument(field::model::NAME, model(recipe), option);
        match launch.arguments.value("task").unwrap_or_else(|| task(recipe)) {
            "lora" => claims.argument(field::finetuning::METHOD, Method::LoRA, option),
            "finetune" => claims.open(field::finetuning::METHOD, Method::LoRA),
            _ => {}
        }
    }
    megatron_core::read(&settings, claims);
    let performs = settings.has(&["model_recipe_name", "mr", "model_size"]);
    if performs {
        claims.assume(field::PRECISION, Precision::BF16, SOURCE);
    }
    let settled = recipe
        .filter(|_| performs)
        .is_some_and(|(_, recipe)| workloads::assume(&recipe.to_lowercase(), &launch.arguments, claims));
    if !settled {
        if let Some(recipe) = launch.arguments.value("recipe") {
            recipes::assume(recipe, claims);
            claims.assume(field::PRECISION, Precision::BF16, "Megatron-Bridge 0.7 recipe");
        }
        megatron_core::recipe_may(claims);
    }
}

/// The recipe, and the option that names it.
fn recipe(launch: &Launch) -> Option<(&'static str, String)> {
    let given = |name: &str| launch.arguments.value(name).map(str::to_owned);
    let alone = [("--model_recipe_name", "model_recipe_name"), ("--mr", "mr"), ("--recipe", "recipe")];
    let alone = alone.iter().find_map(|(option, name)| Some((*option, given(name)?)));
    let sized = || Some(("--model_size", format!("{}_{}", given("model_name")?, given("model_size")?)));
    alone.or_else(sized)
}

/// The model that a recipe trains: `llama3_8b_pretrain_config` is `llama3_8b`.
fn model(recipe: &str) -> &str {
    ["_config", "_pretrain", "_finetune", "_sft", "_peft", "_lora"]
        .iter()
        .fold(recipe, |name, ending| name.strip_suffix(ending).unwrap_or(name))
}

fn task(recipe: &str) -> &'static str {
    if recipe.contains("_lora") || recipe.contains("_peft") {
        "lora"
    } else if recipe.contains("_finetune") {
        "finetune"
    } else {
        "pretrain"
    }
}
