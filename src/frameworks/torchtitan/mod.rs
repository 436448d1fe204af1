//! torchtitan: `torchrun -m torchtitan.train --job.config_file x.toml --training.local_batch_size 4`, and
//! `run_train.sh` with the same file in `CONFIG_FILE`. Since February 2026, configurations are torchtitan's own Python
//! functions, named by `--module llama3 --config llama3_8b`, or by `MODULE` and `CONFIG` beside `run_train.sh`.
//!
//! **Recognised** by the module, by `run_train.sh` with `CONFIG_FILE` or `CONFIG`, or by options that only it has, and that
//! Primus hands on.
//! Options beat the file. The names of versions before 0.1 are read as well, and show the version:
//! `training.batch_size`, `experimental.pipeline_parallel_degree`.
//!
//! | fact | rule |
//! | --- | --- |
//! | sharding | FSDP over `data_parallel_shard_degree` (-1: all remaining ranks); HSDP with `data_parallel_replicate_degree`; replicas alone are DDP |
//! | a rank's batch | `local_batch_size`, in a pipeline cut into microbatches of `pipeline_parallel_microbatch_size` |
//! | formats | fp32 shards, computed in `mixed_precision_param` |
//! | compilation | of the model, unless `compile.components` names the loss alone |
//!
//! Read from pytorch/torchtitan's `torchtitan/config/job_config.py`, v0.1 and v0.2. The image's own files
//! (`train_configs/…`) and functions are unknown: their names may be a model's, and all other settings stay open.

pub(super) mod list;
pub(super) mod profile;

use crate::command::{Launch, Target, basename};
use crate::frameworks::primus;
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::complete::Written;
use crate::frameworks::reading::config;
use crate::frameworks::reading::flags::Takes::{Number, OneOf, Switch};
use crate::frameworks::reading::flags::{Table, flag};
use crate::frameworks::reading::host;
use crate::frameworks::reading::settings::{self, Place, Settings};
use crate::job::{
    Assignment, Cause, Field, Framework, Loss, Optimizer, OptimizerImplementation, Precision, Recompute,
    Schedule, Sharding, field,
};
use crate::model::known;

const SOURCE: &str = "torchtitan 0.2 default";

/// Options that only torchtitan has.
const TELLING: &[&str] = &[
    "job.config_file",
    "model.flavor",
    "training.local_batch_size",
    "parallelism.data_parallel_shard_degree",
];

const TABLE: Table = &[
    &flag(&["training.seq_len"], field::batch::SEQUENCE_LENGTH, Number),
    &flag(&["training.global_batch_size"], field::batch::GLOBAL_BATCH_SIZE, Number),
    &flag(&["training.steps"], field::dataset::STEPS, Number),
    &flag(
        &["parallelism.tensor_parallel_degree", "training.tensor_parallel_degree"],
        field::parallelism::TENSOR,
        Number,
    ),
    &flag(
        &["parallelism.pipeline_parallel_degree", "experimental.pipeline_parallel_degree"],
        field::parallelism::PIPELINE,
        Number,
    ),
    &flag(
        &["parallelism.context_parallel_degree", "experimental.context_parallel_degree"],
        field::parallelism::CONTEXT,
        Number,
    ),
    &flag(&["parallelism.expert_parallel_degree"], field::parallelism::EXPERT, Number),
    &flag(&["parallelism.expert_tensor_parallel_degree"], field::parallelism::EXPERT_TENSOR, Number),
    &flag(
        &["parallelism.pipeline_parallel_schedule", "experimental.pipeline_parallel_schedule"],
        field::parallelism::SCHEDULE,
        OneOf(&[
            ("1F1B", Schedule::OneForwardOneBackward),
            ("Interleaved1F1B", Schedule::Interleaved),
            ("GPipe", Schedule::GPipe),
            ("InterleavedZeroBubble", Schedule::ZeroBubble),
            ("ZBVZeroBubble", Schedule::ZeroBubble),
            ("DualPipeV", Schedule::DualPipe),
        ]),
    ),
    &flag(
        &["activation_checkpoint.mode"],
        field::RECOMPUTE,
        OneOf(&[("none", Recompute::None), ("selective", Recompute::Selective), ("full", Recompute::Full)]),
    ),
    &flag(&["training.enable_cpu_offload"], field::offload::PARAMETERS, Switch(true)),
    &flag(
        &["training.mixed_precision_param"],
        field::PRECISION,
        OneOf(&[("bfloat16", Precision::BF16), ("float16", Precision::FP16), ("float32", Precision::FP32)]),
    ),
    &flag(
        &["training.mixed_precision_reduce"],
        field::GRADIENT_REDUCTION_PRECISION,
        OneOf(&[("bfloat16", Precision::BF16), ("float32", Precision::FP32)]),
    ),
    &flag(
        &["training.dtype"],
        field::PARAMETER_PRECISION,
        OneOf(&[("bfloat16", Precision::BF16), ("float32", Precision::FP32)]),
    ),
    &flag(
        &["optimizer.name"],
        field::OPTIMIZER,
        OneOf(&[("AdamW", Optimizer::AdamW), ("Adam", Optimizer::AdamW), ("Muon", Optimizer::Muon)]),
    ),
    &flag(
        &["optimizer.implementation"],
        field::OPTIMIZER_IMPLEMENTATION,
        OneOf(&[
            ("fused", OptimizerImplementation::Fused),
            ("foreach", OptimizerImplementation::Foreach),
            ("for-loop", OptimizerImplementation::ForLoop),
        ]),
    ),
];

