//! `EasyR1`, a fork of verl for models with images: `python3 -m verl.trainer.main config=examples/config.yaml
//! worker.actor.model.model_path=… …`.
//!
//! **Recognised** by its module. Words override the file, and the file overrides the defaults of the program. Read from
//! github.com/hiyouga/EasyR1 at b44b311 (`verl/trainer/config.py`, `verl/workers/*/config.py`, `verl/workers/fsdp_workers.py`,
//! `examples/config.yaml`): FSDP over all accelerators, fp32 shards that are computed in bf16, flash attention, checkpointing.
//! `examples/config.yaml` is known, so a launch that names it without bringing it has its values as assumptions.
//!
//! ```text
//! microbatch     micro_batch_size_per_device_for_update samples; with dynamic_batching as many tokens
//! global batch   global_batch_size prompts, each with rollout.n responses
//! reference      unless disable_kl is on; it computes with its shards on the host, if ref.fsdp.enable_cpu_offload is on
//! engine         on the same accelerators: gpu_memory_utilization, 0.6; it sleeps while the actor trains
//! offload        offload_params moves the states to the host between the phases
//! ```

pub(in crate::frameworks) mod list;

use crate::command::Launch;
use crate::frameworks::hugging_face::training_arguments;
use crate::frameworks::reading::adapters::{self, Rank};
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::config;
use crate::frameworks::reading::flags::{self, Table, Takes, flag};
use crate::frameworks::reading::roles;
use crate::frameworks::reading::settings::{self, Place, Settings};
use crate::frameworks::verl;
use crate::job::{
    Assignment, Attention, Framework, Method, Objective, Optimizer, Placement, Precision, Recompute,
    Sharding, field,
};

const SOURCE: &str = "EasyR1 b44b311 default";

const KEYS: Table = &[
    &flag(&["worker.actor.model.model_path"], field::model::NAME, Takes::Text),
    &flag(
        &["worker.actor.micro_batch_size_per_device_for_update"],
        field::batch::MICRO_BATCH_SIZE,
        Takes::Number,
    ),
    &flag(&["worker.actor.ulysses_size"], field::parallelism::CONTEXT, Takes::Number),
    &flag(
        &["worker.actor.fsdp.torch_dtype"],
        field::PARAMETER_PRECISION,
        Takes::OneOf(training_arguments::FORMATS),
    ),
    &flag(&["worker.actor.fsdp.enable_cpu_offload"], field::offload::PARAMETERS, Takes::Switch(true)),
    &flag(
        &["worker.actor.fsdp.enable_full_shard"],
        field::parallelism::RESHARD_AFTER_FORWARD,
        Takes::Switch(true),
    ),
    &flag(&["worker.rollout.gpu_memory_utilization"], field::roles::ROLLOUT_MEMORY_PERCENT, Takes::Percent),
    &flag(&["trainer.max_steps"], field::dataset::STEPS, Takes::Number),
    &flag(&["trainer.total_epochs"], field::dataset::EPOCHS, Takes::Number),
];

const DEFAULTS: &[Assignment] = &[
    field::parallelism::SHARDING.is(Sharding::FSDP),
    field::PRECISION.is(Precision::BF16),
    field::PARAMETER_PRECISION.is(Precision::FP32),
    field::ATTENTION.is(Attention::Flash),
    field::RECOMPUTE.is(Recompute::Full),
    field::OPTIMIZER.is(Optimizer::AdamW),
    field::offload::PARAMETERS.is(false),
    field::offload::ACTIVATIONS.is(false),
    field::finetuning::METHOD.is(Method::Full),
    field::roles::REWARD_MODEL.is(Placement::Elsewhere),
    field::roles::ROLLOUT_ENGINE.is(Placement::Asleep),
];

/// The values that `examples/config.yaml` changes.
struct Usual {
    prompt: u64,
    response: u64,
    prompts: u64,
    responses: u64,
    micro_batch: u64,
    offloads: bool,
    offloads_reference: bool,
}

const PROGRAM: Usual = Usual {
    prompt: 512,
    response: 512,
    prompts: 256,
    responses: 1,
    micro_batch: 4,
    offloads: false,
    offloads_reference: false,
};

const EXAMPLE: Usual = Usual {
    prompt: 2048,
    response: 2048,
    prompts: 128,
    responses: 5,
    micro_batch: 1,
    offloads: true,
    offloads_reference: true,
};

/// Whether it is its launch.
pub(crate) fn recognises(launch: &Launch) -> bool {
    launch.runs_module("verl.trainer.main")
}

