//! Hugging Face Accelerate: `accelerate launch --use_fsdp …`, and the YAML file of `--config_file`.
//!
//! **Recognised** by the launcher. Accelerate passes its settings on in the environment, so the program's own settings
//! win. Names and defaults: releases 1.6.0 and 1.11.0 (`commands/launch.py`), which agree. FSDP shards fully by
//! default, and DeepSpeed runs ZeRO 2. Activation checkpointing and offloading are off. `--num_processes` counts the
//! processes of all nodes.
//!
//! Without `--config_file` it takes `accelerate/default_config.yaml` in the folder of Hugging Face's cache (`default_config.json`, if
//! there is no such file): `commands/config/config_args.py` and `_validate_launch_command`. A script may write it before the launch.
//!
//! The image may have a default configuration. So sharding stays open without `--use_fsdp`, `--use_deepspeed` or a
//! known configuration file. Files that projects ship are known by their path ([`brought`]).
//!
//! Another launcher may set the variables that `accelerate launch` sets: `ACCELERATE_USE_FSDP=1 torchrun train.py`. The names
//! are those of its options, with `ACCELERATE_`, `ACCELERATE_DEEPSPEED_` or nothing before them.

mod brought;
pub(super) mod list;

use crate::command::Launch;
use crate::frameworks::deepspeed;
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::config::{self, Config};
use crate::frameworks::reading::settings::{Place, Setting, Settings};
use crate::job::{AnyField, Cause, Framework, Loading, Precision, Recompute, Sharding, ValueOf, field};

const NAME: &str = "accelerate launch";
const SOURCE: &str = "accelerate 1.6 default";

/// FSDP's strategies, by name and by number: the sharding, and whether parameters are freed after the forward pass.
const STRATEGIES: &[(&[&str], Sharding, Option<bool>)] = &[
    (&["FULL_SHARD", "1"], Sharding::FSDP, None),
    (&["SHARD_GRAD_OP", "2"], Sharding::FSDP, Some(false)),
    (&["NO_SHARD", "3"], Sharding::None, None),
    (&["HYBRID_SHARD", "4"], Sharding::HSDP, None),
    (&["HYBRID_SHARD_ZERO2", "5"], Sharding::HSDP, Some(false)),
];

/// The variables that turn a kind of sharding on.
const SWITCHES: &[&str] = &["ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED"];

/// The files that it takes without `--config_file`.
const DEFAULT_FILES: &[&str] = &["accelerate/default_config.yaml", "accelerate/default_config.json"];

/// Whether Accelerate starts the program, or another launcher hands its variables on.
pub(crate) fn recognises(launch: &Launch) -> bool {
    launch.launcher(NAME).is_some() || is_in_environment(launch)
}

fn is_in_environment(launch: &Launch) -> bool {
    let settings = Settings::of(vec![Place::Environment(&launch.environment)]);
    SWITCHES.iter().any(|switch| settings.on(&[switch]) == Some(true))
}

/// Claims the settings of the launcher.
pub(crate) fn read(launch: &Launch, claims: &mut Claims) {
    let Some(launcher) = launch.launcher(NAME) else {
        let environment = &launch.environment;
        let settings = Settings::of(vec![
            Place::Prefixed(environment, "ACCELERATE_".to_owned()),
            Place::Prefixed(environment, "ACCELERATE_DEEPSPEED_".to_owned()),
            Place::Environment(environment),
        ]);
        return of(launch, &settings, true, claims);
    };
    let mut settings = Settings::of(vec![Place::Options(&launcher.arguments)]);
    let mut known = true;
    if let Some(file) = settings.get(&["config_file"]) {
        let path = file.text();
        if path.as_deref().is_some_and(|path| brought::assume(launch, path, claims)) {
            claims.assume(field::FRAMEWORK, Framework::HuggingFace, SOURCE);
            return processes(&settings, claims);
        }
        let config = path.as_deref().and_then(|path| config::named(launch, path, "--config_file", claims));
        known = config.is_some();
        if let Some(path) = path.filter(|_| !known) {
            deepspeed::by_name(&path, "--config_file", claims);
        }
        if let Some(config) = config {
            settings.add(Place::File(config));
        }
    } else if let Some(path) = default_file(launch) {
        let config = config::named(launch, path, "accelerate", claims);
        known = config.is_some();
        if let Some(config) = config {
            settings.add(Place::File(config));
        }
    }
    of(launch, &settings, known, claims);
}

