//! A model read from its `config.json`, as Hugging Face's Transformers writes it.
//!
//! The file names its family (`model_type`) and its dimensions. The family decides what the file does not say: whether
//! queries are normalized, which layers have biases, what is tied by default ([`families`]). The same dimension has
//! several names, which families share ([`keys`]). [`layers`] reads the kinds of layers, [`towers`] the size of towers for
//! images and audio. In a multimodal model the decoder's dimensions stand in `text_config`.
//!
//! A family that is not known is an error, because a wrong shape is worse than none. Work is bounded by the file's size:
//! each key is looked up a fixed number of times. Source: Transformers 5.24, `models/*/configuration_*.py` and
//! `modeling_*.py`. A test compares the counts with those of its classes.

mod encoder_decoder;
mod families;
mod keys;
mod layers;
mod towers;

use serde_json::{Map, Value};

use super::{Parameters, Shape};
use crate::job::{
    Activation, DenseLayers, GlobalAttention, LatentAttention, LinearAttention, Model, Normalization,
    Positions, StateSpace, TrainingJob, out_of_range,
};
use crate::units::Count;

use families::{Family, Mark};
use keys::Keys;

/// Why a file is no model's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// It is no object with keys.
    #[error("is no config.json: it has no keys; give the file that Hugging Face's save_pretrained writes")]
    NoKeys,
    /// It does not name its family.
    #[error("has no model_type: give the config.json of a model")]
    NoFamily,
    /// Its family is not known.
    #[error(
        "has model_type {0}, which is not known: write layers, hidden-size and the other dimensions instead"
    )]
    UnknownFamily(String),
    /// A dimension without which there is no model is missing, or is no number in its range.
    #[error("has no {0} that can be read: write the dimensions instead")]
    Missing(&'static str),
    /// A dimension is out of its range.
    #[error("gives {0}")]
    OutOfRange(String),
}

/// Reads a model.
///
/// # Errors
/// If the file is not a `config.json`, or of a family that is not known, or without the dimensions of a decoder.
pub fn read(config: &Value) -> Result<Model, ConfigError> {
    let whole = config.as_object().ok_or(ConfigError::NoKeys)?;
    let (text, family) = decoder(whole)?;
    let keys = Keys::of(text, whole);
    let layers = keys.number(keys::LAYERS).or_else(|| layers::listed_layers(keys));
    let layers = layers.ok_or(ConfigError::Missing("num_hidden_layers"))?;
    let hidden = keys.number(keys::HIDDEN).ok_or(ConfigError::Missing("hidden_size"))?;
    let heads = keys.number(keys::HEADS);
    let mut model = Model {
        layers: Some(layers),
        hidden_size: Some(hidden),
        attention_heads: heads,
        key_value_heads: key_value_heads(keys, family, heads),
        head_size: keys.number(keys::HEAD_SIZE),
        ffn_hidden_size: keys.number(keys::FFN),
        vocab_size: keys.number(&["vocab_size", "padded_vocab_size"]),
        max_positions: keys.number(keys::POSITIONS),
        tied_embeddings: Some(tied(whole, text).unwrap_or_else(|| family.has(Mark::Tied))),
        positions: family.has(Mark::Learned).then_some(Positions::Learned),
        activation: Some(if family.has(Mark::Plain) { Activation::GELU } else { Activation::SwiGLU }),
        normalization: family.has(Mark::LayerNorm).then_some(Normalization::LayerNorm),
        biases: family.has(Mark::Biases).then_some(true),
        qkv_biases: biases(keys, family),
        query_key_normalization: normalized(keys, family).then_some(true),
        output_normalization: family.has(Mark::OutputNorm).then_some(true),
        capped_logits: keys.number(&["final_logit_softcapping"]).map(|_| true),
        gated_attention: family.has(Mark::GatedAttention).then_some(true),
        latent_attention: latent(keys),
        linear_attention: linear(keys),
        state_space: state_space(keys, hidden),
        short_convolution: keys.number(&["conv_L_cache"]),
        sliding_window: keys.number(&["sliding_window", "sliding_window_size", "attention_chunk_size"]),
        ..Model::default()
    };
    experts(keys, family, layers, &mut model);
    feed_forward(keys, family, &mut model);
    model.layer_pattern = layers::pattern(keys, family, layers);
    if model.layer_pattern.as_ref().is_none_or(|pattern| !pattern.letters().contains('S')) {
        model.sliding_window = None;
    }
    global(keys, &mut model);
    let towers = towers::parameters(whole, hidden);
    model.tower_parameters = (towers > 0).then_some(Count(towers));
    let further = further(keys, family, &model);
    model.further_parameters = (further > 0).then_some(Count(further));
    encoder_decoder::complete(keys, family, &mut model);
    in_range(model)
}

