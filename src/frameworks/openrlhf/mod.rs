//! `OpenRLHF`'s supervised fine-tuning: `deepspeed --module openrlhf.cli.train_sft --pretrain … --zero_stage 3`.
//!
//! **Recognised** by its module, or by `train_sft.py` with `--pretrain` and `--micro_train_batch_size`. Read from
//! `openrlhf/cli/train_sft.py` of the release 0.8.5: DeepSpeed with ZeRO 2, a batch of 8 within 128, 2048 tokens, all
//! weights, no offloading, no checkpointing. Its other programs hold further models and are not covered.

pub(super) mod list;

use crate::command::Launch;
use crate::frameworks::hugging_face::{peft, training_arguments};
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::flags::{Table, Takes, flag};
use crate::frameworks::reading::settings::{self, Place, Settings};
use crate::job::{Assignment, Attention, Framework, Loss, Method, Precision, Recompute, Sharding, field};

const SOURCE: &str = "OpenRLHF 0.8 default";

const FLAGS: Table = &[
    &flag(&["pretrain"], field::model::NAME, Takes::Text),
    &flag(&["max_len"], field::batch::SEQUENCE_LENGTH, Takes::Number),
    &flag(&["micro_train_batch_size"], field::batch::MICRO_BATCH_SIZE, Takes::Number),
    &flag(&["train_batch_size"], field::batch::GLOBAL_BATCH_SIZE, Takes::Number),
    &flag(&["max_epochs"], field::dataset::EPOCHS, Takes::Number),
    &flag(&["bf16"], field::PRECISION, Takes::Word(Precision::BF16)),
    &flag(&["param_dtype"], field::PRECISION, Takes::OneOf(training_arguments::FORMATS)),
    &flag(&["flash_attn"], field::ATTENTION, Takes::Word(Attention::Flash)),
    &flag(&["attn_implementation"], field::ATTENTION, Takes::OneOf(training_arguments::ATTENTION)),
    &flag(&["packing_samples"], field::batch::PACKING, Takes::Switch(true)),
    &flag(&["adam_offload"], field::offload::OPTIMIZER, Takes::Switch(true)),
    &flag(&["ring_attn_size"], field::parallelism::CONTEXT, Takes::Number),
    &flag(&["ds_tensor_parallel_size"], field::parallelism::TENSOR, Takes::Number),
    &flag(&["use_liger_kernel"], field::LOSS, Takes::Word(Loss::Fused)),
    &flag(
        &["zero_stage"],
        field::parallelism::SHARDING,
        Takes::OneOf(&[
            ("0", Sharding::None),
            ("1", Sharding::ZeRO1),
            ("2", Sharding::ZeRO2),
            ("3", Sharding::ZeRO3),
        ]),
    ),
];

const DEFAULTS: &[Assignment] = &[
    field::parallelism::SHARDING.is(Sharding::ZeRO2),
    field::offload::OPTIMIZER.is(false),
    field::offload::PARAMETERS.is(false),
    field::batch::MICRO_BATCH_SIZE.is(8),
    field::batch::GLOBAL_BATCH_SIZE.is(128),
    field::batch::SEQUENCE_LENGTH.is(2048),
    field::RECOMPUTE.is(Recompute::None),
];

/// Whether the launch runs `OpenRLHF`.
pub(crate) fn recognises(launch: &Launch) -> bool {
    launch.runs_module("openrlhf.cli.train_sft")
        || launch.runs_script(&["train_sft.py"])
            && ["pretrain", "micro_train_batch_size"].iter().all(|name| launch.arguments.has(name))
}

/// Claims the settings of the launch.
pub(crate) fn read(launch: &Launch, claims: &mut Claims) {
    let settings = Settings::of(vec![Place::Options(&launch.arguments)]);
    claims.argument(field::FRAMEWORK, Framework::DeepSpeed, "OpenRLHF");
    settings::read(FLAGS, &settings, claims);
    training_arguments::recompute(&settings, &["gradient_checkpointing"], claims);
    // The default rank of zero means no adapters.
    let rank = settings.get(&["lora_rank"]).map(|setting| setting.number());
    match rank {
        None | Some(Some(0)) => claims.assume(field::finetuning::METHOD, Method::Full, SOURCE),
        Some(Some(_)) => {
            peft::read(&settings, false, claims);
            claims.assume(field::finetuning::DROPOUT, 0, SOURCE);
            if !settings.has(&["target_modules"]) {
                claims.assume(field::finetuning::TARGETS, vec!["all-linear"], SOURCE);
            }
        }
        Some(None) => claims.open(field::finetuning::METHOD, Method::QLoRA),
    }
    settings::assume(DEFAULTS, SOURCE, claims);
}
