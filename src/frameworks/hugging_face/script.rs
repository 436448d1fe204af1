//! Programs of people's own on Transformers, TRL, PEFT and Unsloth, read from their Python text.
//!
//! The calls of a program become the settings that options and configuration files have elsewhere:
//!
//! | call | settings |
//! | --- | --- |
//! | `TrainingArguments(…)`, `SFTConfig(…)` and the other configurations of TRL | the keyword arguments, under their names |
//! | `AutoModelForCausalLM.from_pretrained("id", …)`, `FastLanguageModel.from_pretrained(…)` | the model, its format, its bits, the attention's kernel, Unsloth's length |
//! | `BitsAndBytesConfig(…)`, if a model is loaded with it | the bits |
//! | `LoraConfig(…)`, `FastLanguageModel.get_peft_model(model, …)` | adapters, their rank and layers |
//! | `SFTTrainer(…)`, `Trainer(…)` | the model by name, its bits, the adapters, the length and the packing of TRL before 0.13 |
//! | `model.gradient_checkpointing_enable()`, `prepare_model_for_kbit_training(model)` | checkpointing |
//!
//! [`departures`] are the programs whose settings do not tell what is trained.
//!
//! A program without a trainer is read if it has a loop of its own ([`training_loop`]).
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

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use super::{
    FLAGS, TRAINER as TRAINER_DEFAULT, TRL, Whose, checkpointed_by_trl, departures, lightning, objective,
    peft, sharding, training_arguments, training_loop,
};
use crate::command::Launch;
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::config::{Config, ReadFile};
use crate::frameworks::reading::flags::{Table, Takes, flag};
use crate::frameworks::reading::settings::{self, Place, Settings as Places};
use crate::frameworks::reading::subjects::{self, Subject};
use crate::frameworks::unsloth;
use crate::job::{
    Cause, Framework, Loss, Method, Objective, OpenField, Precision, Recompute, Sharding, field,
};
use crate::python::{Call, Program, Value};

