//! The names that families give to the same dimension.

use serde_json::{Map, Value};

pub(super) const LAYERS: &[&str] =
    &["num_hidden_layers", "n_layer", "num_layers", "n_layers", "decoder_layers"];
pub(super) const HIDDEN: &[&str] = &["hidden_size", "n_embd", "d_model", "dim"];
pub(super) const HEADS: &[&str] =
    &["num_attention_heads", "n_head", "n_heads", "num_heads", "decoder_attention_heads"];
pub(super) const HEAD_SIZE: &[&str] = &["head_dim", "attention_head_dim", "kv_channels"];
pub(super) const FFN: &[&str] =
    &["intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size", "decoder_ffn_dim", "d_ff"];
pub(super) const POSITIONS: &[&str] = &["max_position_embeddings", "n_positions", "seq_length", "n_ctx"];
pub(super) const EXPERTS: &[&str] =
    &["num_experts", "n_routed_experts", "num_local_experts", "moe_num_experts"];
pub(super) const EXPERTS_PER_TOKEN: &[&str] = &[
    "num_experts_per_tok",
    "num_experts_per_token",
    "top_k_experts",
    "moe_topk",
    "moe_k",
    "moe_top_k",
    "experts_per_token",
];
pub(super) const EXPERT_FFN: &[&str] =
    &["moe_intermediate_size", "moe_ffn_hidden_size", "expert_intermediate_size"];
pub(super) const SHARED_FFN: &[&str] = &[
    "shared_expert_intermediate_size",
    "moe_shared_expert_intermediate_size",
    "shared_intermediate_size",
    "share_expert_dim",
];

/// The keys of a decoder, and those of the whole file around them.
#[derive(Clone, Copy)]
pub(super) struct Keys<'a> {
    own: &'a Map<String, Value>,
    whole: &'a Map<String, Value>,
}

impl<'a> Keys<'a> {
    pub(super) fn of(own: &'a Map<String, Value>, whole: &'a Map<String, Value>) -> Self {
        Self { own, whole }
    }

    /// The value of a key. A null is no value.
    pub(super) fn get(self, name: &str) -> Option<&'a Value> {
        self.own.get(name).filter(|value| !value.is_null())
    }

    /// The first of several names with a whole number over zero.
    pub(super) fn number(self, names: &[&str]) -> Option<u32> {
        names.iter().find_map(|name| whole(self.get(name)?))
    }

    pub(super) fn flag(self, name: &str) -> Option<bool> {
        self.get(name).and_then(Value::as_bool)
    }

    /// The values of a list.
    pub(super) fn list(self, name: &str) -> Option<&'a Vec<Value>> {
        self.get(name).and_then(Value::as_array)
    }

    pub(super) fn text(self, name: &str) -> Option<&'a str> {
        self.get(name).and_then(Value::as_str)
    }

    /// The keys of a group.
    pub(super) fn group(self, name: &str) -> Option<Self> {
        let own = self.get(name)?.as_object()?;
        Some(Self { own, whole: self.whole })
    }
}

/// A whole number over zero, as a dimension.
pub(super) fn whole(value: &Value) -> Option<u32> {
    u32::try_from(value.as_u64()?).ok().filter(|number| *number > 0)
}
