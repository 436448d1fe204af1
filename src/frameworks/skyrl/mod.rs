//! `SkyRL`: `uv run -m skyrl.train.entrypoints.main_base trainer.policy.model.path=… trainer.strategy=fsdp …`, and
//! `skyrl.train.main_sft` for fine-tuning.
//!
//! **Recognised** by its words, because its users write entry points of their own: `trainer.policy.…` or `trainer.placement.…`
//! beside `generator.…`. Read from github.com/NovaSky-AI/SkyRL at a956457 (`skyrl/train/config/{config,sft_config}.py`,
//! `skyrl/train/trainer.py`, `skyrl/backends/skyrl_train/workers`): FSDP2 over the policy's accelerators with fp32 shards that are
//! computed in bf16, or Megatron-Core; flash attention, checkpointing.
//!
//! ```text
//! processes      policy_num_nodes × policy_num_gpus_per_node
//! microbatch     micro_train_batch_size_per_gpu samples of max_prompt_length + max_generate_length tokens at most, without
//!                padding; with max_tokens_per_microbatch that many tokens
//! global batch   policy_mini_batch_size prompts, each with n_samples_per_prompt samples
//! reference      with use_kl_loss or use_kl_in_reward; its weights are on the host while the policy trains, unless it has
//!                accelerators of its own (neither colocate_all nor colocate_policy_ref)
//! critic         if critic.model.path is given: on the host while the policy trains, or elsewhere
//! engine         with colocate_all on the same accelerators: gpu_memory_utilization, 0.8; it sleeps while the policy trains
//! ```
//!
//! `trainer.override_entrypoint` gives the training to another trainer, which is not read. Older releases (0.1 to 0.4 of `skyrl_train`) have the same names but for those of the engine.

use crate::command::{Launch, Target, purpose};
use crate::frameworks::hugging_face::training_arguments;
use crate::frameworks::megatron_core::keys;
use crate::frameworks::reading::adapters::{self, Rank};
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::flags::{self, Table, Takes, flag};
use crate::frameworks::reading::roles;
use crate::frameworks::reading::settings::{self, Place, Settings};
use crate::frameworks::verl;
use crate::job::{
    Assignment, Attention, Framework, Loss, Method, Objective, Placement, Precision, Recompute, Sharding,
    field,
};

/// The ranks of the policy on each node.
const EACH: &str = "trainer.placement.policy_num_gpus_per_node";
const SOURCE: &str = "SkyRL a956457 default";

/// The policy's group of Megatron-Core's keys of layers.
const TRANSFORMER: &str = "megatron_config.transformer_config_kwargs";

/// Keys of the policy.
const POLICY: Table = &[
    &flag(&["model.path"], field::model::NAME, Takes::Text),
    &flag(&["fsdp_config.cpu_offload"], field::offload::PARAMETERS, Takes::Switch(true)),
    &flag(
        &["fsdp_config.reshard_after_forward"],
        field::parallelism::RESHARD_AFTER_FORWARD,
        Takes::Switch(true),
    ),
];
const ULYSSES: Table = &[&flag(&["sequence_parallel_size"], field::parallelism::CONTEXT, Takes::Number)];
const TARGETS: Table = &[&flag(&["model.lora.target_modules"], field::finetuning::TARGETS, Takes::List)];

/// Keys of the training.
const TRAINING: Table = &[
    &flag(&["micro_train_batch_size_per_gpu"], field::batch::MICRO_BATCH_SIZE, Takes::Number),
    &flag(&["max_training_steps", "num_steps"], field::dataset::STEPS, Takes::Number),
    &flag(&["epochs", "num_epochs"], field::dataset::EPOCHS, Takes::Number),
];
const SUPERVISED: Table = &[
    &flag(&["max_length"], field::batch::SEQUENCE_LENGTH, Takes::Number),
    &flag(&["batch_size"], field::batch::GLOBAL_BATCH_SIZE, Takes::Number),
];
const ENGINE: Table = &[&flag(
    &["generator.inference_engine.gpu_memory_utilization", "generator.gpu_memory_utilization"],
    field::roles::ROLLOUT_MEMORY_PERCENT,
    Takes::Percent,
)];

