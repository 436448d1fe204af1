//! People's own training programs, recognised by what they are given: the name of a model, and words that only training has.
//!
//! ```text
//! python train.py --model_id meta-llama/Llama-3.1-8B --lr 1e-5 --batch_size 4
//! accelerate launch --no-python tool sft /configs/run.yaml             a file with groups of any name
//! MODEL_NAME=google/gemma-2b LEARNING_RATE=2e-4 torchrun train.py      variables, also those of a ConfigMap
//! BENCH_MODEL=Qwen/Qwen2.5-1.5B BENCH_BATCH_SIZE=2 mpirun python a.py  variables with a prefix that they share
//! PARAMS="--model_name_or_path gpt2 --lr 1e-5 --epochs 3" bash run.sh  a variable with options, for a script that is not known
//! torchrun train.py --num-layers 24 --hidden-size 2048 --seq-length 4096 --lr 1e-4    a shape in place of a model
//! ```
//!
//! **Recognised** if no other reader recognises the program, its name does not say that it trains nothing, a model is named
//! (a known name, or an id like `owner/name`, also as a word by itself, as the only one among all options, or a file with its dimensions), and there are words of learning: one behind a launcher that trains, two
//! without. Behind a launcher the program's own name is enough: `train.py`. Without one it counts as both if the model is
//! known, too. Layers, a width, and a length or a vocabulary are a model as well. Options beat `key=value` words, these beat the file, and the file beats variables. Groups of keys
//! have any name, so the last part of a key counts. A prefix counts if the variable that names the model and two words of
//! learning share it.
//!
//! The names are conventions without documentation. So a batch may be that of all ranks, and stays open downwards. What the
//! program does without a word stays open, too: adapters, their quantization, sharding and offloading.

use serde_json::{Map, Value as Json};

use crate::command::downloads::is_id;
use crate::command::{Environment, Launch, Target, launchers, purpose};
use crate::frameworks::deepspeed;
use crate::frameworks::hugging_face::{PROGRAM_NAME, objective, peft, training_arguments};
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::config::{self, Config, ReadFile};
use crate::frameworks::reading::flags::{Table, Takes, flag};
use crate::frameworks::reading::hydra;
use crate::frameworks::reading::settings::{self, Place, Setting, Settings};
use crate::job::{Follows, Framework, Method, Objective, Sharding, Source, field};
use crate::model::known;

const MODEL: &[&str] = &[
    "model_name_or_path",
    "pretrained_model_name_or_path",
    "model_name",
    "model_id",
    "base_model",
    "base_model_id",
    "base_model_name",
    "base_model_name_or_path",
    "model_path",
    "model_dir",
    "pretrained_model",
    "pretrained_model_path",
    "hf_model",
    "hf_model_id",
    "hf_model_name",
    "train_model_name",
    "student_model",
    "backbone",
    "backbone_model",
    "llm_name_or_path",
    "llm_path",
    "llm_name",
    "llama_model",
    "lang_model",
    "language_model",
    "model",
];
/// Parts of the names of options whose model is not the trained one.
const OTHER_MODELS: &[&str] = &[
    "tokenizer",
    "processor",
    "ref",
    "reward",
    "critic",
    "teacher",
    "eval",
    "judge",
    "draft",
    "embed",
    "data",
    "vision",
    "tower",
];
/// Names of a file with the model's dimensions.
const MODEL_CONFIGS: &[&str] = &["model_config", "model_config_file", "model_config_path", "config_name"];
const DIMENSIONS: &[&str] = &["model_config", "model_config_file", "model_config_path"];
/// Words of learning.
const LEARNING: &[&str] = &[
    "learning_rate",
    "lr",
    "num_train_epochs",
    "num_epochs",
    "epochs",
    "n_epochs",
    "train_epochs",
    "max_train_steps",
    "train_steps",
    "gradient_accumulation_steps",
    "gradient_accumulation",
    "grad_accum_steps",
    "grad_accum",
    "accumulation_steps",
    "warmup_ratio",
    "warmup_steps",
    "lr_scheduler_type",
    "weight_decay",
    "optim",
    "optimizer",
    "lora_r",
    "lora_rank",
    "lora_alpha",
    "lora_dropout",
    "use_lora",
    "use_qlora",
    "peft_type",
    "finetuning_type",
    "gradient_checkpointing",
    "per_device_train_batch_size",
    "train_batch_size",
    "micro_batch_size",
    "train_batch_size_per_device",
    "max_per_device_train_batch_size",
    "batch_size_per_device",
    "deepspeed",
    "deepspeed_config",
    "ds_config",
    "fsdp",
    "zero_stage",
];
/// Names of the batch of one device.
pub(crate) const OWN_BATCH: &[&str] = &[
    "per_device_train_batch_size",
    "max_per_device_train_batch_size",
    "train_batch_size_per_device",
    "per_device_batch_size",
    "batch_size_per_device",
    "batch_size_per_gpu",
    "micro_batch_size",
    "micro_batch_size_per_gpu",
    "microbatch_size",
    "train_micro_batch_size_per_gpu",
    "device_batch_size",
    "device_train_microbatch_size",
];
/// Names of a batch that may be that of all devices.
const BATCH: &[&str] = &["batch_size", "train_batch_size", "bs", "batch"];
const ACCUMULATION: &[&str] = &[
    "gradient_accumulation_steps",
    "gradient_accumulation",
    "grad_accum_steps",
    "grad_accum",
    "accumulation_steps",
];
const CONFIGS: &[&str] =
    &["config", "config_file", "config_path", "cfg", "recipe", "args_file", "training_config"];
