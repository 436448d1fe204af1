//! torchtune: `tune run --nproc_per_node 4 full_finetune_distributed --config llama3_1/8B_full batch_size=2`.
//!
//! **Recognised** by `tune run`, or by a recipe's name as the script. The recipe says what is trained and whether ranks
//! shard it; the configuration's name says which model; `key=value` words and a configuration file that is known say the
//! rest. Read from the release 0.6.1 (`recipes/configs`): every recipe trains in bf16 with `AdamW`; adapters' ranks go by model,
//! and full recipes of 70 billion weights on one node offload parameters. Batches, checkpointing and accumulation differ from one configuration to the next: they stay open where they
//! are not said.
//!
//! An optimizer that steps during the backward pass (`optimizer_in_bwd`, which most configurations of full fine-tuning on one
//! device turn on) holds no gradients, and is not covered either.
//!
//! Recipes for preferences, distillation and reinforcement hold further models and are not covered.

pub(super) mod profile;

use crate::command::{Launch, Target, basename, purpose};
use crate::frameworks::hugging_face::training_arguments;
use crate::frameworks::reading::config;
use crate::frameworks::reading::flags::{Flag, Takes, flag};
use crate::frameworks::reading::said::Said;
use crate::frameworks::reading::settings::{self, Place, Setting, Settings};

const SOURCE: &str = "torchtune 0.6 default";

/// Recipes that are estimated: their names, the method, and whether ranks shard the model.
const RECIPES: &[(&str, &str, bool)] = &[
    ("full_finetune_single_device", "Full", false),
    ("full_finetune_distributed", "Full", true),
    ("lora_finetune_single_device", "LoRA", false),
    ("lora_finetune_distributed", "LoRA", true),
    ("lora_finetune_distributed_multi_dataset", "LoRA", true),
    ("early_exit_finetune_distributed", "Full", true),
];

/// Recipes that are not.
const OTHERS: &[(&str, &str)] = &[
    ("qat_distributed", "training for quantization holds fake-quantized copies"),
    ("qat_single_device", "training for quantization holds fake-quantized copies"),
    ("qat_lora_finetune_distributed", "training for quantization holds fake-quantized copies"),
    ("knowledge_distillation_single_device", "distillation holds two models"),
    ("knowledge_distillation_distributed", "distillation holds two models"),
];

/// Folders of configurations, and whose models they are: what stands before the size, and behind it.
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

/// Models that have one size, by folder.
const SINGLE: &[(&str, &str)] = &[("phi3", "microsoft/Phi-3-mini-4k-instruct"), ("phi4", "microsoft/phi-4")];

/// Beginnings of configurations' names, and the rank of their adapters; of all others it is 8.
const RANKS: &[(&str, u64)] = &[
    ("gemma/", 64),
    ("gemma2/", 64),
    ("llama3_2/", 64),
    ("mistral/", 64),
    ("qwen2/0.5B", 32),
    ("qwen2/1.5B", 32),
    ("qwen2_5/0.5B", 32),
    ("qwen2_5/1.5B", 32),
    ("llama2/70B", 16),
    ("llama3/70B", 16),
    ("llama3_1/70B", 16),
    ("llama3_1/405B", 16),
    ("llama3_3/70B", 16),
];

/// Configurations that offload parameters where nothing else is said.
const OFFLOADS: &[&str] = &["llama3/70B_full", "llama3_1/70B_full", "llama3_3/70B_full"];

const KEYS: &[Flag] = &[
    flag(&["batch_size"], "batch.microBatchSize", Takes::Number),
    flag(&["tokenizer.max_seq_len"], "batch.sequenceLength", Takes::Number),
    flag(&["dataset.packed"], "batch.packing", Takes::Switch(true)),
    flag(&["dtype"], "precision", Takes::OneOf(training_arguments::FORMATS)),
    flag(&["compile"], "compile", Takes::Switch(true)),
    flag(&["epochs"], "dataset.epochs", Takes::Number),
    flag(&["max_steps_per_epoch"], "dataset.steps", Takes::Number),
    flag(&["fsdp_cpu_offload"], "offload.parameters", Takes::Switch(true)),
    flag(&["enable_activation_offloading"], "offload.activations", Takes::Switch(true)),
    flag(&["tensor_parallel_dim"], "parallelism.tensor", Takes::Number),
    flag(&["context_parallel_dim"], "parallelism.context", Takes::Number),
    flag(&["data_parallel_shard_dim"], "parallelism.shardingDegree", Takes::Number),
    flag(&["fsdp_reshard_after_forward"], "parallelism.reshardAfterForward", Takes::Switch(true)),
];

