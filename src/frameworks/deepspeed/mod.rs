//! DeepSpeed: `deepspeed train.py --deepspeed_config ds.json`, and its configuration under any other argument or key.
//!
//! **Recognised** by the launcher, or by `--deepspeed`, `--deepspeed_config` or `--ds_config` among the program's
//! arguments. Keys and defaults: `deepspeed/runtime/zero/config.py` at 03dc2b92, and DeepSpeed's documentation. `auto`
//! is not a value: the program fills it in from its own flags. The configurations that frameworks ship lock offloaded states
//! in memory (`pin_memory`).
//!
//! An unknown configuration may divide and offload all that DeepSpeed can. So these fields stay open.

pub(super) mod list;
pub(super) mod profile;

use serde_json::Value;

use crate::command::{Launch, basename};
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::config::{self, Config};
use crate::frameworks::reading::flags::{self, Table, Takes, flag};
use crate::frameworks::reading::settings::{self, Place, Settings};
use crate::frameworks::{deepspeed_chat, openrlhf};
use crate::job::{Framework, Method, Optimizer, Precision, Sharding, field};

const SOURCE: &str = "DeepSpeed default";

/// The arguments that name the configuration.
const NAMES: &[&str] = &["deepspeed", "deepspeed_config", "ds_config", "deepspeed_config_file"];

const STAGES: &[(&str, Sharding)] =
    &[("0", Sharding::None), ("1", Sharding::ZeRO1), ("2", Sharding::ZeRO2), ("3", Sharding::ZeRO3)];
/// Devices that states may be moved to. `none` moves nothing.
const DEVICES: &[(&str, &str)] = &[("cpu", "cpu"), ("nvme", "nvme")];

/// Configurations that frameworks ship: the name, the sharding, and whether optimizer and parameters are offloaded. From
/// ms-swift 2.6.1 and 3.5.3 and `XTuner` (at b934f462) by name, from LLaMA-Factory (at 1d6e8b21), axolotl (at 1377ccc3) and Open Instruct (at
/// e6c3044a) by path.
const BROUGHT: &[(&str, Sharding, bool, bool)] = &[
    ("zero0", Sharding::None, false, false),
    ("zero1", Sharding::ZeRO1, false, false),
    ("zero2", Sharding::ZeRO2, false, false),
    ("zero3", Sharding::ZeRO3, false, false),
    ("zero2_offload", Sharding::ZeRO2, true, false),
    ("zero3_offload", Sharding::ZeRO3, true, true),
    ("deepspeed_zero1", Sharding::ZeRO1, false, false),
    ("deepspeed_zero2", Sharding::ZeRO2, false, false),
    ("deepspeed_zero2_offload", Sharding::ZeRO2, true, false),
    ("deepspeed_zero3", Sharding::ZeRO3, false, false),
    ("deepspeed_zero3_offload", Sharding::ZeRO3, true, true),
    ("default-zero2", Sharding::ZeRO2, false, false),
    ("default-zero3", Sharding::ZeRO3, false, false),
    ("examples/deepspeed/ds_z0_config.json", Sharding::None, false, false),
    ("examples/deepspeed/ds_z2_config.json", Sharding::ZeRO2, false, false),
    ("examples/deepspeed/ds_z2_offload_config.json", Sharding::ZeRO2, true, false),
    ("examples/deepspeed/ds_z3_config.json", Sharding::ZeRO3, false, false),
    ("examples/deepspeed/ds_z3_offload_config.json", Sharding::ZeRO3, true, true),
    ("ds_configs/stage2_no_offloading_accelerate.conf", Sharding::ZeRO2, false, false),
    ("ds_configs/stage3_no_offloading.conf", Sharding::ZeRO3, false, false),
    ("ds_configs/stage3_no_offloading_accelerate.conf", Sharding::ZeRO3, false, false),
    ("ds_configs/stage3_offloading.conf", Sharding::ZeRO3, true, true),
    ("ds_configs/stage3_offloading_accelerate.conf", Sharding::ZeRO3, true, true),
    ("deepspeed_configs/zero1.json", Sharding::ZeRO1, false, false),
    ("deepspeed_configs/zero1_torch_compile.json", Sharding::ZeRO1, false, false),
    ("deepspeed_configs/zero2.json", Sharding::ZeRO2, false, false),
    ("deepspeed_configs/zero2_torch_compile.json", Sharding::ZeRO2, false, false),
    ("deepspeed_configs/zero3.json", Sharding::ZeRO3, false, false),
    ("deepspeed_configs/zero3_bf16.json", Sharding::ZeRO3, false, false),
    ("deepspeed_configs/zero3_bf16_cpuoffload_params.json", Sharding::ZeRO3, false, true),
    ("deepspeed_configs/zero3_bf16_cpuoffload_all.json", Sharding::ZeRO3, true, true),
];

