//! verl: `python3 -m verl.trainer.main_ppo algorithm.adv_estimator=grpo actor_rollout_ref.model.path=… …`, and its
//! fine-tuning ([`sft`]).
//!
//! **Recognised** by its modules, by `main_ppo.py`, or by words of `actor_rollout_ref`, which programs of others take over
//! (`recipe.dapo.main_dapo`, `verl_tool.trainer.main_ppo`). Such a program may place its models otherwise. Words and files are
//! Hydra's ([`hydra`]). Read from the release 0.5.0
//! (`verl/trainer/config`, `verl/workers/fsdp_workers.py`): FSDP over all accelerators, an actor of fp32 shards that
//! computes in bf16, gradient checkpointing, prompts and responses of 512 tokens. With `strategy=megatron`, Megatron-Core.
//!
//! Without padding, FSDP's log-probabilities are those of flash-attn's cross-entropy, in place of the logits
//! (`verl/workers/actor/dp_actor.py`, `verl/utils/torch_functional.py`, 0.4.0 to 0.7.0, which need flash-attn there). With an
//! entropy in the loss the logits stay. With padding the package is not needed, so the loss is open.
//!
//! ```text
//! reference      where use_kl_loss or use_kl_in_reward is on; its shards are on the host, always
//!                adapters: the actor without them
//! critic         where the advantage is `gae`: trained, on the same accelerators
//! reward model   where it is enabled; its shards are on the host, always
//! engine         on the same accelerators: gpu_memory_utilization, 0.5; it sleeps while the actor trains, unless
//!                free_cache_engine is off
//! offload        param_offload and optimizer_offload move the states to the host between the phases, not during a step;
//!                offload_policy of fsdp2 keeps them there
//! ```
//!
//! With `use_dynamic_bsz` a microbatch is a number of tokens, not of sequences. `ppo_micro_batch_size` counts the sequences of
//! all ranks, and a mini-batch those of all ranks before each prompt has its `rollout.n` responses.

pub(in crate::frameworks) mod list;
mod sft;

use crate::command::{Launch, Target, purpose};
use crate::frameworks::hugging_face::training_arguments;
use crate::frameworks::megatron_core::keys;
use crate::frameworks::reading::adapters::{self, Rank};
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::complete;
use crate::frameworks::reading::flags::{self, Table, Takes, flag};
use crate::frameworks::reading::hydra;
use crate::frameworks::reading::roles;
use crate::frameworks::reading::settings::{self, Place, Settings};
use crate::job::{
    Assignment, Attention, Framework, LayerKernels, Loss, Method, Objective, Placement, Precision, Recompute,
    Sharding, field,
};

const SOURCE: &str = "verl 0.5 default";

/// How the advantage of a sample is estimated, and the objective that this makes.
pub(in crate::frameworks) const ESTIMATORS: &[(&str, Objective)] = &[
    ("gae", Objective::PPO),
    ("grpo", Objective::GRPO),
    ("grpo_passk", Objective::GRPO),
    ("gspo", Objective::GRPO),
    ("rloo", Objective::RLOO),
    ("remax", Objective::RLOO),
    ("opo", Objective::RLOO),
    ("reinforce_plus_plus", Objective::RLOO),
    ("reinforce_plus_plus_baseline", Objective::RLOO),
];

const KEYS: Table = &[
    &flag(&["actor_rollout_ref.model.path"], field::model::NAME, Takes::Text),
    &flag(
        &[
            "actor_rollout_ref.actor.ulysses_sequence_parallel_size",
            "actor_rollout_ref.actor.fsdp_config.ulysses_sequence_parallel_size",
        ],
        field::parallelism::CONTEXT,
        Takes::Number,
    ),
    &flag(
        &["actor_rollout_ref.actor.fsdp_config.offload_policy"],
        field::offload::PARAMETERS,
        Takes::Switch(true),
    ),
    &flag(
        &["actor_rollout_ref.actor.fsdp_config.reshard_after_forward"],
        field::parallelism::RESHARD_AFTER_FORWARD,
        Takes::Switch(true),
    ),
    &flag(
        &["actor_rollout_ref.actor.fsdp_config.model_dtype"],
        field::PARAMETER_PRECISION,
        Takes::OneOf(training_arguments::FORMATS),
    ),
    &flag(
        &["actor_rollout_ref.model.enable_activation_offload"],
        field::offload::ACTIVATIONS,
        Takes::Switch(true),
    ),
    &flag(&["actor_rollout_ref.model.use_liger"], field::LAYER_KERNELS, Takes::Word(LayerKernels::Liger)),
    &flag(&["trainer.total_training_steps"], field::dataset::STEPS, Takes::Number),
];

