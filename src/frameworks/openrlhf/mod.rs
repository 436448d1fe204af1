//! `OpenRLHF`'s supervised fine-tuning: `deepspeed --module openrlhf.cli.train_sft --pretrain … --zero_stage 3`.
//!
//! **Recognised** by its module, or by `train_sft.py` with `--pretrain` and `--micro_train_batch_size`. Read from
//! `openrlhf/cli/train_sft.py` of the release 0.8.5: DeepSpeed with ZeRO 2, a batch of 8 within 128, 2048 tokens, all weights, nothing
//! offloaded, no checkpointing. What else it trains holds further models and is not covered.

use crate::command::Launch;
use crate::frameworks::hugging_face::{peft, training_arguments};
use crate::frameworks::reading::flags::{Flag, Takes, flag};
use crate::frameworks::reading::said::Said;
use crate::frameworks::reading::settings::{self, Place, Settings};

const SOURCE: &str = "OpenRLHF 0.8 default";

const FLAGS: &[Flag] = &[
    flag(&["pretrain"], "model.name", Takes::Text),
    flag(&["max_len"], "batch.sequenceLength", Takes::Number),
    flag(&["micro_train_batch_size"], "batch.microBatchSize", Takes::Number),
    flag(&["train_batch_size"], "batch.globalBatchSize", Takes::Number),
    flag(&["max_epochs"], "dataset.epochs", Takes::Number),
    flag(&["bf16"], "precision", Takes::Word("BF16")),
    flag(&["param_dtype"], "precision", Takes::OneOf(training_arguments::FORMATS)),
    flag(&["flash_attn"], "attention", Takes::Word("Flash")),
    flag(&["attn_implementation"], "attention", Takes::OneOf(training_arguments::ATTENTION)),
    flag(&["packing_samples"], "batch.packing", Takes::Switch(true)),
    flag(&["adam_offload"], "offload.optimizer", Takes::Switch(true)),
    flag(&["ring_attn_size"], "parallelism.context", Takes::Number),
    flag(&["ds_tensor_parallel_size"], "parallelism.tensor", Takes::Number),
    flag(&["use_liger_kernel"], "loss", Takes::Word("Fused")),
    flag(
        &["zero_stage"],
        "parallelism.sharding",
        Takes::OneOf(&[("0", "None"), ("1", "ZeRO1"), ("2", "ZeRO2"), ("3", "ZeRO3")]),
    ),
];

const DEFAULTS: &[(&str, &str)] = &[
    ("parallelism.sharding", "ZeRO2"),
    ("offload.optimizer", "false"),
    ("offload.parameters", "false"),
    ("batch.microBatchSize", "8"),
    ("batch.globalBatchSize", "128"),
    ("batch.sequenceLength", "2048"),
    ("recompute", "None"),
];

/// Whether it is its launch.
pub(crate) fn recognises(launch: &Launch) -> bool {
    launch.runs_module("openrlhf.cli.train_sft")
        || launch.runs_script(&["train_sft.py"])
            && ["pretrain", "micro_train_batch_size"].iter().all(|name| launch.arguments.has(name))
}

/// What it says.
pub(crate) fn read(launch: &Launch, said: &mut Said) {
    let settings = Settings::of(vec![Place::Options(&launch.arguments)]);
    said.argument("framework", "DeepSpeed", "OpenRLHF");
    settings::read(FLAGS, &settings, said);
    training_arguments::recompute(&settings, &["gradient_checkpointing"], said);
    // A rank of zero, its default, means no adapters.
    let rank = settings.get(&["lora_rank"]).map(|setting| setting.number());
    match rank {
        None | Some(Some(0)) => said.assume("finetuning.method", "Full", SOURCE),
        Some(Some(_)) => {
            peft::read(&settings, false, said);
            said.assume("finetuning.dropout", 0, SOURCE);
            if !settings.has(&["target_modules"]) {
                said.assume("finetuning.targets", vec!["all-linear"], SOURCE);
            }
        }
        Some(None) => said.may("finetuning.method", "QLoRA"),
    }
    settings::assume(DEFAULTS, SOURCE, said);
}

#[cfg(test)]
mod tests {
    use crate::frameworks::examples::all_told;

    #[test]
    fn its_arguments_and_defaults_are_read() {
        let told = all_told(&[
            "torchrun train_sft.py --pretrain meta-llama/Meta-Llama-3-8B --max_len 4096 --train_batch_size 256 \
             --micro_train_batch_size 2 --zero_stage 3 --bf16 --flash_attn --gradient_checkpointing --packing_samples \
             --adam_offload",
            "python -m openrlhf.cli.train_sft --pretrain x/y --lora_rank 64 --load_in_4bit --lora_alpha 16",
            "torchrun train_sft.py --pretrain x/y",
        ]);
        insta::assert_snapshot!(told);
    }
}