const KEYS: Table = &[
    &flag(&["zero_optimization.stage"], field::parallelism::SHARDING, Takes::OneOf(STAGES)),
    &flag(&["zero_optimization.cpu_offload"], field::offload::OPTIMIZER, Takes::Switch(true)),
    &flag(&["zero_optimization.cpu_offload_param"], field::offload::PARAMETERS, Takes::Switch(true)),
    &flag(&["bf16.enabled", "bfloat16.enabled"], field::PRECISION, Takes::Word(Precision::BF16)),
    &flag(&["fp16.enabled"], field::PRECISION, Takes::Word(Precision::FP16)),
    &flag(&["train_micro_batch_size_per_gpu"], field::batch::MICRO_BATCH_SIZE, Takes::Number),
    &flag(&["train_batch_size"], field::batch::GLOBAL_BATCH_SIZE, Takes::Number),
    &flag(&["tensor_parallel.autotp_size"], field::parallelism::TENSOR, Takes::Number),
    &flag(
        &["optimizer.type"],
        field::OPTIMIZER,
        Takes::OneOf(&[
            ("Adam", Optimizer::AdamW),
            ("AdamW", Optimizer::AdamW),
            ("FusedAdam", Optimizer::AdamW),
            ("Lion", Optimizer::Lion),
            ("FusedLion", Optimizer::Lion),
            ("SGD", Optimizer::SGD),
            ("Muon", Optimizer::Muon),
        ]),
    ),
];

/// Whether DeepSpeed runs the program.
pub(crate) fn recognises(launch: &Launch) -> bool {
    launch.launcher("deepspeed").is_some() || NAMES.iter().any(|name| launch.arguments.has(name))
}

/// Claims the settings of the launch.
pub(crate) fn read(launch: &Launch, claims: &mut Claims) {
    claims.assume(field::FRAMEWORK, Framework::DeepSpeed, SOURCE);
    let named = NAMES.iter().find_map(|name| Some((launch.arguments.value(name)?, *name)));
    match named {
        Some((path, name)) => named_file(launch, path, &format!("--{name}"), claims),
        // These make the configuration from their own options.
        None if openrlhf::recognises(launch) || deepspeed_chat::recognises(launch) => {}
        None => unknown(claims),
    }
}

/// Claims the settings of the configuration that an argument or a key names: a known file, or one that a framework ships.
pub(crate) fn named_file(launch: &Launch, path: &str, by: &str, claims: &mut Claims) {
    let brought = BROUGHT.iter().find(|(name, ..)| path == *name || path.ends_with(&format!("/{name}")));
    if let Some((_, sharding, optimizer, parameters)) = brought
        && launch.files.meant(path).is_none()
    {
        claims.argument(field::parallelism::SHARDING, *sharding, by);
        claims.argument(field::offload::OPTIMIZER, *optimizer, by);
        claims.argument(field::offload::PARAMETERS, *parameters, by);
        if *optimizer || *parameters {
            claims.argument(field::host::PINNED_OFFLOAD, true, by);
        }
        return;
    }
    if let Some(config) = config::named(launch, path, by, claims) {
        of(&config, claims);
    } else {
        by_name(path, by, claims);
        unknown(claims);
    }
}

