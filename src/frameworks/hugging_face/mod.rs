//! Programs on Hugging Face's Trainer: Transformers' examples, TRL, fms-hf-tuning, and users' own scripts.
//!
//! | program | recognised by | defaults |
//! | --- | --- | --- |
//! | Transformers' examples | `run_clm.py`, `run_fim.py` | all weights, no checkpointing |
//! | the same, for models with an encoder | `run_translation.py`, `run_summarization.py`, `run_speech_recognition_seq2seq.py` | 1024 tokens read, 128 written; of speech, 448 written |
//! | optimum-habana | `run_lora_clm.py` | LoRA of rank 8 with a dropout of 5 %, 512 tokens |
//! | TRL | `trl dpo`, `trl.scripts.dpo`, `trl/scripts/dpo.py`, `examples/scripts/dpo.py`, the alignment handbook's `run_dpo.py`, `open_r1/grpo.py` | all weights, checkpointing, 1024 tokens, adapters of rank 16 with a dropout of 5 % |
//! | fms-hf-tuning | `tuning.sft_trainer`, or `SFT_TRAINER_CONFIG_JSON_PATH` in the environment | all weights, bf16, flash attention, 4096 tokens, adapters with a dropout of 5 % |
//! | a custom script | its arguments or its configuration have `per_device_train_batch_size`, a model's name, and one more name of `TrainingArguments` | none |
//!
//! Read from the releases Transformers 4.57.1, TRL 0.19.1 and 0.24.0 and fms-hf-tuning 3.1.0, and from optimum-habana's
//! `examples/language-modeling/run_lora_clm.py` at 0079ad09. TRL turned checkpointing on between the two releases, so a
//! job may still run without it: that is its upper bound. The layers with adapters stay open, since PEFT chooses them by
//! architecture. The file of
//! fms-acceleration may fuse the loss and quantize the weights ([`acceleration`]). A custom script may set adapters and
//! offloading in Python, so these stay open, too.
//!
//! Without a launcher, one process may split the model over its accelerators (`device_map="auto"`) or copy it to each.
//! This stays open, too.

mod acceleration;
mod departures;
mod lightning;
pub(super) mod lists;
pub(crate) mod objective;
mod parts;
pub(crate) mod peft;
pub(super) mod profile;
mod script;
pub(crate) mod training_arguments;
mod training_loop;

use serde_json::json;

use crate::command::{Launch, Target};
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::complete;
use crate::frameworks::reading::config;
use crate::frameworks::reading::flags::{Table, Takes, flag};
use crate::frameworks::reading::options::List;
use crate::frameworks::reading::settings::{self, Place, Settings};
use crate::frameworks::{
    accelerate, axolotl, deepspeed, deepspeed_chat, instructlab, llama_factory, nemo_rl, open_instruct, oumi,
    swift, torchtune, unsloth,
};
use crate::job::{
    Attention, Framework, Loss, Method, Objective, OpenField, Precision, Recompute, Sharding, field,
};

const TRAINER: &str = "transformers 4.57 default";
const TRL: &str = "TRL 0.24 default";
const FMS: &str = "fms-hf-tuning 3.1 default";
const HABANA: &str = "optimum-habana default";

/// The source of what a program's name says.
pub(super) const PROGRAM_NAME: &str = "the program's name";

/// The variable that names fms-hf-tuning's configuration.
const FMS_CONFIG: &str = "SFT_TRAINER_CONFIG_JSON_PATH";

const MODEL: &[&str] = &[
    "model_name_or_path",
    "model_name",
    "model_id",
    "base_model",
    "model_path",
    "pretrained_model",
    "model.name",
];
const LENGTH: &[&str] = &[
    "max_seq_length",
    "max_length",
    "block_size",
    "model_max_length",
    "max_seq_len",
    "seq_length",
    "cutoff_len",
];
const FLAGS: Table = &[
    &flag(MODEL, field::model::NAME, Takes::Text),
    &flag(LENGTH, field::batch::SEQUENCE_LENGTH, Takes::Number),
    &flag(&["activation_offloading"], field::offload::ACTIVATIONS, Takes::Switch(true)),
];
/// Further names of `TrainingArguments`. A custom script has one of them beside the batch of a device and the model.
const FURTHER: &[&str] = &[
    "output_dir",
    "gradient_accumulation_steps",
    "learning_rate",
    "num_train_epochs",
    "max_steps",
    "warmup_ratio",
    "lr_scheduler_type",
];
/// Transformers' examples for models with an encoder. Some exist without the Trainer, with the same names of options.
const TEXT_TO_TEXT: &[&str] = &[
    "run_translation.py",
    "run_summarization.py",
    "run_translation_no_trainer.py",
    "run_summarization_no_trainer.py",
];
const SPEECH_TO_TEXT: &[&str] = &["run_speech_recognition_seq2seq.py"];
const CONFIGS: &[&str] = &["config", "config_file", "config_path", "cfg"];
/// Prefixes of flags that freeze a part of the model.
const FREEZES: &[&str] = &["--freeze", "--unfreeze", "--tune_", "--tune-", "--train_only"];

