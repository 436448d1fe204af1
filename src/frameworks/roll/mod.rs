//! ROLL: `python examples/start_rlvr_pipeline.py --config_path qwen3-8B-rlvr_megatron --config_name rlvr_config`.
//!
//! **Recognised** by its `start_…_pipeline.py` that train, if the configuration is known and has a group of the trained model. Read
//! from github.com/alibaba/ROLL at 8eb27cc2 (`roll/configs/{base,worker}_config.py`, `roll/configs/{model,training}_args.py`,
//! `roll/pipeline/rlvr/rlvr_pipeline.py`, `roll/distributed/strategy`).
//!
//! ```text
//! trained       actor_train, or sft_train: megatron_train (Megatron-Core) or fsdp2_train (FSDP2)
//! devices       each model has a device_mapping: models with the same devices take turns, their states on the host
//! length        sequence_length, or prompt_length + response_length: every sample is padded to it; with dynamic batches or
//!               packed samples it is the most
//! reference     with use_kl_loss, init_kl_coef or enable_reference; with adapters the actor without them
//! critic        where the advantage is `gae`
//! ```
//!
//! Distillation and pipelines that only generate are not read.

use crate::command::{Launch, Target, basename};
use crate::frameworks::hugging_face::{objective, training_arguments};
use crate::frameworks::megatron_core::keys;
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::config::{self, Config};
use crate::frameworks::reading::flags::{Table, Takes, flag};
use crate::frameworks::reading::hydra;
use crate::frameworks::reading::settings::{self, Place, Settings};
use crate::job::{
    Assignment, Attention, Framework, Loss, Method, Objective, OpenField, Placement, Precision, Recompute,
    Sharding, ValueOf as _, field,
};

const SOURCE: &str = "ROLL 8eb27cc default";

/// Its programs that are read.
const PROGRAMS: &[(&str, Objective)] = &[
    ("start_rlvr_pipeline", Objective::GRPO),
    ("start_rlvr_vl_pipeline", Objective::GRPO),
    ("start_agentic_pipeline", Objective::GRPO),
    ("start_sft_pipeline", Objective::Supervised),
    ("start_dpo_pipeline", Objective::DPO),
];
/// Groups of the trained model.
const TRAINED: &[&str] = &["actor_train", "sft_train"];

/// Keys within the group of the trained model.
const MEGATRON: Table = &[&flag(
    &["use_distributed_optimizer"],
    field::parallelism::SHARDING,
    Takes::Word(Sharding::DistributedOptimizer),
)];
const FSDP: Table = &[
    &flag(&["reshard_after_forward"], field::parallelism::RESHARD_AFTER_FORWARD, Takes::Switch(true)),
    &flag(&["offload_policy"], field::offload::PARAMETERS, Takes::Switch(true)),
    &flag(&["reduce_dtype"], field::GRADIENT_PRECISION, Takes::OneOf(training_arguments::FORMATS)),
    &flag(&["param_dtype"], field::PRECISION, Takes::OneOf(training_arguments::FORMATS)),
];
const MODEL: Table = &[
    &flag(&["model_name_or_path"], field::model::NAME, Takes::Text),
    &flag(&["dtype"], field::PRECISION, Takes::OneOf(training_arguments::FORMATS)),
    &flag(&["ulysses_size"], field::parallelism::CONTEXT, Takes::Number),
];
const WHOLE: Table = &[
    &flag(&["pretrain"], field::model::NAME, Takes::Text),
    &flag(&["max_steps"], field::dataset::STEPS, Takes::Number),
];
const MICRO_BATCH: Table =
    &[&flag(&["per_device_train_batch_size"], field::batch::MICRO_BATCH_SIZE, Takes::Number)];
const ENGINE: Table = &[&flag(
    &["gpu_memory_utilization", "mem_fraction_static"],
    field::roles::ROLLOUT_MEMORY_PERCENT,
    Takes::Percent,
)];

const DEFAULTS: &[Assignment] = &[
    field::PRECISION.is(Precision::BF16),
    field::ATTENTION.is(Attention::Flash),
    field::batch::MICRO_BATCH_SIZE.is(8),
    field::roles::REWARD_MODEL.is(Placement::Elsewhere),
];

/// Whether it is its launch.
pub(crate) fn recognises(launch: &Launch) -> bool {
    program(launch).is_some()
        && file(launch, &mut Claims::default())
            .is_some_and(|file| TRAINED.iter().any(|group| file.get(group).is_some()))
}

/// What the program trains for.
fn program(launch: &Launch) -> Option<Objective> {
    let Target::Script(path) = &launch.target else { return None };
    let name = basename(path).trim_end_matches(".py");
    PROGRAMS.iter().find(|(program, _)| *program == name).map(|(_, objective)| *objective)
}