/// Claims the settings of a configuration.
pub(crate) fn of(config: &Config, claims: &mut Claims) {
    let settings = Settings::of(vec![Place::File(config.clone())]);
    settings::read(KEYS, &settings, claims);
    for (key, field) in
        [("offload_optimizer", field::offload::OPTIMIZER), ("offload_param", field::offload::PARAMETERS)]
    {
        if let Some(setting) = settings.get(&[&format!("zero_optimization.{key}.device")])
            && let Some(device) = setting.text()
        {
            setting.says(claims, field, is_moved(&device));
        }
    }
    host(&settings, claims);
    if let Some(setting) = settings.get(&["gradient_accumulation_steps"])
        && let Some(steps) = setting.number()
    {
        claims.accumulation = Some((steps, setting.source(claims)));
    }
    match settings.get(&["zero_optimization"]) {
        None => claims.assume(field::parallelism::SHARDING, Sharding::None, SOURCE),
        // The form before there were stages.
        Some(old) if old.value == Value::Bool(true) => {
            old.says(claims, field::parallelism::SHARDING, Sharding::ZeRO1);
        }
        Some(object) if object.value.is_object() && !settings.has(&["zero_optimization.stage"]) => {
            claims.assume(field::parallelism::SHARDING, Sharding::None, SOURCE);
        }
        Some(_) => {}
    }
    if settings.on(&["zero_optimization.zero_quantized_nontrainable_weights"]) == Some(true) {
        claims.open(field::finetuning::METHOD, Method::QLoRA);
    }
}

/// Where offloaded states lie, and whether a save gathers the weights.
fn host(settings: &Settings<'_>, claims: &mut Claims) {
    let of = |name: &str| {
        ["offload_optimizer", "offload_param"]
            .iter()
            .filter_map(|key| settings.get(&[&format!("zero_optimization.{key}.{name}")]))
            .collect::<Vec<_>>()
    };
    if let Some(setting) = of("device")
        .into_iter()
        .find(|setting| setting.text().is_some_and(|device| device.eq_ignore_ascii_case("nvme")))
    {
        setting.says(claims, field::host::DISK_OFFLOAD, true);
    }
    if let Some((pinned, setting)) = of("pin_memory").into_iter().find_map(|s| Some((s.truth()?, s))) {
        setting.says(claims, field::host::PINNED_OFFLOAD, pinned);
    }
    let gathers = [
        "zero_optimization.stage3_gather_16bit_weights_on_model_save",
        "zero_optimization.stage3_gather_fp16_weights_on_model_save",
    ];
    if let Some((gathers, setting)) = settings.get(&gathers).and_then(|s| Some((s.truth()?, s))) {
        setting.says(claims, field::host::FULL_STATE_DICT, gathers);
    }
}

/// Whether states are moved off the accelerator.
pub(crate) fn is_moved(device: &str) -> bool {
    DEVICES.iter().any(|(name, _)| name.eq_ignore_ascii_case(device))
}

/// The sharding of a stage.
pub(crate) fn stage(text: &str) -> Option<Sharding> {
    flags::one_of(STAGES, text)
}

/// What the name of a file that is not known says: `configs/ds_z3_offload.json`. It may say the wrong thing, so the fields stay
/// open.
pub(crate) fn by_name(path: &str, by: &str, claims: &mut Claims) {
    /// Parts of names, and a word by itself. Of several the first counts.
    const PARTS: &[(&[&str], &str, Sharding)] = &[
        (&["zero3", "stage3"], "z3", Sharding::ZeRO3),
        (&["zero2", "stage2"], "z2", Sharding::ZeRO2),
        (&["zero1", "stage1"], "z1", Sharding::ZeRO1),
        (&["fsdp"], "fsdp2", Sharding::FSDP),
    ];
    const BETWEEN: [char; 3] = ['_', '-', '.'];
    let name = basename(path).to_lowercase();
    let has = |word: &str| name.split(BETWEEN).any(|part| part == word);
    let joined = name.replace(BETWEEN, "");
    let told =
        PARTS.iter().find(|(parts, word, _)| has(word) || parts.iter().any(|part| joined.contains(part)));
    let Some((.., sharding)) = told else { return };
    let source = format!("the name of {by}");
    claims.assume(field::parallelism::SHARDING, *sharding, source.clone());
    if name.contains("offload") {
        claims.assume(field::offload::OPTIMIZER, true, source.clone());
        if matches!(sharding, Sharding::ZeRO3 | Sharding::FSDP) {
            claims.assume(field::offload::PARAMETERS, true, source);
        }
    }
}

/// The fields that a configuration may set where we cannot read it.
pub(crate) fn unknown(claims: &mut Claims) {
    claims.open(field::parallelism::SHARDING, Sharding::ZeRO3);
    claims.open(field::offload::OPTIMIZER, true);
    claims.open(field::offload::PARAMETERS, true);
}
