//! Unsloth: its own kernels, loss and checkpointing under TRL's trainers.
//!
//! | part | what Unsloth does | source |
//! | --- | --- | --- |
//! | loss | the output layer and the cross-entropy in chunks; the logits are never whole | `unsloth_fused_ce_loss` |
//! | layers | norms, SwiGLU, rotary positions and adapters in kernels that keep as much as Liger's | `kernels/` |
//! | checkpointing `"unsloth"` | the input of each layer is on the host; two are on the device | `UnslothCheckpointFunction` |
//! | four bits | scales quantized again, the linear layers of experts too, one by one | `BitsAndBytesConfig` in `models/llama.py` |
//! | the other weights | keep the format in which they are loaded; adapters are fp32 | `prepare_model_for_training` |
//! | full fine-tuning | weights and gradients are bf16, unless `float32_mixed_precision` is set | `FastModel.from_pretrained` |
//!
//! Checkpointing is `"unsloth"` unless `get_peft_model` says otherwise. A chunk of the loss takes half of the free memory
//! and at most 4 GiB (`get_chunk_size`), so it gives way when memory is short. No run of Unsloth was compared, so only
//! weights, states and what must be live refuse a job.
//!
//! Its command lines are read by [`command_line`].
//!
//! Read from Unsloth 2025.10 and its main branch at 015bdef, and from Unsloth Zoo.

mod command_line;
pub(super) mod list;

use crate::frameworks::hugging_face;
use crate::frameworks::profile::Profile;
use crate::frameworks::profile::defaults::{Experts, FineTuning, TrainedWeights, UsualLoss};
use crate::frameworks::profile::versions::Versions;
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::settings::{self, Setting, Settings};
use crate::job::{Framework, LayerKernels, Loss, Method, Recompute, field};
pub(crate) use command_line::{read, recognises};

/// The layers with adapters, unless `get_peft_model` names others.
const TARGETS: &[&str] = &["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];

const DEFAULT: &str = "Unsloth 2025.10 default";

/// The facts.
pub(crate) static PROFILE: Profile = Profile {
    name: "Unsloth",
    weights: TrainedWeights::Loaded { as_saved: Versions::Always },
    loss: UsualLoss::FusedInPlace,
    fine_tuning: FineTuning { adapters_joined: true, ..FineTuning::PLAIN },
    open_versions: None,
    experts: Experts::ALL_TO_ALL,
    ..hugging_face::profile::PROFILE
};

/// Claims what Unsloth does beside the trainer of a program.
pub(crate) fn beside_trainer(settings: &Settings<'_>, claims: &mut Claims) {
    if let Some(setting) = settings.get(&["gradient_checkpointing"])
        && setting.text().is_some_and(|text| text == "unsloth")
    {
        setting.says(claims, field::offload::ACTIVATIONS, true);
    }
    kernels(claims);
    if settings.on(&["use_peft"]) == Some(true) {
        targets(claims);
    }
    if settings.get(&["load_in_4bit"]).is_some_and(|setting| setting.truth() != Some(false)) {
        four_bits(claims);
    }
}

/// Claims what Unsloth does if another framework loads its model, and makes adapters on it, with Unsloth's defaults. The bits
/// are known.
pub(crate) fn adapts(claims: &mut Claims) {
    kernels(claims);
    targets(claims);
    checkpointing(claims);
    if claims.get(field::finetuning::METHOD) == Some(Method::QLoRA) {
        four_bits(claims);
    }
}

/// Claims what Unsloth does if another framework loads its model with it: `use_unsloth`, `tuner_backend: unsloth`. These
/// leave checkpointing at Unsloth's own.
pub(crate) fn loads(by: &Setting, claims: &mut Claims) {
    by.says(claims, field::FRAMEWORK, Framework::Unsloth);
    kernels(claims);
    checkpointing(claims);
}

fn checkpointing(claims: &mut Claims) {
    claims.assume(field::offload::ACTIVATIONS, true, DEFAULT);
    claims.assume(field::RECOMPUTE, Recompute::Full, DEFAULT);
}

fn targets(claims: &mut Claims) {
    claims.assume(field::finetuning::TARGETS, TARGETS.to_vec(), DEFAULT);
}

fn kernels(claims: &mut Claims) {
    let kernels = [field::LOSS.is(Loss::Fused), field::LAYER_KERNELS.is(LayerKernels::Liger)];
    settings::assume(&kernels, DEFAULT, claims);
}

fn four_bits(claims: &mut Claims) {
    let four_bits = [field::quantization::DOUBLE.is(true), field::quantization::EXPERTS.is(true)];
    settings::assume(&four_bits, DEFAULT, claims);
}
