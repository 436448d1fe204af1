//! Meta's llama-cookbook, once llama-recipes: `finetuning.py --enable_fsdp --fsdp_config.pure_bf16 --model_name …`.
//!
//! **Recognised** by the script's or the module's name together with one of its own flags. Read from
//! `src/llama_cookbook/configs/{training,fsdp,peft}.py` at 1a97f6fd: a batch of 4, samples packed into 4096 tokens,
//! `AdamW`, bf16; under `--enable_fsdp` full sharding and activation checkpointing; LoRA of rank 8 on queries and values
//! under `--use_peft`.
//!
//! `pure_bf16` keeps two bytes of everything. Without it, versions differ in what they shard, fp32 or bf16: that stays
//! open. Of an 8-bit base model the spec has no word; it lies between LoRA's and QLoRA's.

use crate::command::Launch;
use crate::frameworks::reading::flags::{Flag, Takes, flag};
use crate::frameworks::reading::said::Said;
use crate::frameworks::reading::settings::{self, Place, Setting, Settings};

const SOURCE: &str = "llama-cookbook 0.0.5 default";

const SCRIPTS: &[&str] = &["finetuning.py", "llama_finetuning.py"];
const MODULES: &[&str] = &["llama_recipes.finetuning", "llama_cookbook.finetuning"];
/// Its own flags, one of which must stand there.
const TELLING: &[&str] =
    &["enable_fsdp", "batch_size_training", "fsdp_config.pure_bf16", "peft_method", "batching_strategy"];

const FLAGS: &[Flag] = &[
    flag(&["model_name"], "model.name", Takes::Text),
    flag(&["batch_size_training"], "batch.microBatchSize", Takes::Number),
    flag(&["context_length"], "batch.sequenceLength", Takes::Number),
    flag(&["max_train_step"], "dataset.steps", Takes::Number),
    flag(&["num_epochs"], "dataset.epochs", Takes::Number),
    flag(&["use_fast_kernels"], "attention", Takes::Word("Flash")),
    flag(&["fsdp_config.fsdp_cpu_offload"], "offload.parameters", Takes::Switch(true)),
    flag(&["fsdp_config.sharding_group_size"], "parallelism.shardingDegree", Takes::Number),
];

const LORA: &[Flag] = &[
    flag(&["lora_config.r", "r"], "finetuning.rank", Takes::Number),
    flag(&["lora_config.target_modules", "target_modules"], "finetuning.targets", Takes::List),
    flag(&["lora_config.lora_dropout", "lora_dropout"], "finetuning.dropout", Takes::Percent),
];

const DEFAULTS: &[(&str, &str)] = &[
    ("batch.microBatchSize", "4"),
    ("batch.sequenceLength", "4096"),
    ("precision", "BF16"),
    ("optimizer", "AdamW"),
];

/// Whether it is its launch.
pub(crate) fn recognises(launch: &Launch) -> bool {
    let named = launch.runs_script(SCRIPTS) || MODULES.iter().any(|module| launch.runs_module(module));
    named && launch.arguments.has("model_name") && TELLING.iter().any(|flag| launch.arguments.has(flag))
}

/// What it says.
pub(crate) fn read(launch: &Launch, said: &mut Said) {
    let settings = Settings::of(vec![Place::Options(&launch.arguments)]);
    said.argument("framework", "FSDP", "--model_name");
    settings::read(FLAGS, &settings, said);
    packing(&settings, said);
    method(&settings, said);
    sharding(&settings, said);
    precision(&settings, said);
    settings::assume(DEFAULTS, SOURCE, said);
    said.accumulation = match settings.get(&["gradient_accumulation_steps"]) {
        Some(setting) => setting.number().map(|steps| (steps, setting.source(said))),
        None => Some((1, SOURCE.into())),
    };
    if settings.on(&["freeze_layers"]) == Some(true) {
        said.beyond = Some("a part of the layers is frozen");
    }
}

fn packing(settings: &Settings<'_>, said: &mut Said) {
    match settings.get(&["batching_strategy"]) {
        Some(setting) => {
            if let Some(text) = setting.text() {
                setting.says(said, "batch.packing", text == "packing");
            }
        }
        None => said.assume("batch.packing", true, SOURCE),
    }
}

