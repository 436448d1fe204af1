//! prime-rl: `uv run rl @ rl.toml`, `sft @ sft.toml --model.name …`, `trainer @ train.toml`.
//!
//! **Recognised** by its programs with an `@`, and by its modules. Options beat the files behind `@`, and a later file beats an
//! earlier one. The settings of the trainer are in the group `trainer` of `rl`. Read from
//! github.com/PrimeIntellect-ai/prime-rl at 559b4477 (`packages/prime-rl-configs/src/prime_rl/configs/{trainer,sft,rl}.py`):
//! FSDP2 over the devices of the trainer, shards of fp32 that are computed in bf16, packed samples of 2048 tokens (128 in
//! `sft`), checkpointing of every layer, compiled layers, the optimizer's states on the host, adapters of rank 16 in all linear
//! layers. Earlier versions checkpointed and offloaded only when asked, so these stay open.
//!
//! `deployment.num_train_gpus` are the devices of the trainer, 1 by default; the engine has others. There is no reference.

pub(super) mod list;

use crate::command::{Launch, Target};
use crate::frameworks::hugging_face::training_arguments;
use crate::frameworks::reading::adapters::{self, Rank};
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::config;
use crate::frameworks::reading::flags::{Table, Takes, flag};
use crate::frameworks::reading::settings::{self, Place, Settings};
use crate::job::{
    Assignment, Attention, Framework, Loss, Method, Objective, OpenField, Optimizer, Placement, Precision,
    Recompute, Sharding, field,
};

const SOURCE: &str = "prime-rl 559b447 default";

/// The most files behind `@`.
const MOST_FILES: usize = 8;

const KEYS: Table = &[
    &flag(&["trainer.model.name", "model.name"], field::model::NAME, Takes::Text),
    &flag(
        &["trainer.model.seq_len", "model.seq_len", "data.seq_len", "seq_len"],
        field::batch::SEQUENCE_LENGTH,
        Takes::Number,
    ),
    &flag(&["data.micro_batch_size"], field::batch::MICRO_BATCH_SIZE, Takes::Number),
    &flag(&["data.batch_size"], field::batch::GLOBAL_BATCH_SIZE, Takes::Number),
    &flag(&["trainer.max_steps", "max_steps"], field::dataset::STEPS, Takes::Number),
    &flag(&["trainer.model.cp", "model.cp"], field::parallelism::CONTEXT, Takes::Number),
    &flag(&["trainer.model.ep", "model.ep"], field::parallelism::EXPERT, Takes::Number),
    &flag(
        &["trainer.model.fsdp_cpu_offload", "model.fsdp_cpu_offload"],
        field::offload::PARAMETERS,
        Takes::Switch(true),
    ),
    &flag(
        &["trainer.model.optim_cpu_offload", "model.optim_cpu_offload"],
        field::offload::OPTIMIZER,
        Takes::Switch(true),
    ),
    &flag(
        &["trainer.model.reshard_after_forward", "model.reshard_after_forward"],
        field::parallelism::RESHARD_AFTER_FORWARD,
        Takes::Switch(true),
    ),
    &flag(
        &["trainer.model.optimization_dtype", "model.optimization_dtype"],
        field::PARAMETER_PRECISION,
        Takes::OneOf(training_arguments::FORMATS),
    ),
    &flag(
        &["trainer.optim.type", "optim.type"],
        field::OPTIMIZER,
        Takes::OneOf(&[("adamw", Optimizer::AdamW), ("muon", Optimizer::Muon), ("sign_sgd", Optimizer::SGD)]),
    ),
];

const DEFAULTS: &[Assignment] = &[
    field::PRECISION.is(Precision::BF16),
    field::PARAMETER_PRECISION.is(Precision::FP32),
    field::ATTENTION.is(Attention::Flash),
    field::OPTIMIZER.is(Optimizer::AdamW),
    field::COMPILE.is(true),
    field::batch::MICRO_BATCH_SIZE.is(1),
    field::batch::PACKING.is(true),
    field::offload::PARAMETERS.is(false),
];

/// Its programs, and whether each is for reinforcement learning.
const PROGRAMS: &[(&str, bool)] = &[("rl", true), ("trainer", true), ("sft", false)];
const MODULES: &[(&str, bool)] = &[
    ("prime_rl.entrypoints.rl", true),
    ("prime_rl.entrypoints.trainer", true),
    ("prime_rl.entrypoints.sft", false),
    ("prime_rl.trainer.rl.train", true),
    ("prime_rl.trainer.sft.train", false),
    ("prime_rl.rl", true),
];

/// Whether it is its launch.
pub(crate) fn recognises(launch: &Launch) -> bool {
    reinforces(launch).is_some()
}

/// Whether it is reinforcement learning. `None` if it is another program.
fn reinforces(launch: &Launch) -> Option<bool> {
    match &launch.target {
        Target::Program(name) => {
            let (_, reinforces) = PROGRAMS.iter().find(|(program, _)| program == name)?;
            let has_files = launch.arguments.words().iter().any(|word| word.text.starts_with('@'));
            has_files.then_some(*reinforces)
        }
        Target::Module(name) => MODULES.iter().find(|(module, _)| module == name).map(|(_, rl)| *rl),
        Target::Script(path) => {
            let module = path.strip_suffix(".py")?.replace('/', ".");
            MODULES.iter().find(|(own, _)| module.ends_with(own)).map(|(_, rl)| *rl)
        }
        Target::Unknown => None,
    }
}

