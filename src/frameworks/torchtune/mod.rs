//! torchtune: `tune run --nproc_per_node 4 full_finetune_distributed --config llama3_1/8B_full batch_size=2`.
//!
//! **Recognised** by `tune run`, or by a recipe's name as the script. The recipe fixes the method and whether ranks
//! shard the model. The configuration's name gives the model. `key=value` words and a known configuration file give the
//! other settings.
//!
//! Read from the release 0.6.1. Batches, accumulation, checkpointing, the optimizer and adapters are those of the configuration
//! that it ships under the name ([`configurations`]). Of a configuration that it does not ship, what is not set stays open.
//!
//! Most configurations of full fine-tuning on one device turn on an optimizer that steps during the backward pass
//! (`optimizer_in_bwd`). It holds no gradients.
//!
//! Recipes for preferences hold a reference. If all weights are trained, it is a copy that FSDP divides too. Otherwise it
//! is the model without its adapters. Recipes for distillation hold a teacher.
//!
//! PPO on one device holds a reference, a reward model and a trained critic. GRPO holds a reference that FSDP divides; the
//! trained model generates. Its asynchronous recipe gives `orchestration.num_training_workers` devices to the training and
//! the others to engines. Read at bd2a0fc (`recipes/ppo_full_finetune_single_device.py`, `recipes/dev`).

mod configurations;
pub(super) mod list;
pub(super) mod profile;

use crate::command::{Launch, Target, basename, purpose};
use crate::frameworks::hugging_face::{self, training_arguments};
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::config;
use crate::frameworks::reading::flags::{self, Table, Takes, flag};
use crate::frameworks::reading::host;
use crate::frameworks::reading::settings::{self, Place, Setting, Settings};
use crate::job::{
    Cause, Framework, Method, Objective, OpenField, Optimizer, OptimizerImplementation, Placement, Precision,
    Sharding, field,
};

const SOURCE: &str = "torchtune 0.6 default";

/// Covered recipes: the name, the method, and whether ranks shard the model.
const RECIPES: &[(&str, &str, bool)] = &[
    ("full_finetune_single_device", "Full", false),
    ("full_finetune_distributed", "Full", true),
    ("lora_finetune_single_device", "LoRA", false),
    ("lora_finetune_distributed", "LoRA", true),
    ("lora_finetune_distributed_multi_dataset", "LoRA", true),
    ("early_exit_finetune_distributed", "Full", true),
    ("full_dpo_distributed", "Full", true),
    ("lora_dpo_single_device", "LoRA", false),
    ("lora_dpo_distributed", "LoRA", true),
    ("knowledge_distillation_single_device", "LoRA", false),
    ("knowledge_distillation_distributed", "LoRA", true),
    ("ppo_full_finetune_single_device", "Full", false),
    ("grpo_full_finetune_distributed", "Full", true),
    ("async_grpo_full_finetune_distributed", "Full", true),
];

/// Recipes that are not covered.
const OTHERS: &[(&str, Cause)] = &[
    ("qat_distributed", Cause::QuantizationAware),
    ("qat_single_device", Cause::QuantizationAware),
    ("qat_lora_finetune_distributed", Cause::QuantizationAware),
];

/// Folders of configurations, with the name of their models: the parts before and behind the size.
const FAMILIES: &[(&str, &str, &str)] = &[
    ("llama2", "meta-llama/Llama-2-", "-hf"),
    ("llama3", "meta-llama/Meta-Llama-3-", ""),
    ("llama3_1", "meta-llama/Llama-3.1-", ""),
    ("llama3_2", "meta-llama/Llama-3.2-", ""),
    ("llama3_3", "meta-llama/Llama-3.3-", "-Instruct"),
    ("code_llama2", "codellama/CodeLlama-", "-hf"),
    ("mistral", "mistralai/Mistral-", "-v0.1"),
    ("gemma", "google/gemma-", ""),
    ("gemma2", "google/gemma-2-", ""),
    ("qwen2", "Qwen/Qwen2-", "-Instruct"),
    ("qwen2_5", "Qwen/Qwen2.5-", "-Instruct"),
    ("qwen3", "Qwen/Qwen3-", ""),
];