/// The classes that load a model of text.
const MODELS: &[&str] = &[
    "AutoModelForCausalLM",
    "AutoModelForImageTextToText",
    "AutoModelForVision2Seq",
    "AutoModelForCausalLMWithValueHead",
    "AutoLigerKernelForCausalLM",
    "AutoPeftModelForCausalLM",
    "FastLanguageModel",
    "FastModel",
    "FastVisionModel",
];
/// The classes of Unsloth.
const UNSLOTH: &[&str] = &["FastLanguageModel", "FastModel", "FastVisionModel"];
/// The classes that load a classifier.
const CLASSIFIERS: &[&str] = &["AutoModelForSequenceClassification", "AutoModelForTokenClassification"];
/// The configurations of TRL's trainers. Each is a `TrainingArguments`.
const CONFIGURATIONS: &[&str] = &[
    "SFTConfig",
    "DPOConfig",
    "GRPOConfig",
    "KTOConfig",
    "ORPOConfig",
    "CPOConfig",
    "RewardConfig",
    "PPOConfig",
    "RLOOConfig",
    "GKDConfig",
    "OnlineDPOConfig",
    "BCOConfig",
];
/// The arguments of `from_pretrained` that are settings, with the setting's name.
const LOADED: &[(&str, &str)] = &[
    ("torch_dtype", "torch_dtype"),
    ("dtype", "torch_dtype"),
    ("load_in_4bit", "load_in_4bit"),
    ("load_in_8bit", "load_in_8bit"),
    ("attn_implementation", "attn_implementation"),
    ("use_flash_attention_2", "use_flash_attn"),
    ("max_seq_length", "max_seq_length"),
    ("num_hidden_layers", "num_hidden_layers"),
];
/// Dimensions that `from_pretrained` changes in a model's configuration.
const CHANGED: Table = &[&flag(&["num_hidden_layers"], field::model::LAYERS, Takes::Number)];
/// The same of `LoraConfig` and of Unsloth's `get_peft_model`.
const ADAPTERS: &[(&str, &str)] = &[
    ("r", "lora_r"),
    ("target_modules", "lora_target_modules"),
    ("lora_dropout", "lora_dropout"),
    ("use_gradient_checkpointing", "gradient_checkpointing"),
];
/// Arguments of a trainer that are objects of the program, and change no setting.
const OBJECTS: &[&str] = &[
    "args",
    "callbacks",
    "compute_loss_func",
    "compute_metrics",
    "data_collator",
    "eval_dataset",
    "formatting_func",
    "model",
    "peft_config",
    "preprocess_logits_for_metrics",
    "processing_class",
    "quantization_config",
    "tokenizer",
    "train_dataset",
];
/// Arguments of a trainer that give it an optimizer of the program's own.
const OPTIMIZERS: &[&str] = &["optimizers", "optimizer", "optimizer_cls_and_kwargs"];
/// Settings that tell in how many bits the weights are loaded.
const BITS: &[&str] = &["load_in_4bit", "load_in_8bit"];
/// Arguments of a trainer's configuration that go to `from_pretrained`.
const LOADING: &[&str] = &["model_init_kwargs", "model_kwargs"];
/// Arguments of Unsloth's functions that are limits of others.
const SIZES: &[&str] = &["max_lora_rank", "max_seq_length"];
/// The arguments that name a model.
const NAMES: &[&str] = &["pretrained_model_name_or_path", "model_name", "model_name_or_path"];
/// Transformers' own trainers, without the word `Trainer`, and what people call classes derived from them.
const OWN_TRAINERS: &[&str] = &["", "Seq2Seq", "Custom", "My", "Model", "HF", "Base"];
/// The setting of checkpointing.
const CHECKPOINTING: &str = "gradient_checkpointing";
/// The setting under which the devices of the model's layers are kept.
const DEVICE_MAP: &str = "device_map";
/// The maps that put the layers of one model on all devices of a process.
const DIVIDING_MAPS: &[&str] = &["auto", "balanced", "balanced_low_0"];

/// Packages that change nothing of a model unless the program calls them.
const PACKAGES: &[&str] = &[
    "__future__",
    "accelerate",
    "argparse",
    "ast",
    "bitsandbytes",
    "boto3",
    "click",
    "collections",
    "contextlib",
    "copy",
    "csv",
    "dataclasses",
    "datasets",
    "datetime",
    "deepspeed",
    "dotenv",
    "einops",
    "enum",
    "evaluate",
    "fire",
    "functools",
    "gc",
    "glob",
    "gzip",
    "hashlib",
    "huggingface_hub",
    "io",
    "itertools",
    "json",
    "lightning",
    "logging",
    "math",
    "matplotlib",
    "mlflow",
    "multiprocessing",
    "numpy",
    "omegaconf",
    "operator",
    "os",
    "packaging",
    "pandas",
    "pathlib",
    "peft",
    "pickle",
    "platform",
    "pprint",
    "psutil",
    "pyarrow",
    "pytorch_lightning",
    "random",
    "ray",
    "re",
    "requests",
    "rich",
    "safetensors",
    "scipy",
    "sentencepiece",
    "shutil",
    "signal",
    "sklearn",
    "socket",
    "string",
    "subprocess",
    "sys",
    "tempfile",
    "tensorboard",
    "textwrap",
    "threading",
    "time",
    "tokenizers",
    "torch",
    "tqdm",
    "traceback",
    "transformers",
    "trl",
    "typer",
    "typing",
    "typing_extensions",
    "unsloth",
    "unsloth_zoo",
    "urllib",
    "uuid",
    "wandb",
    "warnings",
    "yaml",
];

/// A value that is given and not known. No setting has such a value, so its field stays open.
fn unknown() -> Json {
    json!([null])
}

