//! ms-swift: `swift sft --model Qwen/Qwen2.5-7B-Instruct --train_type lora …`, and its names before 3.0.
//!
//! **Recognised** by its program or module. Read from the release 3.5.3 (`swift/llm/argument`, `swift/trainers`): LoRA of
//! rank 8 with a dropout of 5 % on all linear layers in `sft`, a batch of 1, gradient checkpointing on, weights loaded in bf16. 2.6.1 had other
//! layers by model, and 2048 tokens; its names (`--sft_type`, `--model_id_or_path`) tell it. It runs one process, over which the
//! model may be split, unless `NPROC_PER_NODE` stands in the environment. `swift rlhf` is not covered.

use crate::command::Launch;
use crate::frameworks::hugging_face::{peft, training_arguments};
use crate::frameworks::reading::flags::{Flag, Takes, flag};
use crate::frameworks::reading::said::Said;
use crate::frameworks::reading::settings::{self, Place, Settings};

const SOURCE: &str = "ms-swift 3.5 default";
const SECOND: &str = "ms-swift 2.6 default";

const PROGRAMS: &[&str] = &["swift sft", "swift pt", "megatron sft", "megatron pt"];
const MODULES: &[&str] = &["swift.cli.sft", "swift.cli.pt"];

const FLAGS: &[Flag] = &[
    flag(&["model", "model_id_or_path", "model_type", "model_name_or_path"], "model.name", Takes::Text),
    flag(&["max_length"], "batch.sequenceLength", Takes::Number),
    flag(&["sequence_parallel_size"], "parallelism.context", Takes::Number),
    // Its names before 3.0.
    flag(&["batch_size"], "batch.microBatchSize", Takes::Number),
    flag(&["use_flash_attn"], "attention", Takes::Word("Flash")),
];

const DEFAULTS: &[(&str, &str)] = &[
    ("batch.microBatchSize", "1"),
    ("recompute", "Full"),
    ("precision", "BF16"),
    ("finetuning.rank", "8"),
    ("finetuning.dropout", "5"),
];

/// Whether it is its launch.
pub(crate) fn recognises(launch: &Launch) -> bool {
    PROGRAMS.iter().take(2).any(|program| launch.runs_program(program))
        || MODULES.iter().any(|module| launch.runs_module(module))
        || launch.runs_program("swift rlhf")
}

/// What it says.
pub(crate) fn read(launch: &Launch, said: &mut Said) {
    said.argument("framework", "HuggingFace", "swift");
    if launch.runs_program("swift rlhf") {
        said.beyond = Some("preference optimization holds a reference model");
    }
    let settings = Settings::of(vec![Place::Options(&launch.arguments)]);
    settings::read(FLAGS, &settings, said);
    let continued = launch.runs_program("swift pt") || launch.runs_module("swift.cli.pt");
    if peft::read(&settings, true, said).is_none() {
        // What continued pretraining does where nothing is said depends on the version.
        if continued {
            said.may("finetuning.method", "LoRA");
        } else {
            said.assume("finetuning.method", "LoRA", SOURCE);
        }
    }
    let adapted = said.get("finetuning.method").is_some_and(|method| method != "Full");
    training_arguments::read(launch, &settings, said);
    let parallel = launch.environment.get("NPROC_PER_NODE").is_some() || !launch.launchers.is_empty();
    if !said.knows("parallelism.sharding") && !said.may_be("parallelism.sharding") {
        if parallel {
            said.assume("parallelism.sharding", "None", SOURCE);
        } else {
            said.may("parallelism.sharding", "FSDP");
        }
    }
    training_arguments::precision(&settings, said);
    let frozen = launch.arguments.words().iter().any(|word| word.text.starts_with("--freeze_parameters"));
    if frozen {
        said.beyond = Some("a part of the model is not trained");
    }
    let defaults = DEFAULTS.iter().filter(|(field, _)| adapted || !field.starts_with("finetuning"));
    settings::assume(&defaults.copied().collect::<Vec<_>>(), SOURCE, said);
    let second = settings.has(&["sft_type", "model_id_or_path"]);
    if second {
        said.assume("batch.sequenceLength", 2048, SECOND);
    } else if adapted && !settings.has(&["target_modules", "lora_target_modules"]) {
        said.assume("finetuning.targets", vec!["all-linear"], SOURCE);
    }
}

#[cfg(test)]
mod tests {
    use crate::command::Launch;
    use crate::frameworks::examples::{all_told, told};

    #[test]
    fn its_arguments_are_read() {
        let mut all = all_told(&[
            "swift sft --model Qwen/Qwen2.5-7B-Instruct --train_type lora --lora_rank 16 --target_modules all-linear \
             --torch_dtype bfloat16 --per_device_train_batch_size 2 --gradient_accumulation_steps 16 --max_length 2048 \
             --deepspeed zero3_offload --attn_impl flash_attn --quant_bits 4 --sequence_parallel_size 4",
            "swift sft --model_type qwen1half-7b-chat --sft_type full --batch_size 4 --max_length 4096 --deepspeed default-zero3",
            "swift pt --model Qwen/Qwen2.5-72B",
            "swift rlhf --rlhf_type dpo --model Qwen/Qwen2.5-7B-Instruct",
            "swift infer --model Qwen/Qwen2.5-7B-Instruct",
        ]);
        let launch = Launch::of_words(&["swift", "sft", "--model", "Qwen/Qwen3-8B", "--train_type", "full"]);
        all += &told(launch.with_environment(&[("NPROC_PER_NODE", "8")]));
        insta::assert_snapshot!(all);
    }
}
