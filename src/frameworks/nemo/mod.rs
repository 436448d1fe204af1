//! NeMo: `megatron_gpt_pretraining.py` with Hydra's configuration and `key=value` words, and NeMo 2's `nemo llm
//! pretrain --factory llama3_8b trainer.devices=8 …`.
//!
//! **Recognised** by the scripts' names, by the program `nemo` with `llm`, or by a Python program that takes a recipe of
//! `nemo.collections.llm` ([`python`]). Hydra's configuration is the file `--config-path`/`--config-name`.yaml. Settings
//! that are neither in a word nor in a known file stay open. NeMo 2's recipe names the model and decides all other
//! settings: those of the pretraining recipes are in `recipes.tsv`. Other settings stay open. Recipes for fine-tuning tune
//! adapters by default. With `--to-yaml` a program writes its recipe to a file, and does not train.
//!
//! Read from NVIDIA/NeMo 2.0: `examples/nlp/language_modeling`. The recipes are those of 2.5
//! (`nemo/collections/llm/recipes`): bf16, the distributed optimizer, a fused cross-entropy (`GPTConfig`), and no recomputation
//! where the recipe names none.

pub(super) mod list;
mod python;

use crate::command::{Launch, Target};
use crate::frameworks::megatron_core;
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::complete::Written;
use crate::frameworks::reading::config::{self, ReadFile};
use crate::frameworks::reading::settings::{Place, Settings};
use crate::job::{Framework, Loss, Method, Precision, Recompute, Sharding, field};
use crate::model::known;

const SCRIPTS: &[&str] = &[
    "megatron_gpt_pretraining.py",
    "megatron_gpt_continue_training.py",
    "megatron_gpt_finetuning.py",
    "megatron_gpt_sft.py",
    "megatron_gpt_peft_tuning.py",
];
/// The settings of the pretraining recipes, a line each: the recipe, its degrees (tensor, pipeline, virtual pipeline, context,
/// expert), whether sequence parallelism is on, the length of a sequence, the sequences of a step and of a microbatch.
const RECIPES: &str = include_str!("recipes.tsv");
const RECIPE: &str = "NeMo 2.5 recipe";
const TUNING_SCRIPTS: &[&str] = &["megatron_gpt_finetuning.py", "megatron_gpt_peft_tuning.py"];

/// Whether the launch runs NeMo.
pub(crate) fn recognises(launch: &Launch) -> bool {
    launch.runs_script(SCRIPTS)
        || is_command(launch)
        || (!launch.arguments.has("to-yaml") && python::of(launch).is_some())
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
    } else if let Some(said) = python::of(launch) {
        settings.add(Place::File(said.settings.clone()));
        claims.files.push(ReadFile::of(&said.settings));
        // A recipe writes the length into the model and into the data.
        settings.has(&["model.config.seq_length"]);
        claims.file(field::model::NAME, said.recipe.as_str(), &said.settings.source, "recipe");
        if said.tunes {
            tuned(&settings, claims);
        }
        recipe(&said.recipe, said.tunes, claims);
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
        restored(&settings, claims);
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
    let Some(factory) = launch.arguments.value("factory") else { return megatron_core::recipe_may(claims) };
    // `llama3_8b(num_nodes=2)`
    let name = factory.split('(').next().unwrap_or_default();
    claims.argument(field::model::NAME, name, "--factory");
    let Target::Program(program) = &launch.target else { return };
    let mut words = program.split(' ').chain(launch.arguments.words().iter().map(|word| word.text.as_str()));
    let tunes = words.any(|word| word == "finetune");
    if tunes {
        match launch.arguments.overridden("peft") {
            Some("lora" | "dora") => claims.argument(field::finetuning::METHOD, Method::LoRA, "peft"),
            Some("none" | "None" | "null") => {}
            _ => claims.open(field::finetuning::METHOD, Method::LoRA),
        }
    }
    recipe(name, tunes, claims);
}

/// The method of a recipe for fine-tuning: LoRA, unless the program says otherwise.
fn tuned(settings: &Settings<'_>, claims: &mut Claims) {
    match settings.get(&["peft.scheme"]) {
        None => claims.assume(field::finetuning::METHOD, Method::LoRA, RECIPE),
        Some(setting) => match setting.text().map(|scheme| scheme.to_lowercase()).as_deref() {
            Some("lora") => setting.says(claims, field::finetuning::METHOD, Method::LoRA),
            Some("none") => setting.says(claims, field::finetuning::METHOD, Method::Full),
            _ => claims.open(field::finetuning::METHOD, Method::LoRA),
        },
    }
    if let Some(setting) = settings.get(&["peft.dim"])
        && let Some(rank) = setting.number()
    {
        setting.says(claims, field::finetuning::RANK, rank);
    }
}

/// What a recipe decides. A recipe that is not in the table, and one for fine-tuning, may set anything.
fn recipe(name: &str, tunes: bool, claims: &mut Claims) {
    claims.assume(field::PRECISION, Precision::BF16, RECIPE);
    claims.assume(field::LOSS, Loss::CompiledVocabParallel, RECIPE);
    let row =
        RECIPES.lines().map(|row| row.split('\t').collect::<Vec<_>>()).find(|row| row.first() == Some(&name));
    let Some([_, degrees @ .., sequence, length, global, micro]) = row.as_deref().filter(|_| !tunes) else {
        return megatron_core::recipe_may(claims);
    };
    let fields = [
        field::parallelism::TENSOR,
        field::parallelism::PIPELINE,
        field::parallelism::VIRTUAL_PIPELINE,
        field::parallelism::CONTEXT,
        field::parallelism::EXPERT,
        field::batch::SEQUENCE_LENGTH,
        field::batch::GLOBAL_BATCH_SIZE,
        field::batch::MICRO_BATCH_SIZE,
    ];
    for (field, value) in fields.into_iter().zip(degrees.iter().chain([length, global, micro])) {
        if let Ok(number) = value.parse::<u64>() {
            claims.assume(field, number, RECIPE);
        }
    }
    claims.assume(field::parallelism::SEQUENCE, *sequence == "true", RECIPE);
    claims.assume(field::parallelism::SHARDING, Sharding::DistributedOptimizer, RECIPE);
    claims.assume(field::RECOMPUTE, Recompute::None, RECIPE);
    // Releases differ in the format in which gradients are summed.
    claims.open(field::GRADIENT_PRECISION, Precision::BF16);
}

/// A checkpoint has the dimensions of the known model that its file or its folder is named after:
/// `model.restore_from_path=/models/llama2-7b.nemo`, `…/Llama-3.1-8B/ckpt.nemo`. Any other path is no name.
fn restored(settings: &Settings<'_>, claims: &mut Claims) {
    let Some(setting) = settings.get(&["model.restore_from_path", "restore_from_path"]) else { return };
    let path = setting.text().unwrap_or_default();
    let path = path.trim_end_matches('/');
    let file = path.trim_end_matches(".nemo");
    let folder = path.rsplit_once('/').map(|(folder, _)| folder).filter(|_| path != file);
    let named = [Some(file), folder].into_iter().flatten().find(|name| known::find(name).is_some());
    if let Some(name) = named {
        setting.says(claims, field::model::NAME, name);
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
