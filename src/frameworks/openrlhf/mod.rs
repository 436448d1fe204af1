//! `OpenRLHF`: `deepspeed --module openrlhf.cli.train_sft --pretrain … --zero_stage 3`, `train_dpo`, `train_rm`,
//! `train_kto`, `train_kd`, `train_ppo`, and `python -m openrlhf.cli.train_ppo_ray` on Ray.
//!
//! **Recognised** by its modules, or by `train_sft.py` with `--pretrain` and `--micro_train_batch_size`. Read from
//! `openrlhf/cli` and `openrlhf/utils/deepspeed` of the release 0.8.5: DeepSpeed with ZeRO 2, a batch of 8 within 128, 2048
//! tokens (512 in `dpo` and `rm`), all weights, nothing offloaded, no checkpointing. The reference is a copy always, with
//! adapters too, divided under ZeRO 3 alone (`get_ds_eval_config`). Since 0.11 the options have groups: `--ds.zero_stage`.
//!
//! On Ray each model has its own accelerators, unless `--colocate_all_models` puts all of them on the actor's, or
//! `--colocate_actor_ref` the reference. The actor is estimated: it is the model with the most states. A critic is trained
//! where the advantage is `gae`, and the reference is needed where `init_kl_coef` is not zero.
//!
//! Without Ray (`train_ppo`, until the release 0.5) every process holds all four models, and the actor generates. The critic is
//! trained with the actor's settings. Its size is the reward model's (`cli/train_ppo.py` in 0.5.2).

pub(super) mod list;

use crate::command::{Launch, Target};
use crate::frameworks::hugging_face::{objective, peft, training_arguments};
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::flags::{self, Table, Takes, flag};
use crate::frameworks::reading::settings::{self, Place, Setting, Settings};
use crate::job::{
    Assignment, Attention, Field, Framework, LayerKernels, Loss, Method, Objective, Placement, Precision,
    Recompute, Sharding, field,
};

const SOURCE: &str = "OpenRLHF 0.8 default";

/// Its programs.
const PROGRAMS: &[(&str, Objective)] = &[
    ("train_sft", Objective::Supervised),
    ("train_dpo", Objective::DPO),
    ("train_kto", Objective::KTO),
    ("train_rm", Objective::Reward),
    ("train_kd", Objective::Distillation),
    ("train_ppo_ray", Objective::PPO),
    ("train_ppo", Objective::PPO),
];

/// How the advantage of a sample is estimated, and the objective that this makes.
const ESTIMATORS: &[(&str, Objective)] = &[
    ("gae", Objective::PPO),
    ("reinforce", Objective::RLOO),
    ("reinforce_baseline", Objective::RLOO),
    ("rloo", Objective::RLOO),
    ("group_norm", Objective::GRPO),
    ("dr_grpo", Objective::GRPO),
];

const FLAGS: Table = &[
    &flag(
        &["pretrain", "model.model_name_or_path", "actor.model_name_or_path"],
        field::model::NAME,
        Takes::Text,
    ),
    &flag(&["max_len", "data.max_len"], field::batch::SEQUENCE_LENGTH, Takes::Number),
    &flag(
        &["micro_train_batch_size", "train.micro_batch_size"],
        field::batch::MICRO_BATCH_SIZE,
        Takes::Number,
    ),
    &flag(&["train_batch_size", "train.batch_size"], field::batch::GLOBAL_BATCH_SIZE, Takes::Number),
    &flag(&["max_epochs", "train.max_epochs"], field::dataset::EPOCHS, Takes::Number),
    &flag(&["bf16"], field::PRECISION, Takes::Word(Precision::BF16)),
    &flag(&["param_dtype", "ds.param_dtype"], field::PRECISION, Takes::OneOf(training_arguments::FORMATS)),
    &flag(&["flash_attn"], field::ATTENTION, Takes::Word(Attention::Flash)),
    &flag(
        &["attn_implementation", "ds.attn_implementation"],
        field::ATTENTION,
        Takes::OneOf(training_arguments::ATTENTION),
    ),
    &flag(&["packing_samples", "ds.packing_samples"], field::batch::PACKING, Takes::Switch(true)),
    &flag(&["adam_offload", "ds.adam_offload"], field::offload::OPTIMIZER, Takes::Switch(true)),
    &flag(&["ring_attn_size", "ds.ring_attn_size"], field::parallelism::CONTEXT, Takes::Number),
    &flag(&["ds_tensor_parallel_size", "ds.tensor_parallel_size"], field::parallelism::TENSOR, Takes::Number),
    &flag(&["use_liger_kernel", "ds.use_liger_kernel"], field::LOSS, Takes::Word(Loss::Fused)),
    &flag(
        &["use_liger_kernel", "ds.use_liger_kernel"],
        field::LAYER_KERNELS,
        Takes::Word(LayerKernels::Liger),
    ),
    &flag(
        &["zero_stage", "ds.zero_stage"],
        field::parallelism::SHARDING,
        Takes::OneOf(&[
            ("0", Sharding::None),
            ("1", Sharding::ZeRO1),
            ("2", Sharding::ZeRO2),
            ("3", Sharding::ZeRO3),
        ]),
    ),
];