/// The model, if each of its dimensions is in the range of its field.
fn in_range(model: Model) -> Result<Model, ConfigError> {
    let job = TrainingJob { model: Some(model), ..TrainingJob::default() };
    let wrong = job.values().into_iter().find_map(|(field, value)| {
        out_of_range(field, &value).map(|problem| format!("{field} {value}, which {problem}"))
    });
    match wrong {
        Some(problem) => Err(ConfigError::OutOfRange(problem)),
        None => Ok(job.model.unwrap_or_default()),
    }
}

/// The number of parameters of a model that was read.
pub fn count(model: &Model) -> u64 {
    Shape::complete(model, 2048, 32_000, 1.0).map_or(0, |shape| Parameters::of(&shape).total)
}

/// The keys of the decoder, and its family.
fn decoder(whole: &Map<String, Value>) -> Result<(&Map<String, Value>, &'static Family), ConfigError> {
    const NESTED: &[&str] = &["text_config", "llm_config", "language_config"];
    // Omni models have a thinker, which has the towers and the decoder.
    let whole = whole.get("thinker_config").and_then(Value::as_object).unwrap_or(whole);
    let nested = NESTED.iter().find_map(|name| whole.get(*name)?.as_object());
    let text = nested.unwrap_or(whole);
    let of = |keys: &Map<String, Value>| keys.get("model_type").and_then(Value::as_str).map(str::to_owned);
    let name = of(text).or_else(|| of(whole)).ok_or(ConfigError::NoFamily)?;
    let outer = || of(whole).and_then(|outer| families::find(&outer));
    let family = families::find(&name).or_else(outer);
    let name = || crate::printable::printable(&name, 60);
    Ok((text, family.ok_or_else(|| ConfigError::UnknownFamily(name()))?))
}

/// Whether the output layer is tied, if the file says so. What a multimodal model says outside its text part holds.
fn tied(whole: &Map<String, Value>, text: &Map<String, Value>) -> Option<bool> {
    let of = |keys: &Map<String, Value>| keys.get("tie_word_embeddings").and_then(Value::as_bool);
    of(whole).or_else(|| of(text))
}

fn key_value_heads(keys: Keys<'_>, family: &Family, heads: Option<u32>) -> Option<u32> {
    let given = keys.number(&["num_key_value_heads", "num_kv_heads", "multi_query_group_num", "n_head_kv"]);
    let one = keys.flag("multi_query") == Some(true) && keys.flag("new_decoder_architecture") != Some(true);
    if family.has(Mark::Latent) {
        return heads;
    }
    if one { Some(1) } else { given }
}

/// Whether queries, keys and values have biases.
fn biases(keys: Keys<'_>, family: &Family) -> Option<bool> {
    let given =
        keys.flag("attention_bias").or_else(|| keys.flag("qkv_bias")).or_else(|| keys.flag("add_qkv_bias"));
    given.or(family.has(Mark::QkvBiases).then_some(true)).filter(|biased| *biased)
}

fn normalized(keys: Keys<'_>, family: &Family) -> bool {
    let given = keys.flag("use_qk_norm").or_else(|| keys.flag("qk_layernorm"));
    given.unwrap_or_else(|| family.has(Mark::QueryKeyNorm))
}

