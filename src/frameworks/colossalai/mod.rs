//! ColossalAI: `colossalai run --nproc_per_node 8 benchmark.py -c 7b --plugin gemini …`, and its trainers' options.
//!
//! **Recognised** by the launcher `colossalai run` with `--plugin` among the target's options, or by `--plugin` with
//! one of these values and an option that goes with it.
//!
//! | plugin | divides |
//! | --- | --- |
//! | `torch_ddp` | nothing |
//! | `zero2`, `zero2_cpu` | ZeRO 2; the second offloads the optimizer |
//! | `gemini`, `gemini_auto`, `gemini_cuda`, `gemini_cpu` | ZeRO 3; all but `gemini` and `gemini_cuda` may offload states |
//! | `fsdp`, `fsdp_cpu` | FSDP; the second offloads parameters |
//! | `3d`, `3d_cpu` | tensor and pipeline, and the ZeRO stage of `--zero` |
//!
//! Read from hpcaitech/ColossalAI 0.4, examples/language/llama/benchmark.py and applications/Colossal-LLaMA/train.py.

pub(super) mod list;
pub(super) mod profile;

use crate::command::Launch;
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::flags::Takes::{Number, OneOf, Text, Word};
use crate::frameworks::reading::flags::{Table, flag};
use crate::frameworks::reading::settings::{self, Place, Settings};
use crate::job::{Attention, Field, Framework, Method, Precision, Recompute, Sharding, field};

/// A plugin's name, its sharding, and the states that it moves to the host's memory.
type Plugin = (&'static str, Option<Sharding>, Option<Field<bool>>);

const PLUGINS: &[Plugin] = &[
    ("torch_ddp", Some(Sharding::None), None),
    ("ddp", Some(Sharding::None), None),
    ("zero2", Some(Sharding::ZeRO2), None),
    ("zero2_cpu", Some(Sharding::ZeRO2), Some(field::offload::OPTIMIZER)),
    ("gemini", Some(Sharding::ZeRO3), None),
    ("gemini_cuda", Some(Sharding::ZeRO3), None),
    ("gemini_auto", Some(Sharding::ZeRO3), None),
    ("gemini_cpu", Some(Sharding::ZeRO3), Some(field::offload::OPTIMIZER)),
    ("fsdp", Some(Sharding::FSDP), None),
    ("fsdp_cpu", Some(Sharding::FSDP), Some(field::offload::PARAMETERS)),
    ("3d", None, None),
    ("3d_cpu", None, Some(field::offload::OPTIMIZER)),
];

/// Options that go with a plugin.
const BESIDE: &[&str] =
    &["grad_checkpoint", "use_grad_checkpoint", "mixed_precision", "tp", "zero_stage", "use_flash_attn"];

/// The benchmark's models.
const MODELS: &[(&str, &str)] =
    &[("7b", "llama-2-7b"), ("13b", "llama-2-13b"), ("70b", "llama-2-70b"), ("65b", "llama-65b")];

const TABLE: Table = &[
    &flag(&["config", "c"], field::model::NAME, OneOf(MODELS)),
    &flag(&["pretrained", "model_name_or_path"], field::model::NAME, Text),
    &flag(&["tp"], field::parallelism::TENSOR, Number),
    &flag(&["pp"], field::parallelism::PIPELINE, Number),
    &flag(&["sp"], field::parallelism::CONTEXT, Number),
    &flag(&["mbs", "microbatch_size"], field::batch::MICRO_BATCH_SIZE, Number),
    &flag(&["max_length", "l"], field::batch::SEQUENCE_LENGTH, Number),
    &flag(&["num_steps", "s"], field::dataset::STEPS, Number),
    &flag(
        &["mixed_precision"],
        field::PRECISION,
        OneOf(&[("bf16", Precision::BF16), ("fp16", Precision::FP16), ("fp32", Precision::FP32)]),
    ),
    &flag(&["grad_checkpoint", "use_grad_checkpoint", "g"], field::RECOMPUTE, Word(Recompute::Full)),
    &flag(&["use_flash_attn", "flash_attention", "xformers", "x"], field::ATTENTION, Word(Attention::Flash)),
];

/// Whether the launch runs ColossalAI.
pub(crate) fn recognises(launch: &Launch) -> bool {
    let plugin = launch.arguments.value("plugin").or_else(|| launch.arguments.value("p"));
    let known = plugin.is_some_and(|name| PLUGINS.iter().any(|(plugin, ..)| *plugin == name));
    let launched = launch.launchers.iter().any(|launcher| launcher.name.starts_with("colossalai"));
    known && (launched || BESIDE.iter().any(|option| launch.arguments.has(option)))
}

/// Claims the settings of the launch.
pub(crate) fn read(launch: &Launch, claims: &mut Claims) {
    claims.handed_on(field::FRAMEWORK, Framework::ColossalAI, format!("{}: its options", claims.place));
    let settings = Settings::of(vec![Place::Options(&launch.arguments)]);
    settings::read(TABLE, &settings, claims);
    let Some(plugin) = settings.get(&["plugin", "p"]) else { return };
    let name = plugin.text().unwrap_or_default();
    if let Some((_, sharding, offload)) = PLUGINS.iter().find(|(plugin, ..)| *plugin == name) {
        if let Some(sharding) = sharding {
            plugin.says(claims, field::parallelism::SHARDING, *sharding);
        } else if let Some(setting) = settings.get(&["zero", "zero_stage"])
            && let Some(stage) = setting.number()
        {
            let stage = [Sharding::None, Sharding::ZeRO1, Sharding::ZeRO2]
                .get(usize::try_from(stage).unwrap_or(usize::MAX));
            if let Some(stage) = stage {
                setting.says(claims, field::parallelism::SHARDING, *stage);
            }
        }
        if let Some(field) = offload {
            plugin.says(claims, *field, true);
        }
    }
    // Gemini's automatic placement, and fractions of it, move states that do not fit.
    let fractions = ["offload_optim_frac", "offload_param_frac", "placement_policy"];
    if name == "gemini_auto" || settings.has(&fractions) {
        claims.open(field::offload::OPTIMIZER, true);
        claims.open(field::offload::PARAMETERS, true);
    }
    // Without a pipeline, the batch of a rank is one microbatch.
    let pipelined = settings.number(&["pp"]).is_some_and(|degree| degree > 1);
    if !pipelined
        && let Some(setting) = settings.get(&["batch_size", "b"])
        && let Some(size) = setting.number()
        && !settings.has(&["mbs", "microbatch_size"])
    {
        setting.says(claims, field::batch::MICRO_BATCH_SIZE, size);
    }
    if let Some(setting) = settings.get(&["lora_rank"])
        && let Some(rank) = setting.number().filter(|rank| *rank > 0)
    {
        setting.says(claims, field::finetuning::METHOD, Method::LoRA);
        setting.says(claims, field::finetuning::RANK, rank);
    }
}