const TEACHER: Table = &[&flag(&["teacher_model"], field::roles::TEACHER_MODEL_NAME, Takes::Text)];
const REWARD: Table =
    &[&flag(&["reward_pretrain", "reward.model_name_or_path"], field::roles::REWARD_MODEL_NAME, Takes::Text)];
const CRITIC: Table =
    &[&flag(&["critic_pretrain", "critic.model_name_or_path"], field::roles::CRITIC_MODEL_NAME, Takes::Text)];
const ENGINE: Table = &[&flag(
    &["vllm_gpu_memory_utilization", "vllm.gpu_memory_utilization"],
    field::roles::ROLLOUT_MEMORY_PERCENT,
    Takes::Percent,
)];

const DEFAULTS: &[Assignment] = &[
    field::offload::OPTIMIZER.is(false),
    field::offload::PARAMETERS.is(false),
    field::batch::MICRO_BATCH_SIZE.is(8),
    field::batch::GLOBAL_BATCH_SIZE.is(128),
    field::batch::SEQUENCE_LENGTH.is(2048),
    field::RECOMPUTE.is(Recompute::None),
];

/// The defaults that came with the groups of options.
const GROUPED: &[Assignment] = &[field::PRECISION.is(Precision::BF16), field::ATTENTION.is(Attention::Flash)];

/// Whether the launch runs `OpenRLHF`.
pub(crate) fn recognises(launch: &Launch) -> bool {
    program(launch).is_some()
}

/// The objective of its program.
fn program(launch: &Launch) -> Option<Objective> {
    let named = |name: &str| PROGRAMS.iter().find(|(known, _)| *known == name).map(|(_, of)| *of);
    match &launch.target {
        Target::Module(module) => named(module.strip_prefix("openrlhf.cli.")?),
        Target::Script(path) => {
            let is_theirs =
                ["pretrain", "micro_train_batch_size"].iter().all(|name| launch.arguments.has(name));
            let name = path.rsplit('/').next().unwrap_or(path).strip_suffix(".py")?;
            named(name).filter(|_| is_theirs)
        }
        Target::Program(_) | Target::Unknown => None,
    }
}