/// Claims the settings of the launch.
pub(crate) fn read(launch: &Launch, claims: &mut Claims) {
    let Some(reinforces) = reinforces(launch) else { return };
    claims.argument(field::FRAMEWORK, Framework::FSDP, "prime-rl");
    let mut settings = Settings::of(vec![Place::Options(&launch.arguments)]);
    let (files, lacking) = files(launch, claims);
    for file in files {
        settings.add(Place::File(file));
    }
    settings::read(KEYS, &settings, claims);
    adapters(&settings, claims);
    sharding(&settings, claims);
    checkpointing(&settings, claims);
    if reinforces {
        claims.argument(field::OBJECTIVE, Objective::GRPO, "prime-rl");
        claims.assume(field::roles::REFERENCE_MODEL, Placement::Elsewhere, SOURCE);
        claims.assume(field::roles::ROLLOUT_ENGINE, Placement::Elsewhere, SOURCE);
        claims.assume(field::LOSS, Loss::Chunked, SOURCE);
    }
    if let Some(trainers) = settings.number(&["deployment.num_train_gpus"]) {
        let parts = claims.get(field::parallelism::CONTEXT).map_or(1, u64::from).max(1);
        claims.assume(field::parallelism::DATA, (trainers / parts).max(1), SOURCE);
    }
    if lacking {
        // The file may set any of them.
        claims.open(field::finetuning::METHOD, Method::LoRA);
        claims.open(field::offload::PARAMETERS, true);
        return;
    }
    claims.assume(field::batch::SEQUENCE_LENGTH, if reinforces { 2048 } else { 128 }, SOURCE);
    settings::assume(DEFAULTS, SOURCE, claims);
}

/// The files behind `@`, the strongest first, and whether one of them is not known.
fn files(launch: &Launch, claims: &mut Claims) -> (Vec<config::Config>, bool) {
    let words = launch.arguments.words();
    let mut paths: Vec<&str> = Vec::new();
    for (at, word) in words.iter().enumerate().filter(|(_, word)| word.text.starts_with('@')) {
        let joined = word.text.trim_start_matches('@');
        let path =
            if joined.is_empty() { words.get(at + 1).map(|next| next.text.as_str()) } else { Some(joined) };
        paths.extend(path);
    }
    paths.truncate(MOST_FILES);
    let known: Vec<_> =
        paths.iter().rev().filter_map(|path| config::named(launch, path, "@", claims)).collect();
    let lacking = known.len() < paths.len();
    (known, lacking)
}

fn adapters(settings: &Settings<'_>, claims: &mut Claims) {
    let groups = ["trainer.model.lora", "model.lora"];
    match adapters::rank(settings, &["trainer.model.lora.rank", "model.lora.rank"], claims) {
        Rank::None if settings.has(&groups) => {
            claims.argument(field::finetuning::METHOD, Method::LoRA, "model.lora");
            claims.assume(field::finetuning::RANK, 16, SOURCE);
        }
        Rank::None => claims.assume(field::finetuning::METHOD, Method::Full, SOURCE),
        Rank::Of(_) | Rank::Unknown => {}
    }
    if claims.get(field::finetuning::METHOD) == Some(Method::LoRA) {
        claims.assume(field::finetuning::TARGETS, vec!["all-linear"], SOURCE);
        claims.assume(field::finetuning::DROPOUT, 0, SOURCE);
    }
}

/// FSDP over all devices, or within groups.
fn sharding(settings: &Settings<'_>, claims: &mut Claims) {
    let replicas = settings.get(&["trainer.model.dp_replicate", "model.dp_replicate"]);
    if replicas.is_some_and(|setting| setting.number() != Some(1)) {
        claims.unparsed(field::parallelism::SHARDING);
        claims.open(field::parallelism::SHARDING, Sharding::FSDP);
    }
    claims.assume(field::parallelism::SHARDING, Sharding::FSDP, SOURCE);
}

/// What is computed again, and what the host holds. Only newer versions do so without a word.
fn checkpointing(settings: &Settings<'_>, claims: &mut Claims) {
    let stated = |names: &[&str]| settings.has(names);
    claims.assume(field::RECOMPUTE, Recompute::Full, SOURCE);
    claims.assume(field::offload::OPTIMIZER, true, SOURCE);
    claims.assume(field::offload::ACTIVATIONS, false, SOURCE);
    let mode = settings.text(&["trainer.model.ac.mode", "model.ac.mode"]);
    if mode.as_deref() == Some("selective") || !stated(&["trainer.model.ac", "model.ac"]) {
        claims.open_field(OpenField {
            field: field::RECOMPUTE.erased(),
            leanest: Some("Full".into()),
            heaviest: Some("None".into()),
            although_given: false,
        });
    }
    if !stated(&["trainer.model.optim_cpu_offload", "model.optim_cpu_offload"]) {
        claims.open_field(OpenField {
            field: field::offload::OPTIMIZER.erased(),
            leanest: Some(true.into()),
            heaviest: Some(false.into()),
            although_given: false,
        });
    }
    // A group without keys turns it on.
    let groups = ["trainer.model.ac_offloading", "model.ac_offloading"];
    let full = ["trainer.model.full_offload", "model.full_offload"];
    if stated(&groups) || stated(&full) || !stated(&["trainer.model.ac", "model.ac"]) {
        claims.open(field::offload::ACTIVATIONS, true);
    }
}
