//! The settings that the calls of a program give: the table in [`super`].

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use super::unknown;
use crate::frameworks::reading::subjects::{self, Subject};
use crate::python::{Call, Program, Value};

/// The ends of the names of classes that load a model of text: `AutoModelForCausalLM`, `LlamaForCausalLM`.
const MODELS: &[&str] = &[
    "ForCausalLM",
    "ForCausalLMWithValueHead",
    "ForConditionalGeneration",
    "ForImageTextToText",
    "ForMaskedLM",
    "ForSeq2SeqLM",
    "ForSpeechSeq2Seq",
    "ForVision2Seq",
];
/// The same of models that put out a few numbers in place of a word's distribution.
const CLASSIFIERS: &[&str] =
    &["ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering", "ForMultipleChoice"];
/// The classes of Unsloth.
const UNSLOTH: &[&str] = &["FastLanguageModel", "FastModel", "FastVisionModel"];
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
/// Functions of TRL and alignment-handbook that return nothing unless the options ask for adapters or few bits.
const BY_OPTIONS: &[&str] = &["get_peft_config", "get_quantization_config"];
/// Functions that turn checkpointing on.
const CHECKPOINTS: &[&str] =
    &["gradient_checkpointing_enable", "prepare_model_for_kbit_training", "apply_activation_checkpointing"];
/// The setting of checkpointing.
const CHECKPOINTING: &str = "gradient_checkpointing";

/// The settings that calls give.
pub(super) struct CallSettings<'p> {
    program: &'p Program,
    keys: BTreeMap<String, Json>,
    /// Whether the model that it trains is a classifier.
    classifies: bool,
}

impl<'p> CallSettings<'p> {
    pub(super) fn new(program: &'p Program, classifies: bool) -> Self {
        Self { program, keys: BTreeMap::new(), classifies }
    }

    /// The settings as a configuration's keys.
    pub(super) fn into_keys(self) -> Map<String, Json> {
        self.keys.into_iter().collect()
    }

    /// The settings that a call gives.
    pub(super) fn read(&mut self, call: &Call) {
        let name = call.name();
        if name.ends_with("TrainingArguments") || CONFIGURATIONS.contains(&name) {
            self.all(call);
        } else if loads_model(call) || self.classifies && loads_classifier(call) {
            self.model(call);
        } else if name == "from_config" && ends(call, MODELS) {
            self.configured(call);
        } else if name == "get_peft_model" && UNSLOTH.contains(&class(call)) {
            self.adapters_of_unsloth(call);
        } else if name == "get_peft_model" || name == "add_adapter" {
            self.adapters(call.named.get("peft_config").or_else(|| call.positional.last()));
        } else if CHECKPOINTS.contains(&name) {
            self.checkpointing(call);
        } else if name == "parse_dict" {
            self.dictionary(call);
        } else if quantizes(call) {
            self.quantized_elsewhere();
        }
    }

    /// The dictionary that a parser of data classes reads in place of the command line.
    fn dictionary(&mut self, call: &Call) {
        let named = match call.positional.first().or_else(|| call.named.get("args")) {
            Some(Value::Plain(Json::Object(settings))) => Some(arguments(settings)),
            _ => None,
        };
        let may_have_more = named.is_none();
        self.all(&Call { named: named.unwrap_or_default(), may_have_more, ..call.clone() });
    }