const OPTIMIZER: &[&str] = &["optim", "optimizer", "optimizer_name", "optimizer_type"];

/// Parts of a strategy's name.
const STRATEGIES: &[(&str, Sharding)] = &[
    ("zero3", Sharding::ZeRO3),
    ("stage3", Sharding::ZeRO3),
    ("zero2", Sharding::ZeRO2),
    ("stage2", Sharding::ZeRO2),
    ("zero1", Sharding::ZeRO1),
    ("fsdp", Sharding::FSDP),
    ("ddp", Sharding::None),
];

const LENGTH: &[&str] = &[
    "max_seq_length",
    "max_seq_len",
    "max_length",
    "seq_length",
    "seq_len",
    "sequence_length",
    "max_sequence_length",
    "block_size",
    "context_length",
    "ctx_len",
    "model_max_length",
    "cutoff_len",
    "max_token_length",
];

const LAYERS: &[&str] = &["num_layers", "n_layers", "n_layer", "num_hidden_layers"];
const WIDTH: &[&str] = &["hidden_size", "d_model", "n_embd", "hidden_dim", "dim"];
const VOCABULARY: &[&str] = &["vocab_size"];

/// The dimensions of a model without a name.
const SHAPE: Table = &[
    &flag(LAYERS, field::model::LAYERS, Takes::Number),
    &flag(WIDTH, field::model::HIDDEN_SIZE, Takes::Number),
    &flag(
        &["num_attention_heads", "num_heads", "n_heads", "n_head"],
        field::model::ATTENTION_HEADS,
        Takes::Number,
    ),
    &flag(
        &["num_key_value_heads", "num_kv_heads", "n_kv_heads"],
        field::model::KEY_VALUE_HEADS,
        Takes::Number,
    ),
    &flag(
        &["ffn_hidden_size", "intermediate_size", "d_ff", "ffn_dim"],
        field::model::FFN_HIDDEN_SIZE,
        Takes::Number,
    ),
    &flag(VOCABULARY, field::model::VOCAB_SIZE, Takes::Number),
];

const FLAGS: Table = &[
    &flag(LENGTH, field::batch::SEQUENCE_LENGTH, Takes::Number),
    &flag(
        &["num_train_epochs", "num_epochs", "epochs", "n_epochs", "train_epochs"],
        field::dataset::EPOCHS,
        Takes::Number,
    ),
    &flag(&["max_steps", "max_train_steps", "train_steps"], field::dataset::STEPS, Takes::Number),
];