fn file(launch: &Launch, claims: &mut Claims) -> Option<Config> {
    let path = hydra::configuration(launch)?;
    launch.files.meant(&path)?;
    let mut file = config::named(launch, &path, "--config_name", claims)?;
    hydra::resolve(&mut file);
    Some(file)
}

/// A group of a configuration as settings of its own.
fn within(file: &Config, path: &str) -> Settings<'static> {
    Settings::of(vec![Place::File(file.group(path))])
}

/// Claims the settings of the launch.
pub(crate) fn read(launch: &Launch, claims: &mut Claims) {
    let (Some(objective), Some(file)) = (program(launch), file(launch, claims)) else { return };
    let Some(group) = TRAINED.iter().find(|group| file.get(group).is_some()) else { return };
    // The keys of the other groups say nothing of the trained model.
    let groups = file.tree.as_object().into_iter().flatten().map(|(key, _)| key);
    for other in groups.filter(|key| key != group) {
        file.set_aside(other);
    }
    let of = |part: &str| within(&file, &format!("{group}.{part}"));
    let worker = within(&file, group);
    let model = of("model_args");
    settings::read(MODEL, &model, claims);
    let whole = Settings::of(vec![Place::File(file.clone())]);
    if !claims.knows(field::model::NAME) {
        settings::read(WHOLE, &whole, claims);
    }
    strategy(&of("strategy_args"), &of("strategy_args.strategy_config"), &model, claims);
    method(&model, claims);
    batch(&whole, &worker, &of("training_args"), claims);
    let devices = devices(&worker);
    world(&whole, devices, claims);
    let criticised = whole.text(&["adv_estimator"]).as_deref() == Some("gae");
    let objective = if criticised { Objective::PPO } else { objective };
    claims.argument(field::OBJECTIVE, objective, "--config_name");
    if objective == Objective::DPO {
        objective::reference(SOURCE, claims);
        claims.open(field::roles::REFERENCE_MODEL, Placement::Elsewhere);
    } else if objective != Objective::Supervised {
        roles(&file, &whole, devices, criticised, claims);
    }
    settings::assume(DEFAULTS, SOURCE, claims);
}

/// How the states are divided, and what is computed again.
fn strategy(named: &Settings<'_>, given: &Settings<'_>, model: &Settings<'_>, claims: &mut Claims) {
    let name = named.text(&["strategy_name"]);
    let mut losses = (Loss::InPlace, Loss::CompiledVocabParallel);
    if name.as_deref() == Some("megatron_train") {
        claims.argument(field::FRAMEWORK, Framework::Megatron, "strategy_name");
        settings::read(MEGATRON, given, claims);
        keys::parallel(given, "", claims);
        keys::recompute(given, "", claims);
    } else {
        claims.argument(field::FRAMEWORK, Framework::FSDP, "strategy_name");
        settings::read(FSDP, given, claims);
        claims.assume(field::parallelism::SHARDING, Sharding::FSDP, SOURCE);
        if given.has(&["fsdp_size"]) {
            claims.open(field::parallelism::SHARDING, Sharding::FSDP);
        }
        claims.open(field::PARAMETER_PRECISION, Precision::BF16);
        let off = model.on(&["disable_gradient_checkpointing"]) == Some(true);
        let recompute = if off { Recompute::None } else { Recompute::Full };
        claims.assume(field::RECOMPUTE, recompute, SOURCE);
        losses = (Loss::InPlace, Loss::Eager);
    }
    if !matches!(name.as_deref(), Some("megatron_train" | "fsdp2_train")) {
        claims.unparsed(field::parallelism::SHARDING);
        claims.open(field::parallelism::SHARDING, Sharding::ZeRO3);
        claims.open(field::offload::PARAMETERS, true);
    }
    // Some keys are Megatron-Core's own, and each may move or divide.
    for (field, leanest) in [(field::offload::OPTIMIZER, true), (field::offload::ACTIVATIONS, true)] {
        claims.open(field, leanest);
    }
    claims.open_field(OpenField {
        field: field::LOSS.erased(),
        leanest: Some(losses.0.json()),
        heaviest: Some(losses.1.json()),
        although_given: false,
    });
}

/// All weights, or adapters.
fn method(model: &Settings<'_>, claims: &mut Claims) {
    if model.has(&["freeze_module_prefix"]) {
        claims.open(field::finetuning::METHOD, Method::LoRA);
    }
    let Some(targets) = model.get(&["lora_target"]) else {
        return claims.assume(field::finetuning::METHOD, Method::Full, SOURCE);
    };
    targets.says(claims, field::finetuning::METHOD, Method::LoRA);
    let names = targets.text().unwrap_or_default();
    let names: Vec<&str> = names.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    let all = names.is_empty() || names.iter().any(|name| name.starts_with("all"));
    targets.says(claims, field::finetuning::TARGETS, if all { vec!["all-linear"] } else { names });
    if let Some(rank) = model.get(&["lora_rank"])
        && let Some(number) = rank.number()
    {
        rank.says(claims, field::finetuning::RANK, number);
    }
    claims.assume(field::finetuning::RANK, 8, SOURCE);
}

