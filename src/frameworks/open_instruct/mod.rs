//! Open Instruct: `accelerate launch … open_instruct/finetune.py --model_name_or_path …`, `dpo_tune_cache.py`, and
//! `python open_instruct/grpo_fast.py` on Ray.
//!
//! **Recognised** by a program of its folder. Options beat the YAML file of the first word. Read from
//! github.com/allenai/open-instruct at e6c3044a (`open_instruct/finetune.py`, `dpo_utils.py`, `dpo_tune_cache.py`,
//! `grpo_utils.py`, `grpo_fast.py`, `data_loader.py`, `olmo_core_utils.py`):
//!
//! ```text
//! finetune            weights in bf16, 8 samples, no checkpointing; adapters of rank 64 on all linear layers, dropout 0.1
//! dpo_tune_cache      the same; the reference's log-probabilities are computed before the training and kept;
//!                     --zero_stage makes DeepSpeed's configuration
//! dpo_tune            a reference beside the trained model
//! grpo_fast           learners of DeepSpeed on the devices of --num_learners_per_node; a packed sample has --pack_length
//!                     tokens; checkpointing always; a reference unless --load_ref_policy False; engines on other devices
//! *_gtrl              the same; learners by --actor_num_gpus_per_node; PPO holds a critic and a reward model, too
//! olmo_core_finetune, dpo, grpo     OLMo-core's trainer: FSDP
//! ```
//!
//! Adapters take the format of the weights that they are added to.

pub(super) mod list;

use crate::command::{Launch, Target};
use crate::frameworks::deepspeed;
use crate::frameworks::hugging_face::{objective, peft, training_arguments};
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::config;
use crate::frameworks::reading::flags::{self, Table, Takes, flag};
use crate::frameworks::reading::settings::{self, Place, Settings};
use crate::job::{
    Assignment, Attention, Framework, LayerKernels, Loss, Method, Objective, Optimizer, Placement, Precision,
    Recompute, Sharding, field,
};

const SOURCE: &str = "Open Instruct e6c3044 default";

/// How a program trains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// On one program's processes, with accelerate.
    Accelerate,
    /// Learners on Ray.
    Ray,
    /// OLMo-core's trainer.
    OlmoCore,
}

/// Its programs, without their ending.
const PROGRAMS: &[(&str, Kind, Objective)] = &[
    ("finetune", Kind::Accelerate, Objective::Supervised),
    ("dpo_tune", Kind::Accelerate, Objective::DPO),
    ("dpo_tune_cache", Kind::Accelerate, Objective::DPO),
    ("reward_modeling", Kind::Accelerate, Objective::Reward),
    ("grpo_fast", Kind::Ray, Objective::GRPO),
    ("grpo_vllm_thread_ray_gtrl", Kind::Ray, Objective::GRPO),
    ("ppo_vllm_thread_ray_gtrl", Kind::Ray, Objective::PPO),
    ("ppo_fast", Kind::Ray, Objective::PPO),
    ("olmo_core_finetune", Kind::OlmoCore, Objective::Supervised),
    ("dpo", Kind::OlmoCore, Objective::DPO),
    ("grpo", Kind::OlmoCore, Objective::GRPO),
];

const KEYS: Table = &[
    &flag(&["model_name_or_path"], field::model::NAME, Takes::Text),
    &flag(&["per_device_train_batch_size"], field::batch::MICRO_BATCH_SIZE, Takes::Number),
    &flag(&["max_seq_length"], field::batch::SEQUENCE_LENGTH, Takes::Number),
    &flag(&["num_train_epochs", "num_epochs"], field::dataset::EPOCHS, Takes::Number),
    &flag(&["max_train_steps"], field::dataset::STEPS, Takes::Number),
    &flag(
        &["sequence_parallel_size", "context_parallel_degree", "cp_degree"],
        field::parallelism::CONTEXT,
        Takes::Number,
    ),
    &flag(&["tensor_parallel_degree"], field::parallelism::TENSOR, Takes::Number),
    &flag(
        &["offload_optimizer", "deepspeed_offload_optimizer"],
        field::offload::OPTIMIZER,
        Takes::Switch(true),
    ),
    &flag(&["offload_param", "deepspeed_offload_param"], field::offload::PARAMETERS, Takes::Switch(true)),
    &flag(&["use_8bit_optimizer"], field::OPTIMIZER, Takes::Word(Optimizer::AdamW8bit)),
];

/// A packed sample of a learner.
const PACKED: Table = &[&flag(&["pack_length"], field::batch::SEQUENCE_LENGTH, Takes::Number)];

