//! A model with new weights, from a configuration that the program writes: `Qwen3ForCausalLM(Qwen3Config(hidden_size=1024, …))`,
//! `AutoModelForCausalLM.from_config(LlamaConfig(**SIZES))`.
//!
//! The arguments are the keys of a `config.json`. What they do not give has the default of the configuration's class
//! ([`CLASSES`], from Transformers 4.57.1, `models/*/configuration_*.py`). If one argument does not follow from literals, or the
//! class is another, nothing is known.

use serde_json::{Map, Value as Json, json};

use crate::python::{Call, Program, Value};

/// Dimensions by name.
type Dimensions = &'static [(&'static str, u64)];

/// The classes of configurations: the family, and the defaults of its dimensions.
const CLASSES: &[(&str, &str, Dimensions)] = &[
    (
        "LlamaConfig",
        "llama",
        &[
            ("vocab_size", 32_000),
            ("hidden_size", 4_096),
            ("intermediate_size", 11_008),
            ("num_hidden_layers", 32),
            ("num_attention_heads", 32),
            ("max_position_embeddings", 2_048),
        ],
    ),
    ("Qwen2Config", "qwen2", QWEN),
    ("Qwen3Config", "qwen3", QWEN),
    (
        "MistralConfig",
        "mistral",
        &[
            ("vocab_size", 32_000),
            ("hidden_size", 4_096),
            ("intermediate_size", 14_336),
            ("num_hidden_layers", 32),
            ("num_attention_heads", 32),
            ("num_key_value_heads", 8),
            ("max_position_embeddings", 131_072),
        ],
    ),
    (
        "GPT2Config",
        "gpt2",
        &[("vocab_size", 50_257), ("n_positions", 1_024), ("n_embd", 768), ("n_layer", 12), ("n_head", 12)],
    ),
];
const QWEN: Dimensions = &[
    ("vocab_size", 151_936),
    ("hidden_size", 4_096),
    ("intermediate_size", 22_016),
    ("num_hidden_layers", 32),
    ("num_attention_heads", 32),
    ("num_key_value_heads", 32),
    ("max_position_embeddings", 32_768),
];
/// Arguments that change no dimension.
const INERT: &[&str] =
    &["attn_implementation", "_attn_implementation", "dtype", "pad_token_id", "bos_token_id", "eos_token_id"];

/// The configuration of the model that a call makes.
pub(super) fn of(call: &Call, program: &Program) -> Option<Json> {
    let given = call.named.get("config").or_else(|| call.positional.first())?;
    let Value::Call(at) = given else { return None };
    let made = program.calls.get(*at)?;
    let (class, family, defaults) = CLASSES.iter().find(|(class, ..)| *class == made.name())?;
    if made.may_have_more || !made.positional.is_empty() {
        return None;
    }
    let mut keys: Map<String, Json> =
        defaults.iter().map(|(name, default)| ((*name).to_owned(), json!(default))).collect();
    if *class == "Qwen3Config" {
        keys.insert("head_dim".into(), json!(128));
    }
    for (name, value) in made.named.iter().filter(|(name, _)| !INERT.contains(&name.as_str())) {
        let Value::Plain(value) = value else { return None };
        keys.insert(name.clone(), value.clone());
    }
    keys.insert("model_type".into(), (*family).into());
    Some(Json::Object(keys))
}

/// Whether a call makes a model of text from a configuration: `Qwen3ForCausalLM(config)`.
pub(in super::super) fn is_made(call: &Call) -> bool {
    call.name().ends_with("ForCausalLM") || call.name() == "GPT2LMHeadModel"
}