/// What a program says, as settings.
pub(super) struct Said {
    /// Its settings, as a configuration.
    pub(super) settings: Config,
    /// The options that it declares, with their defaults.
    pub(super) declared: Config,
    /// The objective, if it is not the next token's alone.
    pub(super) objective: Option<Objective>,
    /// Whether its trainer has an objective that is not read.
    pub(super) other_trainer: bool,
    /// Whether Ray starts a process for each device.
    pub(super) by_ray: bool,
    /// Whether it pads every sample to the longest length.
    pub(super) pads: bool,
    /// Whether it uses TRL's defaults.
    pub(super) is_trl: bool,
    /// Whether it may train adapters that are not read.
    pub(super) may_adapt: bool,
    /// Why the estimate does not cover what it does to its model or its optimizer.
    pub(super) departs: Option<Cause>,
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
        self.settings.tree.get("model_name_or_path").is_some_and(Json::is_string)
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

/// What the program of a launch says, if it trains with Transformers' or TRL's trainer.
pub(super) fn of(launch: &Launch) -> Option<Said> {
    let script = launch.script.as_ref()?;
    let program = script.program.as_ref()?;
    let made = |call: &&Call| call.runs != Some(false);
    // A trainer of Ray starts a function that has its own.
    let is_of_ray = |call: &Call| call.function.starts_with("ray.");
    let by_ray = program.calls.iter().filter(made).any(|call| is_trainer(call.name()) && is_of_ray(call));
    let trainer = program.calls.iter().filter(made).rfind(|call| is_trainer(call.name()) && !is_of_ray(call));
    let lightning = trainer.filter(|call| lightning::is_trainer(call));
    let trainer = trainer.filter(|_| lightning.is_none());
    let is_loop = trainer.is_none();
    if is_loop && lightning.is_none() && !training_loop::is_in(program) {
        return None;
    }
    let mut settings = Settings { program, keys: BTreeMap::new() };
    let mut parses_options = false;
    for call in program.calls.iter().filter(made) {
        let name = call.name();
        let class = call.function.rsplit('.').nth(1).unwrap_or_default();
        if name.ends_with("TrainingArguments") || CONFIGURATIONS.contains(&name) {
            settings.all(call);
        } else if name == "from_pretrained" && (MODELS.contains(&class) || class.ends_with("ForCausalLM")) {
            settings.model(call, UNSLOTH.contains(&class));
        } else if name == "get_peft_model" && UNSLOTH.contains(&class) {
            settings.put("use_peft", &Value::Plain(true.into()));
            settings.some(call, ADAPTERS);
            settings.rest(call, &[SIZES], ADAPTERS);
            if !call.named.contains_key("use_gradient_checkpointing") {
                settings.put("gradient_checkpointing", &Value::Plain("unsloth".into()));
            }
        } else if name == "get_peft_model" || name == "add_adapter" {
            settings.adapters(call.named.get("peft_config").or_else(|| call.positional.last()));
        } else if is_trainer(name) && lightning.is_none() && !is_of_ray(call) {
            settings.trainer(call);
        } else if name == "gradient_checkpointing_enable" || name == "prepare_model_for_kbit_training" {
            settings.checkpointing(call);
        } else if name == "HfArgumentParser" || name == "TrlParser" {
            parses_options = true;
        } else if quantizes(call) {
            settings.quantized_elsewhere();
        }
    }
    if program.sets.contains("quantization_config") {
        settings.quantized_elsewhere();
    }
    if is_loop {
        training_loop::settings(program, |key, value| settings.put(key, value));
        if let Some(trainer) = lightning {
            lightning::settings(program, trainer, |key, value| settings.put(key, value));
            // Options may go to the trainer, too.
            if launch.arguments.words().iter().any(|word| word.text.contains("strategy")) {
                settings.put(training_loop::WRAPPER, &Value::Unknown);
            }
        }
    }
    let classifies = program.calls.iter().filter(made).any(|call| {
        CLASSIFIERS.iter().any(|class| call.function.ends_with(&format!("{class}.from_pretrained")))
    });
    let trainer = trainer.map_or("", Call::name);
    let trainer = trainer.trim_end_matches("Trainer").trim_start_matches("Unsloth").to_owned();
    let named = objective::NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(&trainer));
    let named = named.map(|(_, objective)| *objective).or(classifies.then_some(Objective::Classification));
    let calls = |test: fn(&str) -> bool| program.calls.iter().filter(made).any(|call| test(call.name()));
    let is_trl = !matches!(trainer.as_str(), "" | "Seq2Seq");
    let tokenized = program.calls.iter().filter(made).filter(|call| training_loop::length(call).is_some());
    // TRL's trainers tokenize themselves.
    if !is_trl && !is_loop {
        tokenized
            .clone()
            .filter_map(training_loop::length)
            .for_each(|length| settings.put("max_seq_length", length));
    }
    let pads = !is_trl && tokenized.clone().count() > 0 && tokenized.clone().all(training_loop::pads);
    let tree = settings.keys.into_iter().collect::<Map<_, _>>();
    let adapts = tree.contains_key("use_peft");
    Some(Said {
        is_trl,
        by_ray,
        pads,
        may_adapt: !adapts && (has_own_modules(program) || calls(|name| name.contains("Peft"))),
        departs: departures::cause(program),
        parses_options,
        is_unsloth: program.calls.iter().filter(made).any(loads_unsloth),
        is_loop,
        settings: Config::new(script.source.clone(), Json::Object(tree)),
        declared: Config::new(script.source.clone(), Json::Object(declared(program))),
        other_trainer: named.is_none() && !OWN_TRAINERS.contains(&trainer.as_str()),
        objective: named.filter(|objective| *objective != Objective::Supervised),
    })
}