/// The project that the program belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    Transformers,
    Habana,
    Trl,
    Fms,
    /// Whose Python text is known.
    Script,
    Own,
}

/// The options that these programs know.
pub(super) const LISTS: &[&List] = &[
    &lists::TRANSFORMERS,
    &lists::TRL,
    &lists::EXAMPLES,
    &lists::PEFT,
    &lists::FMS_HF_TUNING,
    &lists::OPTIMUM_HABANA,
    &accelerate::list::LIST,
    &deepspeed::list::LIST,
];

/// Whether the program takes no other options. A custom script has its own.
pub(super) fn refuses_others(launch: &Launch) -> bool {
    whose(launch).is_some_and(|whose| whose != Whose::Own)
}

/// Whether the launch runs such a program.
pub(crate) fn recognises(launch: &Launch) -> bool {
    whose(launch).is_some()
}

fn whose(launch: &Launch) -> Option<Whose> {
    let lies_in = |folder: &str, file: &str| match &launch.target {
        Target::Script(path) => path.ends_with(&format!("{folder}/{file}")),
        _ => false,
    };
    let scripted = matches!(launch.target, Target::Script(_) | Target::Module(_));
    let fms = launch.runs_module("tuning.sft_trainer")
        || lies_in("tuning", "sft_trainer.py")
        || launch.runs_script(&["accelerate_launch.py"]) && launch.environment.get(FMS_CONFIG).is_some()
        || !scripted && launch.arguments.words().is_empty() && launch.environment.get(FMS_CONFIG).is_some();
    let trl = trl_objective(launch).is_some() && !nemo_rl::recognises(launch);
    if fms {
        Some(Whose::Fms)
    } else if trl {
        Some(Whose::Trl)
    } else if launch.runs_script(&["run_clm.py", "run_fim.py"])
        || launch.runs_script(TEXT_TO_TEXT)
        || launch.runs_script(SPEECH_TO_TEXT)
    {
        Some(Whose::Transformers)
    } else if launch.runs_script(&["run_lora_clm.py"]) {
        Some(Whose::Habana)
    } else if script::of(launch).is_some() {
        Some(Whose::Script)
    } else {
        let others = [
            llama_factory::recognises,
            axolotl::recognises,
            swift::recognises,
            torchtune::recognises,
            oumi::recognises,
            unsloth::recognises,
            instructlab::recognises,
            deepspeed_chat::recognises,
            open_instruct::recognises,
        ];
        let options_alone = launch.target == Target::Unknown && launch.arguments.options() > 1;
        let scripted = (scripted || options_alone) && !others.iter().any(|recognises| recognises(launch));
        let own = scripted && is_trainers(&settings_of(launch, Whose::Own, &mut Claims::default()));
        own.then_some(Whose::Own)
    }
}

/// The objective of TRL's program, by the program's name.
fn trl_objective(launch: &Launch) -> Option<Objective> {
    let named = |name: &str| objective::NAMES.iter().find(|(known, _)| *known == name).map(|(_, of)| *of);
    match &launch.target {
        Target::Program(_) => objective::NAMES
            .iter()
            .find(|(name, _)| launch.runs_program(&format!("trl {name}")))
            .map(|(_, objective)| *objective),
        Target::Module(module) => named(module.strip_prefix("trl.scripts.")?),
        Target::Script(path) => {
            let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
            let name = file.strip_suffix(".py")?;
            let is_theirs =
                ["trl/scripts", "examples/scripts", "open_r1"].iter().any(|own| folder.ends_with(own));
            let handbooks = ["sft", "dpo", "orpo", "kto"];
            let handbooks = name.strip_prefix("run_").filter(|name| handbooks.contains(name));
            named(handbooks.or_else(|| is_theirs.then_some(name))?)
        }
        Target::Unknown => None,
    }
}