const ENGINE: Table =
    &[&flag(&["vllm_gpu_memory_utilization"], field::roles::ROLLOUT_MEMORY_PERCENT, Takes::Percent)];

const STAGES: &[&str] = &["zero_stage", "deepspeed_stage"];
const LOSSES: &[(&str, Objective)] = &[
    ("dpo", Objective::DPO),
    ("dpo_norm", Objective::DPO),
    ("wpo", Objective::DPO),
    ("simpo", Objective::SimPO),
];

const DEFAULTS: &[Assignment] = &[
    field::PRECISION.is(Precision::BF16),
    field::ATTENTION.is(Attention::Flash),
    field::offload::ACTIVATIONS.is(false),
];

/// Whether it is its launch.
pub(crate) fn recognises(launch: &Launch) -> bool {
    program(launch).is_some()
}

fn program(launch: &Launch) -> Option<(&'static str, Kind, Objective)> {
    let name = match &launch.target {
        Target::Script(path) => {
            let (folder, file) = path.rsplit_once('/')?;
            let is_its = folder == "open_instruct" || folder.ends_with("/open_instruct");
            file.strip_suffix(".py").filter(|_| is_its)?
        }
        Target::Module(module) => module.strip_prefix("open_instruct.")?,
        Target::Program(_) | Target::Unknown => return None,
    };
    PROGRAMS.iter().find(|(known, ..)| *known == name).copied()
}

/// Claims the settings of the launch.
pub(crate) fn read(launch: &Launch, claims: &mut Claims) {
    let Some((name, kind, objective)) = program(launch) else { return };
    let mut settings = Settings::of(vec![Place::Options(&launch.arguments)]);
    if let Some(path) = config::positional(&launch.arguments).map(str::to_owned)
        && let Some(file) = config::named(launch, &path, "the first word", claims)
    {
        settings.add(Place::File(file));
    }
    settings::read(KEYS, &settings, claims);
    method(&settings, kind, claims);
    sharding(&settings, kind, claims);
    liger(&settings, claims);
    training_arguments::recompute(&settings, &["gradient_checkpointing"], claims);
    settings::accumulation(&settings, &["gradient_accumulation_steps"], claims);
    let by_loss = settings.text(&["loss_type", "dpo_loss_type"]);
    let by_loss =
        by_loss.and_then(|loss| flags::one_of(LOSSES, &loss)).filter(|_| objective == Objective::DPO);
    let objective = by_loss.unwrap_or(objective);
    if objective != Objective::Supervised {
        claims.argument(field::OBJECTIVE, objective, name);
    }
    match kind {
        Kind::Ray => learners(&settings, objective, claims),
        Kind::Accelerate | Kind::OlmoCore => {
            // The reference computes its log-probabilities before the training.
            let reference = field::roles::REFERENCE_MODEL;
            if name == "dpo_tune" && objective == Objective::DPO {
                objective::reference(SOURCE, claims);
            } else if kind == Kind::Accelerate {
                claims.assume(reference, Placement::Elsewhere, SOURCE);
            } else {
                claims.open(reference, Placement::Elsewhere);
            }
            claims.assume(field::RECOMPUTE, Recompute::None, SOURCE);
            // A flattened batch has the samples' own lengths, and so has one that is padded to the longest. Only OLMo-core's
            // fine-tuning fills its samples.
            settings.has(&["packing"]);
            let fills = kind == Kind::OlmoCore && objective == Objective::Supervised;
            claims.assume(field::batch::PACKING, fills, SOURCE);
        }
    }
    claims.assume(field::batch::MICRO_BATCH_SIZE, 8, SOURCE);
    // It was one sample in programs of 2025.
    claims.open(field::batch::MICRO_BATCH_SIZE, 1);
    if training_arguments::stays_as_loaded(true, claims) {
        claims.assume(field::PARAMETER_PRECISION, Precision::BF16, SOURCE);
    }
    settings::assume(DEFAULTS, SOURCE, claims);
}

/// All weights, or adapters.
fn method(settings: &Settings<'_>, kind: Kind, claims: &mut Claims) {
    if kind != Kind::Accelerate || peft::read(settings, true, claims).is_none() {
        claims.assume(field::finetuning::METHOD, Method::Full, SOURCE);
        return;
    }
    if claims.get(field::finetuning::METHOD).is_some_and(|method| method != Method::Full) {
        let targets = vec!["all-linear"];
        claims.assume(field::finetuning::TARGETS, targets, SOURCE);
        claims.assume(field::finetuning::RANK, 64, SOURCE);
        claims.assume(field::finetuning::DROPOUT, 10, SOURCE);
        peft::keeps_precision(true, SOURCE, claims);
    }
}