/// The file that it takes without being told, if something before the launch writes it, with a line for its kind of sharding.
fn default_file(launch: &Launch) -> Option<&'static str> {
    let has_keys = |text: &str| {
        text.lines().any(|line| line.trim_start_matches([' ', '"']).starts_with("distributed_type"))
    };
    DEFAULT_FILES
        .iter()
        .copied()
        .find(|path| launch.files.meant(path).is_some_and(|file| has_keys(&file.text)))
}

/// Claims the settings of that file, for a program that starts itself with Accelerate: `trl sft`.
pub(crate) fn of_default_file(launch: &Launch, claims: &mut Claims) {
    let Some(path) = default_file(launch) else { return };
    match config::named(launch, path, "accelerate", claims) {
        Some(config) => of_file(launch, config, claims),
        None => deepspeed::unknown(claims),
    }
}

/// Claims the settings of a configuration that another program uses: `trl sft --accelerate_config`.
pub(crate) fn of_file(launch: &Launch, config: Config, claims: &mut Claims) {
    of(launch, &Settings::of(vec![Place::File(config)]), true, claims);
}

fn of(launch: &Launch, settings: &Settings<'_>, known: bool, claims: &mut Claims) {
    claims.assume(field::FRAMEWORK, Framework::HuggingFace, SOURCE);
    processes(settings, claims);
    precision(settings, claims);
    let kind = settings.text(&["distributed_type"]).unwrap_or_default().to_ascii_uppercase();
    if settings.on(&["use_megatron_lm"]) == Some(true) || kind == "MEGATRON_LM" {
        claims.beyond = Some(Cause::OtherBackend);
    } else if settings.on(&["use_deepspeed"]) == Some(true) || kind == "DEEPSPEED" {
        zero(launch, settings, claims);
    } else if settings.on(&["use_fsdp"]) == Some(true) || kind == "FSDP" {
        fsdp(settings, claims);
    } else if !known {
        deepspeed::unknown(claims);
    }
}

fn hand_on<F: Into<AnyField>>(setting: &Setting, field: F, value: impl ValueOf<F>, claims: &mut Claims) {
    claims.handed_on(field, value, setting.source(claims));
}

/// The numbers of processes and of machines.
fn processes(settings: &Settings<'_>, claims: &mut Claims) {
    let count = |name: &str| settings.get(&[name]).map(|setting| setting.number());
    let machines = count("num_machines").unwrap_or(Some(1)).filter(|machines| *machines > 0);
    let Some((total, machines)) = count("num_processes").flatten().zip(machines) else { return };
    claims.nodes = claims.nodes.or(Some(machines));
    claims.processes_per_node = claims.processes_per_node.or(Some(total / machines).filter(|each| *each > 0));
}

fn precision(settings: &Settings<'_>, claims: &mut Claims) {
    let Some(setting) = settings.get(&["mixed_precision"]) else { return };
    let precision = match setting.text().unwrap_or_default().to_ascii_lowercase().as_str() {
        "bf16" => Precision::BF16,
        "fp16" => Precision::FP16,
        "fp8" => Precision::FP8,
        _ => return,
    };
    hand_on(&setting, field::PRECISION, precision, claims);
}

fn zero(launch: &Launch, settings: &Settings<'_>, claims: &mut Claims) {
    let file = settings.get(&["deepspeed_config_file", "deepspeed_config.deepspeed_config_file"]);
    if let Some(file) = file {
        match file.text() {
            Some(path) if path != "none" => {
                deepspeed::named_file(launch, &path, "--deepspeed_config_file", claims);
            }
            _ => deepspeed::unknown(claims),
        }
        return;
    }
    match settings.get(&["zero_stage", "deepspeed_config.zero_stage"]) {
        Some(setting) => {
            if let Some(sharding) = setting.text().and_then(|text| deepspeed::stage(&text)) {
                hand_on(&setting, field::parallelism::SHARDING, sharding, claims);
                zero_init(settings, sharding, claims);
            }
        }
        None => claims.assume(field::parallelism::SHARDING, Sharding::ZeRO2, SOURCE),
    }
    for (name, field) in [("optimizer", field::offload::OPTIMIZER), ("param", field::offload::PARAMETERS)] {
        let names = [format!("offload_{name}_device"), format!("deepspeed_config.offload_{name}_device")];
        if let Some(setting) = settings.get(&[names[0].as_str(), names[1].as_str()])
            && let Some(device) = setting.text()
        {
            hand_on(&setting, field, deepspeed::is_moved(&device), claims);
        }
    }
    let steps =
        settings.get(&["gradient_accumulation_steps", "deepspeed_config.gradient_accumulation_steps"]);
    if let Some((steps, setting)) = steps.and_then(|setting| Some((setting.number()?, setting))) {
        claims.accumulation = Some((steps, setting.source(claims)));
    }
}