/// Whether the settings can only be `TrainingArguments`.
fn is_trainers(settings: &Settings<'_>) -> bool {
    settings.has(&["per_device_train_batch_size"])
        && (settings.has(MODEL) || settings.has(parts::JOINED))
        && FURTHER.iter().any(|name| settings.has(&[name]))
}

/// The settings of its arguments, then of its configuration.
fn settings_of<'a>(launch: &'a Launch, whose: Whose, claims: &mut Claims) -> Settings<'a> {
    let mut settings = Settings::of(vec![Place::Options(&launch.arguments)]);
    if whose == Whose::Fms {
        if let Some(path) = launch.environment.get(FMS_CONFIG)
            && let Some(config) = config::named(launch, path, FMS_CONFIG, claims)
        {
            settings.add(Place::File(config));
        }
        acceleration::add(launch, &mut settings, claims);
        return settings;
    }
    let path = path_of_options(launch, &settings);
    if let Some(path) = path.filter(|path| config::is_config(path))
        && let Some(mut config) = config::named(launch, &path, "--config", claims)
    {
        if whose == Whose::Own {
            config.flatten();
            settings.add(Place::GroupedWords(&launch.arguments));
        }
        settings.add(Place::File(config));
    }
    settings
}

/// The path of the file of options: by a usual name, as a word by itself, or by an option of any name that gives a known file with
/// the Trainer's batch.
fn path_of_options(launch: &Launch, settings: &Settings<'_>) -> Option<String> {
    const BATCH: &str = "per_device_train_batch_size";
    let values = launch.arguments.words().iter().filter(|word| word.known);
    let mut values =
        values.map(|word| word.text.rsplit_once('=').map_or(word.text.as_str(), |(_, value)| value));
    let positional = || config::positional(&launch.arguments).map(str::to_owned);
    let holds = |path: &&str| {
        config::is_config(path) && launch.files.meant(path).is_some_and(|file| file.text.contains(BATCH))
    };
    let named = settings.text(CONFIGS).or_else(positional);
    named.or_else(|| values.find(holds).map(str::to_owned))
}

/// The file of options that a launch names, if it is known.
fn file_of_options(launch: &Launch, settings: &Settings<'_>, claims: &mut Claims) -> Option<config::Config> {
    let path = path_of_options(launch, settings)
        .filter(|path| config::is_config(path) && launch.files.meant(path).is_some())?;
    config::named(launch, &path, "--config", claims)
}

/// Whether the launch names a configuration that we do not know. It may set any field.
fn lacks_its_file(launch: &Launch, settings: &Settings<'_>) -> bool {
    path_of_options(launch, settings)
        .is_some_and(|path| config::is_config(&path) && launch.files.meant(&path).is_none())
}

/// Claims the settings of the launch.
pub(crate) fn read(launch: &Launch, claims: &mut Claims) {
    let Some(whose) = whose(launch) else { return };
    if whose == Whose::Script {
        return script::of(launch).iter().for_each(|said| script::read(launch, said, claims));
    }
    let settings = settings_of(launch, whose, claims);
    let named = match whose {
        Whose::Transformers | Whose::Habana => "transformers Trainer",
        Whose::Trl => "TRL",
        Whose::Fms => "fms-hf-tuning",
        Whose::Script | Whose::Own => "--per_device_train_batch_size",
    };
    claims.argument(field::FRAMEWORK, Framework::HuggingFace, named);
    settings::read(FLAGS, &settings, claims);
    if whose == Whose::Own || launch.runs_script(TEXT_TO_TEXT) {
        training_arguments::lengths(&settings, claims);
    }
    written_and_read(launch, claims);
    if whose == Whose::Trl && lacks_its_file(launch, &settings) {
        own(claims);
    }
    trained(&settings, whose, claims);
    training_arguments::read(launch, &settings, claims);
    sharding(launch, &settings, whose, claims);
    training_arguments::precision(&settings, claims);
    objective_by(named, launch, &settings, whose, claims);
    if whose != Whose::Own {
        claims.assume(field::batch::MICRO_BATCH_SIZE, 8, TRAINER);
        training_arguments::steps_at_once(&settings, claims);
    }
    if matches!(whose, Whose::Transformers | Whose::Trl) {
        training_arguments::loaded_unasked(&settings, TRAINER, claims);
    }
    usual(launch, &settings, whose, claims);
}