    /// Gives a setting. If two calls differ, it is unknown.
    pub(super) fn put(&mut self, key: &str, value: &Value) {
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
                    let named = arguments(settings);
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

    /// The model that `from_pretrained` loads.
    fn model(&mut self, call: &Call) {
        let named = NAMES.iter().find_map(|name| call.named.get(*name));
        self.put("model_name_or_path", named.or_else(|| call.positional.first()).unwrap_or(&Value::Unknown));
        self.loaded(call);
        if loads_unsloth(call) {
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

    /// The model that `from_config` makes with new weights, from the configuration of another one.
    fn configured(&mut self, call: &Call) {
        let given = call.named.get("config").or_else(|| call.positional.first());
        let is_plain = |call: &Call| call.name() == "from_pretrained" && !call.may_have_more;
        let other = given.and_then(|given| self.call(given)).filter(is_plain);
        let named = other.as_ref().and_then(|call| {
            let name = NAMES.iter().find_map(|name| call.named.get(*name));
            name.or_else(|| call.positional.first())
        });
        self.put("model_name_or_path", named.unwrap_or(&Value::Unknown));
        for call in other.iter().chain([call]) {
            self.some(call, LOADED);
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
    pub(super) fn quantized_elsewhere(&mut self) {
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
                Some(bits) if BY_OPTIONS.contains(&bits.name()) => {}
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
                Some(adapters) if BY_OPTIONS.contains(&adapters.name()) => {}
                _ => self.put("use_peft", &Value::Unknown),
            },
        }
    }

    /// The settings that a trainer's own arguments give.
    pub(super) fn trainer(&mut self, call: &Call) {
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
            // Adapters that the program makes may be among the arguments.
            let makes = self.program.calls.iter().any(|call| call.name() == "LoraConfig");
            // Weights that the program itself has loaded keep their bits.
            let loads = !self.keys.contains_key("model_name_or_path");
            let open = [("use_peft", "peft_config", makes), ("load_in_4bit", "quantization_config", loads)];
            for (key, argument, may_differ) in open {
                if may_differ && !call.named.contains_key(argument) && !self.keys.contains_key(key) {
                    self.put(key, &Value::Unknown);
                }
            }
        }
    }

    /// The adapters that Unsloth makes.
    fn adapters_of_unsloth(&mut self, call: &Call) {
        self.put("use_peft", &Value::Plain(true.into()));
        self.some(call, ADAPTERS);
        self.rest(call, &[SIZES], ADAPTERS);
        if !call.named.contains_key("use_gradient_checkpointing") {
            self.put(CHECKPOINTING, &Value::Plain("unsloth".into()));
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

/// A dictionary of settings, as arguments by name.
fn arguments(settings: &Map<String, Json>) -> BTreeMap<String, Value> {
    settings.iter().map(|(name, value)| (name.clone(), Value::Plain(value.clone()))).collect()
}

/// The class whose function is called: `AutoModel` of `transformers.AutoModel.from_pretrained`.
fn class(call: &Call) -> &str {
    call.function.rsplit('.').nth(1).unwrap_or_default()
}

/// Whether the name of the class whose function is called ends like one of these.
fn ends(call: &Call, ends: &[&str]) -> bool {
    ends.iter().any(|end| class(call).ends_with(end))
}

/// Whether a call loads weights by a class whose name ends like one of these.
fn loads(call: &Call, classes: &[&str]) -> bool {
    call.name() == "from_pretrained" && ends(call, classes)
}

/// Whether a call loads a model of text.
pub(in super::super) fn loads_model(call: &Call) -> bool {
    loads(call, MODELS) || loads_unsloth(call)
}

/// Whether a call loads a classifier.
pub(in super::super) fn loads_classifier(call: &Call) -> bool {
    loads(call, CLASSIFIERS)
}

/// `FastLanguageModel.from_pretrained` and its kin.
pub(super) fn loads_unsloth(call: &Call) -> bool {
    call.name() == "from_pretrained" && UNSLOTH.contains(&class(call))
}

/// Whether another call may load weights in few bits: `quantize_(model, …)`, `pipeline(…, model_kwargs=…)`.
fn quantizes(call: &Call) -> bool {
    const CONFIGURATIONS: &[&str] = &["BitsAndBytesConfig", "prepare_model_for_int8_training"];
    let name = call.name();
    let asks = name.starts_with("is_") || CONFIGURATIONS.contains(&name) || BY_OPTIONS.contains(&name);
    let loads = |name: &String| {
        name == "quantization_config" || LOADING.contains(&name.as_str()) || BITS.contains(&name.as_str())
    };
    !asks && (subjects::subjects(name).contains(&Subject::Quantization) || call.named.keys().any(loads))
}
