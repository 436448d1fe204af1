//! The modules around a model's layers, by name: the embedding and the output layer.
//!
//! Names are those of the classes of Transformers 5.24 (`embed_tokens`, `wte`, `embed_in`, `lm_head`, `embed_out`), of
//! Megatron-LM (`word_embeddings`, `embedding`, `output_layer`), and ms-swift's word for every embedding (`all-embedding`,
//! 4.6.0). A name may have the modules around it: `model.embed_tokens`.

const EMBEDDING: &[&str] = &[
    "embed_tokens",
    "wte",
    "word_embeddings",
    "embed_in",
    "tok_embeddings",
    "embeddings",
    "embedding",
    "all-embedding",
];
const OUTPUT: &[&str] = &["lm_head", "output_layer", "embed_out", "output"];

/// The modules that a list of names has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OuterModules {
    /// Whether it has the embedding.
    pub embedding: bool,
    /// Whether it has the output layer.
    pub output: bool,
}

impl OuterModules {
    /// Reads a list of names.
    pub fn named(names: &[String]) -> Self {
        names.iter().map(|name| Self::of(name)).fold(Self::default(), |all, one| Self {
            embedding: all.embedding || one.embedding,
            output: all.output || one.output,
        })
    }

    /// Reads one name.
    pub fn of(name: &str) -> Self {
        let last = name.trim().rsplit('.').next().unwrap_or_default();
        Self { embedding: EMBEDDING.contains(&last), output: OUTPUT.contains(&last) }
    }

    /// Whether it has one of them.
    pub fn any(self) -> bool {
        self.embedding || self.output
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_known_by_the_last_part_of_their_names() {
        let of = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let modules = OuterModules::named(&names);
            [modules.embedding, modules.output]
        };
        assert_eq!(of(&["model.embed_tokens", "lm_head"]), [true, true]);
        assert_eq!(of(&["wte"]), [true, false]);
        assert_eq!(of(&["input_layernorm", "score"]), [false, false]);
    }
}