/// The objective of TRL's program, or of an own program's name.
fn objective_by(named: &str, launch: &Launch, settings: &Settings<'_>, whose: Whose, claims: &mut Claims) {
    let objective = match whose {
        Whose::Trl => trl_objective(launch),
        Whose::Own => objective::of_name(launch),
        Whose::Transformers | Whose::Habana | Whose::Fms | Whose::Script => None,
    };
    if let Some(objective) = objective.filter(|objective| *objective != Objective::Supervised) {
        let named = if whose == Whose::Own { PROGRAM_NAME } else { named };
        claims.argument(field::OBJECTIVE, objective, named);
        objective::roles(objective, objective::TRL, settings, claims);
    }
}

/// What the program does without being told.
fn usual(launch: &Launch, settings: &Settings<'_>, whose: Whose, claims: &mut Claims) {
    match whose {
        Whose::Transformers => claims.assume(field::RECOMPUTE, Recompute::None, TRAINER),
        Whose::Habana => {
            settings::assume(
                &[field::RECOMPUTE.is(Recompute::None), field::batch::SEQUENCE_LENGTH.is(512)],
                HABANA,
                claims,
            );
        }
        Whose::Trl => {
            claims.assume(field::batch::SEQUENCE_LENGTH, 1024, TRL);
            checkpointed_by_trl(claims);
            // Trainers of TRL 1.16 fuse the output layer and the loss. The version is not known.
            claims.open(field::LOSS, Loss::Fused);
            // It casts embedding and output layer back after PEFT.
            peft::keeps_precision(false, TRL, claims);
        }
        Whose::Fms => fms(settings, claims),
        Whose::Script => {}
        Whose::Own => {
            training_arguments::own_sharding(settings, claims);
            if !claims.gives(field::RECOMPUTE) {
                training_arguments::recompute(settings, training_arguments::OWN_CHECKPOINTING, claims);
            }
            own(claims);
            parts(launch, settings, claims);
        }
    }
}

/// Whether it is a program for images whose options say which parts it trains.
pub(super) fn trains_parts(launch: &Launch) -> bool {
    parts::tells(launch) && recognises(launch)
}

/// Which parts are trained. Parts that no table knows are not covered.
fn parts(launch: &Launch, settings: &Settings<'_>, claims: &mut Claims) {
    if parts::read(settings, claims).is_some() {
        return;
    }
    let freezes = |text: &str| FREEZES.iter().any(|begin| text.starts_with(begin));
    if launch.arguments.words().iter().any(|word| freezes(&word.text)) {
        complete::leave_frozen_open(claims);
    }
}

fn trained(settings: &Settings<'_>, whose: Whose, claims: &mut Claims) {
    let told = peft::read(settings, whose == Whose::Trl, claims);
    match (whose, told) {
        (Whose::Habana, _) => {
            claims.assume(field::finetuning::METHOD, Method::LoRA, HABANA);
            settings::assume(
                &[field::finetuning::RANK.is(8), field::finetuning::DROPOUT.is(5)],
                HABANA,
                claims,
            );
        }
        (Whose::Trl, Some(())) if adapted(claims) => {
            settings::assume(
                &[field::finetuning::RANK.is(16), field::finetuning::DROPOUT.is(5)],
                TRL,
                claims,
            );
        }
        (Whose::Fms, Some(())) if adapted(claims) => claims.assume(field::finetuning::DROPOUT, 5, FMS),
        (_, Some(())) | (Whose::Script | Whose::Own, None) => {}
        (Whose::Transformers, None) => claims.assume(field::finetuning::METHOD, Method::Full, TRAINER),
        (Whose::Trl, None) => claims.assume(field::finetuning::METHOD, Method::Full, TRL),
        (Whose::Fms, None) => claims.assume(field::finetuning::METHOD, Method::Full, FMS),
    }
}

/// The lengths of Transformers' examples for models with an encoder. Whisper writes up to 448 tokens, by its positions.
fn written_and_read(launch: &Launch, claims: &mut Claims) {
    if launch.runs_script(TEXT_TO_TEXT) {
        settings::assume(
            &[field::batch::SOURCE_LENGTH.is(1024), field::batch::SEQUENCE_LENGTH.is(128)],
            TRAINER,
            claims,
        );
    } else if launch.runs_script(SPEECH_TO_TEXT) {
        claims.assume(field::batch::SEQUENCE_LENGTH, 448, TRAINER);
    }
}

/// Whether adapters are trained. `None` if this is open.
fn adapted(claims: &Claims) -> bool {
    claims.get(field::finetuning::METHOD).is_none_or(|method| method != Method::Full)
}

