//! `AReaL`: `python3 examples/math/gsm8k_rl.py --config examples/math/gsm8k_grpo.yaml actor.path=…`.
//!
//! **Recognised** by a Python program with `--config`, whose file has `actor.path`, and `actor.backend` or `allocation_mode`. Words
//! beat the file. Read from github.com/inclusionAI/AReaL at 4aef98d8 (`areal/api/{cli_args,alloc_mode}.py`,
//! `areal/trainer/rl_trainer.py`, `areal/engine/fsdp_engine.py`).
//!
//! ```text
//! backend      fsdp:d4t1c1, megatron:d2p2t2e4, archon:…: the degrees of the actor (data, tensor, pipeline, context, expert)
//! engine       has devices of its own, unless actor or rollout is colocated with the other
//! tokens       a microbatch is packed up to mb_spec.max_tokens_per_mb
//! reference    where kl_ctl is above 0: a model of its own on the actor's devices, on the host between its turns with
//!              ref.offload
//! critic       where the group has keys
//! formats      weights, and what is computed, have actor.dtype: bf16; gradients are summed in fp32
//! ```
//!
//! Log-probabilities are computed in chunks or from whole logits, by release. So the loss is open.

use crate::command::{Launch, Target};
use crate::frameworks::hugging_face::{objective, training_arguments};
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::complete;
use crate::frameworks::reading::config::{self, Config};
use crate::frameworks::reading::flags::{Table, Takes, flag};
use crate::frameworks::reading::hydra;
use crate::frameworks::reading::roles;
use crate::frameworks::reading::settings::{self, Place, Setting, Settings};
use crate::job::{
    Assignment, Attention, Field, Framework, Loss, Method, Objective, Placement, Precision, Recompute,
    Sharding, field,
};

const SOURCE: &str = "AReaL 4aef98d default";

const KEYS: Table = &[
    &flag(&["actor.path"], field::model::NAME, Takes::Text),
    &flag(&["actor.dtype"], field::PRECISION, Takes::OneOf(training_arguments::FORMATS)),
    &flag(&["actor.dtype"], field::PARAMETER_PRECISION, Takes::OneOf(training_arguments::FORMATS)),
    &flag(&["actor.grad_reduce_dtype"], field::GRADIENT_PRECISION, Takes::OneOf(training_arguments::FORMATS)),
    &flag(&["actor.fsdp.offload_params"], field::offload::PARAMETERS, Takes::Switch(true)),
    &flag(&["actor.attn_impl"], field::ATTENTION, Takes::OneOf(training_arguments::ATTENTION)),
    &flag(&["total_train_steps"], field::dataset::STEPS, Takes::Number),
];

const DEFAULTS: &[Assignment] = &[
    field::PRECISION.is(Precision::BF16),
    field::PARAMETER_PRECISION.is(Precision::BF16),
    field::GRADIENT_PRECISION.is(Precision::FP32),
    field::ATTENTION.is(Attention::Flash),
    field::RECOMPUTE.is(Recompute::None),
    field::offload::PARAMETERS.is(false),
    field::roles::REWARD_MODEL.is(Placement::Elsewhere),
];

/// The degrees by their letters.
const DEGREES: &[(char, Field<u32>)] = &[
    ('d', field::parallelism::DATA),
    ('t', field::parallelism::TENSOR),
    ('p', field::parallelism::PIPELINE),
    ('c', field::parallelism::CONTEXT),
    ('e', field::parallelism::EXPERT),
];
const OF_EXPERTS: &[(char, Field<u32>)] =
    &[('t', field::parallelism::EXPERT_TENSOR), ('e', field::parallelism::EXPERT)];

/// Groups of the engines, the data and the bookkeeping.
const BESIDE: &[&str] = &[
    "actor.mb_spec",
    "actor.reward_norm",
    "actor.adv_norm",
    "actor.rejection_sampling",
    "actor.scheduling_spec",
    "cluster",
    "critic",
    "econfig",
    "evaluator",
    "gconfig",
    "launcher",
    "perf_tracer",
    "recover",
    "ref",
    "rollout",
    "saver",
    "scheduler",
    "sglang",
    "stats_logger",
    "teacher",
    "train_dataset",
    "valid_dataset",
    "vllm",
];

