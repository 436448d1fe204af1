//! Programs of people's own on Transformers, TRL, PEFT and Unsloth, read from their Python text.
//!
//! The calls of a program become the settings that options and configuration files have elsewhere:
//!
//! | call | settings |
//! | --- | --- |
//! | `TrainingArguments(…)`, `SFTConfig(…)` and the other configurations of TRL | the keyword arguments, under their names |
//! | `AutoModelForCausalLM.from_pretrained("id", …)`, `FastLanguageModel.from_pretrained(…)` | the model, its format, its bits, the attention's kernel, Unsloth's length |
//! | `AutoModelForSequenceClassification.from_pretrained("id")`, and for tokens, answers and choices | the same, and the objective: classification |
//! | `Qwen3ForCausalLM(Qwen3Config(…))` and `from_config` of such a configuration | a model of its own ([`new_model`]) |
//! | `BitsAndBytesConfig(…)`, if a model is loaded with it | the bits |
//! | `LoraConfig(…)`, `FastLanguageModel.get_peft_model(model, …)` | adapters, their rank and layers |
//! | `SFTTrainer(…)`, `Trainer(…)` | the model by name, its bits, the adapters, the length and the packing of TRL before 0.13 |
//! | `model.gradient_checkpointing_enable()`, `prepare_model_for_kbit_training(model)`, PyTorch's `apply_activation_checkpointing(model)` | checkpointing |
//!
//! [`super::departures`] are the programs whose settings do not tell what is trained.
//!
//! A program without a trainer is read if it has a loop of its own ([`super::training_loop`]).
//!
//! A value that does not follow from literals is [`unknown`]: it is given, and its field stays open. So is a setting that
//! two calls give differently, and one that the program may change later. An argument of these calls that is none of the
//! settings above is a word like an option that no reader asks for: its name tells which fields it opens. Arguments that
//! are not known at all (`SFTTrainer(**settings)`) leave the adapters and the bits open.
//!
//! The program is read as a whole. So adapters that it does not make are not there, unless it imports a module of its
//! own: that module may make them.
//!
//! Read from the signatures of Transformers 4.57.1, TRL 0.24.0, PEFT 0.17.1 and Unsloth 2025.10. TRL's trainers take
//! `quantization_config` since f2cd57710 (July 2026: `sft_trainer.py`, `dpo_trainer.py`, `grpo_trainer.py`,
//! `reward_trainer.py`), and `model_init_kwargs` of their configurations goes to `from_pretrained`.

mod calls;
mod claims;
mod new_model;
mod packages;
mod trained;

use serde_json::{Map, Value as Json};

use self::calls::{CallSettings, loads_unsloth};
pub(super) use self::calls::{loads_classifier, loads_model};
pub(super) use self::claims::read;
pub(super) use self::new_model::is_made;
use self::packages::has_own_modules;
use self::trained::{Trained, made};
use super::{departures, lightning, training_loop};
use crate::command::Launch;
use crate::frameworks::reading::config::{Config, unknown};
use crate::job::{Cause, Objective};
use crate::python::{Call, Program, Value};

/// What a program says, as settings.
pub(super) struct Said {
    /// Its settings, as a configuration.
    pub(super) settings: Config,
    /// The options that it declares, with their defaults.
    pub(super) declared: Config,
    /// The configuration of the model, if the program writes it.
    pub(super) model: Option<Config>,
    /// The objective, if it is not the next token's alone.
    pub(super) objective: Option<Objective>,
    /// Why its trainer is not covered.
    pub(super) other_trainer: Option<Cause>,
    /// Whether its trainer computes a loss of its own.
    pub(super) has_own_loss: bool,
    /// Whether Ray starts a process for each device.
    pub(super) by_ray: bool,
    /// Whether it pads every sample to the longest length.
    pub(super) pads: bool,
    /// Whether it uses TRL's defaults.
    pub(super) is_trl: bool,
    /// Whether it may train adapters that are not read.
    pub(super) may_adapt: bool,
    /// Whether its trainer may be given adapters that are not read.
    pub(super) may_take_adapters: bool,
    /// Why the estimate does not cover what it does to its model or its optimizer.
    pub(super) departs: Option<Cause>,
    /// Whether it may freeze a part of its model.
    pub(super) freezes: bool,
    /// Whether it takes `TrainingArguments` from the command line.
    pub(super) parses_options: bool,
    /// Whether Unsloth loads its model.
    pub(super) is_unsloth: bool,
    /// Whether it has a training loop of its own.
    pub(super) is_loop: bool,
}

impl Said {
    /// Whether its text alone tells the model.
    fn names_its_model(&self) -> bool {
        self.model.is_some() || self.settings.tree.get("model_name_or_path").is_some_and(Json::is_string)
    }

    /// The settings whose values are unknown, and the others.
    fn settings_apart(&self) -> (Config, Config) {
        let keys = self.settings.tree.as_object().into_iter().flatten();
        let (unknown, known): (Map<_, _>, Map<_, _>) =
            keys.map(|(key, value)| (key.clone(), value.clone())).partition(|(_, value)| *value == unknown());
        let part = |keys| Config { tree: Json::Object(keys), ..self.settings.clone() };
        (part(unknown), part(known))
    }
}