/// Under ZeRO 3 the model is divided while it is built, unless `zero3_init_flag` is off.
fn zero_init(settings: &Settings<'_>, sharding: Sharding, claims: &mut Claims) {
    let flag = settings.get(&["zero3_init_flag", "deepspeed_config.zero3_init_flag"]);
    if let Some(flag) = flag.filter(|flag| sharding == Sharding::ZeRO3 && flag.truth() == Some(false)) {
        hand_on(&flag, field::host::LOADING, Loading::EveryDevice, claims);
    }
}

fn fsdp(settings: &Settings<'_>, claims: &mut Claims) {
    let get = |name: &str| {
        let within = format!("fsdp_config.{name}");
        settings.get(&[name, within.as_str()])
    };
    // FSDP's second version has a boolean in place of the strategy.
    let strategy = get("fsdp_sharding_strategy").or_else(|| get("fsdp_reshard_after_forward"));
    match strategy {
        None => claims.assume(field::parallelism::SHARDING, Sharding::FSDP, SOURCE),
        Some(setting) => {
            let text = setting.text().unwrap_or_default();
            if let Some((sharding, reshards)) = strategy_of(&text) {
                hand_on(&setting, field::parallelism::SHARDING, sharding, claims);
                if let Some(reshards) = reshards {
                    hand_on(&setting, field::parallelism::RESHARD_AFTER_FORWARD, reshards, claims);
                }
            } else if let Some(reshards) = setting.truth() {
                claims.assume(field::parallelism::SHARDING, Sharding::FSDP, SOURCE);
                hand_on(&setting, field::parallelism::RESHARD_AFTER_FORWARD, reshards, claims);
            }
        }
    }
    let version_2 = get("fsdp_version").and_then(|setting| setting.number()) == Some(2);
    if version_2 {
        second_version(claims);
    }
    let offloads = get("fsdp_offload_params").or_else(|| get("fsdp_cpu_offload").filter(|_| version_2));
    if let Some((on, setting)) = offloads.and_then(|setting| Some((setting.truth()?, setting))) {
        hand_on(&setting, field::offload::PARAMETERS, on, claims);
    }
    if let Some((on, setting)) =
        get("fsdp_cpu_ram_efficient_loading").and_then(|setting| Some((setting.truth()?, setting)))
    {
        hand_on(
            &setting,
            field::host::LOADING,
            if on { Loading::FirstRank } else { Loading::EveryRank },
            claims,
        );
    }
    if let Some((text, setting)) =
        get("fsdp_state_dict_type").and_then(|setting| Some((setting.text()?, setting)))
    {
        hand_on(&setting, field::host::FULL_STATE_DICT, text.eq_ignore_ascii_case("FULL_STATE_DICT"), claims);
    }
    // Off decides nothing: the program may have its own checkpointing.
    if let Some(setting) =
        get("fsdp_activation_checkpointing").filter(|setting| setting.truth() == Some(true))
    {
        hand_on(&setting, field::RECOMPUTE, Recompute::Full, claims);
    }
}

/// FSDP's second version. Accelerate delays its reduction to the last microbatch since 1.11 (`Accelerator.no_sync`), and that of
/// the first version always.
pub(crate) fn second_version(claims: &mut Claims) {
    claims.open(field::parallelism::DELAYED_REDUCTION, false);
}

/// The meaning of a strategy's name.
pub(crate) fn strategy_of(text: &str) -> Option<(Sharding, Option<bool>)> {
    let named = |names: &[&str]| names.iter().any(|name| name.eq_ignore_ascii_case(text));
    STRATEGIES.iter().find(|(names, ..)| named(names)).map(|(_, sharding, reshards)| (*sharding, *reshards))
}