/// The groups of Megatron-Core's keys.
const MEGATRON: &str = "actor_rollout_ref.actor.megatron";
const TRANSFORMER: &str = "actor_rollout_ref.actor.megatron.override_transformer_config";

const ENGINE: Table = &[&flag(
    &["actor_rollout_ref.rollout.gpu_memory_utilization"],
    field::roles::ROLLOUT_MEMORY_PERCENT,
    Takes::Percent,
)];

const CRITIC: Table = &[&flag(&["critic.model.path"], field::roles::CRITIC_MODEL_NAME, Takes::Text)];

const MICRO_BATCH: Table = &[&flag(
    &["actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu"],
    field::batch::MICRO_BATCH_SIZE,
    Takes::Number,
)];

const DEFAULTS: &[Assignment] = &[
    field::PRECISION.is(Precision::BF16),
    field::ATTENTION.is(Attention::Flash),
    field::offload::PARAMETERS.is(false),
    field::offload::ACTIVATIONS.is(false),
];

/// Where the other models may be in a program that takes over the words.
const ELSEWHERE: &[Assignment] = &[
    field::roles::CRITIC_MODEL.is(Placement::Elsewhere),
    field::roles::REFERENCE_MODEL.is(Placement::Elsewhere),
    field::roles::REWARD_MODEL.is(Placement::Elsewhere),
    field::roles::ROLLOUT_ENGINE.is(Placement::Elsewhere),
    field::roles::TRAINED_MODEL.is(Placement::Asleep),
];

/// Words of services around verl, and of Megatron-Core's fusions, which change none of what is read.
const INERT: &[&str] = &[
    "actor_rollout_ref.model.is_saving_checkpoint_in_lora",
    "trainer.merge_lora_on_final_save",
    "actor_rollout_ref.rollout.merge_lora_for_inference",
    "actor_rollout_ref.actor.megatron.override_transformer_config.apply_rope_fusion",
    "actor_rollout_ref.actor.megatron.override_transformer_config.bias_activation_fusion",
    "actor_rollout_ref.actor.megatron.override_transformer_config.bias_dropout_fusion",
    "actor_rollout_ref.actor.megatron.override_transformer_config.deallocate_pipeline_outputs",
    "actor_rollout_ref.actor.megatron.override_transformer_config.gradient_accumulation_fusion",
    "actor_rollout_ref.actor.megatron.override_transformer_config.masked_softmax_fusion",
    "actor_rollout_ref.actor.megatron.override_transformer_config.moe_aux_loss_coeff",
    "actor_rollout_ref.actor.megatron.override_transformer_config.moe_enable_deepep",
    "actor_rollout_ref.actor.megatron.override_transformer_config.moe_grouped_gemm",
    "actor_rollout_ref.actor.megatron.override_transformer_config.moe_permute_fusion",
    "actor_rollout_ref.actor.megatron.override_transformer_config.moe_router_dtype",
    "actor_rollout_ref.actor.megatron.override_transformer_config.moe_shared_expert_overlap",
    "actor_rollout_ref.actor.megatron.override_transformer_config.moe_z_loss_coeff",
    "actor_rollout_ref.actor.megatron.override_transformer_config.persist_layer_norm",
];

/// Whether it is its launch.
pub(crate) fn recognises(launch: &Launch) -> bool {
    reinforces(launch) || sft::recognises(launch)
}