/// What the program of a launch says, if it trains with a trainer or a loop that is read.
pub(super) fn of(launch: &Launch) -> Option<Said> {
    let script = launch.script.as_ref()?;
    let program = script.program.as_ref()?;
    let trained = Trained::find(program)?;
    let classifies = classifies(program, &trained);
    let settings = settings(launch, program, &trained, classifies);
    let objective = trained.named_objective().or(classifies.then_some(Objective::Classification));
    let makes_adapters = || made(program).any(|call| call.name().contains("Peft"));
    Some(Said {
        is_trl: trained.is_trl(),
        by_ray: trained.by_ray,
        pads: !trained.is_trl() && pads(program),
        may_adapt: !settings.contains_key("use_peft") && (has_own_modules(program) || makes_adapters()),
        may_take_adapters: trained.may_take_adapters(),
        departs: departures::cause(program),
        freezes: departures::freezes(program),
        parses_options: made(program).any(|call| parses_dataclasses(call.name())),
        is_unsloth: made(program).any(loads_unsloth),
        is_loop: trained.is_loop(),
        settings: Config::new(script.source.clone(), Json::Object(settings)),
        declared: Config::new(script.source.clone(), Json::Object(declared(program))),
        model: new_model(program).map(|tree| Config::new(script.source.clone(), tree)),
        other_trainer: trained.why_not_covered(),
        has_own_loss: trained.has_own_loss,
        objective: objective.filter(|objective| *objective != Objective::Supervised),
    })
}

/// The configuration of the only model that the program makes, if it loads none.
fn new_model(program: &Program) -> Option<Json> {
    let makes = |call: &&Call| is_made(call) || call.name() == "from_config";
    let mut models = made(program).filter(makes);
    let model = models.next().filter(|_| models.next().is_none())?;
    let loads = made(program).any(|call| loads_model(call) || loads_classifier(call));
    new_model::of(model, program).filter(|_| !loads)
}

/// Whether the model that a program trains is a classifier. Beside another model, and in reinforcement learning, a
/// classifier scores samples.
fn classifies(program: &Program, trained: &Trained<'_>) -> bool {
    let trains = matches!(trained.named_objective(), None | Some(Objective::Reward));
    trains && made(program).any(loads_classifier) && !made(program).any(loads_model)
}

/// The settings that the calls of a program give.
fn settings(
    launch: &Launch,
    program: &Program,
    trained: &Trained<'_>,
    classifies: bool,
) -> Map<String, Json> {
    let mut settings = CallSettings::new(program, classifies);
    for call in made(program) {
        if trained.has_settings(call) {
            settings.trainer(call);
        } else {
            settings.read(call);
        }
    }
    if program.sets.contains("quantization_config") {
        settings.quantized_elsewhere();
    }
    if trained.is_loop() {
        training_loop::settings(program, |key, value| settings.put(key, value));
    }
    if let Some(trainer) = trained.lightning {
        lightning::settings(program, trainer, |key, value| settings.put(key, value));
        // Options may go to the trainer, too.
        if launch.arguments.words().iter().any(|word| word.text.contains("strategy")) {
            settings.put(training_loop::WRAPPER, &Value::Unknown);
        }
    }
    // TRL's trainers tokenize themselves.
    if !trained.is_trl() && !trained.is_loop() {
        for length in made(program).filter_map(training_loop::length) {
            settings.put("max_seq_length", length);
        }
    }
    settings.into_keys()
}

/// `HfArgumentParser`, `TrlParser`, and alignment-handbook's `H4ArgumentParser`: options or a file fill data classes.
fn parses_dataclasses(name: &str) -> bool {
    name == "TrlParser" || name.strip_suffix("ArgumentParser").is_some_and(|whose| !whose.is_empty())
}

/// Whether every call that tokenizes pads the samples to the longest length.
fn pads(program: &Program) -> bool {
    let mut tokenizing = made(program).filter(|call| training_loop::length(call).is_some()).peekable();
    tokenizing.peek().is_some() && tokenizing.all(training_loop::pads)
}

/// The defaults of the options that a program declares with argparse, and of the fields of its data classes.
fn declared(program: &Program) -> Map<String, Json> {
    let defaults = program.calls.iter().filter(|call| call.name() == "add_argument").filter_map(|call| {
        let name = call.positional.iter().find_map(|name| match name {
            Value::Plain(Json::String(name)) => name.strip_prefix("--"),
            _ => None,
        })?;
        match call.named.get("default")? {
            Value::Plain(Json::Null) => None,
            Value::Plain(value) => Some((name.replace('-', "_"), value.clone())),
            _ => None,
        }
    });
    let fields = program.fields.iter().map(|(name, default)| (name.clone(), default.clone()));
    fields.chain(defaults).collect()
}
