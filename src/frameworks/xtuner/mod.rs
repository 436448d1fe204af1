//! `XTuner`: `xtuner train internlm2_5_chat_7b_qlora_alpaca_e3 --deepspeed deepspeed_zero2`, and
//! `torchrun xtuner/v1/train/cli/sft.py --load-from … --dataset …`.
//!
//! **Recognised** by `xtuner train`, its module and its scripts. Read from github.com/InternLM/xtuner at b934f462
//! (`xtuner/tools/train.py`, `xtuner/configs`, `xtuner/model/sft.py`, `xtuner/v1/train/arguments`, `xtuner/v1/config/fsdp.py`).
//!
//! A configuration is a Python file of `dict(…)`. If its text is known, the arguments of these calls count; words behind
//! `--cfg-options` beat them. Otherwise its name tells the model and the method: `<model>_<method>_<data>_e<epochs>`, and its
//! batch of one packed sample of 2048 tokens is the usual one. Every configuration checkpoints and computes in fp16 or bf16.
//!
//! The version 1 divides all states with FSDP2, packs samples to 4096 tokens, recomputes, compiles, and computes the loss in
//! chunks. Its reinforcement learning is not covered.

pub(super) mod list;
mod program;

use crate::command::{Launch, Target};
use crate::frameworks::hugging_face::{objective, peft};
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::config;
use crate::frameworks::reading::flags::{Table, Takes, flag};
use crate::frameworks::reading::settings::{self, Place, Settings};
use crate::job::{
    Assignment, Attention, Cause, Framework, Loss, Method, Objective, OpenField, Optimizer, Precision,
    Recompute, Sharding, field,
};
use crate::model::known;

const SOURCE: &str = "XTuner default";
const NAMED: &str = "XTuner's configuration";

const KEYS: Table = &[
    &flag(&["pretrained_model_name_or_path"], field::model::NAME, Takes::Text),
    &flag(&["max_length"], field::batch::SEQUENCE_LENGTH, Takes::Number),
    &flag(&["batch_size"], field::batch::MICRO_BATCH_SIZE, Takes::Number),
    &flag(&["pack_to_max_length"], field::batch::PACKING, Takes::Switch(true)),
    &flag(&["sequence_parallel_size"], field::parallelism::CONTEXT, Takes::Number),
    &flag(&["max_epochs"], field::dataset::EPOCHS, Takes::Number),
];

const DEFAULTS: &[Assignment] = &[
    field::RECOMPUTE.is(Recompute::Full),
    field::ATTENTION.is(Attention::Flash),
    field::PRECISION.is(Precision::BF16),
];

/// What nearly all configurations of its own have.
const USUAL: &[Assignment] = &[
    field::batch::MICRO_BATCH_SIZE.is(1),
    field::batch::SEQUENCE_LENGTH.is(2048),
    field::batch::PACKING.is(true),
];
const USUAL_ADAPTERS: &[Assignment] = &[field::finetuning::RANK.is(64), field::finetuning::DROPOUT.is(10)];

/// The names of the version 1.
const SECOND: Table = &[
    &flag(&["load_from", "model_cfg"], field::model::NAME, Takes::Text),
    &flag(&["pack_max_length"], field::batch::SEQUENCE_LENGTH, Takes::Number),
    &flag(&["global_batch_size"], field::batch::GLOBAL_BATCH_SIZE, Takes::Number),
    &flag(&["total_step"], field::dataset::STEPS, Takes::Number),
    &flag(&["epoch_num"], field::dataset::EPOCHS, Takes::Number),
    &flag(&["fsdp_config.tp_size", "tp_size"], field::parallelism::TENSOR, Takes::Number),
    &flag(&["fsdp_config.ep_size", "ep_size"], field::parallelism::EXPERT, Takes::Number),
    &flag(&["sp_size"], field::parallelism::CONTEXT, Takes::Number),
    &flag(&["fsdp_config.cpu_offload"], field::offload::PARAMETERS, Takes::Switch(true)),
    &flag(
        &["fsdp_config.reshard_after_forward"],
        field::parallelism::RESHARD_AFTER_FORWARD,
        Takes::Switch(true),
    ),
    &flag(
        &["optim"],
        field::OPTIMIZER,
        Takes::OneOf(&[("AdamW", Optimizer::AdamW), ("Muon", Optimizer::Muon)]),
    ),
];