fn reinforces(launch: &Launch) -> bool {
    is_own(launch) || is_like(launch)
}

/// Whether it is verl's own program.
fn is_own(launch: &Launch) -> bool {
    launch.runs_module("verl.trainer.main_ppo") || launch.runs_script(&["main_ppo.py"])
}

/// Whether it is another Python program with verl's words.
fn is_like(launch: &Launch) -> bool {
    let is_python = matches!(launch.target, Target::Script(_) | Target::Module(_));
    let generates = |name: &str| name.contains("generation") || name.contains("eval");
    let named = match &launch.target {
        Target::Script(name) | Target::Module(name) => name.rsplit(['/', '.']).find(|part| *part != "py"),
        _ => None,
    };
    is_python
        && !named.is_some_and(generates)
        && launch.arguments.words().iter().any(|word| {
            let word = word.text.trim_start_matches('+');
            word.strip_prefix("actor_rollout_ref.").is_some_and(|rest| rest.contains('='))
        })
        && !purpose::trains_nothing(launch)
}

/// What it says.
pub(crate) fn read(launch: &Launch, claims: &mut Claims) {
    if !reinforces(launch) {
        return sft::read(launch, claims);
    }
    let settings = hydra::settings(launch, claims);
    let strategy = settings.text(&["actor_rollout_ref.actor.strategy"]);
    let config = Settings::of(vec![Place::Options(&launch.arguments)]).text(&["config-name", "config_name"]);
    let megatron = strategy.as_deref() == Some("megatron")
        || strategy.is_none() && config.is_some_and(|name| name.contains("megatron"));
    if megatron {
        claims.argument(field::FRAMEWORK, Framework::Megatron, "verl");
        claims.assume(field::parallelism::SHARDING, Sharding::DistributedOptimizer, SOURCE);
        keys::parallel(&settings, MEGATRON, claims);
        keys::parallel(&settings, TRANSFORMER, claims);
        keys::recompute(&settings, TRANSFORMER, claims);
        claims.assume(field::parallelism::SEQUENCE, true, SOURCE);
        // The package's own file divides by other degrees in other releases.
        for degree in [field::parallelism::TENSOR, field::parallelism::PIPELINE, field::parallelism::EXPERT] {
            complete::open_at_its_leanest(degree, claims);
        }
    } else {
        claims.argument(field::FRAMEWORK, Framework::FSDP, "verl");
        if !shards_in_groups(&settings, "actor_rollout_ref.actor.fsdp_config.fsdp_size", SOURCE, claims) {
            claims.assume(field::parallelism::SHARDING, Sharding::FSDP, SOURCE);
        }
        claims.assume(field::PARAMETER_PRECISION, Precision::FP32, SOURCE);
        // Other releases may keep the weights as they were saved.
        claims.open(field::PARAMETER_PRECISION, Precision::BF16);
    }
    settings::read(KEYS, &settings, claims);
    training_arguments::recompute(
        &settings,
        &["actor_rollout_ref.model.enable_gradient_checkpointing"],
        claims,
    );
    adapters(&settings, claims);
    batch(&settings, claims);
    roles(&settings, claims);
    world(&settings, claims);
    if megatron {
        settings
            .has(&["actor_rollout_ref.model.use_fused_kernels", "actor_rollout_ref.actor.use_fused_kernels"]);
    } else {
        loss(&settings, claims);
    }
    if !is_own(launch) {
        settings::open(ELSEWHERE, claims);
    }
    settings.pass_over("reward_model.reward_kwargs");
    settings.inert(INERT);
    settings::assume(DEFAULTS, SOURCE, claims);
    if !settings.has(&["actor_rollout_ref.model.enable_gradient_checkpointing"]) {
        claims.assume(field::RECOMPUTE, Recompute::Full, SOURCE);
    }
}