/// Whether it is its launch.
pub(crate) fn recognises(launch: &Launch) -> bool {
    matches!(launch.target, Target::Script(_) | Target::Module(_))
        && file(launch, &mut Claims::default()).is_some_and(|file| {
            file.get("actor.path").is_some()
                && ["actor.backend", "allocation_mode"].iter().any(|name| file.get(name).is_some())
        })
}

fn file(launch: &Launch, claims: &mut Claims) -> Option<Config> {
    let path = launch.arguments.value("config")?;
    launch.files.meant(path)?;
    let mut file = config::named(launch, path, "--config", claims)?;
    hydra::resolve(&mut file);
    Some(file)
}

/// Claims the settings of the launch.
pub(crate) fn read(launch: &Launch, claims: &mut Claims) {
    let mut settings = Settings::of(vec![Place::Words(&launch.arguments)]);
    if let Some(file) = file(launch, claims) {
        settings.add(Place::File(file));
    }
    settings::read(KEYS, &settings, claims);
    divided(&settings, claims);
    training_arguments::recompute(&settings, &["actor.gradient_checkpointing"], claims);
    batch(&settings, claims);
    method(&settings, claims);
    roles(launch, &settings, claims);
    settings::assume(DEFAULTS, SOURCE, claims);
    claims.open_anyway(field::LOSS, Loss::InPlace);
    for group in BESIDE {
        settings.pass_over(group);
    }
}

/// The backend and the degrees of the actor: `fsdp:d4t2`, the part behind `+` of `sglang:d4+fsdp:d4`, or the two sections of
/// `megatron:(attn:d1p4t2c2|ffn:d1p4t2e2)`.
fn divided(settings: &Settings<'_>, claims: &mut Claims) {
    let Some(setting) = settings.get(&["actor.backend", "allocation_mode"]) else { return };
    let text = setting.text().unwrap_or_default();
    let trains = |part: &&str| !["sglang", "vllm"].iter().any(|engine| part.starts_with(engine));
    let own = text.split('+').find(trains).unwrap_or_default();
    let (backend, degrees) = own.split_once(':').unwrap_or(("fsdp", own));
    let megatron = backend.starts_with("megatron");
    let framework = if megatron { Framework::Megatron } else { Framework::FSDP };
    claims.argument(field::FRAMEWORK, framework, "actor.backend");
    let sharding = if megatron { Sharding::DistributedOptimizer } else { Sharding::FSDP };
    claims.assume(field::parallelism::SHARDING, sharding, SOURCE);
    if megatron {
        claims.assume(field::parallelism::SEQUENCE, true, SOURCE);
    }
    let section = |name: &str| {
        let (_, rest) = degrees.split_once(name)?;
        rest.split(['|', ')']).next()
    };
    let processes = match (section("attn:"), section("ffn:")) {
        (Some(attention), Some(experts)) => {
            let _ = read_degrees(experts, &setting, OF_EXPERTS, claims);
            read_degrees(attention, &setting, DEGREES, claims)
        }
        _ => read_degrees(degrees, &setting, DEGREES, claims),
    };
    claims.processes = processes;
    claims.processes_by = Some("actor.backend");
    if processes.is_none() {
        for (_, degree) in DEGREES {
            complete::open_at_its_leanest(*degree, claims);
        }
    }
}

/// Claims degrees by their letters, and multiplies those that need devices. `None` if there is more than letters and numbers.
fn read_degrees(
    text: &str,
    setting: &Setting,
    letters: &[(char, Field<u32>)],
    claims: &mut Claims,
) -> Option<u64> {
    let mut rest = text;
    let mut processes = 1u64;
    while let Some((letter, number, next)) = degree(rest) {
        if let Some((_, field)) = letters.iter().find(|(name, _)| *name == letter) {
            setting.says(claims, *field, number);
        }
        if letter != 'e' {
            processes = processes.checked_mul(number)?;
        }
        rest = next;
    }
    (rest.is_empty() && !text.is_empty()).then_some(processes)
}

/// The letter and the number at the start, and what follows.
fn degree(text: &str) -> Option<(char, u64, &str)> {
    let letter = text.chars().next()?;
    let after = text.get(letter.len_utf8()..)?;
    let end = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
    let (number, next) = after.split_at_checked(end)?;
    Some((letter, number.parse().ok()?, next))
}