/// Claims the settings of the launch.
pub(crate) fn read(launch: &Launch, claims: &mut Claims) {
    let Some(objective) = program(launch) else { return };
    let settings = Settings::of(vec![Place::Options(&launch.arguments)]);
    claims.argument(field::FRAMEWORK, Framework::DeepSpeed, "OpenRLHF");
    settings::read(FLAGS, &settings, claims);
    if settings.has(&["model.model_name_or_path", "actor.model_name_or_path"]) {
        settings::assume(GROUPED, "OpenRLHF 0.11 default", claims);
        if objective == Objective::PPO {
            claims.assume(field::batch::MICRO_BATCH_SIZE, 1, "OpenRLHF 0.11 default");
        }
    }
    let checkpointing = [
        "gradient_checkpointing",
        "model.gradient_checkpointing_enable",
        "actor.gradient_checkpointing_enable",
    ];
    training_arguments::recompute(&settings, &checkpointing, claims);
    // The default rank of zero means no adapters.
    let rank = settings.get(&["lora_rank", "ds.lora.rank"]).map(|setting| setting.number());
    match rank {
        None | Some(Some(0)) => claims.assume(field::finetuning::METHOD, Method::Full, SOURCE),
        Some(Some(_)) => {
            peft::read(&settings, false, claims);
            claims.assume(field::finetuning::DROPOUT, 0, SOURCE);
            if !settings.has(&["target_modules", "ds.lora.target_modules"]) {
                claims.assume(field::finetuning::TARGETS, vec!["all-linear"], SOURCE);
            }
        }
        Some(None) => claims.open(field::finetuning::METHOD, Method::QLoRA),
    }
    let sharding = field::parallelism::SHARDING.is(Sharding::ZeRO2);
    settings::assume(&[sharding], SOURCE, claims);
    match objective {
        Objective::Supervised => {}
        Objective::PPO if runs_on_ray(launch) => on_ray(&settings, claims),
        Objective::PPO => on_the_same_devices(&settings, claims),
        objective => {
            claims.argument(field::OBJECTIVE, objective, "OpenRLHF");
            frozen_model(&settings, objective, claims);
        }
    }
    if matches!(objective, Objective::DPO | Objective::Reward) {
        claims.assume(field::batch::SEQUENCE_LENGTH, 512, SOURCE);
    }
    if objective == Objective::Reward {
        claims.assume(field::batch::MICRO_BATCH_SIZE, 1, SOURCE);
    }
    settings::assume(DEFAULTS, SOURCE, claims);
}

/// A frozen model beside the trained one: a copy, which an option offloads.
fn frozen_model(settings: &Settings<'_>, objective: Objective, claims: &mut Claims) {
    let (offload, placement): (&[&str], _) = match objective {
        Objective::DPO | Objective::KTO => {
            objective::own_reference(settings, claims);
            (&["ref_offload", "ref.offload"], field::roles::REFERENCE_MODEL)
        }
        Objective::Distillation => (&["teacher_offload", "ref.offload"], field::roles::TEACHER_MODEL),
        _ => return,
    };
    held(settings, offload, placement, claims);
    settings::read(TEACHER, settings, claims);
}

fn held(settings: &Settings<'_>, offload: &[&str], placement: Field<Placement>, claims: &mut Claims) {
    match settings.get(offload).filter(is_on) {
        Some(setting) => setting.says(claims, placement, Placement::Offloaded),
        None => objective::copied(placement, SOURCE, claims),
    }
}

fn is_on(setting: &Setting) -> bool {
    setting.truth() != Some(false)
}

fn runs_on_ray(launch: &Launch) -> bool {
    let is_ray = |name: &str| name.ends_with("_ray") || name.ends_with("_ray.py");
    match &launch.target {
        Target::Module(name) | Target::Script(name) => is_ray(name),
        Target::Program(_) | Target::Unknown => false,
    }
}

/// The objective that the estimate of the advantage makes.
fn by_advantage(settings: &Settings<'_>, claims: &mut Claims) -> Objective {
    let estimator = settings.get(&["advantage_estimator", "algo.advantage.estimator"]);
    let named = estimator.as_ref().and_then(Setting::text);
    let objective = named.as_deref().and_then(|name| flags::one_of(ESTIMATORS, name));
    match estimator.as_ref().zip(objective) {
        Some((setting, objective)) => setting.says(claims, field::OBJECTIVE, objective),
        None => claims.argument(field::OBJECTIVE, Objective::PPO, "OpenRLHF"),
    }
    objective.unwrap_or(Objective::PPO)
}

/// A job without Ray: all models in each process.
fn on_the_same_devices(settings: &Settings<'_>, claims: &mut Claims) {
    let objective = by_advantage(settings, claims);
    objective::copied(field::roles::REFERENCE_MODEL, SOURCE, claims);
    if settings.has(&["remote_rm_url"]) {
        claims.assume(field::roles::REWARD_MODEL, Placement::Elsewhere, SOURCE);
    } else {
        settings::read(REWARD, settings, claims);
        objective::copied(field::roles::REWARD_MODEL, SOURCE, claims);
    }
    if objective == Objective::PPO {
        settings::read(CRITIC, settings, claims);
        objective::copied(field::roles::CRITIC_MODEL, SOURCE, claims);
    } else {
        claims.assume(field::roles::CRITIC_MODEL, Placement::Elsewhere, SOURCE);
    }
    claims.assume(field::roles::ROLLOUT_ENGINE, Placement::Trained, SOURCE);
    lengths(settings, claims);
}