/// Claims what the program says.
pub(super) fn read(launch: &Launch, said: &Said, claims: &mut Claims) {
    let file = &said.settings;
    let source = file.source.clone();
    claims.files.push(ReadFile::of(file));
    let mut places = Places::default();
    if said.parses_options {
        places.add(Place::Options(&launch.arguments));
        // `TrlParser` and `HfArgumentParser` read a file of options, too.
        if let Some(options) = super::file_of_options(launch, &places, claims) {
            places.add(Place::File(options));
        }
        // What an option gives is read there.
        let given =
            file.tree.as_object().into_iter().flatten().filter(|(key, _)| places.has(&[key.as_str()]));
        file.asked.borrow_mut().extend(given.map(|(key, _)| key.clone()));
        places.add(Place::File(file.clone()));
    } else if said.names_its_model() {
        places.add(Place::File(file.clone()));
    } else {
        // What does not follow from the text may be an option, or an option's default.
        let (unknown, known) = said.settings_apart();
        places.add(Place::File(known));
        places.add(Place::Options(&launch.arguments));
        places.add(Place::File(said.declared.clone()));
        places.add(Place::File(unknown));
        // A default may be changed where this is not read.
        claims.open_field(OpenField {
            field: field::finetuning::METHOD.erased(),
            leanest: Some(json!(Method::QLoRA)),
            heaviest: None,
            although_given: true,
        });
    }
    if said.is_unsloth {
        claims.file(field::FRAMEWORK, Framework::Unsloth, &source, "from_pretrained");
        unsloth::beside_trainer(&places, claims);
    } else {
        claims.file(field::FRAMEWORK, Framework::HuggingFace, &source, "Trainer");
    }
    settings::read(FLAGS, &places, claims);
    settings::read(CHANGED, &places, claims);
    // It makes adapters under a condition that is not known.
    if file.tree.get("use_peft") == Some(&unknown()) {
        claims.assume(field::finetuning::METHOD, Method::LoRA, source.key("LoraConfig"));
        claims.open_field(OpenField {
            field: field::finetuning::METHOD.erased(),
            leanest: Some(json!(Method::QLoRA)),
            heaviest: Some(json!(Method::Full)),
            although_given: true,
        });
    }
    if peft::read(&places, false, claims).is_none() {
        if said.may_adapt {
            claims.open(field::finetuning::METHOD, Method::QLoRA);
        } else {
            claims.assume(field::finetuning::METHOD, Method::Full, TRAINER_DEFAULT);
        }
    }
    training_arguments::read(launch, &places, claims);
    if said.may_adapt {
        // A module of its own may turn checkpointing on.
        claims.open(field::RECOMPUTE, Recompute::Full);
    }
    if places.text(&[DEVICE_MAP]).is_some_and(|map| DIVIDING_MAPS.contains(&map.as_str())) {
        claims.layers_over_devices = Some(source.key(DEVICE_MAP));
    }
    if said.pads {
        claims.assume(field::batch::PACKING, true, "every sample is padded to max_length");
    }
    if said.is_loop {
        training_loop::sharding(launch, &places, claims);
        training_arguments::precision(&places, claims);
        claims.assume(field::RECOMPUTE, Recompute::None, "a loop without checkpointing");
        return loop_is_not_covered(said, claims);
    }
    if said.by_ray && !claims.knows(field::parallelism::SHARDING) {
        claims.assume(field::parallelism::SHARDING, Sharding::None, "Ray's processes");
    }
    sharding(launch, &places, Whose::Script, claims);
    precision(&places, claims);
    claims.assume(field::batch::MICRO_BATCH_SIZE, 8, TRAINER_DEFAULT);
    training_arguments::steps_at_once(&places, claims);
    training_arguments::loaded_unasked(&places, TRAINER_DEFAULT, claims);
    if said.is_trl {
        claims.assume(field::batch::SEQUENCE_LENGTH, 1024, TRL);
        checkpointed_by_trl(claims);
    } else {
        claims.assume(field::RECOMPUTE, Recompute::None, TRAINER_DEFAULT);
    }
    // TRL 1.16 fuses the output layer and the loss.
    if said.is_trl {
        claims.open(field::LOSS, Loss::Fused);
    }
    if let Some(objective) = said.objective {
        claims.file(field::OBJECTIVE, objective, &source, "Trainer");
        objective::roles(objective, objective::TRL, &places, claims);
    }
    claims.beyond = claims.beyond.or(said.other_trainer.then_some(Cause::OtherStage)).or(said.departs);
}