/// Models with one size, by folder.
const SINGLE: &[(&str, &str)] = &[("phi3", "microsoft/Phi-3-mini-4k-instruct"), ("phi4", "microsoft/phi-4")];

/// Builders whose names do not end in a size: the folder, the rest of the name, and the model.
const BUILDERS: &[(&str, &str, &str)] = &[
    ("phi3", "mini", "microsoft/Phi-3-mini-4k-instruct"),
    ("llama4", "scout_17b_16e", "meta-llama/Llama-4-Scout-17B-16E-Instruct"),
    ("llama4", "maverick_17b_128e", "meta-llama/Llama-4-Maverick-17B-128E-Instruct"),
];

const BATCH: Table = &[
    &flag(&["batch_size"], field::batch::MICRO_BATCH_SIZE, Takes::Number),
    &flag(&["tokenizer.max_seq_len"], field::batch::SEQUENCE_LENGTH, Takes::Number),
];

const KEYS: Table = &[
    &flag(&["dataset.packed"], field::batch::PACKING, Takes::Switch(true)),
    &flag(&["dtype"], field::PRECISION, Takes::OneOf(training_arguments::FORMATS)),
    &flag(&["compile"], field::COMPILE, Takes::Switch(true)),
    &flag(&["epochs"], field::dataset::EPOCHS, Takes::Number),
    &flag(&["max_steps_per_epoch"], field::dataset::STEPS, Takes::Number),
    &flag(&["fsdp_cpu_offload"], field::offload::PARAMETERS, Takes::Switch(true)),
    &flag(
        &["enable_activation_offloading", "training.enable_activation_offloading"],
        field::offload::ACTIVATIONS,
        Takes::Switch(true),
    ),
    &flag(&["tensor_parallel_dim"], field::parallelism::TENSOR, Takes::Number),
    &flag(&["context_parallel_dim"], field::parallelism::CONTEXT, Takes::Number),
    &flag(&["data_parallel_shard_dim"], field::parallelism::SHARDING_DEGREE, Takes::Number),
    &flag(&["fsdp_reshard_after_forward"], field::parallelism::RESHARD_AFTER_FORWARD, Takes::Switch(true)),
];

const ADAPTERS: Table = &[
    &flag(&["model.lora_rank", "lora_rank"], field::finetuning::RANK, Takes::Number),
    &flag(&["model.lora_dropout", "lora_dropout"], field::finetuning::DROPOUT, Takes::Percent),
];

/// Data loaders and saves.
const HOST: host::Names = host::Names {
    workers: &["dataloader.num_workers"],
    directory: &["checkpointer.output_dir", "output_dir"],
    ..host::Names::NONE
};

/// Whether the launch runs torchtune.
pub(crate) fn recognises(launch: &Launch) -> bool {
    launch.launcher("tune run").is_some() || launch.runs_program("tune run") || recipe(launch).is_some()
}

/// The recipe's name: the target's, or a word's if the launcher was not split off.
fn recipe(launch: &Launch) -> Option<&str> {
    let plain = |text: &'_ str| -> Option<&'static str> {
        let name = basename(text).trim_end_matches(".py");
        let known = RECIPES.iter().map(|(name, ..)| *name).chain(OTHERS.iter().map(|(name, _)| *name));
        known.into_iter().find(|known| *known == name)
    };
    let of_target = match &launch.target {
        Target::Script(text) | Target::Program(text) => plain(text),
        _ => None,
    };
    let of_words = || launch.arguments.words().iter().find_map(|word| plain(&word.text));
    of_target.or_else(|| launch.runs_program("tune run").then(of_words).flatten())
}

