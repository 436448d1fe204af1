//! verl's fine-tuning: `torchrun -m verl.trainer.fsdp_sft_trainer model.partial_pretrain=… data.max_length=2048 …`, and
//! `verl.trainer.sft_trainer`, whose model and engine have groups of their own.
//!
//! Read from the releases 0.5.0 and 0.7.0 (`verl/trainer/config/sft_trainer.yaml`, `sft_trainer_engine.yaml`,
//! `verl/trainer/fsdp_sft_trainer.py`): FSDP over all accelerators, shards in the model's format (fp32 without a word) that
//! are computed in bf16, gradients that are summed in fp32, flash attention, gradient checkpointing, microbatches of four,
//! 1024 tokens. A sample is padded to the length. `sft_trainer` packs microbatches of up to 8192 tokens instead, without padding,
//! and computes flash-attn's cross-entropy in place of the logits (`verl/workers/engine/fsdp/transformer_impl.py`, which needs
//! flash-attn on NVIDIA's accelerators).

use crate::command::Launch;
use crate::frameworks::hugging_face::training_arguments;
use crate::frameworks::reading::adapters::{self, Rank};
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::flags::{Table, Takes, flag};
use crate::frameworks::reading::hydra;
use crate::frameworks::reading::settings::{self, Settings};
use crate::job::{
    Assignment, Attention, Framework, LayerKernels, Loss, Method, Precision, Recompute, Sharding, field,
};

const SOURCE: &str = "verl 0.7 default";

const KEYS: Table = &[
    &flag(&["model.partial_pretrain", "model.path"], field::model::NAME, Takes::Text),
    &flag(&["data.train_batch_size"], field::batch::GLOBAL_BATCH_SIZE, Takes::Number),
    &flag(
        &["ulysses_sequence_parallel_size", "engine.ulysses_sequence_parallel_size"],
        field::parallelism::CONTEXT,
        Takes::Number,
    ),
    &flag(
        &["model.fsdp_config.model_dtype", "engine.model_dtype"],
        field::PARAMETER_PRECISION,
        Takes::OneOf(training_arguments::FORMATS),
    ),
    &flag(
        &["model.fsdp_config.cpu_offload", "engine.offload_policy"],
        field::offload::PARAMETERS,
        Takes::Switch(true),
    ),
    &flag(
        &["model.fsdp_config.reshard_after_forward", "engine.reshard_after_forward"],
        field::parallelism::RESHARD_AFTER_FORWARD,
        Takes::Switch(true),
    ),
    &flag(&["model.use_liger"], field::LAYER_KERNELS, Takes::Word(LayerKernels::Liger)),
    &flag(&["model.enable_activation_offload"], field::offload::ACTIVATIONS, Takes::Switch(true)),
    &flag(&["trainer.total_epochs"], field::dataset::EPOCHS, Takes::Number),
    &flag(&["trainer.total_training_steps"], field::dataset::STEPS, Takes::Number),
];

const PADDED: Table = &[
    &flag(
        &["data.micro_batch_size_per_gpu", "data.micro_batch_size"],
        field::batch::MICRO_BATCH_SIZE,
        Takes::Number,
    ),
    &flag(&["data.max_length"], field::batch::SEQUENCE_LENGTH, Takes::Number),
];

const DEFAULTS: &[Assignment] = &[
    field::PRECISION.is(Precision::BF16),
    field::PARAMETER_PRECISION.is(Precision::FP32),
    field::GRADIENT_PRECISION.is(Precision::FP32),
    field::ATTENTION.is(Attention::Flash),
    field::RECOMPUTE.is(Recompute::Full),
    field::parallelism::CONTEXT.is(1),
    field::offload::PARAMETERS.is(false),
    field::offload::ACTIVATIONS.is(false),
];

/// Whether it is its launch.
pub(super) fn recognises(launch: &Launch) -> bool {
    launch.runs_module("verl.trainer.fsdp_sft_trainer")
        || launch.runs_script(&["fsdp_sft_trainer.py"])
        || packs(launch)
}

