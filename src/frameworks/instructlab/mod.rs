//! `InstructLab`'s training library: `torchrun -m instructlab.training.main_ds --model_name_or_path … --max_batch_len 20000`.
//!
//! **Recognised** by its module or file. Read from the release 0.16.1 (`main_ds.py`, `accelerator.py`, `model.py`). Accelerate
//! divides the model by FSDP's first version (`HYBRID_SHARD` unless another strategy is given), or DeepSpeed by ZeRO 2. It
//! computes in bf16 and trains fp32 copies. Layers are checkpointed. Samples of a batch are joined without padding: a rank's
//! batch has at most `--max_batch_len` tokens, 60 000 by default, and fewer if `--effective_batch_size` divides into smaller
//! batches. `--lora_r` above zero turns adapters on, `--lora_quant_bits 4` quantizes the rest.

pub(super) mod list;

use crate::command::{Launch, Target};
use crate::frameworks::accelerate;
use crate::frameworks::hugging_face::peft;
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::flags::{Table, Takes, flag};
use crate::frameworks::reading::settings::{self, Place, Settings};
use crate::job::{
    Assignment, Attention, Framework, LayerKernels, Loss, Method, Precision, Recompute, Sharding, field,
};

const SOURCE: &str = "instructlab-training 0.16 default";

const FLAGS: Table = &[
    &flag(&["model_name_or_path", "model_path"], field::model::NAME, Takes::Text),
    &flag(&["max_batch_len", "max_tokens_per_gpu"], field::batch::SEQUENCE_LENGTH, Takes::Number),
    &flag(&["num_epochs"], field::dataset::EPOCHS, Takes::Number),
    &flag(
        &["cpu_offload_optimizer", "deepspeed_options.cpu_offload_optimizer"],
        field::offload::OPTIMIZER,
        Takes::Switch(true),
    ),
    &flag(
        &["cpu_offload_params_fsdp", "fsdp_options.cpu_offload_params"],
        field::offload::PARAMETERS,
        Takes::Switch(true),
    ),
    &flag(&["disable_flash_attn"], field::ATTENTION, Takes::Word(Attention::Fused)),
    &flag(&["use_liger"], field::LOSS, Takes::Word(Loss::Fused)),
    &flag(&["use_liger"], field::LAYER_KERNELS, Takes::Word(LayerKernels::Liger)),
];

const DEFAULTS: &[Assignment] = &[
    field::batch::MICRO_BATCH_SIZE.is(1),
    field::batch::SEQUENCE_LENGTH.is(60_000),
    field::batch::PACKING.is(false),
    field::finetuning::METHOD.is(Method::Full),
    field::ATTENTION.is(Attention::Flash),
    field::PRECISION.is(Precision::BF16),
    field::RECOMPUTE.is(Recompute::Full),
];

const ADAPTERS: &[Assignment] = &[field::finetuning::DROPOUT.is(10), field::quantization::DOUBLE.is(true)];

/// Whether the launch runs it.
pub(crate) fn recognises(launch: &Launch) -> bool {
    let by_path =
        matches!(&launch.target, Target::Script(path) if path.ends_with("instructlab/training/main_ds.py"));
    by_path || launch.runs_module("instructlab.training.main_ds")
}

/// Claims the settings of the launch.
pub(crate) fn read(launch: &Launch, claims: &mut Claims) {
    claims.argument(field::FRAMEWORK, Framework::HuggingFace, "instructlab.training");
    trains(&Settings::of(vec![Place::Options(&launch.arguments)]), claims);
}

/// Claims what its training does with these settings, under the names of its options or of `TrainingArgs`.
pub(crate) fn trains(settings: &Settings<'_>, claims: &mut Claims) {
    settings::read(FLAGS, settings, claims);
    sharding(settings, claims);
    method(settings, claims);
    settings::assume(DEFAULTS, SOURCE, claims);
}

/// FSDP's strategy, or ZeRO 2.
fn sharding(settings: &Settings<'_>, claims: &mut Claims) {
    let sharding = field::parallelism::SHARDING;
    if let Some(setting) = settings.get(&["distributed_training_framework", "distributed_backend"])
        && setting.text().as_deref() == Some("deepspeed")
    {
        return setting.says(claims, sharding, Sharding::ZeRO2);
    }
    match settings.get(&["fsdp_sharding_strategy", "fsdp_options.sharding_strategy"]) {
        None => claims.assume(sharding, Sharding::HSDP, SOURCE),
        Some(setting) => match setting.text().and_then(|name| accelerate::strategy_of(&name)) {
            Some((divided, reshards)) => {
                setting.says(claims, sharding, divided);
                if let Some(reshards) = reshards {
                    setting.says(claims, field::parallelism::RESHARD_AFTER_FORWARD, reshards);
                }
            }
            None => claims.unparsed(sharding),
        },
    }
}

/// Adapters, if they have a rank.
fn method(settings: &Settings<'_>, claims: &mut Claims) {
    let Some(rank) = settings.get(&["lora_r", "lora"]) else { return };
    match rank.text().and_then(|text| text.parse::<u64>().ok()) {
        Some(0) => rank.says(claims, field::finetuning::METHOD, Method::Full),
        Some(_) => {
            let bits = settings.get(&["lora_quant_bits"]).and_then(|bits| bits.number());
            let method = if bits.is_some_and(|bits| bits < 16) { Method::QLoRA } else { Method::LoRA };
            rank.says(claims, field::finetuning::METHOD, method);
            peft::ranks(settings, claims);
            settings::assume(ADAPTERS, SOURCE, claims);
        }
        None => claims.open(field::finetuning::METHOD, Method::QLoRA),
    }
}