/// What it says.
pub(crate) fn read(launch: &Launch, claims: &mut Claims) {
    let mut settings = Settings::of(vec![Place::Words(&launch.arguments)]);
    let named = settings.text(&["config"]);
    let file = named.as_deref().filter(|path| launch.files.meant(path).is_some());
    let file = file.and_then(|path| config::named(launch, path, "config", claims));
    let is_example = || named.as_deref().is_some_and(|path| path.ends_with("examples/config.yaml"));
    let is_lacking = named.is_some() && file.is_none() && !is_example();
    let usual = if file.is_none() && is_example() { &EXAMPLE } else { &PROGRAM };
    if let Some(file) = file {
        settings.add(Place::File(file));
    }
    claims.argument(field::FRAMEWORK, Framework::FSDP, "verl.trainer.main");
    settings::read(KEYS, &settings, claims);
    training_arguments::recompute(&settings, &["worker.actor.model.enable_gradient_checkpointing"], claims);
    verl::shards_in_groups(&settings, "worker.actor.fsdp.fsdp_size", SOURCE, claims);
    adapters(&settings, claims);
    optimizer(&settings, claims);
    roles(&settings, usual, claims);
    settings.has(&["worker.actor.micro_batch_size_per_device_for_experience", "worker.actor.padding_free"]);
    if settings.on(&["worker.actor.model.freeze_vision_tower"]) == Some(true) {
        // A tower is a small part of the model, and counted as trained.
        claims.open(field::finetuning::METHOD, Method::LoRA);
    }
    if is_lacking {
        // The file may set any of them.
        let _ = config::named(launch, named.as_deref().unwrap_or_default(), "config", claims);
        claims.open(field::finetuning::METHOD, Method::LoRA);
        claims.open(field::PARAMETER_PRECISION, Precision::BF16);
        claims.open(field::offload::PARAMETERS, true);
        return;
    }
    lengths(&settings, usual, claims);
    claims.assume(field::batch::MICRO_BATCH_SIZE, usual.micro_batch, SOURCE);
    claims.assume(field::roles::ROLLOUT_MEMORY_PERCENT, 60, SOURCE);
    settings::assume(DEFAULTS, SOURCE, claims);
}

fn lengths(settings: &Settings<'_>, usual: &Usual, claims: &mut Claims) {
    let prompt = settings.number_or(&["data.max_prompt_length"], usual.prompt);
    let response = settings.number_or(&["data.max_response_length"], usual.response);
    if let Some((prompt, response)) = prompt.zip(response) {
        let both = prompt.saturating_add(response);
        claims.argument(field::batch::SEQUENCE_LENGTH, both, "data.max_response_length");
    }
    let prompts = settings.number_or(&["worker.actor.global_batch_size"], usual.prompts);
    let responses = settings.number_or(&["worker.rollout.n"], usual.responses);
    if let Some(global) = prompts.zip(responses).and_then(|(prompts, each)| prompts.checked_mul(each)) {
        claims.assume(field::batch::GLOBAL_BATCH_SIZE, global, SOURCE);
    }
    // Tokens of as many padded samples: the most that a microbatch may have.
    settings.has(&["worker.actor.dynamic_batching"]);
}

fn adapters(settings: &Settings<'_>, claims: &mut Claims) {
    let Rank::Of(_) = adapters::rank(settings, &["worker.actor.model.lora.rank"], claims) else { return };
    let targets = settings.text(&["worker.actor.model.lora.target_modules"]);
    match targets.as_deref().and_then(flags::list) {
        Some(layers) if layers != ["all-linear"] => {
            claims.assume(field::finetuning::TARGETS, layers, SOURCE);
        }
        _ => claims.assume(field::finetuning::TARGETS, vec!["all-linear"], SOURCE),
    }
    claims.assume(field::finetuning::DROPOUT, 0, SOURCE);
    // Frozen weights are cast to bf16.
    claims.open(field::PARAMETER_PRECISION, Precision::BF16);
}

/// `adamw_bf16` keeps both moments and a compensation of the weights in bf16.
fn optimizer(settings: &Settings<'_>, claims: &mut Claims) {
    let Some(setting) = settings.get(&["worker.actor.optim.strategy"]) else { return };
    match setting.text().as_deref() {
        Some("adamw") => setting.says(claims, field::OPTIMIZER, Optimizer::AdamW),
        Some("adamw_bf16") => {
            setting.says(claims, field::OPTIMIZER, Optimizer::AdamW);
            setting.says(claims, field::OPTIMIZER_PRECISION, Precision::BF16);
        }
        _ => claims.unparsed(field::OPTIMIZER),
    }
}

fn roles(settings: &Settings<'_>, usual: &Usual, claims: &mut Claims) {
    let estimator = settings.get(&["algorithm.adv_estimator"]);
    let named = match &estimator {
        None => Some(Objective::GRPO),
        Some(setting) => setting.text().and_then(|name| flags::one_of(verl::ESTIMATORS, &name)),
    };
    let objective = named.unwrap_or(Objective::PPO);
    claims.argument(field::OBJECTIVE, objective, "algorithm.adv_estimator");
    let on = |name: &str, usual: bool| settings.on(&[name]).unwrap_or(usual);
    let hosted = on("worker.ref.fsdp.enable_cpu_offload", usual.offloads_reference)
        || on("worker.ref.offload.offload_params", false);
    roles::reference(!on("algorithm.disable_kl", false), hosted, SOURCE, claims);
    let leaves = on("worker.critic.offload.offload_optimizer", false);
    let critic = roles::beside(objective == Objective::PPO, leaves);
    claims.assume(field::roles::CRITIC_MODEL, critic, SOURCE);
    if named.is_none() {
        claims.open(field::roles::CRITIC_MODEL, Placement::Elsewhere);
    }
    // A step brings the optimizer states back.
    settings.has(&["worker.actor.offload.offload_optimizer"]);
    if on("worker.actor.offload.offload_params", usual.offloads) {
        claims.assume(field::roles::TRAINED_MODEL, Placement::Asleep, SOURCE);
    }
}
