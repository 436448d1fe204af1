//! The layers without experts: the one field that is a number or a list.

use serde::{Deserialize, Serialize};

/// The layers without experts: a number of first layers, or the layers' numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum DenseLayers {
    /// This many layers at the front.
    Count(u32),
    /// These layers, counted from zero.
    List(Vec<u32>),
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for DenseLayers {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "DenseLayers".into()
    }
    fn inline_schema() -> bool {
        true
    }
    /// A structural schema holds no union of a number and a list, so the field has no type. What remains can still be
    /// bounded: each keyword looks at one type alone, and the empty values rule the other types out.
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "x-kubernetes-preserve-unknown-fields": true,
            "minimum": 0,
            "maximum": 10_000,
            "multipleOf": 1,
            "maxItems": 10_000,
            "maxLength": 0,
            "maxProperties": 0,
            "not": {"enum": ["", true, false, {}]},
            "description": "The layers without experts: how many at the front, or the list of their numbers."
        })
    }
}