/// Its defaults.
const DEFAULTS: &[Assignment] = &[
    field::batch::SEQUENCE_LENGTH.is(2048),
    field::dataset::STEPS.is(10_000),
    field::parallelism::TENSOR.is(1),
    field::parallelism::PIPELINE.is(1),
    field::parallelism::CONTEXT.is(1),
    field::parallelism::EXPERT.is(1),
    field::parallelism::SEQUENCE.is(true),
    field::RECOMPUTE.is(Recompute::Selective),
    field::COMPILE.is(false),
    field::PRECISION.is(Precision::BF16),
    field::OPTIMIZER.is(Optimizer::AdamW),
    field::OPTIMIZER_IMPLEMENTATION.is(OptimizerImplementation::Fused),
];

/// Names and flavors, each with our name of the model.
const MODELS: &[(&str, &str, &str)] = &[
    ("llama3", "8B", "llama-3-8b"),
    ("llama3", "70B", "llama-3-70b"),
    ("llama3", "405B", "llama-3.1-405b"),
    ("llama2", "7B", "llama-2-7b"),
    ("llama2", "13B", "llama-2-13b"),
    ("llama2", "70B", "llama-2-70b"),
    ("deepseek_v3", "16B", "deepseek-v2-lite"),
    ("deepseek_v3", "236B", "deepseek-v2"),
    ("deepseek_v3", "671B", "deepseek-v3"),
    ("llama4", "17bx16e", "llama-4-scout-17b-16e"),
    ("llama4", "17bx128e", "llama-4-maverick-17b-128e"),
];

/// Data loaders and saves.
const HOST: host::Names = host::Names {
    interval: &["checkpoint.interval"],
    kept: &["checkpoint.keep_latest_k"],
    ..host::Names::NONE
};

/// Whether the launch runs torchtitan.
pub(crate) fn recognises(launch: &Launch) -> bool {
    let script = match &launch.target {
        Target::Script(path) | Target::Program(path) => basename(path),
        Target::Module(_) | Target::Unknown => "",
    };
    launch.runs_module("torchtitan.train")
        || script == "run_train.sh"
            && ["CONFIG_FILE", "CONFIG"].iter().any(|name| launch.environment.get(name).is_some())
        || TELLING.iter().any(|option| launch.arguments.has(option)) && !primus::recognises(launch)
}

/// Claims the settings of the launch.
pub(crate) fn read(launch: &Launch, claims: &mut Claims) {
    claims.handed_on(field::FRAMEWORK, Framework::Torchtitan, format!("{}: its options", claims.place));
    let mut settings = Settings::of(vec![Place::Options(&launch.arguments)]);
    let path = launch.arguments.value("job.config_file").map(|path| (path, "--job.config_file"));
    let path = path.or_else(|| Some((launch.environment.get("CONFIG_FILE")?, "env CONFIG_FILE")));
    let known = if let Some((path, by)) = path {
        let file = config::named(launch, path, by, claims);
        let known = file.is_some();
        match file {
            Some(file) => settings.add(Place::File(file)),
            None => name_of_file(path, by, claims),
        }
        known
    } else {
        // A file with an unknown path, or a Python recipe.
        name_of_function(launch, claims);
        !["job.config_file", "config"].iter().any(|option| launch.arguments.has(option))
            && launch.environment.get("CONFIG").is_none()
    };
    of(&settings, known && !Written::default().may_hold_more(&launch.arguments), claims);
}