const DEFAULTS: &[Assignment] = &[
    field::PRECISION.is(Precision::BF16),
    field::ATTENTION.is(Attention::Flash),
    field::finetuning::METHOD.is(Method::Full),
    field::offload::PARAMETERS.is(false),
    field::offload::ACTIVATIONS.is(false),
    field::batch::PACKING.is(false),
    field::roles::REWARD_MODEL.is(Placement::Elsewhere),
];

/// Groups of generation, of the loss and of other models.
const BESIDE: &[&str] = &[
    "data",
    "environment",
    "generator",
    "trainer.algorithm",
    "trainer.critic",
    "trainer.fully_async",
    "trainer.placement",
    "trainer.ref",
];
/// Words of the policy that change nothing of what is read.
const INERT: &[&str] = &[
    "megatron_config.lora_config.merge_lora",
    "megatron_config.optimizer_config_kwargs.overlap_cpu_optimizer_d2h_h2d",
    "model.lora.alpha",
    "model.lora.dropout",
    "model.lora.init_method",
    "optimizer_config.adam_betas",
    "optimizer_config.lr",
    "optimizer_config.max_grad_norm",
    "optimizer_config.num_warmup_steps",
    "optimizer_config.offload_after_step",
    "optimizer_config.scheduler",
    "optimizer_config.weight_decay",
];

/// Words of the training that do not.
const INERT_OF_TRAINING: &[&str] = &[
    "critic_mini_batch_size",
    "eval_batch_size",
    "micro_forward_batch_size_per_gpu",
    "remove_microbatch_padding",
    "train_batch_size",
    "use_sample_packing",
];

/// Whether it is its launch.
pub(crate) fn recognises(launch: &Launch) -> bool {
    finetunes(launch) || reinforces(launch)
}

fn reinforces(launch: &Launch) -> bool {
    let is_python = matches!(launch.target, Target::Script(_) | Target::Module(_));
    let has = |group: &str| {
        launch.arguments.words().iter().any(|word| {
            let name = word.text.trim_start_matches('+').split_once('=').map_or("", |(name, _)| name);
            name.strip_prefix(group).is_some_and(|rest| rest.starts_with('.'))
        })
    };
    let trained = has("trainer.policy") || has("trainer.placement");
    let own = launch.arguments.overridden("trainer.override_entrypoint").is_none();
    is_python && own && trained && has("generator") && !purpose::trains_nothing(launch)
}

/// Whether it is its program for fine-tuning, or another with its name and words.
fn finetunes(launch: &Launch) -> bool {
    let named = match &launch.target {
        Target::Script(name) | Target::Module(name) => name.rsplit(['/', '.']).find(|part| *part != "py"),
        _ => None,
    };
    launch.runs_module("skyrl.train.main_sft")
        || named.is_some_and(|name| name.starts_with("main_sft"))
            && launch.arguments.overridden("placement.num_gpus_per_node").is_some()
}