/// The loss of FSDP's actor.
fn loss(settings: &Settings<'_>, claims: &mut Claims) {
    let fused = ["actor_rollout_ref.model.use_fused_kernels", "actor_rollout_ref.actor.use_fused_kernels"];
    if let Some(setting) = settings.get(&fused).filter(|setting| setting.truth() != Some(false)) {
        return match setting.truth() {
            Some(_) => setting.says(claims, field::LOSS, Loss::Fused),
            None => claims.open(field::LOSS, Loss::Fused),
        };
    }
    let padded = settings.on(&["actor_rollout_ref.model.use_remove_padding"]) != Some(true);
    let weight = settings.get(&["actor_rollout_ref.actor.entropy_coeff"]);
    let weighs = weight.is_some_and(|weight| weight.text().and_then(|text| text.parse().ok()) != Some(0.0));
    if padded || weighs || settings.on(&["actor_rollout_ref.actor.calculate_entropy"]) == Some(true) {
        claims.assume(field::LOSS, Loss::Eager, SOURCE);
        claims.open(field::LOSS, Loss::InPlace);
    } else {
        claims.assume(field::LOSS, Loss::InPlace, SOURCE);
    }
}

/// The processes of all nodes, if the job gives them. Accelerators without a process stay idle.
fn world(settings: &Settings<'_>, claims: &mut Claims) {
    const EACH: &str = "trainer.n_gpus_per_node";
    if let Some(each) = settings.number(&[EACH]) {
        claims.world(settings.number_or(&["trainer.nnodes"], 1), Some(each), EACH);
    }
}

/// Claims sharding within groups, if this setting gives their size. Returns whether it does.
pub(in crate::frameworks) fn shards_in_groups(
    settings: &Settings<'_>,
    size: &str,
    source: &str,
    claims: &mut Claims,
) -> bool {
    let size = settings.number(&[size]).filter(|size| *size > 0);
    if let Some(size) = size {
        claims.assume(field::parallelism::SHARDING, Sharding::HSDP, source);
        claims.assume(field::parallelism::SHARDING_DEGREE, size, source);
    }
    size.is_some()
}

fn adapters(settings: &Settings<'_>, claims: &mut Claims) {
    let names = ["actor_rollout_ref.model.lora_rank", "actor_rollout_ref.model.lora.rank"];
    match adapters::rank(settings, &names, claims) {
        Rank::None => claims.assume(field::finetuning::METHOD, Method::Full, SOURCE),
        Rank::Unknown => {}
        Rank::Of(_) => {
            claims.assume(field::finetuning::TARGETS, vec!["all-linear"], SOURCE);
            claims.assume(field::finetuning::DROPOUT, 0, SOURCE);
        }
    }
}

/// Sequences of a prompt and a response, or a number of tokens.
fn batch(settings: &Settings<'_>, claims: &mut Claims) {
    let mini_batch = settings.number_or(&["actor_rollout_ref.actor.ppo_mini_batch_size"], 256);
    let responses = settings.number_or(&["actor_rollout_ref.rollout.n"], 1);
    if let Some(sequences) = mini_batch.zip(responses).and_then(|(prompts, each)| prompts.checked_mul(each)) {
        claims.assume(field::batch::GLOBAL_BATCH_SIZE, sequences, SOURCE);
    }
    if settings.on(&["actor_rollout_ref.actor.use_dynamic_bsz"]) == Some(true) {
        let tokens =
            settings.number(&["actor_rollout_ref.actor.ppo_max_token_len_per_gpu"]).unwrap_or(16_384);
        let parts = settings.number(&["actor_rollout_ref.actor.ulysses_sequence_parallel_size"]).unwrap_or(1);
        claims.argument(field::batch::MICRO_BATCH_SIZE, 1, "use_dynamic_bsz");
        claims.argument(field::batch::SEQUENCE_LENGTH, tokens.saturating_mul(parts), "use_dynamic_bsz");
        return;
    }
    // Samples are padded to both lengths, unless padding is removed. Releases differ in what they do without a word.
    match settings.get(&["actor_rollout_ref.model.use_remove_padding"]) {
        Some(setting) if setting.truth() == Some(false) => setting.says(claims, field::batch::PACKING, true),
        Some(setting) => setting.says(claims, field::batch::PACKING, false),
        None => claims.assume(field::batch::PACKING, false, SOURCE),
    }
    settings::read(MICRO_BATCH, settings, claims);
    let of_all = settings.get(&["actor_rollout_ref.actor.ppo_micro_batch_size"]);
    if let Some(setting) = of_all.filter(|_| !claims.gives(field::batch::MICRO_BATCH_SIZE)) {
        match setting.number() {
            Some(sequences) => claims.micro_batch_of_all = Some((sequences, setting.source(claims))),
            None => claims.unparsed(field::batch::MICRO_BATCH_SIZE),
        }
    }
    let prompt = settings.number_or(&["data.max_prompt_length"], 512);
    let response = settings.number_or(&["data.max_response_length"], 512);
    if let Some((prompt, response)) = prompt.zip(response) {
        claims.argument(
            field::batch::SEQUENCE_LENGTH,
            prompt.saturating_add(response),
            "data.max_response_length",
        );
    }
}