/// Whether it is its launch.
pub(crate) fn recognises(launch: &Launch) -> bool {
    launch.launcher("tune run").is_some() || launch.runs_program("tune run") || recipe(launch).is_some()
}

/// The recipe's name: the target's, or, where the launcher was not split from it, the word that is one.
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

/// What it says.
pub(crate) fn read(launch: &Launch, said: &mut Said) {
    said.argument("framework", "Torchtune", "tune run");
    let recipe = recipe(launch);
    let mut settings = Settings::of(vec![Place::Words(&launch.arguments)]);
    let options = Settings::of(vec![Place::Options(&launch.arguments)]);
    let named = options.get(&["config"]);
    let name = named.as_ref().and_then(Setting::text).unwrap_or_default();
    if config::is_config(&name)
        && let Some(config) = config::named(launch, &name, "--config", said)
    {
        settings.add(Place::File(config));
    }
    let known = RECIPES.iter().find(|(known, ..)| recipe == Some(*known));
    if let Some((_, method, sharded)) = known {
        of_recipe(method, *sharded, &name, &settings, said);
    } else {
        let other = OTHERS.iter().find(|(known, _)| recipe == Some(*known)).map(|(_, why)| *why);
        let words = launch.arguments.words().iter();
        let by_name = words.take(8).find_map(|word| purpose::of_name(&word.text));
        said.beyond = other.or(by_name).or(Some("a recipe that is not known"));
    }
    if let Some(named) = &named {
        model(&name, named, &settings, said);
    }
    settings::read(KEYS, &settings, said);
    training_arguments::optimizer(&settings, &["optimizer._component_", "optimizer"], said);
    if let Some(fused) = settings.get(&["optimizer.fused"]).filter(|setting| setting.truth() == Some(true)) {
        fused.says(said, "optimizerImplementation", "Fused");
    }
    training_arguments::recompute(&settings, &["enable_activation_checkpointing"], said);
    if let Some(setting) = settings.get(&["gradient_accumulation_steps"]) {
        said.accumulation = setting.number().map(|steps| (steps, setting.source(said)));
    }
    settings::assume(&[("precision", "BF16")], SOURCE, said);
}

fn of_recipe(method: &str, sharded: bool, name: &str, settings: &Settings<'_>, said: &mut Said) {
    let component = settings.text(&["model._component_"]).unwrap_or_default();
    let quantized = name.contains("qlora") || component.contains("qlora");
    let unknown = settings.has(&["model"]) || !config::is_config(name);
    if method == "Full" {
        said.argument("finetuning.method", "Full", "recipe");
        // Most configurations for one device step each weight as soon as it has its gradient.
        let stepwise = settings.on(&["optimizer_in_bwd"]);
        if stepwise.unwrap_or(!sharded) {
            said.beyond = said.beyond.or(Some("its optimizer steps during the backward pass"));
        }
        if !sharded && !settings.has(&["optimizer", "optimizer._component_"]) {
            // Most configurations for one device have a paged optimizer, whose states leave for the host, or one of eight
            // bits, that steps within the backward pass.
            said.may("optimizer", "AdamW8bit");
            said.may("offload.optimizer", true);
        }
    } else if quantized {
        said.argument("finetuning.method", "QLoRA", "--config");
    } else if unknown {
        said.argument("finetuning.method", "LoRA", "recipe");
    } else {
        said.may("finetuning.method", "QLoRA");
    }
    if method != "Full" {
        adapters(name, settings, said);
    }
    if sharded {
        said.argument("parallelism.sharding", "FSDP", "recipe");
        if OFFLOADS.contains(&name) {
            said.assume("offload.parameters", true, SOURCE);
        }
        if settings.on(&["optimizer_in_bwd"]) == Some(true) {
            // Gradients are gone as soon as they are there, of which the spec has no word.
            said.may("offload.parameters", true);
        }
    } else {
        said.argument("parallelism.sharding", "None", "recipe");
        said.argument("parallelism.data", 1, "recipe");
    }
}