/// The actor of a job on Ray, and what shares its accelerators.
fn on_ray(settings: &Settings<'_>, claims: &mut Claims) {
    let objective = by_advantage(settings, claims);
    let all = settings.get(&["colocate_all_models", "train.colocate_all"]).filter(is_on);
    let beside = ["colocate_actor_ref", "train.colocate_actor_ref"];
    let with_reference = all.clone().or_else(|| settings.get(&beside).filter(is_on));
    let no_penalty = settings.get(&["init_kl_coef", "algo.kl.init_coef"]).filter(|setting| {
        setting.text().and_then(|text| text.parse::<f64>().ok()).is_some_and(|kl| kl <= 0.0)
    });
    let elsewhere = |placement: Field<Placement>, claims: &mut Claims| {
        claims.assume(placement, Placement::Elsewhere, SOURCE);
    };
    match (no_penalty, &with_reference) {
        (Some(setting), _) => setting.says(claims, field::roles::REFERENCE_MODEL, Placement::Elsewhere),
        (None, Some(_)) => {
            held(settings, &["ref_reward_offload", "ref.offload"], field::roles::REFERENCE_MODEL, claims);
        }
        (None, None) => elsewhere(field::roles::REFERENCE_MODEL, claims),
    }
    let remote = settings.has(&["remote_rm_url", "reward.remote_url"]);
    if all.is_some() && !remote {
        held(settings, &["ref_reward_offload", "reward.offload"], field::roles::REWARD_MODEL, claims);
        settings::read(REWARD, settings, claims);
    } else {
        elsewhere(field::roles::REWARD_MODEL, claims);
    }
    if all.is_some() && objective == Objective::PPO {
        settings::read(CRITIC, settings, claims);
        objective::copied(field::roles::CRITIC_MODEL, SOURCE, claims);
    } else {
        elsewhere(field::roles::CRITIC_MODEL, claims);
    }
    let engines = settings
        .get(&["vllm_num_engines", "vllm.num_engines"])
        .is_some_and(|setting| setting.number() != Some(0));
    match all.filter(|_| engines && settings.on(&["async_train", "train.async_enable"]) != Some(true)) {
        Some(colocated) => {
            let sleeps =
                settings.get(&["vllm_enable_sleep", "vllm.enable_sleep"]).as_ref().is_some_and(is_on);
            let placement = if sleeps { Placement::Asleep } else { Placement::Resident };
            colocated.says(claims, field::roles::ROLLOUT_ENGINE, placement);
            let share = field::roles::ROLLOUT_MEMORY_PERCENT;
            settings::read(ENGINE, settings, claims);
            claims.assume(share, 95, SOURCE);
        }
        None => elsewhere(field::roles::ROLLOUT_ENGINE, claims),
    }
    actors(settings, claims);
}

/// The actor's own accelerators, and the lengths of its samples.
fn actors(settings: &Settings<'_>, claims: &mut Claims) {
    let each = settings.number_or(&["actor_num_gpus_per_node", "actor.num_gpus_per_node"], 8);
    let actors = settings.number_or(&["actor_num_nodes", "actor.num_nodes"], 1).zip(each);
    if let Some(actors) = actors.and_then(|(nodes, each)| nodes.checked_mul(each)) {
        claims.assume(field::parallelism::DATA, actors, SOURCE);
    }
    lengths(settings, claims);
}

/// The lengths of the samples: a prompt and what is generated.
fn lengths(settings: &Settings<'_>, claims: &mut Claims) {
    let prompt = settings.number_or(&["prompt_max_len"], 1024);
    let completion = settings.number_or(&["generate_max_len", "rollout.max_new_tokens"], 1024);
    if let Some((prompt, completion)) = prompt.zip(completion) {
        claims.assume(field::batch::SEQUENCE_LENGTH, prompt.saturating_add(completion), SOURCE);
        claims.assume(field::batch::COMPLETION_LENGTH, completion, SOURCE);
    }
    claims.assume(field::batch::MICRO_BATCH_SIZE, 4, SOURCE);
}