/// What a loop does that is not read.
fn loop_is_not_covered(said: &Said, claims: &mut Claims) {
    if let Some(objective) = said.objective {
        claims.file(field::OBJECTIVE, objective, &said.settings.source, "from_pretrained");
    }
    claims.beyond = claims.beyond.or(said.departs);
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

/// The format of the computation. Programs ask the device which of the two 16-bit formats it has.
fn precision(places: &Places<'_>, claims: &mut Claims) {
    let is_open = |name: &str| places.get(&[name]).is_some_and(|setting| setting.truth().is_none());
    match (is_open("bf16"), is_open("fp16")) {
        (true, true) => claims.assume(field::PRECISION, Precision::BF16, "either 16-bit format"),
        (true, false) | (false, true) => claims.unparsed(field::PRECISION),
        (false, false) => {}
    }
    training_arguments::precision(places, claims);
}

/// `FastLanguageModel.from_pretrained` and its kin.
fn loads_unsloth(call: &Call) -> bool {
    let class = call.function.rsplit('.').nth(1).unwrap_or_default();
    call.name() == "from_pretrained" && UNSLOTH.contains(&class)
}

/// Trainers of Ray Train 2: they start a function on each worker, and train nothing themselves.
const RAY_TRAINERS: &[&str] =
    &["TorchTrainer", "DataParallelTrainer", "LightningTrainer", "AccelerateTrainer"];

/// `Trainer`, `SFTTrainer`, and classes derived from them by name.
fn is_trainer(name: &str) -> bool {
    name.ends_with("Trainer")
        && name.starts_with(|c: char| c.is_ascii_uppercase())
        && !RAY_TRAINERS.contains(&name)
}

/// Whether another call may load weights in few bits: `quantize_(model, …)`, `pipeline(…, model_kwargs=…)`.
fn quantizes(call: &Call) -> bool {
    const CONFIGURATIONS: &[&str] = &["BitsAndBytesConfig", "prepare_model_for_int8_training"];
    let name = call.name();
    let asks = name.starts_with("is_") || CONFIGURATIONS.contains(&name);
    let loads = |name: &String| {
        name == "quantization_config" || LOADING.contains(&name.as_str()) || BITS.contains(&name.as_str())
    };
    !asks && (subjects::subjects(name).contains(&Subject::Quantization) || call.named.keys().any(loads))
}

/// Whether it imports a module that is none of the known packages.
fn has_own_modules(program: &Program) -> bool {
    program.packages.iter().any(|package| !PACKAGES.contains(&package.as_str()))
}

/// The settings that calls give.
struct Settings<'p> {
    program: &'p Program,
    keys: BTreeMap<String, Json>,
}