/// Whether a launch is such a program's.
pub(crate) fn recognises(launch: &Launch) -> bool {
    let behind_launcher = launch.launchers.iter().any(|launcher| launchers::trains(&launcher.name));
    let is_python = match &launch.target {
        Target::Script(_) | Target::Module(_) => true,
        Target::Program(name) => behind_launcher && !name.is_empty(),
        // The image's own program, with options.
        Target::Unknown => launch.arguments.options() > 1,
    };
    let is_python = is_python || options_of_variable(launch).is_some();
    let nothing = || purpose::why(launch).is_some_and(|cause| cause.follows() == Follows::TrainsNothing);
    if !is_python || nothing() {
        return false;
    }
    let settings = settings_of(launch, &mut Claims::default());
    let learning = LEARNING.iter().filter(|name| settings.has(&[name])).count();
    let named_training = purpose::says_that_it_trains(launch);
    let enough = learning > 1 || behind_launcher && (learning > 0 || named_training);
    let Some(named) = model(launch, &settings) else { return enough && has_shape(&settings) };
    // A name that no table knows may be that of a diffusion model, or of no model.
    enough || named_training && known::find(&named.name).is_some()
}

/// The prefix of variables that name a model and at least two words of learning: `BENCH_`.
fn prefix(environment: &Environment) -> Option<String> {
    /// The shortest prefix, with its underscore.
    const SHORTEST: usize = 3;
    let learns = |prefix: &str| {
        let words = LEARNING.iter().chain(BATCH).chain(OWN_BATCH).chain(LENGTH);
        let named =
            words.filter(|word| environment.get(&format!("{prefix}{}", word.to_uppercase())).is_some());
        named.take(2).count() == 2
    };
    environment.iter().find_map(|(name, value)| {
        let value = value.filter(|value| is_id(value) || known::find(value).is_some())?;
        let ends = MODEL.iter().filter_map(|model| name.strip_suffix(model.to_uppercase().as_str()));
        let mut prefixes = ends.filter(|prefix| prefix.len() >= SHORTEST && prefix.ends_with('_'));
        prefixes.find(|prefix| !value.is_empty() && learns(prefix)).map(str::to_owned)
    })
}

/// Whether the settings are the dimensions of a model of text.
fn has_shape(settings: &Settings<'_>) -> bool {
    settings.has(LAYERS) && settings.has(WIDTH) && (settings.has(VOCABULARY) || settings.has(LENGTH))
}

/// The options in a variable of a script of the shell that is not known: it starts the program with them.
fn options_of_variable(launch: &Launch) -> Option<Config> {
    /// The most words of a variable.
    const MOST: usize = 200;
    let is_shell = matches!(&launch.target, Target::Program(name) if name.strip_suffix(".sh").is_some());
    let named = |keys: &Map<String, Json>| MODEL.iter().any(|name| keys.contains_key(*name));
    let learns = |keys: &Map<String, Json>| LEARNING.iter().any(|name| keys.contains_key(*name));
    launch.environment.iter().filter(|_| is_shell).find_map(|(name, value)| {
        let words: Vec<&str> =
            value.filter(|value| value.starts_with("--"))?.split_whitespace().take(MOST).collect();
        let mut keys = Map::new();
        for (at, word) in words.iter().enumerate() {
            let Some(option) = word.strip_prefix("--") else { continue };
            let next = words.get(at + 1).filter(|next| !next.starts_with("--"));
            let (option, value) = match option.split_once('=') {
                Some((option, value)) => (option, Json::from(value)),
                None => (option, next.map_or(Json::Bool(true), |value| Json::from(*value))),
            };
            keys.insert(option.replace('-', "_"), value);
        }
        let source = Source::Environment { place: launch.place.clone(), name: name.to_owned() };
        (named(&keys) && learns(&keys)).then(|| Config::new(source, Json::Object(keys)))
    })
}

/// A model's name, and the place that it comes from.
struct Named {
    name: String,
    by: By,
}

enum By {
    Setting(Setting),
    Word(String),
}