/// Claims the settings of the launch.
pub(crate) fn read(launch: &Launch, claims: &mut Claims) {
    claims.argument(field::FRAMEWORK, Framework::Torchtune, "tune run");
    let recipe = recipe(launch);
    let mut settings = Settings::of(vec![Place::Words(&launch.arguments)]);
    let options = Settings::of(vec![Place::Options(&launch.arguments)]);
    let named = options.get(&["config"]);
    let name = named.as_ref().and_then(Setting::text).unwrap_or_default();
    if config::is_config(&name)
        && let Some(config) = config::named(launch, &name, "--config", claims)
    {
        settings.add(Place::File(config));
    } else if let Some(shipped) = configurations::named(&name) {
        settings.add(Place::File(shipped));
    }
    let known = RECIPES.iter().find(|(known, ..)| recipe == Some(*known));
    if let Some((_, method, sharded)) = known {
        of_recipe(method, *sharded, &name, &settings, claims);
        objective(recipe.unwrap_or_default(), &settings, claims);
    } else {
        let other = OTHERS.iter().find(|(known, _)| recipe == Some(*known)).map(|(_, why)| *why);
        let words = launch.arguments.words().iter();
        let by_name = words.take(8).find_map(|word| purpose::of_name(&word.text));
        claims.beyond = other.or(by_name).or(Some(Cause::OtherRecipe));
    }
    if let Some(named) = &named {
        model(&name, named, &settings, claims);
    }
    // Reinforcement learning has other samples.
    if !matches!(claims.get(field::OBJECTIVE), Some(Objective::PPO | Objective::GRPO)) {
        settings::read(BATCH, &settings, claims);
    }
    settings::read(KEYS, &settings, claims);
    host::read(&HOST, &settings, claims);
    training_arguments::optimizer(
        &settings,
        &["optimizer._component_", "training.optimizer._component_", "optimizer"],
        claims,
    );
    if let Some(fused) = settings.get(&["optimizer.fused"]).filter(|setting| setting.truth() == Some(true)) {
        fused.says(claims, field::OPTIMIZER_IMPLEMENTATION, OptimizerImplementation::Fused);
    }
    training_arguments::recompute(
        &settings,
        &["enable_activation_checkpointing", "training.enable_activation_checkpointing"],
        claims,
    );
    settings::accumulation(&settings, &["gradient_accumulation_steps"], claims);
    settings::assume(&[field::PRECISION.is(Precision::BF16)], SOURCE, claims);
}

/// The recipe's objective, and the model that it holds beside the trained one.
fn objective(recipe: &str, settings: &Settings<'_>, claims: &mut Claims) {
    if recipe.contains("ppo") || recipe.contains("grpo") {
        return reinforcement(recipe, settings, claims);
    }
    let (objective, beside) = if recipe.contains("dpo") {
        (Objective::DPO, field::roles::REFERENCE_MODEL)
    } else if recipe.contains("knowledge_distillation") {
        (Objective::Distillation, field::roles::TEACHER_MODEL)
    } else {
        return;
    };
    claims.argument(field::OBJECTIVE, objective, "recipe");
    if objective == Objective::DPO {
        hugging_face::objective::reference(SOURCE, claims);
        return;
    }
    hugging_face::objective::copied(beside, SOURCE, claims);
    if let Some(component) = settings.get(&["teacher_model._component_"])
        && let Some(model) = component.text().and_then(|path| of_builder(&path))
    {
        component.says(claims, field::roles::TEACHER_MODEL_NAME, model);
    }
}