fn latent(keys: Keys<'_>) -> Option<LatentAttention> {
    Some(LatentAttention {
        key_value_rank: Some(keys.number(&["kv_lora_rank"])?),
        query_rank: keys.number(&["q_lora_rank"]),
        rope_head_size: keys.number(&["qk_rope_head_dim"]),
        nope_head_size: keys.number(&["qk_nope_head_dim"]),
        value_head_size: keys.number(&["v_head_dim"]),
    })
}

fn linear(keys: Keys<'_>) -> Option<LinearAttention> {
    // Kimi Linear's own files have a group.
    let group = keys.group("linear_attn_config");
    let kimi = group.and_then(|group| {
        let heads = group.number(&["num_heads"])?;
        Some(LinearAttention {
            key_heads: Some(heads),
            value_heads: Some(heads),
            key_head_size: group.number(&["head_dim"]),
            value_head_size: group.number(&["head_dim"]),
            convolution: group.number(&["short_conv_kernel_size"]),
        })
    });
    kimi.or_else(|| {
        Some(LinearAttention {
            value_heads: Some(keys.number(&["linear_num_value_heads", "linear_num_heads"])?),
            key_heads: keys.number(&["linear_num_key_heads", "linear_num_heads"]),
            key_head_size: keys.number(&["linear_key_head_dim", "linear_head_dim"]),
            value_head_size: keys.number(&["linear_value_head_dim", "linear_head_dim"]),
            convolution: keys.number(&["linear_conv_kernel_dim"]),
        })
    })
}

fn state_space(keys: Keys<'_>, hidden: u32) -> Option<StateSpace> {
    let state = keys.number(&["mamba_d_state", "ssm_state_size", "state_size"])?;
    let expand = keys.number(&["mamba_expand", "expand"]).unwrap_or(2);
    let inner = keys.number(&["mamba_d_ssm", "mamba_intermediate_size"]);
    let inner = inner.unwrap_or_else(|| hidden.saturating_mul(expand));
    let kernel = keys.number(&["mamba_d_conv", "conv_kernel", "conv_kernel_size"]);
    let rank = keys.number(&["mamba_dt_rank", "time_step_rank"]);
    let heads = keys.number(&["mamba_n_heads", "mamba_num_heads", "num_heads"]);
    let head = keys.number(&["mamba_d_head", "mamba_head_dim", "head_dim"]);
    let two = heads.is_some();
    let heads = heads.unwrap_or(1);
    Some(StateSpace {
        heads: Some(heads),
        head_size: if two { head.or(Some(inner / heads.max(1))) } else { Some(inner) },
        state_size: Some(state),
        groups: keys.number(&["mamba_n_groups", "n_groups"]),
        convolution: kernel,
        // "auto" is a sixteenth of the hidden size.
        time_step_rank: (!two).then(|| rank.unwrap_or_else(|| hidden.div_ceil(16))),
    })
}

/// The experts, and which layers have none.
fn experts(keys: Keys<'_>, family: &Family, layers: u32, model: &mut Model) {
    let count = keys.number(keys::EXPERTS).filter(|count| *count > 1);
    let Some(count) = count else { return };
    model.experts = Some(count);
    model.experts_per_token = keys.number(keys::EXPERTS_PER_TOKEN);
    model.expert_ffn_hidden_size = keys.number(keys::EXPERT_FFN).or(model.ffn_hidden_size);
    model.expert_latent_size = keys.number(&["moe_latent_size"]);
    let shared = keys.number(&["n_shared_experts", "num_shared_experts", "moe_num_shared_experts"]);
    let width = keys.number(keys::SHARED_FFN);
    let shared = shared.or(width.map(|_| 1)).or(family.has(Mark::SharedExpert).then_some(1));
    model.shared_experts = shared;
    // Nemotron-H gives the width of one of them, the others that of all.
    let width = width
        .map(|width| width.saturating_mul(if family.has(Mark::Single) { shared.unwrap_or(1) } else { 1 }));
    model.shared_expert_ffn_hidden_size = width.filter(|_| shared.is_some());
    model.dense_layers = layers::dense(keys, family, layers);
}