/// The model that the launch names: a setting, a file with its dimensions, or a word by itself.
fn model(launch: &Launch, settings: &Settings<'_>) -> Option<Named> {
    let is_model =
        |text: &str| is_id(text) || known::find(text).is_some() || launch.downloads.model_in(text).is_some();
    let setting = MODEL.iter().find_map(|name| {
        let setting = settings.get(&[name])?;
        let name = setting.text().filter(|text| is_model(text))?;
        Some(Named { name, by: By::Setting(setting) })
    });
    let path = || {
        let (name, by) = MODEL.iter().find_map(|name| settings.end_of_path(&[name]))?;
        known::find(&name).is_some().then_some(Named { name, by: By::Word(by) })
    };
    let described = || {
        // Beside `--config-path` it is Hydra's.
        let names: &[&str] = if hydra::configuration(launch).is_some() { DIMENSIONS } else { MODEL_CONFIGS };
        let setting = settings.get(names)?;
        let name = setting.text().filter(|path| launch.files.meant(path).is_some())?;
        Some(Named { name, by: By::Setting(setting) })
    };
    let word = || {
        let mut before = "";
        let words = launch.arguments.words().iter().filter(|word| word.known);
        let free = words.filter(|word| {
            let is_free = !word.text.starts_with('-') && (!before.starts_with('-') || before.contains('='));
            before = &word.text;
            is_free
        });
        let name = free.map(|word| &word.text).find(|text| is_id(text) && known::find(text).is_some())?;
        Some(Named { name: name.clone(), by: By::Word(name.clone()) })
    };
    let alone = || {
        let (option, name) = only_model(launch)?;
        Some(Named { name, by: By::Setting(settings.get(&[option.as_str()])?) })
    };
    setting.or_else(path).or_else(described).or_else(word).or_else(alone)
}

/// The option of any name whose value is the id of a known model, if it is the only one.
fn only_model(launch: &Launch) -> Option<(String, String)> {
    let words = launch.arguments.words();
    let mut found: Option<(String, String)> = None;
    for (at, word) in words.iter().enumerate().filter(|(_, word)| word.known) {
        let Some(option) = word.text.strip_prefix("--") else { continue };
        let (option, value) = match option.split_once('=') {
            Some((option, value)) => (option, value),
            None => {
                (option, words.get(at + 1).filter(|next| next.known).map_or("", |next| next.text.as_str()))
            }
        };
        let option = option.replace('-', "_").to_lowercase();
        let is_other = OTHER_MODELS.iter().any(|part| option.contains(part));
        if is_other || !is_id(value) || known::find(value).is_none() {
            continue;
        }
        if found.as_ref().is_some_and(|(_, before)| before != value) {
            return None;
        }
        found = Some((option, value.to_owned()));
    }
    found
}

fn settings_of<'l>(launch: &'l Launch, claims: &mut Claims) -> Settings<'l> {
    let mut settings =
        Settings::of(vec![Place::Options(&launch.arguments), Place::GroupedWords(&launch.arguments)]);
    let variables = Settings::of(vec![Place::Environment(&launch.environment)]);
    let named = settings
        .text(CONFIGS)
        .or_else(|| config::positional(&launch.arguments).map(str::to_owned))
        .or_else(|| variables.text(CONFIGS))
        .filter(|path| config::is_config(path))
        .or_else(|| hydra::configuration(launch));
    if let Some(path) = named.filter(|path| config::is_config(path) && launch.files.meant(path).is_some())
        && let Some(mut file) = config::named(launch, &path, "--config", claims)
    {
        file.flatten();
        settings.add(Place::File(file));
    }
    if let Some(options) = options_of_variable(launch) {
        claims.files.push(ReadFile::of(&options));
        settings.add(Place::File(options));
    }
    settings.add(Place::Environment(&launch.environment));
    if let Some(prefix) = prefix(&launch.environment) {
        settings.add(Place::Prefixed(&launch.environment, prefix));
    }
    settings
}