/// How the ranks share the model if neither the program nor its launcher sets it.
fn sharding(launch: &Launch, settings: &Settings<'_>, whose: Whose, claims: &mut Claims) {
    if let Some(preset) = settings.text(&["accelerate_config"]) {
        match preset.as_str() {
            "fsdp1" | "fsdp2" => {
                claims.argument(field::parallelism::SHARDING, Sharding::FSDP, "--accelerate_config");
            }
            "zero1" => claims.argument(field::parallelism::SHARDING, Sharding::ZeRO1, "--accelerate_config"),
            "zero2" => claims.argument(field::parallelism::SHARDING, Sharding::ZeRO2, "--accelerate_config"),
            "zero3" => claims.argument(field::parallelism::SHARDING, Sharding::ZeRO3, "--accelerate_config"),
            "single_gpu" | "multi_gpu" => {
                claims.argument(field::parallelism::SHARDING, Sharding::None, "--accelerate_config");
            }
            path => match config::named(launch, path, "--accelerate_config", claims) {
                Some(config) => accelerate::of_file(launch, config, claims),
                None => deepspeed::unknown(claims),
            },
        }
    } else if whose == Whose::Trl && matches!(launch.target, Target::Program(_)) {
        accelerate::of_default_file(launch, claims);
    }
    let decided = claims.knows(field::parallelism::SHARDING) || claims.is_open(field::parallelism::SHARDING);
    let launcher = launch.launchers.last().map(|launcher| launcher.name.as_str());
    match launcher {
        _ if decided || whose == Whose::Own => {}
        Some(name) if name.contains("torchrun") || name.contains("torch.distributed") => {
            claims.assume(field::parallelism::SHARDING, Sharding::None, TRAINER);
        }
        Some("gaudi_spawn.py") if !launch.launchers.iter().any(|l| l.arguments.has("use_deepspeed")) => {
            claims.assume(field::parallelism::SHARDING, Sharding::None, HABANA);
        }
        Some(_) => {}
        // With several accelerators, its entrypoint starts fms-hf-tuning with accelerate and full sharding.
        None if whose == Whose::Fms && starts_itself(launch) => {
            claims.assume(field::parallelism::SHARDING, Sharding::FSDP, FMS);
        }
        None if launch.accelerators == 1 => {
            claims.assume(field::parallelism::SHARDING, Sharding::None, TRAINER);
        }
        None => claims.open(field::parallelism::SHARDING, Sharding::FSDP),
    }
}

/// Whether it is fms-hf-tuning's entrypoint, which starts the trainer.
fn starts_itself(launch: &Launch) -> bool {
    launch.runs_script(&["accelerate_launch.py"])
        || !matches!(&launch.target, Target::Script(_) | Target::Module(_))
}

fn fms(settings: &Settings<'_>, claims: &mut Claims) {
    if let Some(setting) = settings.get(&["use_flash_attn"]) {
        match setting.truth() {
            Some(true) => setting.says(claims, field::ATTENTION, Attention::Flash),
            // The other kernel depends on the model.
            _ => claims.unparsed(field::ATTENTION),
        }
    }
    acceleration::read(settings, claims);
    let mixed = claims.knows(field::PRECISION);
    if !settings.has(&["torch_dtype"]) && training_arguments::stays_as_loaded(mixed, claims) {
        claims.assume(field::PARAMETER_PRECISION, Precision::BF16, FMS);
    }
    let defaults = [
        field::batch::SEQUENCE_LENGTH.is(4096),
        field::ATTENTION.is(Attention::Flash),
        field::PRECISION.is(Precision::BF16),
    ];
    settings::assume(&defaults, FMS, claims);
    settings::assume(&[field::RECOMPUTE.is(Recompute::None), field::batch::PACKING.is(false)], FMS, claims);
}

/// Checkpointing is TRL's default since 2025. The version is not known, so the job may be without it.
fn checkpointed_by_trl(claims: &mut Claims) {
    claims.assume(field::RECOMPUTE, Recompute::Full, TRL);
    let [leanest, heaviest] = [Recompute::Full, Recompute::None].map(|recompute| Some(json!(recompute)));
    claims.open_field(OpenField { field: field::RECOMPUTE.into(), leanest, heaviest, although_given: false });
}

/// The fields that a custom script may set where we cannot read them.
fn own(claims: &mut Claims) {
    claims.open(field::finetuning::METHOD, Method::QLoRA);
    deepspeed::unknown(claims);
}
