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

/// The table's file: models by name.
#[derive(Debug, Deserialize)]
struct Entry {
    /// Other names that are not found by the rules, Hugging Face ids among them.
    #[serde(default)]
    also: Vec<String>,
    /// The published number of parameters, where one is published to the parameter.
    #[allow(dead_code, reason = "what the tests count against")]
    published: Option<u64>,
    /// The size in its name, rounded.
    #[allow(dead_code, reason = "what the tests count against")]
    nominal: Option<String>,
    #[serde(flatten)]
    model: Model,
}

struct Table {
    models: BTreeMap<String, Entry>,
    /// Where a plain name is in the table.
    names: BTreeMap<String, Known>,
}

#[allow(clippy::expect_used, reason = "the file is compiled in, and a test reads it")]
static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let models: BTreeMap<String, Entry> =
        toml::from_str(include_str!("../../data/models.toml")).expect("data/models.toml is valid");
    let mut names = BTreeMap::new();
    for (name, entry) in &models {
        let known = Known { name: name.clone(), model: entry.model.clone() };
        for name in std::iter::once(name).chain(&entry.also) {
            names.insert(plain(name), known.clone());
        }
    }
    Table { models, names }
});

/// What may stand behind a name without changing the shape.
const SUFFIXES: &[&str] = &[
    "hf", "instruct", "chat", "base", "it", "pt", "sft", "dpo", "bf16", "fp16", "fp8", "awq", "gptq",
    "bnb4bit", "4bit", "gguf", "preview", "deduped", "v0.1", "v0.2", "v1.0", "v1", "v2",
];

/// The model of this name.
pub fn find(name: &str) -> Option<&'static Known> {
    const LONGEST: usize = 253;
    if name.len() > LONGEST {
        return None;
    }
    let mut plain = plain(name);
    loop {
        if let Some(known) = TABLE.names.get(&plain) {
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