/// The width of the dense feed-forward network, where a family writes it in its own way.
fn feed_forward(keys: Keys<'_>, family: &Family, model: &mut Model) {
    // Llama 4's `intermediate_size` is an expert's.
    if let Some(dense) = keys.number(&["intermediate_size_mlp"]) {
        model.ffn_hidden_size = Some(dense);
    }
    // Granite's hybrids without experts have only the shared network.
    if family.has(Mark::SharedNetwork) && model.experts.is_none() {
        model.ffn_hidden_size = keys.number(keys::SHARED_FFN).or(model.ffn_hidden_size);
    }
    // LFM2 takes two thirds of the written width, rounded up.
    if family.has(Mark::TwoThirds) && keys.flag("block_auto_adjust_ff_dim") != Some(false) {
        let multiple = keys.number(&["block_multiple_of"]).unwrap_or(256).max(1);
        let adjusted = model.ffn_hidden_size.map(|width| {
            let width = u32::try_from(u64::from(width) * 2 / 3).unwrap_or(width);
            width.div_ceil(multiple).saturating_mul(multiple)
        });
        model.ffn_hidden_size = adjusted;
    }
    // GPT-2's networks are four times as wide as the hidden size.
    if model.ffn_hidden_size.is_none() && family.has(Mark::Plain) {
        model.ffn_hidden_size = model.hidden_size.map(|hidden| hidden.saturating_mul(4));
    }
}

/// Attention over all tokens in Gemma 4, where its sizes differ from those of attention over a window.
fn global(keys: Keys<'_>, model: &mut Model) {
    let size = keys.number(&["global_head_dim"]);
    let heads = keys.number(&["num_global_key_value_heads"]);
    let same = keys.flag("attention_k_eq_v").filter(|same| *same);
    if size.is_some() || heads.is_some() {
        model.global_attention =
            Some(GlobalAttention { head_size: size, key_value_heads: heads, keys_are_values: same });
    }
    // Gemma 4's mixtures have a dense network beside the experts of each layer.
    if keys.flag("enable_moe_block") == Some(true) && model.experts.is_some() {
        model.shared_experts = Some(1);
        model.shared_expert_ffn_hidden_size = model.ffn_hidden_size;
    }
}

/// Parameters that no dimension gives.
fn further(keys: Keys<'_>, family: &Family, model: &Model) -> u64 {
    let number = |names: &[&str]| keys.number(names).map_or(0, u64::from);
    let (layers, hidden) = (model.layers.map_or(0, u64::from), model.hidden_size.map_or(0, u64::from));
    // Embeddings of each layer: their table, their projection from the hidden size, and a gate in and out of each layer.
    let each = number(&["hidden_size_per_layer_input"]);
    let of_layers = each.saturating_mul(layers);
    let table = number(&["vocab_size_per_layer_input"]).saturating_mul(of_layers);
    let per_layer = table.saturating_add(of_layers.saturating_mul(hidden).saturating_mul(3));
    // Networks of twice the width in the layers that reuse keys and values.
    let doubled = if keys.flag("use_double_wide_mlp") == Some(true) {
        let width = model.ffn_hidden_size.map_or(0, u64::from);
        number(&["num_kv_shared_layers"]).saturating_mul(hidden).saturating_mul(width).saturating_mul(3)
    } else {
        0
    };
    // The indexer of sparse attention.
    let indexers = number(&["index_n_heads"]).saturating_mul(number(&["index_head_dim"]));
    let rank = number(&["q_lora_rank"]);
    let index = indexers
        .saturating_mul(rank)
        .saturating_add(hidden.saturating_mul(number(&["index_head_dim"]) + number(&["index_n_heads"])));
    let full = index.saturating_mul(layers);
    // Segments, the norm of the embeddings, and the network before the output layer of encoders.
    let encoder =
        if family.has(Mark::Encoder) { hidden.saturating_mul(hidden.saturating_mul(2) + 8) } else { 0 };
    [per_layer, doubled, full, encoder].iter().fold(0, |sum, part| sum.saturating_add(*part))
}