/// Claims these settings. `known`: whether no other place may give more.
pub(in crate::frameworks) fn of(settings: &Settings<'_>, known: bool, claims: &mut Claims) {
    compiled(settings, claims);
    settings::read(TABLE, settings, claims);
    host::read(&HOST, settings, claims);
    model(settings, claims);
    sharding(settings, known, claims);
    batch(settings, known, claims);
    recomputed(settings, claims);
    version(settings, claims);
    if known {
        settings::assume(DEFAULTS, SOURCE, claims);
    } else {
        claims.open(field::RECOMPUTE, Recompute::Full);
        claims.open(field::PRECISION, Precision::BF16);
        for field in [field::parallelism::TENSOR, field::parallelism::PIPELINE, field::parallelism::CONTEXT] {
            claims.open(field, 8);
        }
        claims.open(field::offload::PARAMETERS, true);
        claims.open(field::COMPILE, true);
    }
}

/// Torchtitan's own files are named after their model: `llama3_8b.toml`.
fn name_of_file(path: &str, by: &str, claims: &mut Claims) {
    let name = basename(path).trim_end_matches(".toml");
    if known::find(name).is_some() {
        claims.handed_on(field::model::NAME, name, format!("{}: {by}", claims.place));
    }
}

/// Torchtitan's own functions are named after their module and their model: `llama3_8b`, `qwen3_0_6b`,
/// `deepseek_v3_671b_float8`.
fn name_of_function(launch: &Launch, claims: &mut Claims) {
    let said = |option: &str, variable: &str| {
        let word = launch.arguments.value(option);
        word.map(|word| (word, format!("--{option}")))
            .or_else(|| Some((launch.environment.get(variable)?, format!("env {variable}"))))
    };
    let Some((config, by)) = said("config", "CONFIG") else { return };
    let module = said("module", "MODULE").map_or("llama3", |(module, _)| module);
    let Some(size) = config.strip_prefix(module).and_then(size) else { return };
    let listed =
        MODELS.iter().find(|(name, flavor, _)| *name == module && flavor.eq_ignore_ascii_case(&size));
    let name = listed.map_or_else(|| format!("{module}-{size}"), |(.., known)| (*known).to_owned());
    claims.handed_on(field::model::NAME, name, format!("{}: {by}", claims.place));
}

/// The size in a function's name, behind the module: `_0_6b`, `_30b_a3b`, `_671b_float8`.
fn size(text: &str) -> Option<String> {
    let mut words = text.strip_prefix('_')?.split('_').peekable();
    let mut size = words.next()?.to_owned();
    if size.bytes().all(|b| b.is_ascii_digit()) {
        size = format!("{size}.{}", words.next()?);
    }
    let number = size.strip_suffix('b')?;
    if !number.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let active = words.next_if(|word| word.starts_with('a') && word.ends_with('b'));
    Some(active.map_or(size.clone(), |active| format!("{size}-{active}")))
}

fn model(settings: &Settings<'_>, claims: &mut Claims) {
    let name = settings.text(&["model.name"]).unwrap_or_else(|| "llama3".to_owned());
    let Some(flavor) = settings.get(&["model.flavor"]) else { return };
    let Some(text) = flavor.text() else { return };
    if name.starts_with("flux") {
        claims.beyond = claims.beyond.or(Some(Cause::Diffusion));
    } else if let Some((.., known)) = MODELS.iter().find(|(model, kind, _)| *model == name && *kind == text) {
        flavor.says(claims, field::model::NAME, *known);
    } else if text.starts_with("debugmodel") {
        for (field, value) in [
            (field::model::LAYERS, 6),
            (field::model::HIDDEN_SIZE, 256),
            (field::model::ATTENTION_HEADS, 16),
            (field::model::VOCAB_SIZE, 2048),
        ] {
            flavor.says(claims, field, value);
        }
    } else {
        flavor.says(claims, field::model::NAME, format!("{name}-{text}"));
    }
}

/// A degree. `None` for -1, which means all remaining ranks.
fn degree(settings: &Settings<'_>, names: &[&str]) -> Option<u64> {
    settings.get(names)?.number().filter(|degree| *degree > 0)
}

fn sharding(settings: &Settings<'_>, known: bool, claims: &mut Claims) {
    const FIELD: Field<Sharding> = field::parallelism::SHARDING;
    let shard = ["parallelism.data_parallel_shard_degree", "training.data_parallel_shard_degree"];
    let replicate = ["parallelism.data_parallel_replicate_degree", "training.data_parallel_replicate_degree"];
    let context = ["parallelism.context_parallel_degree", "experimental.context_parallel_degree"];
    let (shards, replicas) = (degree(settings, &shard), degree(settings, &replicate).unwrap_or(1));
    match (settings.get(&shard), settings.get(&replicate)) {
        (Some(setting), _) if shards == Some(1) => setting.says(claims, FIELD, Sharding::None),
        (_, Some(setting)) if replicas > 1 => {
            setting.says(claims, FIELD, Sharding::HSDP);
            if let (Some(shards), Some(setting)) = (shards, settings.get(&shard)) {
                let context = degree(settings, &context).unwrap_or(1);
                setting.says(claims, field::parallelism::SHARDING_DEGREE, shards.saturating_mul(context));
            }
        }
        (Some(setting), _) => setting.says(claims, FIELD, Sharding::FSDP),
        (None, _) if known => claims.assume(FIELD, Sharding::FSDP, SOURCE),
        (None, _) => {}
    }
    if let Some(setting) = settings.get(&["parallelism.fsdp_reshard_after_forward"]) {
        match setting.text().as_deref() {
            Some("always") => setting.says(claims, field::parallelism::RESHARD_AFTER_FORWARD, true),
            Some("never") => setting.says(claims, field::parallelism::RESHARD_AFTER_FORWARD, false),
            _ => {}
        }
    }
}