/// A packed microbatch of tokens.
fn batch(settings: &Settings<'_>, claims: &mut Claims) {
    claims.assume(field::batch::MICRO_BATCH_SIZE, 1, SOURCE);
    if let Some(tokens) = settings.get(&["actor.mb_spec.max_tokens_per_mb"])
        && let Some(number) = tokens.number()
    {
        tokens.says(claims, field::batch::SEQUENCE_LENGTH, number);
    }
    claims.open(field::batch::TYPICAL_SEQUENCE_LENGTH, 64);
    let number = |name: &str| settings.number(&[name]);
    let samples = number("gconfig.n_samples").unwrap_or(1);
    let parts = number("actor.ppo_n_minibatches").unwrap_or(1).max(1);
    if let Some(all) = number("train_dataset.batch_size").and_then(|prompts| prompts.checked_mul(samples)) {
        claims.argument(field::batch::GLOBAL_BATCH_SIZE, (all / parts).max(1), "train_dataset.batch_size");
    }
}

/// All weights, or adapters.
fn method(settings: &Settings<'_>, claims: &mut Claims) {
    let Some(adapted) = settings.get(&["actor.use_lora"]).filter(|it| it.truth() != Some(false)) else {
        return claims.assume(field::finetuning::METHOD, Method::Full, SOURCE);
    };
    adapted.says(claims, field::finetuning::METHOD, Method::LoRA);
    if let Some(rank) = settings.get(&["actor.lora_rank"])
        && let Some(number) = rank.number()
    {
        rank.says(claims, field::finetuning::RANK, number);
    }
    if let Some(targets) = settings.get(&["actor.target_modules"]) {
        let names: Vec<&str> = targets.texts().collect();
        if !names.is_empty() {
            targets.says(claims, field::finetuning::TARGETS, names);
        }
    }
    claims.assume(field::finetuning::RANK, 32, SOURCE);
    claims.assume(field::finetuning::TARGETS, vec!["all-linear"], SOURCE);
    settings.inert(&["actor.lora_alpha", "actor.peft_type"]);
}

fn roles(launch: &Launch, settings: &Settings<'_>, claims: &mut Claims) {
    let generates = settings.has(&["gconfig"]) && settings.has(&["rollout"]);
    let criticised = settings.has(&["critic.path", "critic.backend"]);
    let objective = match (generates, criticised) {
        (true, true) => Objective::PPO,
        (true, false) => Objective::GRPO,
        (false, _) => supervised(launch),
    };
    claims.argument(field::OBJECTIVE, objective, "actor");
    if objective == Objective::DPO {
        return objective::reference(SOURCE, claims);
    }
    let weight = settings.text(&["actor.kl_ctl"]).and_then(|weight| weight.parse::<f64>().ok());
    let on_host = |name: &str| settings.on(&[name]) == Some(true);
    let compared = weight.unwrap_or(0.1) > 0.0 && settings.has(&["ref"]);
    claims.assume(field::roles::REFERENCE_MODEL, roles::beside(compared, on_host("ref.offload")), SOURCE);
    claims.assume(field::roles::CRITIC_MODEL, roles::beside(criticised, on_host("critic.offload")), SOURCE);
    // They may be scheduled beside the actor, on devices of their own.
    claims.open(field::roles::REFERENCE_MODEL, Placement::Elsewhere);
    claims.open(field::roles::CRITIC_MODEL, Placement::Elsewhere);
    let targets = ["actor.scheduling_strategy.target", "rollout.scheduling_strategy.target"];
    let colocated = targets.iter().any(|name| settings.has(&[name]));
    let engine = if colocated { Placement::Asleep } else { Placement::Elsewhere };
    claims.assume(field::roles::ROLLOUT_ENGINE, engine, SOURCE);
    if colocated {
        claims.open(field::roles::ROLLOUT_ENGINE, Placement::Elsewhere);
        claims.open(field::roles::TRAINED_MODEL, Placement::Asleep);
    }
}

/// The objective of a program that generates nothing.
fn supervised(launch: &Launch) -> Objective {
    let rewards = match &launch.target {
        Target::Script(path) => path.trim_end_matches(".py").ends_with("_rw"),
        _ => false,
    };
    let named = objective::of_name(launch).or(rewards.then_some(Objective::Reward));
    named.unwrap_or(Objective::Supervised)
}