const SECOND_DEFAULTS: &[Assignment] = &[
    field::parallelism::SHARDING.is(Sharding::FSDP),
    field::finetuning::METHOD.is(Method::Full),
    field::PRECISION.is(Precision::BF16),
    field::ATTENTION.is(Attention::Flash),
    field::RECOMPUTE.is(Recompute::Full),
    field::LOSS.is(Loss::Chunked),
    field::COMPILE.is(true),
    field::batch::MICRO_BATCH_SIZE.is(1),
    field::batch::SEQUENCE_LENGTH.is(4096),
    field::batch::PACKING.is(true),
    field::offload::PARAMETERS.is(false),
];

/// Words of a configuration's name behind the model's, with the method.
const METHODS: &[(&str, Method)] =
    &[("qlora", Method::QLoRA), ("lora", Method::LoRA), ("full", Method::Full)];
/// Words of a configuration's name with the objective. They may stand before the method.
const OBJECTIVES: &[(&str, Objective)] =
    &[("dpo", Objective::DPO), ("orpo", Objective::ORPO), ("reward", Objective::Reward)];

/// Whether it is its launch.
pub(crate) fn recognises(launch: &Launch) -> bool {
    is_first(launch) || second(launch).is_some()
}

fn is_first(launch: &Launch) -> bool {
    launch.runs_program("xtuner train")
        || launch.runs_module("xtuner.tools.train")
        || matches!(&launch.target, Target::Script(path) if path.ends_with("xtuner/tools/train.py"))
}

/// The program of the version 1: `sft` or `rl`.
fn second(launch: &Launch) -> Option<&'static str> {
    ["sft", "rl"].into_iter().find(|name| {
        launch.runs_module(&format!("xtuner.v1.train.cli.{name}"))
            || matches!(&launch.target, Target::Script(path)
                if path.ends_with(&format!("xtuner/v1/train/cli/{name}.py")))
    })
}

/// Claims the settings of the launch.
pub(crate) fn read(launch: &Launch, claims: &mut Claims) {
    match second(launch) {
        Some(name) => read_second(launch, name, claims),
        None => read_first(launch, claims),
    }
}

fn read_first(launch: &Launch, claims: &mut Claims) {
    claims.assume(field::FRAMEWORK, Framework::HuggingFace, SOURCE);
    let processes = launch.environment.get("NPROC_PER_NODE").and_then(|each| each.parse().ok());
    claims.processes_per_node = claims.processes_per_node.or(processes);
    let mut settings = Settings::of(vec![Place::GroupedWords(&launch.arguments)]);
    let named = configuration(launch);
    let file = named.and_then(|path| launch.files.meant(path));
    let known = file.and_then(|file| program::read(file, claims));
    let is_known = known.is_some();
    if let Some(config) = known {
        settings.add(Place::File(config));
    }
    settings::read(KEYS, &settings, claims);
    settings::accumulation(&settings, &["accumulative_counts"], claims);
    if is_known {
        trained(&settings, claims);
    } else if let Some(named) = named {
        by_name(named, claims);
    }
    settings::assume(DEFAULTS, SOURCE, claims);
    if !launch.arguments.has("deepspeed") {
        claims.assume(field::parallelism::SHARDING, Sharding::None, SOURCE);
    }
}

/// The configuration: the first word that is no option.
fn configuration(launch: &Launch) -> Option<&str> {
    let words = launch.arguments.words().iter().filter(|word| word.known && word.text != "train");
    words.map(|word| word.text.as_str()).take(1).find(|text| !text.starts_with('-'))
}

/// All weights, or adapters, as the configuration's text says.
fn trained(settings: &Settings<'_>, claims: &mut Claims) {
    match settings.get(&["r"]) {
        Some(by) => peft::adapters(settings, &by, false, claims),
        None => claims.assume(field::finetuning::METHOD, Method::Full, SOURCE),
    }
    if claims.get(field::finetuning::METHOD).is_some_and(|method| method != Method::Full) {
        claims.assume(field::finetuning::TARGETS, vec!["all-linear"], SOURCE);
    }
}