fn method(settings: &Settings<'_>, said: &mut Said) {
    let Some(peft) = settings.get(&["use_peft"]) else {
        said.assume("finetuning.method", "Full", SOURCE);
        return;
    };
    if peft.truth() != Some(true) {
        return;
    }
    settings::read(LORA, settings, said);
    settings::assume(&[("finetuning.rank", "8"), ("finetuning.dropout", "5")], SOURCE, said);
    said.assume("finetuning.targets", vec!["q_proj", "v_proj"], SOURCE);
    match settings.get(&["quantization"]) {
        None => peft.says(said, "finetuning.method", "LoRA"),
        Some(bits) if bits.text().is_some_and(|text| text.contains('4')) => {
            bits.says(said, "finetuning.method", "QLoRA");
        }
        Some(_) => said.may("finetuning.method", "QLoRA"),
    }
}

fn sharding(settings: &Settings<'_>, said: &mut Said) {
    let Some(fsdp) = settings.get(&["enable_fsdp"]) else { return };
    if fsdp.truth() != Some(true) {
        return;
    }
    let strategy = settings.get(&["fsdp_config.sharding_strategy"]);
    let text = strategy.as_ref().and_then(Setting::text).unwrap_or_default();
    let hybrid = settings.on(&["fsdp_config.hsdp"]) == Some(true) || text.contains("HYBRID");
    let by = strategy.unwrap_or_else(|| fsdp.clone());
    match text.as_str() {
        "NO_SHARD" => by.says(said, "parallelism.sharding", "None"),
        _ if hybrid => by.says(said, "parallelism.sharding", "HSDP"),
        _ => by.says(said, "parallelism.sharding", "FSDP"),
    }
    if text == "SHARD_GRAD_OP" {
        by.says(said, "parallelism.reshardAfterForward", false);
    }
    let checkpointing = settings.get(&["fsdp_config.fsdp_activation_checkpointing"]);
    match checkpointing.and_then(|setting| Some((setting.truth()?, setting))) {
        Some((on, setting)) => setting.says(said, "recompute", if on { "Full" } else { "None" }),
        None => said.assume("recompute", "Full", SOURCE),
    }
}

fn precision(settings: &Settings<'_>, said: &mut Said) {
    let pure = settings.get(&["fsdp_config.pure_bf16", "pure_bf16"]);
    let half = settings.get(&["use_fp16", "fsdp_config.use_fp16"]);
    if let Some(pure) = pure.filter(|setting| setting.truth() == Some(true)) {
        pure.says(said, "precision", "BF16");
        pure.says(said, "parameterPrecision", "BF16");
        return;
    }
    if let Some(half) = half.filter(|setting| setting.truth() == Some(true)) {
        half.says(said, "precision", "FP16");
    }
    said.may("parameterPrecision", "BF16");
}

#[cfg(test)]
mod tests {
    use crate::frameworks::examples::all_told;

    #[test]
    fn its_own_flags_and_defaults_are_read() {
        let told = all_told(&[
            "torchrun --nnodes=2 --nproc_per_node=8 getting-started/finetuning/finetuning.py --enable_fsdp \
             --fsdp_config.pure_bf16 --use_fast_kernels --model_name=/models/hf-meta-llama3-8B/ --batch_size_training=8",
            "torchrun finetuning.py --enable_fsdp --model_name meta-llama/Llama-3.1-70B --use_peft --peft_method lora \
             --quantization 4bit --batch_size_training 1 --gradient_accumulation_steps 4 --context_length 2048 \
             --fsdp_config.sharding_strategy HYBRID_SHARD --fsdp_config.sharding_group_size 8 --batching_strategy padding",
            "python -m llama_recipes.finetuning --use_peft --peft_method lora --quantization --model_name /path/7B",
            "torchrun finetuning.py --enable_fsdp --model_name x/y --freeze_layers --fsdp_config.fsdp_cpu_offload \
             --fsdp_config.fsdp_activation_checkpointing False",
            "python finetuning.py --model_name x/y --epochs 3",
        ]);
        insta::assert_snapshot!(told);
    }
}
