//! The objectives of programs on TRL's trainers, and the other models that they hold.
//!
//! ```text
//! reference    none under precompute_ref_log_probs and reference_free, or with a weight beta of zero (GRPO, RLOO)
//!              adapters: the same model without them
//!              all weights: a copy, divided under ZeRO 3 and FSDP alone (prepare_deepspeed, prepare_fsdp)
//! engine       without use_vllm the trained model itself; vllm_mode server: elsewhere; colocate: vllm_gpu_memory_utilization of the device, asleep during
//!              training if vllm_enable_sleep_mode or sleep_level is set
//! length       GRPO, RLOO: max_prompt_length + max_completion_length; only completions have logits
//! ```
//!
//! Read from TRL 0.14, 0.19, 0.24, 0.29, 1.0 and 1.9 (`dpo_trainer.py`, `grpo_trainer.py`, `grpo_config.py`,
//! `models/utils.py`). `vllm_mode` was `server` before 1.0 and is `colocate` since, so the engine of a job that does not
//! name the mode is open. The weight of the reference in GRPO was 0.04 before 0.17 and is zero since.

use crate::command::{Launch, Target};
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::flags::{Table, Takes, flag};
use crate::frameworks::reading::settings::{self, Setting, Settings};
use crate::job::{Field, Method, Objective, Placement, Sharding, field};

/// What programs, stages and types of training are called, and their objective.
pub(crate) const NAMES: &[(&str, Objective)] = &[
    ("sft", Objective::Supervised),
    ("pt", Objective::Pretraining),
    ("dpo", Objective::DPO),
    ("ipo", Objective::DPO),
    ("kto", Objective::KTO),
    ("orpo", Objective::ORPO),
    ("cpo", Objective::CPO),
    ("simpo", Objective::SimPO),
    ("reward", Objective::Reward),
    ("reward_modeling", Objective::Reward),
    ("rm", Objective::Reward),
    ("ppo", Objective::PPO),
    ("grpo", Objective::GRPO),
    ("dapo", Objective::GRPO),
    ("gspo", Objective::GRPO),
    ("rloo", Objective::RLOO),
    ("gkd", Objective::Distillation),
    ("distillation", Objective::Distillation),
];

const ENGINE_SHARE: &[&str] =
    &["vllm_gpu_memory_utilization", "trl.vllm_gpu_memory_utilization", "vllm.gpu_memory_utilization"];
const ENGINE: Table = &[&flag(ENGINE_SHARE, field::roles::ROLLOUT_MEMORY_PERCENT, Takes::Percent)];
const REWARD_MODEL: &[&str] = &["reward_model", "reward_model_path"];
const REWARD: Table = &[&flag(REWARD_MODEL, field::roles::REWARD_MODEL_NAME, Takes::Text)];
const TEACHER_MODEL: &[&str] = &["teacher_model", "teacher_model_name_or_path"];
const TEACHER: Table = &[&flag(TEACHER_MODEL, field::roles::TEACHER_MODEL_NAME, Takes::Text)];
const OWN_REFERENCE: &[&str] = &["ref_model", "ref_model_name_or_path", "ref_model_path", "ref_pretrain"];
const MODE: &[&str] = &["vllm_mode", "trl.vllm_mode"];
const SERVERS: &[&str] = &[
    "vllm_server_host",
    "vllm_server_base_url",
    "vllm_server_port",
    "trl.vllm_server_host",
    "trl.vllm_server_base_url",
];
const SLEEPS: &[&str] = &["vllm_enable_sleep_mode", "trl.vllm_enable_sleep_mode", "sleep_level"];
const PROMPT: &[&str] = &["max_prompt_length", "trl.max_prompt_length"];
const COMPLETION: &[&str] = &["max_completion_length", "trl.max_completion_length", "response_length"];

/// The defaults of a program's version that decide what else is held.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Defaults {
    /// The name and the version.
    pub(crate) source: &'static str,
    /// The weight of GRPO's reference.
    pub(crate) beta: f64,
    /// The share of the device that a colocated engine reserves, in percent.
    pub(crate) engine_percent: u64,
    /// Tokens of a completion.
    pub(crate) completion: u64,
}