/// Whether it is the trainer that packs samples.
fn packs(launch: &Launch) -> bool {
    launch.runs_module("verl.trainer.sft_trainer") || launch.runs_module("verl.trainer.sft_trainer_ray")
}

/// What it says.
pub(super) fn read(launch: &Launch, claims: &mut Claims) {
    let settings = hydra::settings(launch, claims);
    claims.argument(field::FRAMEWORK, Framework::FSDP, "verl");
    if !super::shards_in_groups(&settings, "engine.fsdp_size", SOURCE, claims) {
        claims.assume(field::parallelism::SHARDING, Sharding::FSDP, SOURCE);
    }
    settings::read(KEYS, &settings, claims);
    training_arguments::recompute(&settings, &["model.enable_gradient_checkpointing"], claims);
    adapters(&settings, claims);
    batch(launch, &settings, claims);
    settings.has(&["checkpoint.save_only_adapter_if_lora"]);
    loss(packs(launch), &settings, claims);
    settings::assume(DEFAULTS, SOURCE, claims);
}

/// The loss: fused with the output layer if asked for, in place where samples are packed without padding.
fn loss(packs: bool, settings: &Settings<'_>, claims: &mut Claims) {
    let fused = ["model.use_fused_kernels", "model.use_liger"].map(|name| settings.get(&[name]));
    if let Some(setting) = fused.into_iter().flatten().find(|setting| setting.truth() != Some(false)) {
        return match setting.truth() {
            Some(_) => setting.says(claims, field::LOSS, Loss::Fused),
            None => claims.open(field::LOSS, Loss::Fused),
        };
    }
    if packs {
        let padded = settings.on(&["model.use_remove_padding"]) == Some(false);
        claims.assume(field::LOSS, if padded { Loss::Eager } else { Loss::InPlace }, SOURCE);
        claims.open(field::LOSS, Loss::InPlace);
    }
}

fn adapters(settings: &Settings<'_>, claims: &mut Claims) {
    match adapters::rank(settings, &["model.lora_rank"], claims) {
        Rank::None => claims.assume(field::finetuning::METHOD, Method::Full, SOURCE),
        Rank::Unknown => {}
        Rank::Of(_) => {
            if let Some(setting) = settings.get(&["model.target_modules"]) {
                let names: Vec<&str> = setting.texts().collect();
                if !names.is_empty() {
                    setting.says(claims, field::finetuning::TARGETS, names);
                }
            }
            claims.assume(field::finetuning::TARGETS, vec!["all-linear"], SOURCE);
            claims.assume(field::finetuning::DROPOUT, 0, SOURCE);
        }
    }
}

/// Padded samples, or a microbatch of packed tokens.
fn batch(launch: &Launch, settings: &Settings<'_>, claims: &mut Claims) {
    let number = |name: &str| settings.number(&[name]);
    if packs(launch) && settings.on(&["data.use_dynamic_bsz"]) != Some(false) {
        let tokens = number("data.max_token_len_per_gpu").unwrap_or(8_192);
        let parts = number("engine.ulysses_sequence_parallel_size").unwrap_or(1);
        claims.argument(field::batch::MICRO_BATCH_SIZE, 1, "use_dynamic_bsz");
        claims.argument(field::batch::SEQUENCE_LENGTH, tokens.saturating_mul(parts), "use_dynamic_bsz");
        return;
    }
    settings::read(PADDED, settings, claims);
    claims.assume(field::batch::MICRO_BATCH_SIZE, 4, SOURCE);
    claims.assume(field::batch::SEQUENCE_LENGTH, 1_024, SOURCE);
    // Samples are padded to the length, unless the ranks of a sequence remove the padding.
    let removes = settings.get(&["use_remove_padding", "model.use_remove_padding"]);
    let removes = removes.is_some_and(|setting| setting.truth() != Some(false));
    let divides = settings.get(&["ulysses_sequence_parallel_size"]);
    let divides = divides.is_some_and(|setting| setting.number().is_none_or(|ranks| ranks > 1));
    claims.assume(field::batch::PACKING, !(removes && divides), SOURCE);
}