/// Claims what the program is given.
pub(crate) fn read(launch: &Launch, claims: &mut Claims) {
    let settings = settings_of(launch, claims);
    let model = model(launch, &settings);
    if model.is_some() {
        claims.assume(field::FRAMEWORK, Framework::HuggingFace, "a program with a model of Hugging Face");
    } else {
        settings::read(SHAPE, &settings, claims);
    }
    match model {
        Some(Named { name, by: By::Setting(setting) }) => setting.says(claims, field::model::NAME, name),
        Some(Named { name, by: By::Word(by) }) => claims.argument(field::model::NAME, name, &by),
        None => {}
    }
    settings::read(FLAGS, &settings, claims);
    training_arguments::lengths(&settings, claims);
    strategy(&settings, claims);
    batch(&settings, claims);
    let _ = peft::read(&settings, false, claims);
    quantized(&settings, claims);
    claims.open(field::finetuning::METHOD, Method::QLoRA);
    settings::read(training_arguments::ARGUMENTS, &settings, claims);
    training_arguments::shards(launch, &settings, claims);
    training_arguments::own_sharding(&settings, claims);
    training_arguments::recompute(&settings, training_arguments::OWN_CHECKPOINTING, claims);
    // They change nothing of what this reads.
    settings.inert(&["use_reentrant", "task_type", "total_train_batch_size", "use_cache"]);
    training_arguments::optimizer(&settings, OPTIMIZER, claims);
    training_arguments::precision(&settings, claims);
    if let Some(setting) = settings.get(&["zero_stage"])
        && let Some(sharding) = setting.text().and_then(|text| deepspeed::stage(&text))
    {
        setting.says(claims, field::parallelism::SHARDING, sharding);
    }
    deepspeed::unknown(claims);
    if let Some(objective) =
        objective::of_name(launch).filter(|objective| *objective != Objective::Supervised)
    {
        claims.argument(field::OBJECTIVE, objective, PROGRAM_NAME);
        objective::roles(objective, objective::TRL, &settings, claims);
    }
}

/// How the ranks share the model, by a word: `strategy: deepspeed_zero3`.
fn strategy(settings: &Settings<'_>, claims: &mut Claims) {
    let Some(setting) = settings.get(&["strategy", "parallel_strategy", "distributed_strategy"]) else {
        return;
    };
    let word = setting.text().unwrap_or_default().to_lowercase().replace(['-', '_', ' '], "");
    let field = field::parallelism::SHARDING;
    match STRATEGIES.iter().find(|(name, _)| word.contains(name)) {
        Some((_, sharding)) => setting.says(claims, field, *sharding),
        None => deepspeed::unknown(claims),
    }
}

/// The bits of the weights, by a word: `quantization: 4bit`.
fn quantized(settings: &Settings<'_>, claims: &mut Claims) {
    let Some(setting) =
        settings.get(&["quantization", "quantization_type", "quant_type", "train_quantization"])
    else {
        return;
    };
    let word = setting.text().unwrap_or_default().to_lowercase();
    if ["4bit", "4-bit", "nf4", "int4"].iter().any(|bits| word.contains(bits)) {
        setting.says(claims, field::finetuning::METHOD, Method::QLoRA);
    } else if ["8bit", "8-bit", "int8"].iter().any(|bits| word.contains(bits)) {
        setting.says(claims, field::finetuning::METHOD, Method::QLoRA);
        setting.says(claims, field::quantization::BITS, 8);
    } else if !["no", "false", ""].iter().any(|none| word.split(['-', '_']).next() == Some(none))
        && word != "none"
    {
        claims.unparsed(field::finetuning::METHOD);
    }
}

/// The sequences of a microbatch.
fn batch(settings: &Settings<'_>, claims: &mut Claims) {
    if let Some(setting) = settings.get(ACCUMULATION) {
        claims.accumulation = setting.number().map(|steps| (steps, setting.source(claims)));
    }
    let own = settings.get(OWN_BATCH);
    let is_own = own.is_some();
    let Some((setting, number)) =
        own.or_else(|| settings.get(BATCH)).and_then(|setting| Some((setting.clone(), setting.number()?)))
    else {
        return;
    };
    setting.says(claims, field::batch::MICRO_BATCH_SIZE, number);
    if !is_own {
        claims.open_anyway(field::batch::MICRO_BATCH_SIZE, 1);
    }
}