/// The dense layers of a list.
fn listed(layers: Vec<u32>) -> Option<DenseLayers> {
    (!layers.is_empty()).then_some(DenseLayers::List(layers))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::json;

    /// A model's dimensions, under the names of its `config.json`, and the parameters of its class. The file was made with
    /// Transformers 5.24: every class was built on the meta device, and its parameters counted, each tied one once.
    #[derive(Deserialize)]
    struct Published {
        model: String,
        count: u64,
        config: Value,
    }

    fn published() -> Vec<Published> {
        serde_json::from_str(include_str!("published.json")).unwrap()
    }

    #[test]
    fn counts_equal_those_of_the_classes_within_a_hundredth() {
        let mut wrong = Vec::new();
        for Published { model, count: expected, config } in published() {
            let counted = read(&config).map(|read| count(&read));
            let off = counted.as_ref().map_or(f64::NAN, |counted| *counted as f64 / expected as f64 - 1.0);
            if off.is_nan() || off.abs() > 0.01 {
                wrong.push(format!("{model}: {counted:?} for {expected}: {:.2} %", off * 100.0));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn a_file_that_is_no_models_is_an_error_that_says_what_to_do() {
        for (config, error) in [
            (json!([1, 2]), ConfigError::NoKeys),
            (json!({"hidden_size": 8}), ConfigError::NoFamily),
            (json!({"model_type": "acme_\u{1b}[2J"}), ConfigError::UnknownFamily("acme_\u{fffd}[2J".into())),
            (json!({"model_type": "llama", "hidden_size": 8}), ConfigError::Missing("num_hidden_layers")),
            (
                json!({"model_type": "llama", "num_hidden_layers": -1, "hidden_size": 8}),
                ConfigError::Missing("num_hidden_layers"),
            ),
        ] {
            assert_eq!(read(&config), Err(error), "{config}");
        }
    }

    #[test]
    fn a_dimension_out_of_its_range_is_an_error_that_names_it() {
        let error = read(&json!({"model_type": "llama", "num_hidden_layers": 20_000, "hidden_size": 64}));
        let error = error.unwrap_err().to_string();
        assert!(error.starts_with("gives model.layers 20000, which "), "{error}");
    }

    #[test]
    fn the_kinds_of_layers_are_read() {
        let pattern =
            |config: Value| read(&config).unwrap().layer_pattern.map(|pattern| pattern.letters().to_owned());
        let of = |model_type: &str, more: Value| {
            let mut config = json!({"model_type": model_type, "num_hidden_layers": 8, "hidden_size": 64});
            config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            pattern(config)
        };
        let words = json!({"layer_types": ["linear_attention", "full_attention"]});
        assert_eq!(of("qwen3_next", json!({})).as_deref(), Some("GGG*"));
        assert_eq!(of("kimi_linear", words.clone()).as_deref(), Some("K*"));
        assert_eq!(of("minimax", words).as_deref(), Some("L*"));
        assert_eq!(of("falcon_h1", json!({})).as_deref(), Some("H"));
        assert_eq!(of("llama", json!({"layer_types": ["full_attention"]})), None);
        assert_eq!(
            of("jamba", json!({"attn_layer_period": 4, "attn_layer_offset": 1})).as_deref(),
            Some("M*MM")
        );
        assert_eq!(of("mllama", json!({"cross_attention_layers": [3, 7]})).as_deref(), Some("***X"));
    }

    proptest::proptest! {
        #[test]
        fn no_numbers_and_no_words_panic(
            at in 0usize..70, key in "[a-z_]{1,24}", number in proptest::prelude::any::<u64>(),
        ) {
            let mut config = published().swap_remove(at % published().len()).config;
            for keys in [config.pointer_mut("/text_config"), None] {
                if let Some(Value::Object(keys)) = keys {
                    keys.insert(key.clone(), number.into());
                    for value in keys.values_mut().filter(|value| value.is_number()) {
                        *value = number.into();
                    }
                }
            }
            config.as_object_mut().unwrap().insert(key, number.into());
            if let Ok(model) = read(&config) {
                let _ = count(&model);
            }
        }
    }
}
