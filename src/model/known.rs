//! Models that are known by name: dimensions as the published `config.json` has them.
//!
//! The table is `data/models.toml`, and a test counts the parameters of every model in it. Names are found as people
//! write them: with an organisation before them or a folder, in upper or lower case, with other separators, and with
//! what does not change the shape behind them (`-hf`, `-Instruct`, `-chat`, …).

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::Value;

use super::{Parameters, Shape};
use crate::workload::Model;
use crate::workload::provenance::for_each_leaf;

/// A model that is known by name.
#[derive(Clone, Debug)]
pub struct Known {
    /// As we call it: `llama-2-70b`.
    pub name: String,
    /// Its dimensions.
    pub model: Model,
}

/// A model in the table's file. What else stands there is for the tests, and for the readers of the file.
#[derive(Debug, Deserialize)]
struct Entry {
    /// Other names that are not found by the rules.
    #[serde(default)]
    also: Vec<String>,
    #[serde(flatten)]
    model: Model,
}

const FILE: &str = include_str!("../../data/models.toml");

/// The models by their plain names.
#[allow(clippy::expect_used, reason = "the file is compiled in, and a test reads it")]
static NAMES: LazyLock<BTreeMap<String, Known>> = LazyLock::new(|| {
    let entries: BTreeMap<String, Entry> = toml::from_str(FILE).expect("data/models.toml is valid");
    let mut names = BTreeMap::new();
    for (name, entry) in &entries {
        let known = Known { name: name.clone(), model: entry.model.clone() };
        for name in std::iter::once(name).chain(&entry.also) {
            names.insert(plain(name), known.clone());
        }
    }
    names
});

/// What may stand behind a name without changing the shape, endings of others behind them.
const SUFFIXES: &[&str] = &[
    "bnb4bit", "4bit", "8bit", "awq", "gptq", "gguf", "bf16", "fp16", "fp8", "hf", "instruct", "chat",
    "base", "it", "pt", "sft", "dpo", "preview", "deduped", "v0.1", "v0.2", "v1.0",
];

/// The model of this name.
pub fn find(name: &str) -> Option<&'static Known> {
    const LONGEST: usize = 253;
    if name.len() > LONGEST {
        return None;
    }
    let mut plain = plain(name);
    loop {
        if let Some(known) = NAMES.get(&plain) {
            return Some(known);
        }
        let shorter = SUFFIXES.iter().find_map(|suffix| plain.strip_suffix(suffix))?;
        plain = shorter.to_owned();
    }
}

/// A name without organisation, case and separators.
fn plain(name: &str) -> String {
    let name = name.trim().trim_end_matches('/');
    let name = name.rsplit('/').next().unwrap_or(name).to_lowercase();
    let name: String = name.chars().filter(|c| !matches!(c, '-' | '_' | ' ' | ':')).collect();
    let name = name.strip_prefix("hf").unwrap_or(&name);
    name.strip_prefix("meta").unwrap_or(name).to_owned()
}

impl Known {
    /// The fields of the spec that are known of it.
    pub fn fields(&self) -> Vec<(String, Value)> {
        let model = serde_json::to_value(&self.model).unwrap_or_default();
        let mut fields = Vec::new();
        for_each_leaf(&model, &mut |field, value| fields.push((format!("model.{field}"), value.clone())));
        fields
    }

    /// How many parameters it has.
    pub fn count(&self) -> u64 {
        Shape::complete(&self.model, 2048, 32_000, 1.0).map_or(0, |shape| Parameters::of(&shape).total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Claim {
        published: Option<u64>,
        nominal: Option<crate::units::Count>,
    }

    #[test]
    fn every_model_has_the_published_number_of_parameters() {
        let claims: BTreeMap<String, Claim> = toml::from_str(FILE).unwrap();
        assert!(claims.len() > 100);
        for (name, claim) in claims {
            let counted = find(&name).expect(&name).count();
            match (claim.published, claim.nominal) {
                (Some(published), None) => assert_eq!(counted, published, "{name}"),
                (None, Some(nominal)) => {
                    let off = counted as f64 / nominal.0 as f64 - 1.0;
                    assert!(off.abs() < 0.01, "{name}: {counted} is not {nominal}");
                }
                _ => panic!("{name}: either published or nominal"),
            }
        }
    }

    #[test]
    fn every_word_of_the_file_is_read_and_every_name_means_one_model() {
        let tables: BTreeMap<String, toml::Table> = toml::from_str(FILE).unwrap();
        let mut names = std::collections::BTreeSet::new();
        for (name, table) in &tables {
            let known = serde_json::to_value(&find(name).unwrap().model).unwrap();
            for key in table.keys().filter(|key| !["published", "nominal", "also"].contains(&key.as_str())) {
                assert!(known.get(key).is_some(), "{name}: {key}");
            }
            let also = table.get("also").and_then(|also| also.as_array()).into_iter().flatten();
            for name in also.filter_map(|name| name.as_str()).chain([name.as_str()]) {
                assert!(names.insert(plain(name)), "{name} is there twice");
            }
        }
    }

    #[test]
    fn names_are_found_as_people_write_them() {
        for (written, name) in [
            ("llama-2-70b", "llama-2-70b"),
            ("meta-llama/Llama-2-70b-hf", "llama-2-70b"),
            ("meta-llama/Llama-2-7b-chat-hf", "llama-2-7b"),
            ("Llama2-7B", "llama-2-7b"),
            ("meta-llama/Meta-Llama-3-8B", "llama-3-8b"),
            ("meta-llama/Llama-3.1-8B-Instruct", "llama-3.1-8b"),
            ("unsloth/llama-3-8b-bnb-4bit", "llama-3-8b"),
            ("/workspace/models/hf-meta-llama3-8B/", "llama-3-8b"),
            ("huggyllama/llama-7b", "llama-7b"),
            ("mistralai/Mixtral-8x7B-Instruct-v0.1", "mixtral-8x7b"),
            ("mistralai/Mistral-7B-v0.1", "mistral-7b"),
            ("mistralai/Mistral-7B-Instruct-v0.3", "mistral-7b-v0.3"),
            ("Qwen/Qwen2.5-7B-Instruct", "qwen2.5-7b"),
            ("Qwen/Qwen3-30B-A3B", "qwen3-30b-a3b"),
            ("google/gemma-2b", "gemma-2b"),
            ("google/gemma-2-2b-it", "gemma-2-2b"),
            ("deepseek-ai/DeepSeek-V3", "deepseek-v3"),
            ("deepseek-ai/DeepSeek-R1", "deepseek-v3"),
            ("bigscience/bloom-560m", "bloom-560m"),
            ("EleutherAI/pythia-6.9b-deduped", "pythia-6.9b"),
            ("openai-community/gpt2", "gpt2"),
            ("GPT-3", "gpt3-175b"),
            ("TinyLlama/TinyLlama-1.1B-Chat-v1.0", "tinyllama-1.1b"),
        ] {
            assert_eq!(find(written).map(|known| known.name.as_str()), Some(name), "{written}");
        }
        for unknown in ["", "/", "-hf", "llama", "llama-2", "acme/frontier-x", "llama-2-7b-vision", "gpt-4"] {
            assert!(find(unknown).is_none(), "{unknown}");
        }
    }
}