/// The other models of reinforcement learning, and the samples of a step.
fn reinforcement(recipe: &str, settings: &Settings<'_>, claims: &mut Claims) {
    let number = |names: &[&str]| settings.number(names);
    let is_ppo = recipe.starts_with("ppo");
    let objective = if is_ppo { Objective::PPO } else { Objective::GRPO };
    claims.argument(field::OBJECTIVE, objective, "recipe");
    if recipe.starts_with("async") {
        // Other workers compute the reference's log-probabilities, and generate.
        claims.assume(field::roles::REFERENCE_MODEL, Placement::Elsewhere, SOURCE);
        claims.assume(field::roles::ROLLOUT_ENGINE, Placement::Elsewhere, SOURCE);
        if let Some(workers) = number(&["orchestration.num_training_workers"]) {
            claims.assume(field::parallelism::DATA, workers, SOURCE);
        }
    } else {
        hugging_face::objective::copied(field::roles::REFERENCE_MODEL, SOURCE, claims);
        claims.assume(field::roles::ROLLOUT_ENGINE, Placement::Trained, SOURCE);
    }
    if is_ppo {
        hugging_face::objective::copied(field::roles::REWARD_MODEL, SOURCE, claims);
        hugging_face::objective::copied(field::roles::CRITIC_MODEL, SOURCE, claims);
    }
    let tokens = number(&["max_generated_tokens", "inference.max_generated_tokens"]);
    if let Some((prompt, tokens)) = number(&["tokenizer.max_seq_len"]).zip(tokens) {
        claims.argument(field::batch::SEQUENCE_LENGTH, prompt.saturating_add(tokens), "max_generated_tokens");
        claims.assume(field::batch::COMPLETION_LENGTH, tokens, SOURCE);
    }
    let samples = if is_ppo {
        let steps = number(&["gradient_accumulation_steps"]).unwrap_or(1).max(1);
        number(&["ppo_batch_size"]).map(|samples| (samples / steps).max(1))
    } else {
        let each = number(&["grpo_samples"]).unwrap_or(1);
        number(&["training.batch_size", "batch_size"]).map(|prompts| prompts.saturating_mul(each))
    };
    if let Some(samples) = samples {
        claims.argument(field::batch::MICRO_BATCH_SIZE, samples, "batch_size");
    }
}

fn of_recipe(method: &str, sharded: bool, name: &str, settings: &Settings<'_>, claims: &mut Claims) {
    let component = settings.text(&["model._component_"]).unwrap_or_default();
    let quantized = name.contains("qlora") || component.contains("qlora");
    let unknown = settings.has(&["model"]) || !config::is_config(name);
    if method == "Full" {
        claims.argument(field::finetuning::METHOD, Method::Full, "recipe");
        // Most configurations for one device step each weight as soon as it has its gradient.
        in_backward(sharded, settings, claims);
        if !sharded && !settings.has(&["optimizer", "optimizer._component_"]) {
            // Most configurations for one device have a paged optimizer, whose states leave for the host, or one of eight
            // bits, that steps within the backward pass.
            claims.open(field::OPTIMIZER, Optimizer::AdamW8bit);
            claims.open(field::offload::OPTIMIZER, true);
        }
    } else if quantized {
        claims.argument(field::finetuning::METHOD, Method::QLoRA, "--config");
    } else if unknown {
        claims.argument(field::finetuning::METHOD, Method::LoRA, "recipe");
    } else {
        claims.open(field::finetuning::METHOD, Method::QLoRA);
    }
    if method != "Full" {
        adapters(settings, claims);
    }
    if sharded {
        claims.argument(field::parallelism::SHARDING, Sharding::FSDP, "recipe");
    } else {
        claims.argument(field::parallelism::SHARDING, Sharding::None, "recipe");
        claims.argument(field::parallelism::DATA, 1, "recipe");
    }
}

/// Whether each weight steps as soon as it has its gradient. Most configurations for one device say so, and no other.
fn in_backward(sharded: bool, settings: &Settings<'_>, claims: &mut Claims) {
    let field = field::OPTIMIZER_IN_BACKWARD;
    match settings.get(&["optimizer_in_bwd"]).map(|setting| (setting.truth(), setting)) {
        Some((Some(on), setting)) => setting.says(claims, field, on),
        Some((None, _)) => claims.open(field, true),
        None => {
            claims.assume(field, !sharded, SOURCE);
            if !sharded {
                claims.open_field(OpenField {
                    field: field.erased(),
                    leanest: Some(true.into()),
                    heaviest: Some(false.into()),
                    although_given: false,
                });
            }
        }
    }
}