impl Settings<'_> {
    /// Gives a setting. If two calls differ, it is unknown.
    fn put(&mut self, key: &str, value: &Value) {
        let value = match value {
            // `None` is the same as no value.
            Value::Plain(Json::Null) => return,
            Value::Plain(value) if !self.program.sets.contains(key) => value.clone(),
            _ => unknown(),
        };
        let before = self.keys.get(key).filter(|before| **before != value);
        let is_on = |value: &Json| *value == Json::Bool(true);
        let value = match before {
            None => value,
            // What turns checkpointing on anywhere turns it on.
            Some(before)
                if key == CHECKPOINTING && !before.is_string() && (is_on(&value) || is_on(before)) =>
            {
                Json::Bool(true)
            }
            Some(_) => unknown(),
        };
        self.keys.insert(key.to_owned(), value);
    }

    /// All arguments with names.
    fn all(&mut self, call: &Call) {
        for (name, value) in call.named.iter().filter(|(name, _)| !LOADING.contains(&name.as_str())) {
            self.put(name, value);
        }
        for loading in LOADING.iter().filter_map(|name| call.named.get(*name)) {
            match loading {
                Value::Plain(Json::Null) => {}
                Value::Plain(Json::Object(settings)) => {
                    let plain = |(name, value): (&String, &Json)| (name.clone(), Value::Plain(value.clone()));
                    let named = settings.iter().map(plain).collect();
                    self.loaded(&Call { named, may_have_more: false, ..call.clone() });
                }
                _ => self.loaded(&Call { named: BTreeMap::new(), may_have_more: true, ..call.clone() }),
            }
        }
        if call.may_have_more {
            for key in
                ["per_device_train_batch_size", "gradient_checkpointing", "optim", "max_length", "bf16"]
            {
                if !call.named.contains_key(key) {
                    self.put(key, &Value::Unknown);
                }
            }
        }
    }

    /// The arguments that no table knows, under their own names. What they open is in their names.
    fn rest(&mut self, call: &Call, known: &[&[&str]], names: &[(&str, &str)]) {
        for (name, value) in &call.named {
            let is_known = known.iter().any(|known| known.contains(&name.as_str()));
            if !is_known && !names.iter().any(|(known, _)| known == name) {
                self.put(name, value);
            }
        }
    }

    /// These arguments, under the names of settings.
    fn some(&mut self, call: &Call, names: &[(&str, &str)]) {
        for (name, key) in names {
            if let Some(value) = call.named.get(*name) {
                self.put(key, value);
            }
        }
    }

    /// The call that a value is the result of.
    fn call(&self, value: &Value) -> Option<Call> {
        match value {
            Value::Call(at) => self.program.calls.get(*at).cloned(),
            _ => None,
        }
    }

    fn model(&mut self, call: &Call, unsloth: bool) {
        let named = NAMES.iter().find_map(|name| call.named.get(*name));
        self.put("model_name_or_path", named.or_else(|| call.positional.first()).unwrap_or(&Value::Unknown));
        self.loaded(call);
        if unsloth {
            // The default of its signature.
            let is_given =
                call.named.keys().any(|name| name.starts_with("load_in_") || name == "full_finetuning");
            if !is_given {
                self.put("load_in_4bit", &Value::Plain(true.into()));
            }
            if !call.named.contains_key("max_seq_length") {
                self.put("max_seq_length", &Value::Plain(2048.into()));
            }
        }
    }

    /// How the weights are loaded.
    fn loaded(&mut self, call: &Call) {
        self.some(call, LOADED);
        self.quantized(call.named.get("quantization_config"));
        self.rest(call, &[NAMES, SIZES, &["quantization_config"]], LOADED);
        // Formats of few bits without a setting of their own.
        let few_bits =
            |name: &str| name.starts_with("load_in_") && !BITS.contains(&name) && name != "load_in_16bit";
        if call.may_have_more
            || call.named.iter().any(|(name, value)| {
                few_bits(name) && !matches!(value, Value::Plain(Json::Bool(false) | Json::Null))
            })
        {
            self.put("load_in_4bit", &Value::Unknown);
        }
        if call.may_have_more {
            self.put("torch_dtype", &Value::Unknown);
        }
    }

    /// The weights may be in few bits, unless the program says so itself.
    fn quantized_elsewhere(&mut self) {
        if !self.keys.contains_key("load_in_4bit") {
            self.put("load_in_4bit", &Value::Unknown);
        }
    }

    /// The bits that a configuration describes.
    fn quantized(&mut self, configuration: Option<&Value>) {
        match configuration {
            None | Some(Value::Plain(Json::Null)) => {}
            Some(value) => match self.call(value) {
                Some(bits) if bits.name() == "BitsAndBytesConfig" => self.rest(&bits, &[], &[]),
                _ => self.put("load_in_4bit", &Value::Unknown),
            },
        }
    }

    /// The adapters that a configuration describes.
    fn adapters(&mut self, configuration: Option<&Value>) {
        match configuration {
            None | Some(Value::Plain(Json::Null)) => {}
            Some(value) => match self.call(value) {
                Some(adapters) if adapters.name() == "LoraConfig" => {
                    self.put("use_peft", &Value::Plain(true.into()));
                    self.some(&adapters, ADAPTERS);
                    self.rest(&adapters, &[], ADAPTERS);
                }
                _ => self.put("use_peft", &Value::Unknown),
            },
        }
    }

    fn trainer(&mut self, call: &Call) {
        if let Some(name @ Value::Plain(Json::String(_))) =
            call.named.get("model").or_else(|| call.positional.first())
        {
            self.put("model_name_or_path", name);
        }
        self.adapters(call.named.get("peft_config"));
        self.quantized(call.named.get("quantization_config"));
        if OPTIMIZERS.iter().any(|name| call.named.contains_key(*name)) {
            self.put("optim", &Value::Unknown);
        }
        self.rest(call, &[OBJECTS, OPTIMIZERS], &[]);
        if call.may_have_more {
            // Weights that the program itself has loaded keep their bits.
            let loads = !self.keys.contains_key("model_name_or_path");
            let open = [("use_peft", "peft_config", true), ("load_in_4bit", "quantization_config", loads)];
            for (key, argument, may_differ) in open {
                if may_differ && !call.named.contains_key(argument) && !self.keys.contains_key(key) {
                    self.put(key, &Value::Unknown);
                }
            }
        }
    }

    fn checkpointing(&mut self, call: &Call) {
        let on = match (call.runs, call.named.get("use_gradient_checkpointing")) {
            (Some(true), None) => Value::Plain(true.into()),
            (Some(true), Some(value)) => value.clone(),
            _ => Value::Unknown,
        };
        // It turns checkpointing on. It does not turn it off.
        if on != Value::Plain(false.into()) {
            if self.keys.get(CHECKPOINTING) == Some(&Json::Bool(false)) {
                self.keys.remove(CHECKPOINTING);
            }
            self.put(CHECKPOINTING, &on);
        }
    }
}