/// TRL's.
pub(crate) const TRL: Defaults =
    Defaults { source: "TRL 0.24 default", beta: 0.0, engine_percent: 30, completion: 256 };

/// Reads where the other models of a known objective are. What decides (method, sharding) must be read before.
pub(crate) fn roles(objective: Objective, defaults: Defaults, settings: &Settings<'_>, claims: &mut Claims) {
    own_reference(settings, claims);
    match objective {
        Objective::DPO | Objective::KTO => {
            let spared = ["precompute_ref_log_probs", "reference_free"];
            match spared.iter().find_map(|name| settings.get(&[name]).filter(is_on)) {
                Some(spared) => spared.says(claims, field::roles::REFERENCE_MODEL, Placement::Elsewhere),
                None => reference(defaults.source, claims),
            }
        }
        Objective::GRPO | Objective::RLOO => {
            match settings.get(&["beta", "trl.beta"]).and_then(|setting| Some((weight(&setting)?, setting))) {
                Some((beta, setting)) if beta <= 0.0 => {
                    setting.says(claims, field::roles::REFERENCE_MODEL, Placement::Elsewhere);
                }
                None if defaults.beta <= 0.0 && objective == Objective::GRPO => {
                    claims.assume(field::roles::REFERENCE_MODEL, Placement::Elsewhere, defaults.source);
                }
                _ => reference(defaults.source, claims),
            }
        }
        Objective::PPO => reference(defaults.source, claims),
        _ => {}
    }
    if matches!(objective, Objective::GRPO | Objective::RLOO | Objective::PPO | Objective::Distillation) {
        engine(defaults, settings, claims);
    }
    if matches!(objective, Objective::GRPO | Objective::RLOO) {
        lengths(defaults, settings, claims);
    }
    for (names, model, placement) in [
        (REWARD_MODEL, REWARD, field::roles::REWARD_MODEL),
        (TEACHER_MODEL, TEACHER, field::roles::TEACHER_MODEL),
    ] {
        if settings.has(names) {
            settings::read(model, settings, claims);
            let is_itself =
                settings.text(names).is_some_and(|name| claims.get(field::model::NAME) == Some(name));
            // The trained model without its adapters can be its own teacher.
            if is_itself && claims.get(field::finetuning::METHOD).is_some_and(|method| method != Method::Full)
            {
                claims.open(placement, Placement::Elsewhere);
            }
            copied(placement, defaults.source, claims);
        }
    }
}

/// A reference with its own name may be a smaller model. So its place is open.
pub(crate) fn own_reference(settings: &Settings<'_>, claims: &mut Claims) {
    let named = settings.text(OWN_REFERENCE);
    if named.is_some_and(|name| claims.get(field::model::NAME).as_ref() != Some(&name)) {
        claims.open(field::roles::REFERENCE_MODEL, Placement::Elsewhere);
    }
}

/// The reference is the trained model without its adapters, or a copy of its weights.
pub(crate) fn reference(source: &str, claims: &mut Claims) {
    let placement = field::roles::REFERENCE_MODEL;
    if claims.is_open(placement) {
        return;
    }
    let open = claims.is_open(field::finetuning::METHOD);
    match claims.get(field::finetuning::METHOD) {
        Some(Method::LoRA | Method::QLoRA) if !open => {
            claims.assume(placement, Placement::AdaptersOff, source);
        }
        Some(Method::Full) if !open => copied(placement, source, claims),
        _ => {}
    }
}

/// A frozen model that ZeRO 3 and FSDP divide, and nothing else.
pub(crate) fn copied(placement: Field<Placement>, source: &str, claims: &mut Claims) {
    match claims.get(field::parallelism::SHARDING) {
        Some(Sharding::ZeRO3 | Sharding::FSDP | Sharding::HSDP) => {
            claims.assume(placement, Placement::Sharded, source);
        }
        Some(_) => claims.assume(placement, Placement::Resident, source),
        None => {}
    }
}

fn is_on(setting: &Setting) -> bool {
    setting.truth() == Some(true)
}

fn weight(setting: &Setting) -> Option<f64> {
    setting.text()?.parse().ok()
}