/// How the ranks share the model. The stage of an option makes DeepSpeed's configuration.
fn sharding(settings: &Settings<'_>, kind: Kind, claims: &mut Claims) {
    let field = field::parallelism::SHARDING;
    match kind {
        Kind::OlmoCore => {
            claims.argument(field::FRAMEWORK, Framework::FSDP, "OLMo-core");
            claims.assume(field, Sharding::FSDP, SOURCE);
            claims.assume(field::COMPILE, true, SOURCE);
            if let Some(setting) = settings.get(&["fsdp_shard_degree"])
                && let Some(degree) = setting.number()
            {
                setting.says(claims, field, Sharding::HSDP);
                setting.says(claims, field::parallelism::SHARDING_DEGREE, degree);
            } else if settings.has(&["fsdp_num_replicas"]) {
                claims.unparsed(field);
                claims.open(field, Sharding::FSDP);
            }
            return;
        }
        Kind::Ray => claims.argument(field::FRAMEWORK, Framework::DeepSpeed, "Open Instruct"),
        Kind::Accelerate => claims.assume(field::FRAMEWORK, Framework::HuggingFace, SOURCE),
    }
    match settings
        .get(STAGES)
        .map(|setting| (setting.text().and_then(|text| deepspeed::stage(&text)), setting))
    {
        Some((Some(stage), setting)) => setting.says(claims, field, stage),
        Some((None, _)) => claims.unparsed(field),
        None if kind == Kind::Ray => claims.assume(field, Sharding::None, SOURCE),
        None => {}
    }
    claims.assume(field::offload::OPTIMIZER, false, SOURCE);
    claims.assume(field::offload::PARAMETERS, false, SOURCE);
}

/// Liger's kernels. DPO makes the logits, so it has Liger's loss only in newer copies.
fn liger(settings: &Settings<'_>, claims: &mut Claims) {
    const LIGER: Table =
        &[&flag(&["use_liger_kernel"], field::LAYER_KERNELS, Takes::Word(LayerKernels::Liger))];
    const LOSS: Table = &[&flag(&["use_liger_kernel"], field::LOSS, Takes::Word(Loss::Fused))];
    settings::read(LIGER, settings, claims);
    settings::read(LOSS, settings, claims);
}

/// Learners on Ray, and what they hold beside the trained model.
fn learners(settings: &Settings<'_>, objective: Objective, claims: &mut Claims) {
    let names = ["num_learners_per_node", "actor_num_gpus_per_node"];
    if let Some(setting) = settings.get(&names) {
        let parts = claims.get(field::parallelism::CONTEXT).map_or(1, u64::from).max(1);
        match sum(&setting) {
            Some(learners) if learners >= parts => {
                setting.says(claims, field::parallelism::DATA, learners / parts);
            }
            _ => claims.unparsed(field::parallelism::DATA),
        }
    }
    settings::read(PACKED, settings, claims);
    claims.assume(field::batch::PACKING, true, SOURCE);
    claims.assume(field::RECOMPUTE, Recompute::Full, SOURCE);
    let reference = field::roles::REFERENCE_MODEL;
    match settings.on(&["load_ref_policy"]) {
        Some(false) => claims.assume(reference, Placement::Elsewhere, SOURCE),
        stated => {
            objective::copied(reference, SOURCE, claims);
            let beta = settings.text(&["beta"]).and_then(|beta| beta.parse::<f64>().ok());
            // Between releases, a weight of zero left it out.
            if stated.is_none() && beta.is_some_and(|beta| beta <= 0.0) {
                claims.open(reference, Placement::Elsewhere);
            }
        }
    }
    if objective == Objective::PPO {
        objective::copied(field::roles::CRITIC_MODEL, SOURCE, claims);
        objective::copied(field::roles::REWARD_MODEL, SOURCE, claims);
        claims.open(field::roles::REWARD_MODEL, Placement::Elsewhere);
    }
    if settings.on(&["single_gpu_mode"]) == Some(true) {
        claims.assume(field::roles::ROLLOUT_ENGINE, Placement::Resident, SOURCE);
        settings::read(ENGINE, settings, claims);
        claims.assume(field::roles::ROLLOUT_MEMORY_PERCENT, 90, SOURCE);
    } else {
        claims.assume(field::roles::ROLLOUT_ENGINE, Placement::Elsewhere, SOURCE);
    }
}

/// The sum of a list of numbers: learners of each node.
fn sum(setting: &settings::Setting) -> Option<u64> {
    if let serde_json::Value::Array(values) = &setting.value {
        let number =
            |value: &serde_json::Value| value.as_u64().or_else(|| value.as_str().and_then(flags::number));
        return values.iter().map(number).sum();
    }
    setting.number()
}