/// Without a pipeline, a rank's batch is one microbatch.
fn batch(settings: &Settings<'_>, known: bool, claims: &mut Claims) {
    const FIELD: Field<u32> = field::batch::MICRO_BATCH_SIZE;
    let local = settings.get(&["training.local_batch_size", "training.batch_size"]);
    let size = match &local {
        Some(setting) => setting.number(),
        None => known.then_some(8),
    };
    let pipelined =
        degree(settings, &["parallelism.pipeline_parallel_degree", "experimental.pipeline_parallel_degree"])
            .is_some_and(|degree| degree > 1);
    let Some(size) = size else { return };
    let source = local.as_ref().map_or_else(|| SOURCE.into(), |setting| setting.source(claims));
    if !pipelined {
        match &local {
            Some(setting) => setting.says(claims, FIELD, size),
            None => claims.assume(FIELD, size, SOURCE),
        }
        claims.accumulation = Some((1, source));
        return;
    }
    // Before 0.1, the batch was cut by the number of stages instead.
    if settings.has(&["training.batch_size", "experimental.pipeline_parallel_degree"]) {
        return;
    }
    let cut = settings.get(&["parallelism.pipeline_parallel_microbatch_size"]);
    let micro = cut.as_ref().and_then(settings::Setting::number).unwrap_or(1).max(1);
    match &cut {
        Some(setting) => setting.says(claims, FIELD, micro),
        None => claims.assume(FIELD, micro, SOURCE),
    }
    claims.accumulation = Some(((size / micro).max(1), source));
}

/// Selective recomputation covers every n-th layer, or chosen operations.
fn recomputed(settings: &Settings<'_>, claims: &mut Claims) {
    if let Some(setting) = settings.get(&["activation_checkpoint.selective_ac_option"])
        && let Some(text) = setting.text()
    {
        let module = if text == "op" { "op" } else { "layer" };
        setting.says(claims, field::RECOMPUTE_MODULES, vec![module]);
    }
    // Products that are computed again though the operations' rule would keep them. By default a router's, which are small.
    if let Some(setting) =
        settings.get(&["activation_checkpoint.per_op_sac_force_recompute_mm_shapes_by_fqns"])
        && setting.texts().any(|name| name != "moe.router.gate")
    {
        claims.open_anyway(field::RECOMPUTE, Recompute::Full);
    }
    let converted = settings.get(&["model.converters"]);
    if let Some(setting) = converted
        && setting.value.to_string().contains("float8")
    {
        setting.says(claims, field::PRECISION, Precision::FP8);
    }
}

/// The loss may be compiled without the model.
fn compiled(settings: &Settings<'_>, claims: &mut Claims) {
    const ENABLED: &[&str] = &["compile.enable", "training.compile"];
    const COMPILE: Table = &[&flag(ENABLED, field::COMPILE, Switch(true))];
    if settings.on(ENABLED) == Some(true)
        && let Some(components) = settings.get(&["compile.components"])
        && !components.value.to_string().contains("model")
    {
        components.says(claims, field::COMPILE, false);
        if components.value.to_string().contains("loss") {
            components.says(claims, field::LOSS, Loss::Chunked);
        }
        return;
    }
    settings::read(COMPILE, settings, claims);
}

fn version(settings: &Settings<'_>, claims: &mut Claims) {
    let new = ["training.local_batch_size", "compile.enable", "parallelism.tensor_parallel_degree"];
    let old =
        ["training.batch_size", "training.tensor_parallel_degree", "experimental.pipeline_parallel_degree"];
    if settings.has(&new) {
        claims.assume(field::FRAMEWORK_VERSION, "0.1", "torchtitan has these names since 0.1");
    } else if settings.has(&old) {
        claims.assume(field::FRAMEWORK_VERSION, "0.0", "torchtitan had these names before 0.1");
    }
}