fn roles(settings: &Settings<'_>, claims: &mut Claims) {
    let estimator = settings.get(&["algorithm.adv_estimator"]);
    let named = match &estimator {
        None => Some(Objective::PPO),
        Some(setting) => setting.text().and_then(|name| flags::one_of(ESTIMATORS, &name)),
    };
    // An estimator that is in no table may need a critic.
    let objective = named.unwrap_or(Objective::PPO);
    claims.argument(field::OBJECTIVE, objective, "algorithm.adv_estimator");
    let compared = ["actor_rollout_ref.actor.use_kl_loss", "algorithm.use_kl_in_reward"];
    let compared = compared.iter().any(|name| settings.on(&[name]) == Some(true));
    roles::reference(compared, true, SOURCE, claims);
    let on = |name: &str| settings.on(&[name]) == Some(true);
    let reward = if on("reward_model.enable") { Placement::Offloaded } else { Placement::Elsewhere };
    claims.assume(field::roles::REWARD_MODEL, reward, SOURCE);
    // A critic whose states leave between the phases is never beside the actor's.
    let leaves = ["critic.model.fsdp_config.optimizer_offload", "critic.megatron.optimizer_offload"];
    let critic = roles::beside(objective == Objective::PPO, leaves.iter().any(|name| on(name)));
    claims.assume(field::roles::CRITIC_MODEL, critic, SOURCE);
    if critic != Placement::Elsewhere {
        settings::read(CRITIC, settings, claims);
    }
    if named.is_none() {
        claims.open(field::roles::CRITIC_MODEL, Placement::Elsewhere);
    }
    engine(settings, claims);
}

fn engine(settings: &Settings<'_>, claims: &mut Claims) {
    let name = settings.text(&["actor_rollout_ref.rollout.name"]);
    if name.as_deref() == Some("hf") || settings.on(&["actor_rollout_ref.hybrid_engine"]) == Some(false) {
        claims.assume(field::roles::ROLLOUT_ENGINE, Placement::Elsewhere, SOURCE);
        return;
    }
    let stays = settings.on(&["actor_rollout_ref.rollout.free_cache_engine"]) == Some(false);
    let engine = if stays { Placement::Resident } else { Placement::Asleep };
    claims.assume(field::roles::ROLLOUT_ENGINE, engine, SOURCE);
    let share = field::roles::ROLLOUT_MEMORY_PERCENT;
    settings::read(ENGINE, settings, claims);
    claims.assume(share, 50, SOURCE);
    let leaves = [
        "actor_rollout_ref.actor.fsdp_config.param_offload",
        "actor_rollout_ref.actor.megatron.param_offload",
    ];
    // A step brings the optimizer states back. They decide nothing of the engine's phase without the weights.
    settings.has(&["actor_rollout_ref.actor.fsdp_config.optimizer_offload"]);
    if let Some(offload) = settings.get(&leaves).filter(|setting| setting.truth() == Some(true)) {
        offload.says(claims, field::roles::TRAINED_MODEL, Placement::Asleep);
    }
}
