//! The kinds of layers of a model that has several: one letter a layer, repeated until every layer has one.
//!
//! | letter | layer |
//! | --- | --- |
//! | `*` | attention over all tokens |
//! | `S` | attention over a sliding window |
//! | `X` | attention to the tokens of a tower |
//! | `G` | Gated `DeltaNet` |
//! | `K` | Kimi Delta Attention |
//! | `L` | lightning attention |
//! | `M` | a state space: Mamba or Mamba-2 |
//! | `H` | attention and a state space side by side |
//! | `C` | a short convolution |
//! | `B` | an encoder's: attention over all tokens of the input, in both directions |
//! | `D` | a decoder's beside an encoder: attention over the output, then attention to the encoder's tokens |
//! | `N` | a network whose layers are not listed, such as one for images: only its parameters are counted |
//! | `-` | a feed-forward network alone |
//! | `E` | experts alone |
//!
//! A feed-forward network or experts follow in the same layer, unless the pattern has a letter for them (`-`, `E`) or has
//! only `M`. `M`, `G`, `*`, `-` and `E` are Megatron-LM's letters (`megatron/core/ssm/mamba_hybrid_layer_allocation.py`).

use serde::{Deserialize, Serialize};

/// The letters of a pattern.
pub const LETTERS: &str = "*SXGKLMHCBDN-E";
/// The longest pattern.
const LONGEST: usize = 512;

/// The kinds of a model's layers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LayerPattern(String);

impl LayerPattern {
    /// The letters.
    pub fn letters(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for LayerPattern {
    type Error = String;

    fn try_from(letters: String) -> Result<Self, String> {
        if letters.is_empty() || letters.len() > LONGEST || !letters.chars().all(|c| LETTERS.contains(c)) {
            return Err(format!("write one letter a layer, up to {LONGEST} of {LETTERS}, like GGG*"));
        }
        Ok(Self(letters))
    }
}

impl From<LayerPattern> for String {
    fn from(pattern: LayerPattern) -> Self {
        pattern.0
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for LayerPattern {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "LayerPattern".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "minLength": 1,
            "maxLength": 512,
            "pattern": r"^[*SXGKLMHCBDNE-]+$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_has_only_letters_of_kinds() {
        let read = |text: &str| LayerPattern::try_from(text.to_owned()).is_ok();
        assert!(read("GGG*") && read("M-M*-") && read(LETTERS));
        for wrong in ["", "g", "GGG*\n", "M M", "ü"] {
            assert!(!read(wrong), "{wrong}");
        }
        assert!(read(&"M".repeat(LONGEST)) && !read(&"M".repeat(LONGEST + 1)));
    }
}