/// What it says.
pub(crate) fn read(launch: &Launch, claims: &mut Claims) {
    let settings = Settings::of(vec![Place::Words(&launch.arguments)]);
    if finetunes(launch) {
        claims.argument(field::OBJECTIVE, Objective::Supervised, "main_sft");
        let each = settings.number_or(&["placement.num_gpus_per_node"], 4);
        claims.world(settings.number_or(&["placement.num_nodes"], 1), each, "placement.num_gpus_per_node");
        let megatron = settings.text(&["strategy"]).is_none_or(|name| name == "megatron");
        backend(megatron, &settings, &settings, claims);
        if megatron {
            claims.assume(field::parallelism::TENSOR, 2, SOURCE);
            claims.assume(field::parallelism::PIPELINE, 2, SOURCE);
        }
        replicas(claims);
        settings::read(SUPERVISED, &settings, claims);
        let longest = settings.number(&["max_length"]).unwrap_or(0);
        if settings.on(&["use_sequence_packing"]) == Some(true) && !packed(&settings, longest, claims) {
            claims.argument(field::batch::MICRO_BATCH_SIZE, 1, "use_sequence_packing");
        }
        claims.assume(field::batch::GLOBAL_BATCH_SIZE, 4, SOURCE);
        claims.assume(field::batch::MICRO_BATCH_SIZE, 2, SOURCE);
        claims.assume(field::model::NAME, "Qwen/Qwen3-0.6B", SOURCE);
    } else {
        let trainer = Settings::of(vec![Place::Within(&settings, "trainer")]);
        let policy = Settings::of(vec![Place::Within(&trainer, "policy")]);
        let nodes = settings.number_or(&["trainer.placement.policy_num_nodes"], 1);
        claims.world(nodes, settings.number_or(&[EACH], 1), EACH);
        backend(trainer.text(&["strategy"]).as_deref() == Some("megatron"), &trainer, &policy, claims);
        replicas(claims);
        samples(&settings, &trainer, claims);
        claims.assume(field::batch::MICRO_BATCH_SIZE, 1, SOURCE);
        claims.assume(field::model::NAME, "Qwen/Qwen2.5-1.5B-Instruct", SOURCE);
        other_models(&settings, claims);
        for group in BESIDE {
            settings.pass_over(group);
        }
    }
    settings::assume(DEFAULTS, SOURCE, claims);
}

/// How the policy is divided and computed.
fn backend(megatron: bool, training: &Settings<'_>, policy: &Settings<'_>, claims: &mut Claims) {
    settings::read(POLICY, policy, claims);
    settings::read(TRAINING, training, claims);
    if megatron {
        claims.argument(field::FRAMEWORK, Framework::Megatron, "trainer.strategy");
        claims.assume(field::parallelism::SHARDING, Sharding::DistributedOptimizer, SOURCE);
        keys::parallel(policy, "megatron_config", claims);
        keys::parallel(policy, TRANSFORMER, claims);
        keys::recompute(policy, TRANSFORMER, claims);
        claims.assume(field::RECOMPUTE, Recompute::Full, SOURCE);
        claims.open(field::LOSS, Loss::InPlace);
        offloaded(policy, claims);
    } else {
        claims.argument(field::FRAMEWORK, Framework::FSDP, "trainer.strategy");
        settings::read(ULYSSES, policy, claims);
        if !verl::shards_in_groups(policy, "fsdp_config.fsdp_size", SOURCE, claims) {
            claims.assume(field::parallelism::SHARDING, Sharding::FSDP, SOURCE);
        }
        claims.assume(field::PARAMETER_PRECISION, Precision::FP32, SOURCE);
        training_arguments::recompute(training, &["gradient_checkpointing"], claims);
        claims.assume(field::RECOMPUTE, Recompute::Full, SOURCE);
        claims.assume(field::LOSS, Loss::InPlace, SOURCE);
    }
    if training.on(&["flash_attn"]) == Some(false) {
        claims.unparsed(field::ATTENTION);
    }
    if let Rank::Of(_) = adapters::rank(policy, &["model.lora.rank"], claims) {
        settings::read(TARGETS, policy, claims);
        claims.assume(field::finetuning::TARGETS, vec!["all-linear"], SOURCE);
        claims.assume(field::finetuning::DROPOUT, 0, SOURCE);
    }
    policy.inert(INERT);
    training.inert(INERT_OF_TRAINING);
}

/// Replicas, by the degrees that are known by now.
fn replicas(claims: &mut Claims) {
    if claims.get(field::parallelism::TENSOR).is_some_and(|tensor| tensor > 1) {
        claims.assume(field::parallelism::SEQUENCE, true, SOURCE);
    }
    claims.replicas();
}