fn adapters(name: &str, settings: &Settings<'_>, said: &mut Said) {
    let rank = &["model.lora_rank", "lora_rank"];
    settings::read_one(settings, rank, "finetuning.rank", Takes::Number, said);
    let dropout = &["model.lora_dropout", "lora_dropout"];
    settings::read_one(settings, dropout, "finetuning.dropout", Takes::Percent, said);
    let modules = settings.get(&["model.lora_attn_modules", "lora_attn_modules"]);
    let mlp = settings.on(&["model.apply_lora_to_mlp", "apply_lora_to_mlp"]) == Some(true);
    match modules.and_then(|setting| Some((Takes::List.read(&words_of(&setting))?, setting))) {
        Some((serde_json::Value::Array(mut names), setting)) => {
            // The output projection is called so.
            names.iter_mut().filter(|name| *name == "output_proj").for_each(|name| *name = "o_proj".into());
            if mlp {
                names.extend(["gate_proj", "up_proj", "down_proj"].map(Into::into));
            }
            setting.says(said, "finetuning.targets", names);
        }
        _ if mlp => said.unread("finetuning.targets"),
        _ => {}
    }
    let rank = RANKS.iter().find(|(begin, _)| name.starts_with(begin)).map_or(8, |(_, rank)| *rank);
    said.assume("finetuning.rank", rank, SOURCE);
    settings::assume(&[("finetuning.dropout", "0")], SOURCE, said);
}

fn words_of(setting: &Setting) -> String {
    match &setting.value {
        serde_json::Value::Array(words) => {
            words.iter().filter_map(serde_json::Value::as_str).collect::<Vec<_>>().join(" ")
        }
        _ => setting.text().unwrap_or_default(),
    }
}

/// The model of a configuration's name, or of a file's builder.
fn model(name: &str, by: &Setting, settings: &Settings<'_>, said: &mut Said) {
    if let Some(component) = settings.get(&["model._component_"])
        && let Some(model) = component.text().and_then(|path| of_builder(&path))
    {
        component.says(said, "model.name", model);
        return;
    }
    let Some((family, rest)) = name.rsplit_once('/') else { return };
    let family = basename(family);
    if family.contains("vision") || family.contains("multimodal") {
        said.beyond = Some("images are embedded beside the text");
    }
    // Sizes have a dot, or, in older versions, an underscore: 0.5B, 1_5B.
    let size: String = match rest.split_once("B_") {
        Some((size, _)) => size.replace('_', "."),
        None => String::new(),
    };
    if let Some(model) = of_size(family, &size) {
        by.says(said, "model.name", model);
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
    let size = behind.trim_matches('_').strip_suffix(['b', 'B'])?;
    of_size(folder, &size.replace('_', "."))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use crate::frameworks::examples::{all_told, told};

    #[test]
    fn recipes_and_configurations_say_what_is_trained_and_how() {
        let told = all_told(&[
            "tune run --rdzv_endpoint=localhost:29500 full_finetune_distributed --config llama3_2/1B_full \
             dataset.source=parquet output_dir=/workspace/output batch_size=4",
            "tune run full_finetune_single_device --config qwen2_5/1_5B_full_single_device compile=True",
            "tune run --nproc_per_node 8 lora_finetune_distributed --config llama3_1/70B_lora model.lora_rank=64 \
             tokenizer.max_seq_len=8192 dataset.packed=True enable_activation_checkpointing=False \
             model.lora_attn_modules=[q_proj,v_proj,output_proj] model.apply_lora_to_mlp=True fsdp_cpu_offload=true \
             optimizer=torchao.optim.AdamW8bit gradient_accumulation_steps=8",
            "tune run lora_finetune_single_device --config llama3/8B_qlora_single_device",
            "tune run full_dpo_distributed --config llama3_1/8B_full_dpo",
            "tune run lora_finetune_distributed --config llama3_2_vision/11B_lora",
            "tune run lora_finetune_distributed --config /app/own.yaml",
        ]);
        insta::assert_snapshot!(told);
    }

    #[test]
    fn a_configuration_file_is_read() {
        let text = "model:\n  _component_: torchtune.models.llama3_1.qlora_llama3_1_8b\n  lora_attn_modules: ['q_proj', 'v_proj']\n  \
                    apply_lora_to_mlp: False\n  lora_rank: 8\ntokenizer:\n  max_seq_len: null\nbatch_size: 2\noptimizer:\n  \
                    _component_: torch.optim.AdamW\n  fused: True\ngradient_accumulation_steps: 32\ndtype: bf16\n\
                    enable_activation_checkpointing: True\noutput_dir: ${x}\n";
        let words = ["tune", "run", "lora_finetune_single_device", "--config", "conf/a.yaml", "batch_size=4"];
        let mut all = String::new();
        let _ = write!(all, "{text}{}", told(Launch::of_words(&words).with_file("/w/conf/a.yaml", text)));
        insta::assert_snapshot!(all);
    }
}