/// Samples that are padded, or a number of tokens.
fn batch(whole: &Settings<'_>, worker: &Settings<'_>, training: &Settings<'_>, claims: &mut Claims) {
    settings::accumulation(training, &["gradient_accumulation_steps"], claims);
    let both = || {
        Some(
            whole
                .number(&["response_length"])?
                .saturating_add(whole.number(&["prompt_length"]).unwrap_or(1_024)),
        )
    };
    let length = whole.number(&["sequence_length"]).or_else(both);
    if worker.on(&["use_dynamic_batching_in_train"]) == Some(true) {
        claims.argument(field::batch::MICRO_BATCH_SIZE, 1, "use_dynamic_batching_in_train");
        if let Some(tokens) =
            worker.number(&["max_tokens_per_microbatch_in_train"]).filter(|tokens| *tokens > 0)
        {
            claims.argument(field::batch::SEQUENCE_LENGTH, tokens, "max_tokens_per_microbatch_in_train");
        }
        claims.open(field::batch::TYPICAL_SEQUENCE_LENGTH, 64);
        return;
    }
    settings::read(MICRO_BATCH, training, claims);
    if let Some(length) = length {
        claims.argument(field::batch::SEQUENCE_LENGTH, length, "sequence_length");
    }
    if worker.on(&["use_sequence_packing"]) == Some(true) {
        claims.open(field::batch::TYPICAL_SEQUENCE_LENGTH, 64);
    } else {
        claims.assume(field::batch::PACKING, true, SOURCE);
    }
}

/// The first and the last device of a model: `list(range(0,8))`.
fn devices(worker: &Settings<'_>) -> Option<(u64, u64)> {
    let text = worker.text(&["device_mapping"])?;
    let range = text.trim().strip_prefix("list(range(")?.strip_suffix("))")?;
    let (first, end) = range.split_once(',')?;
    let (first, end) = (first.trim().parse().ok()?, end.trim().parse().ok()?);
    (first < end).then_some((first, end))
}

fn world(whole: &Settings<'_>, devices: Option<(u64, u64)>, claims: &mut Claims) {
    const BY: &str = "device_mapping";
    let each = whole.number(&["num_gpus_per_node"]).filter(|each| *each > 0);
    let Some(ranks) = devices.map(|(first, end)| end - first) else { return };
    claims.processes = Some(ranks);
    claims.processes_per_node = each.map(|each| each.min(ranks));
    claims.nodes = each.map(|each| ranks.div_ceil(each));
    claims.processes_by = Some(BY);
    claims.replicas();
}

/// Where the other models are while the actor trains.
fn roles(
    file: &Config,
    whole: &Settings<'_>,
    own: Option<(u64, u64)>,
    criticised: bool,
    claims: &mut Claims,
) {
    let beside = |group: &str| {
        let other = devices(&within(file, group));
        own.zip(other).is_none_or(|(own, other)| own.0 < other.1 && other.0 < own.1)
    };
    let place = |there: bool, group: &str| {
        if there && beside(group) { Placement::Offloaded } else { Placement::Elsewhere }
    };
    let weighs = |name: &str| {
        whole.text(&[name]).and_then(|weight| weight.parse::<f64>().ok()).is_some_and(|weight| weight > 0.0)
    };
    let on = |name: &str| whole.on(&[name]) == Some(true);
    let compared = on("use_kl_loss") || on("enable_reference") || weighs("init_kl_coef");
    let adapted = claims.get(field::finetuning::METHOD) == Some(Method::LoRA);
    let reference = if compared && adapted { Placement::AdaptersOff } else { place(compared, "reference") };
    claims.assume(field::roles::REFERENCE_MODEL, reference, SOURCE);
    claims.assume(field::roles::CRITIC_MODEL, place(criticised, "critic"), SOURCE);
    let engine = field::roles::ROLLOUT_ENGINE;
    if beside("actor_infer") {
        claims.assume(engine, Placement::Asleep, SOURCE);
        claims.assume(field::roles::TRAINED_MODEL, Placement::Asleep, SOURCE);
        settings::read(ENGINE, &within(file, "actor_infer.strategy_args.strategy_config"), claims);
    } else {
        claims.assume(engine, Placement::Elsewhere, SOURCE);
    }
}
