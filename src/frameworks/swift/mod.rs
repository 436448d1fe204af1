//! ms-swift: `swift sft --model Qwen/Qwen2.5-7B-Instruct --train_type lora …`, and its names before 3.0.
//!
//! **Recognised** by its program or module. Read from the release 3.5.3 (`swift/llm/argument`, `swift/trainers`): LoRA
//! of rank 8 with a dropout of 5 % on all linear layers in `sft`, a batch of 1, gradient checkpointing on, weights
//! loaded in bf16. The scales of four bits are quantized again, and the other weights of a quantized model keep the
//! format of the computation. Release 2.6.1 had other layers by model, and 2048 tokens. Its names (`--sft_type`,
//! `--model_id_or_path`) show the release.
//!
//! It runs one process, or those of `NPROC_PER_NODE`. A process with several accelerators has the layers of one model on all
//! of them (`swift/utils/env.py`, `is_mp`). Without `NPROC_PER_NODE` this stays open.
//!
//! `swift rlhf` trains the objective of `--rlhf_type` (default `dpo`). If all weights are trained, the reference is a copy
//! of the model (`rlhf_args.py`, `rlhf.py`). The critic of `ppo` is a trained copy of its reward model. `--task_type` names
//! classes and embeddings. The same programs on Megatron-Core are read in [`megatron`].

pub(super) mod list;
mod megatron;

use crate::command::{Launch, Target};
use crate::frameworks::hugging_face::objective::{self, Defaults};
use crate::frameworks::hugging_face::{peft, training_arguments};
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::complete;
use crate::frameworks::reading::flags::{self, Table, Takes, flag};
use crate::frameworks::reading::settings::{self, Place, Settings};
use crate::frameworks::reading::subjects::{OptionValue, Subject};
use crate::frameworks::unsloth;
use crate::job::{
    Assignment, Attention, Cause, Framework, Method, Objective, Placement, Precision, Recompute, Sharding,
    field,
};

const SOURCE: &str = "ms-swift 3.5 default";
const SECOND: &str = "ms-swift 2.6 default";

const PROGRAMS: &[&str] = &["swift sft", "swift pt", "swift rlhf"];
const MODULES: &[&str] = &["swift.cli.sft", "swift.cli.pt", RLHF];
const RLHF: &str = "swift.cli.rlhf";
/// Its files, started by their paths.
const FILES: &[&str] = &["sft.py", "pt.py", "rlhf.py"];
/// The programs of its first releases.
const FIRST: &[&str] = &["llm_sft.py", "llm_pt.py", "llm_rlhf.py", "llm_dpo.py"];

/// Where its defaults decide what else is held.
const HELD: Defaults = Defaults { source: SOURCE, beta: 0.04, engine_percent: 90, completion: 512 };
/// What `--task_type` names.
const TASKS: &[(&str, Objective)] =
    &[("seq_cls", Objective::Classification), ("embedding", Objective::Embedding)];

const FLAGS: Table = &[
    &flag(
        &["model", "model_id_or_path", "model_type", "model_name_or_path"],
        field::model::NAME,
        Takes::Text,
    ),
    &flag(&["max_length"], field::batch::SEQUENCE_LENGTH, Takes::Number),
    &flag(&["sequence_parallel_size"], field::parallelism::CONTEXT, Takes::Number),
    // Its names before 3.0.
    &flag(&["batch_size"], field::batch::MICRO_BATCH_SIZE, Takes::Number),
    &flag(&["use_flash_attn"], field::ATTENTION, Takes::Word(Attention::Flash)),
];

const DEFAULTS: &[Assignment] = &[
    field::batch::MICRO_BATCH_SIZE.is(1),
    field::RECOMPUTE.is(Recompute::Full),
    field::PRECISION.is(Precision::BF16),
    field::finetuning::RANK.is(8),
    field::finetuning::DROPOUT.is(5),
];

/// Whether the launch runs ms-swift.
pub(crate) fn recognises(launch: &Launch) -> bool {
    PROGRAMS.iter().any(|program| launch.runs_program(program))
        || MODULES.iter().any(|module| launch.runs_module(module))
        || FILES.iter().any(|file| is_file(launch, file))
        || launch.runs_script(FIRST) && FIRST_MODEL.iter().any(|name| launch.arguments.has(name))
        || megatron::recognises(launch)
}

/// The names of the model in its first releases.
const FIRST_MODEL: &[&str] = &["model_id_or_path", "model_type"];

/// Whether it is one of its files: `…/swift/cli/sft.py`.
fn is_file(launch: &Launch, name: &str) -> bool {
    let Target::Script(path) = &launch.target else { return false };
    path.strip_suffix(name).is_some_and(|folder| folder.ends_with("swift/cli/"))
}

/// Whether it is this one of its programs.
fn runs(launch: &Launch, name: &str) -> bool {
    launch.runs_program(&format!("swift {name}"))
        || launch.runs_module(&format!("swift.cli.{name}"))
        || is_file(launch, &format!("{name}.py"))
        || launch.runs_script(&[&format!("llm_{name}.py")])
}