fn adapters(settings: &Settings<'_>, claims: &mut Claims) {
    settings::read(ADAPTERS, settings, claims);
    let modules = settings.get(&["model.lora_attn_modules", "lora_attn_modules"]);
    let mlp = settings.on(&["model.apply_lora_to_mlp", "apply_lora_to_mlp"]) == Some(true);
    match modules.and_then(|setting| Some((flags::list(&words_of(&setting))?, setting))) {
        Some((mut names, setting)) => {
            // This is the output projection.
            names.iter_mut().filter(|name| *name == "output_proj").for_each(|name| *name = "o_proj".into());
            if mlp {
                names.extend(["gate_proj", "up_proj", "down_proj"].map(Into::into));
            }
            setting.says(claims, field::finetuning::TARGETS, names);
        }
        _ if mlp => claims.unparsed(field::finetuning::TARGETS),
        _ => {}
    }
    settings::assume(&[field::finetuning::RANK.is(8), field::finetuning::DROPOUT.is(0)], SOURCE, claims);
}

fn words_of(setting: &Setting) -> String {
    match &setting.value {
        serde_json::Value::Array(words) => {
            words.iter().filter_map(serde_json::Value::as_str).collect::<Vec<_>>().join(" ")
        }
        _ => setting.text().unwrap_or_default(),
    }
}

/// The model, by a configuration's name or a file's builder.
fn model(name: &str, by: &Setting, settings: &Settings<'_>, claims: &mut Claims) {
    if let Some(component) = settings.get(&["model._component_", "policy_model._component_"])
        && let Some(path) = component.text()
    {
        if path.contains("vision") {
            claims.beyond = claims.beyond.or(Some(Cause::Images));
        }
        if let Some(model) = of_builder(&path) {
            component.says(claims, field::model::NAME, model);
            return;
        }
    }
    let Some((family, rest)) = name.rsplit_once('/') else { return };
    let family = basename(family);
    if family.contains("vision") || family.contains("multimodal") {
        claims.beyond = Some(Cause::Images);
    }
    // Sizes have a dot, or an underscore in older versions: 0.5B, 1_5B.
    let size: String = match rest.split_once("B_") {
        Some((size, _)) => size.replace('_', "."),
        None => String::new(),
    };
    if let Some(model) = of_size(family, &size) {
        by.says(claims, field::model::NAME, model);
    }
}

fn of_size(family: &str, size: &str) -> Option<String> {
    if let Some((_, model)) = SINGLE.iter().find(|(folder, _)| *folder == family) {
        return Some((*model).to_owned());
    }
    let plain = !size.is_empty() && size.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let (_, before, behind) = FAMILIES.iter().find(|(folder, ..)| *folder == family)?;
    plain.then(|| format!("{before}{size}B{behind}"))
}

/// `torchtune.models.llama3_1.lora_llama3_1_8b`: the folder, and the builder's last word.
fn of_builder(path: &str) -> Option<String> {
    let (folder, builder) = path.strip_prefix("torchtune.models.")?.split_once('.')?;
    let (_, behind) = builder.rsplit_once(folder)?;
    let named = behind.trim_matches('_');
    // The names of Qwen's builders also show whether the weights were tuned. The shape is the same.
    let named = ["_instruct", "_base"].iter().find_map(|end| named.strip_suffix(end)).unwrap_or(named);
    if let Some((.., model)) = BUILDERS.iter().find(|(of, name, _)| *of == folder && *name == named) {
        return Some((*model).to_owned());
    }
    let size = named.strip_suffix(['b', 'B'])?;
    of_size(folder, &size.replace('_', "."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_builder_s_name_says_which_model() {
        for (path, model) in [
            ("torchtune.models.llama3_1.lora_llama3_1_70b", Some("meta-llama/Llama-3.1-70B")),
            ("torchtune.models.qwen2_5.lora_qwen2_5_1_5b_instruct", Some("Qwen/Qwen2.5-1.5B-Instruct")),
            ("torchtune.models.qwen3.lora_qwen3_8b_base", Some("Qwen/Qwen3-8B")),
            ("torchtune.models.phi3.qlora_phi3_mini", Some("microsoft/Phi-3-mini-4k-instruct")),
            (
                "torchtune.models.llama4.llama4_scout_17b_16e",
                Some("meta-llama/Llama-4-Scout-17B-16E-Instruct"),
            ),
            ("torchtune.models.llama3_2_vision.llama3_2_vision_11b", None),
        ] {
            assert_eq!(of_builder(path).as_deref(), model, "{path}");
        }
    }
}