/// The engine that generates, and its share of the device.
fn engine(defaults: Defaults, settings: &Settings<'_>, claims: &mut Claims) {
    let placement = field::roles::ROLLOUT_ENGINE;
    let Some(used) =
        settings.get(&["use_vllm", "trl.use_vllm"]).filter(|setting| setting.truth() != Some(false))
    else {
        // The trained model itself generates.
        claims.assume(placement, Placement::Trained, defaults.source);
        return;
    };
    let mode = settings.get(MODE);
    let colocated = match mode.as_ref().and_then(Setting::text).as_deref() {
        Some("server" | "async") => Some(false),
        Some("colocate") => Some(true),
        _ if settings.has(SERVERS) => Some(false),
        _ => None,
    };
    let by = mode.unwrap_or(used);
    if colocated == Some(false) {
        by.says(claims, placement, Placement::Elsewhere);
        return;
    }
    let sleeps = settings
        .get(SLEEPS)
        .filter(|setting| setting.number().map_or(setting.truth() != Some(false), |level| level > 0));
    let beside = if sleeps.is_some() { Placement::Asleep } else { Placement::Resident };
    if colocated == Some(true) {
        by.says(claims, placement, beside);
    } else {
        claims.assume(placement, beside, defaults.source);
        claims.open(placement, Placement::Elsewhere);
    }
    let share = field::roles::ROLLOUT_MEMORY_PERCENT;
    settings::read(ENGINE, settings, claims);
    claims.assume(share, defaults.engine_percent, defaults.source);
}

/// A sequence is a prompt and its completion.
fn lengths(defaults: Defaults, settings: &Settings<'_>, claims: &mut Claims) {
    /// The most tokens of a prompt where TRL cut it, before 0.27.
    const PROMPT_AT_MOST: u64 = 512;
    let completion = settings.get(COMPLETION);
    let tokens = match &completion {
        Some(setting) => setting.number(),
        None => Some(defaults.completion),
    };
    // A stated length is the prompt's: ms-swift's max_length.
    let stated = claims.get(field::batch::SEQUENCE_LENGTH).map(u64::from);
    let prompt = settings.number(PROMPT).or(stated).unwrap_or(PROMPT_AT_MOST);
    let Some(tokens) = tokens else { return };
    claims.all.retain(|claim| claim.field != field::batch::SEQUENCE_LENGTH);
    let sequence = prompt.saturating_add(tokens);
    if let Some(setting) = &completion {
        setting.says(claims, field::batch::COMPLETION_LENGTH, tokens);
        setting.says(claims, field::batch::SEQUENCE_LENGTH, sequence);
    } else {
        claims.assume(field::batch::COMPLETION_LENGTH, tokens, defaults.source);
        claims.assume(field::batch::SEQUENCE_LENGTH, sequence, defaults.source);
    }
}

/// Words in the names of scripts that train classifiers.
const CLASSIFIERS: &[(&str, Objective)] = &[
    ("classification", Objective::Classification),
    ("classifier", Objective::Classification),
    ("classify", Objective::Classification),
    ("glue", Objective::Classification),
    ("seqcls", Objective::Classification),
];

/// The objective of a custom script, by a word of its name or its task: `train_dpo.py`, `--task_type SEQ_CLS`.
pub(crate) fn of_name(launch: &Launch) -> Option<Objective> {
    let name = match &launch.target {
        Target::Script(path) => path.rsplit('/').next().unwrap_or(path).trim_end_matches(".py"),
        Target::Module(module) => module.rsplit('.').next().unwrap_or(module),
        Target::Program(_) | Target::Unknown => return None,
    };
    let mut words = name.split(|c: char| !c.is_ascii_alphanumeric());
    let by_name = words.find_map(|word| {
        let known = NAMES.iter().chain(CLASSIFIERS);
        known.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(word)).map(|(_, objective)| *objective)
    });
    let task = ["task_type", "lora_task_type"].iter().find_map(|name| launch.arguments.value(name));
    let classes =
        task.is_some_and(|task| ["SEQ_CLS", "TOKEN_CLS"].iter().any(|c| task.eq_ignore_ascii_case(c)));
    by_name.or((classes || launch.arguments.has("num_labels")).then_some(Objective::Classification))
}