/// Claims the settings of the launch.
pub(crate) fn read(launch: &Launch, claims: &mut Claims) {
    let settings = Settings::of(vec![Place::Options(&launch.arguments)]);
    if megatron::recognises(launch) {
        return megatron::read(launch, &settings, claims);
    }
    let tuner = settings.get(&["tuner_backend"]);
    match tuner.filter(|tuner| tuner.text().as_deref() == Some("unsloth")) {
        Some(tuner) => unsloth::loads(&tuner, claims),
        None => claims.argument(field::FRAMEWORK, Framework::HuggingFace, "swift"),
    }
    settings::read(FLAGS, &settings, claims);
    let continued = runs(launch, "pt");
    if peft::read(&settings, true, claims).is_none() {
        // The defaults of continued pretraining depend on the version.
        if continued {
            claims.open(field::finetuning::METHOD, Method::LoRA);
        } else {
            claims.assume(field::finetuning::METHOD, Method::LoRA, SOURCE);
            peft::ranks(&settings, claims);
        }
    }
    // Some of its methods have one number of bits: `eetq`, `fp8`.
    let quantizes = settings.get(&["quant_method"]).is_some_and(|method| method.truth() != Some(false));
    if quantizes && !settings.has(&["quant_bits", "quantization_bit"]) {
        Subject::Quantization.open(OptionValue::Other, false, claims);
    }
    let adapted = claims.get(field::finetuning::METHOD).is_some_and(|method| method != Method::Full);
    training_arguments::read(launch, &settings, claims);
    let parallel = launch.environment.get("NPROC_PER_NODE").is_some() || !launch.launchers.is_empty();
    if !claims.knows(field::parallelism::SHARDING) && !claims.is_open(field::parallelism::SHARDING) {
        // A process with several devices has the layers of one model on all of them.
        claims.layers_over_devices = Some(SOURCE.into());
        if parallel || launch.accelerators == 1 {
            claims.assume(field::parallelism::SHARDING, Sharding::None, SOURCE);
        } else {
            claims.open(field::parallelism::SHARDING, Sharding::FSDP);
        }
    }
    training_arguments::precision(&settings, claims);
    objective(runs(launch, "rlhf") || launch.runs_script(&["llm_dpo.py"]), HELD, &settings, claims);
    peft::keeps_precision(true, SOURCE, claims);
    training_arguments::loads_directly(SOURCE, claims);
    let frozen = launch.arguments.words().iter().any(|word| word.text.starts_with("--freeze_parameters"));
    if frozen {
        complete::leave_frozen_open(claims);
    }
    let defaults = DEFAULTS.iter().filter(|default| adapted || !field::FINETUNING.has(default.field));
    settings::assume(&defaults.copied().collect::<Vec<_>>(), SOURCE, claims);
    let second = settings.has(&["sft_type", "model_id_or_path"]);
    if second {
        claims.assume(field::batch::SEQUENCE_LENGTH, 2048, SECOND);
    } else if adapted && !settings.has(&["target_modules", "lora_target_modules"]) {
        claims.assume(field::finetuning::TARGETS, vec!["all-linear"], SOURCE);
    }
}

/// Where the teacher is, if the command says so: behind a server, on the host between its passes, or under a DeepSpeed
/// configuration of its own. Read from the release 4.6.0 (`swift/arguments/rlhf_args.py`).
fn teacher(settings: &Settings<'_>, claims: &mut Claims) {
    let placement = field::roles::TEACHER_MODEL;
    let given = |name: &str| {
        settings
            .get(&[name])
            .filter(|given| given.truth() != Some(false) && given.text().as_deref() != Some(""))
    };
    if let Some(server) = given("teacher_model_server") {
        return server.says(claims, placement, Placement::Elsewhere);
    }
    if let Some(setting) = given("offload_teacher_model").filter(|setting| setting.truth() == Some(true)) {
        return setting.says(claims, placement, Placement::Offloaded);
    }
    let Some(own) = given("teacher_deepspeed") else { return };
    match own.text().as_deref() {
        Some("zero3") => own.says(claims, placement, Placement::Sharded),
        Some("zero0" | "zero1" | "zero2" | "zero2_offload") => {
            own.says(claims, placement, Placement::Resident);
        }
        // It, or a file, may divide the weights and offload them.
        _ => claims.open(placement, Placement::Offloaded),
    }
}

/// The objective, and the models that it holds beside the trained one. `rewards`: whether it is the program `rlhf`.
fn objective(rewards: bool, held: Defaults, settings: &Settings<'_>, claims: &mut Claims) {
    if rewards {
        let named = settings.get(&["rlhf_type"]);
        let objective = match &named {
            None => Some(Objective::DPO),
            Some(setting) => setting.text().and_then(|name| flags::one_of(objective::NAMES, &name)),
        };
        let Some(objective) = objective else {
            claims.beyond = Some(Cause::ReinforcementLearning);
            return;
        };
        claims.argument(field::OBJECTIVE, objective, if named.is_some() { "--rlhf_type" } else { "rlhf" });
        teacher(settings, claims);
        objective::roles(objective, held, settings, claims);
        // The critic is a copy of the reward model, and trained like the model.
        if objective == Objective::PPO {
            objective::copied(field::roles::CRITIC_MODEL, held.source, claims);
        }
    } else if let Some(task) = settings.get(&["task_type"]) {
        match task.text().as_deref().map(str::to_ascii_lowercase).as_deref() {
            Some("causal_lm") => {}
            Some(name) => match flags::one_of(TASKS, name) {
                Some(objective) => task.says(claims, field::OBJECTIVE, objective),
                None => claims.beyond = Some(Cause::Ranking),
            },
            None => claims.beyond = Some(Cause::OtherStage),
        }
    } else if settings.has(&["num_labels"]) {
        claims.argument(field::OBJECTIVE, Objective::Classification, "--num_labels");
    }
}