/// The part of the optimizer that computes on the host. Without a word it is none.
fn offloaded(policy: &Settings<'_>, claims: &mut Claims) {
    const GROUP: &str = "megatron_config.optimizer_config_kwargs";
    let part = policy.text(&[&format!("{GROUP}.optimizer_offload_fraction")]);
    let some = part.is_some_and(|part| part.parse() != Ok(0.0));
    if let Some(setting) = policy.get(&[&format!("{GROUP}.optimizer_cpu_offload")])
        && some
        && setting.truth() != Some(false)
    {
        setting.says(claims, field::offload::OPTIMIZER, true);
    }
}

/// The longest samples, and their number in a step.
fn samples(settings: &Settings<'_>, trainer: &Settings<'_>, claims: &mut Claims) {
    let prompt = settings.number_or(&["trainer.max_prompt_length"], 512);
    // In a conversation each turn answers to all before it.
    let input = settings.get(&["generator.max_input_length"]).map_or(prompt, |given| given.number());
    let generated = ["generator.sampling_params.max_generate_length"];
    let longest = input.zip(settings.number_or(&generated, 1_024)).map(|(a, b)| a.saturating_add(b));
    if !packed(trainer, longest.unwrap_or(0), claims)
        && let Some(longest) = longest
    {
        claims.argument(field::batch::SEQUENCE_LENGTH, longest, "sampling_params.max_generate_length");
    }
    claims.open(field::batch::TYPICAL_SEQUENCE_LENGTH, 64);
    let prompts = settings.number_or(&["trainer.policy_mini_batch_size"], 256);
    let each = settings.number_or(&["generator.n_samples_per_prompt"], 5);
    if let Some(all) = prompts.zip(each).and_then(|(prompts, each)| prompts.checked_mul(each)) {
        claims.argument(field::batch::GLOBAL_BATCH_SIZE, all, "trainer.policy_mini_batch_size");
    }
}

/// A microbatch of so many tokens, or of one longer sample. Returns whether it is one.
fn packed(training: &Settings<'_>, longest: u64, claims: &mut Claims) -> bool {
    let most = training.get(&["max_tokens_per_microbatch"]);
    let Some((setting, tokens)) = most.and_then(|setting| Some((setting.clone(), setting.number()?))) else {
        return false;
    };
    claims.argument(field::batch::MICRO_BATCH_SIZE, 1, "max_tokens_per_microbatch");
    setting.says(claims, field::batch::SEQUENCE_LENGTH, tokens.max(longest));
    true
}

/// The reference, the critic, and the engine.
fn other_models(settings: &Settings<'_>, claims: &mut Claims) {
    let on = |name: &str, usual: bool| settings.on(&[name]).unwrap_or(usual);
    let criticised = settings.text(&["trainer.critic.model.path"]).is_some_and(|path| path != "null");
    let estimator = settings.text(&["trainer.algorithm.advantage_estimator"]);
    let named = match &estimator {
        None => Some(Objective::GRPO),
        Some(name) => flags::one_of(verl::ESTIMATORS, name),
    };
    let objective = if criticised { Objective::PPO } else { named.unwrap_or(Objective::GRPO) };
    claims.argument(field::OBJECTIVE, objective, "trainer.algorithm.advantage_estimator");
    let colocated = on("trainer.placement.colocate_all", true);
    let compared =
        on("trainer.algorithm.use_kl_loss", true) || on("trainer.algorithm.use_kl_in_reward", false);
    let beside = colocated || on("trainer.placement.colocate_policy_ref", true);
    roles::reference(compared && beside, true, SOURCE, claims);
    claims.assume(field::roles::CRITIC_MODEL, roles::beside(criticised && colocated, true), SOURCE);
    let engine = field::roles::ROLLOUT_ENGINE;
    let local = ["generator.inference_engine.run_engines_locally", "generator.run_engines_locally"];
    if !colocated || settings.on(&local) == Some(false) {
        return claims.assume(engine, Placement::Elsewhere, SOURCE);
    }
    claims.assume(engine, Placement::Asleep, SOURCE);
    claims.assume(field::roles::TRAINED_MODEL, Placement::Asleep, SOURCE);
    settings::read(ENGINE, settings, claims);
    claims.assume(field::roles::ROLLOUT_MEMORY_PERCENT, 80, SOURCE);
}