/// What the name of a configuration says that is not known, or is one of its own.
fn by_name(path: &str, claims: &mut Claims) {
    let name = path.rsplit('/').next().unwrap_or(path).trim_end_matches(".py").to_lowercase();
    let words: Vec<&str> = name.split('_').collect();
    let at = |word: &&str| {
        METHODS.iter().any(|(known, _)| known == word) || OBJECTIVES.iter().any(|(known, _)| known == word)
    };
    let end = words.iter().position(at).unwrap_or(words.len());
    let tuned = ["chat", "base", "instruct", "sft"];
    let model: Vec<&str> = words.iter().take(end).filter(|word| !tuned.contains(word)).copied().collect();
    let model = model.join("_");
    if known::find(&model).is_some() {
        claims.argument(field::model::NAME, model, NAMED);
    }
    match METHODS.iter().find(|(word, _)| words.contains(word)) {
        Some((_, method)) => claims.argument(field::finetuning::METHOD, *method, NAMED),
        None => claims.open(field::finetuning::METHOD, Method::QLoRA),
    }
    if let Some((_, objective)) = OBJECTIVES.iter().find(|(word, _)| words.contains(word)) {
        claims.argument(field::OBJECTIVE, *objective, NAMED);
        if *objective == Objective::DPO {
            objective::reference(SOURCE, claims);
        }
    }
    if claims.get(field::finetuning::METHOD).is_some_and(|method| method != Method::Full) {
        claims.assume(field::finetuning::TARGETS, vec!["all-linear"], SOURCE);
        settings::assume(USUAL_ADAPTERS, NAMED, claims);
    }
    length_by_name(words.get(end..).unwrap_or_default(), claims);
    settings::assume(USUAL, NAMED, claims);
    claims.open(field::batch::MICRO_BATCH_SIZE, 1);
    claims.open(field::parallelism::CONTEXT, 8);
}

/// The tokens and the division of a sequence that the end of a name tells: `256k_sp8`. Other names have from 512 to 32768
/// tokens, and the file may be one of the user's own.
fn length_by_name(words: &[&str], claims: &mut Claims) {
    /// The most tokens of a configuration whose name tells no length.
    const LONGEST: u64 = 32_768;
    const UNITS: &[(char, u64)] = &[('k', 1 << 10), ('m', 1 << 20)];
    let tokens = words.iter().find_map(|word| {
        let (number, unit) = UNITS.iter().find_map(|(unit, size)| Some((word.strip_suffix(*unit)?, size)))?;
        number.parse::<u64>().ok()?.checked_mul(*unit)
    });
    if let Some(tokens) = tokens {
        claims.argument(field::batch::SEQUENCE_LENGTH, tokens, NAMED);
    }
    let parts = words.iter().find_map(|word| word.strip_prefix("sp")?.parse::<u64>().ok());
    if let Some(parts) = parts {
        claims.argument(field::parallelism::CONTEXT, parts, NAMED);
    }
    claims.open(field::batch::TYPICAL_SEQUENCE_LENGTH, 64);
    claims.open_field(OpenField {
        field: field::batch::SEQUENCE_LENGTH.into(),
        leanest: None,
        heaviest: Some(tokens.unwrap_or(LONGEST).into()),
        although_given: true,
    });
}

fn read_second(launch: &Launch, program: &str, claims: &mut Claims) {
    claims.argument(field::FRAMEWORK, Framework::FSDP, "xtuner");
    if program == "rl" {
        claims.beyond = claims.beyond.or(Some(Cause::ReinforcementLearning));
    }
    let settings = Settings::of(vec![Place::Options(&launch.arguments)]);
    if let Some(path) = settings.text(&["config"]) {
        // A Python file makes the trainer. It is not read.
        let _ = config::named(launch, &path, "--config", claims);
        claims.open(field::parallelism::SHARDING, Sharding::FSDP);
        claims.open(field::offload::PARAMETERS, true);
        return;
    }
    settings::read(SECOND, &settings, claims);
    if settings.has(&["fsdp_config.hsdp_sharding_size"]) {
        claims.unparsed(field::parallelism::SHARDING);
        claims.open(field::parallelism::SHARDING, Sharding::FSDP);
    }
    if settings.text(&["fsdp_config.recompute_ratio"]).is_some_and(|ratio| ratio != "1.0" && ratio != "1") {
        claims.unparsed(field::RECOMPUTE);
        claims.open(field::RECOMPUTE, Recompute::Full);
    }
    settings::assume(SECOND_DEFAULTS, SOURCE, claims);
}
