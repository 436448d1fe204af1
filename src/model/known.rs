//! Models known by name, with the dimensions of their published `config.json`.
//!
//! The table is `data/models.toml`, and a test counts the parameters of every model in it. Names are found in the
//! spellings that people use; `names` has the rules. Any other name finds no model: a wrong shape is worse than none.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::Value;

use super::{Parameters, Shape, names};
use crate::job::{AnyField, Model, TrainingJob};

/// A model known by name.
#[derive(Clone, Debug)]
pub struct Known {
    /// The name in the table: `llama-2-70b`.
    pub name: String,
    /// Its dimensions.
    pub model: Model,
}

/// A model in the table's file. Its other fields are for the tests, and for readers of the file.
#[derive(Debug, Deserialize)]
struct Entry {
    /// Other names, which the rules do not find.
    #[serde(default)]
    also: Vec<String>,
    #[serde(flatten)]
    model: Model,
}

const FILE: &str = include_str!("../../data/models.toml");
/// The longest name that is looked up.
const LONGEST: usize = 253;

/// The models, and the model of each plain name.
struct Table {
    models: Vec<Known>,
    names: BTreeMap<String, usize>,
}

#[expect(clippy::expect_used, reason = "the file is compiled in, and a test reads it")]
static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let entries: BTreeMap<String, Entry> = toml::from_str(FILE).expect("data/models.toml is valid");
    let mut table = Table { models: Vec::with_capacity(entries.len()), names: BTreeMap::new() };
    let mut squeezed = Vec::new();
    for (position, (name, entry)) in entries.into_iter().enumerate() {
        for name in std::iter::once(&name).chain(&entry.also) {
            table.names.insert(names::plain(name), position);
            squeezed.extend(names::squeezed(name).map(|name| (name, position)));
        }
        table.models.push(Known { name, model: entry.model });
    }
    // A name that is in the file always wins.
    for (name, position) in squeezed {
        table.names.entry(name).or_insert(position);
    }
    table
});

/// Every model, in the order of the names.
pub fn all() -> &'static [Known] {
    &TABLE.models
}

/// The model with this name: an id, a path, a recipe, or a family and a size with a slash or a space between them,
/// like torchtitan's `llama3` and `8B`.
pub fn find(name: &str) -> Option<&'static Known> {
    if name.len() > LONGEST {
        return None;
    }
    let position = names::look_up(name, |form| TABLE.names.get(form))?;
    TABLE.models.get(*position)
}

/// Up to two models that a misspelt name may mean, the most similar first.
pub fn nearest(name: &str) -> Vec<&'static str> {
    /// A name may have one misspelling for each of so many letters.
    const LETTERS: usize = 5;
    if name.len() > LONGEST {
        return Vec::new();
    }
    let form = names::probable(name);
    let slips = (form.chars().count() / LETTERS).min(2);
    let mut nearest: BTreeMap<usize, usize> = BTreeMap::new();
    for (other, position) in &TABLE.names {
        if other.len().abs_diff(form.len()) <= slips {
            let distance = strsim::damerau_levenshtein(&form, other);
            if distance <= slips {
                let least = nearest.entry(*position).or_insert(distance);
                *least = distance.min(*least);
            }
        }
    }
    let mut nearest: Vec<_> = nearest.into_iter().map(|(position, distance)| (distance, position)).collect();
    nearest.sort_unstable();
    let misspelt = nearest.iter().filter_map(|(_, at)| Some(TABLE.models.get(*at)?.name.as_str()));
    let size = size(name);
    let (same, others): (Vec<_>, Vec<_>) = misspelt.partition(|name| has_size(name, size));
    let mut meant: Vec<&str> = Vec::new();
    for name in same.into_iter().chain(of_family_and_size(&form, size)).chain(others) {
        if !meant.contains(&name) {
            meant.push(name);
        }
    }
    meant.truncate(2);
    if meant.is_empty() { of_family(&form) } else { meant }
}

/// The size in a name, as it is written: `70B` of `org/llama-70B-hf`.
pub fn size(name: &str) -> Option<&str> {
    let of_word = |word: &str| {
        let end = word.strip_suffix(['b', 'B'])?;
        let begin = end.rfind(|c: char| !c.is_ascii_digit() && c != '.').map_or(0, |at| at + 1);
        let is_number = end.get(begin..)?.parse::<f64>().is_ok_and(|size| size > 0.0);
        is_number.then_some(word.len() - begin)
    };
    let mut words = name.split(['-', '_', ' ', ':', '/']).rev();
    let (word, length) = words.find_map(|word| Some((word, of_word(word)?)))?;
    word.get(word.len() - length..)
}

/// The models of a name's family that have its size, like llama-2-70b for llama-70b. The shortest names come first.
fn of_family_and_size(form: &str, size: Option<&str>) -> Vec<&'static str> {
    /// Fewer letters are no family.
    const LEAST: usize = 4;
    let letters = form.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
    if letters.len() < LEAST || size.is_none() {
        return Vec::new();
    }
    let names = TABLE.models.iter().map(|model| model.name.as_str());
    let mut models: Vec<&str> =
        names.filter(|name| has_size(name, size) && names::plain(name).starts_with(letters)).collect();
    models.sort_by_key(|name| name.len());
    models
}

/// Whether a model has the size that another name has.
fn has_size(model: &str, wanted: Option<&str>) -> bool {
    matches!((size(model), wanted), (Some(size), Some(wanted)) if size.eq_ignore_ascii_case(wanted))
}

/// Up to two models whose names begin so: a family without its size, like `llama3`.
fn of_family(form: &str) -> Vec<&'static str> {
    /// A shorter beginning says nothing.
    const LEAST: usize = 5;
    if form.chars().count() < LEAST {
        return Vec::new();
    }
    let beginning = TABLE.names.range(form.to_owned()..).take_while(|(name, _)| name.starts_with(form));
    let mut models: Vec<&str> = Vec::new();
    for (_, position) in beginning {
        let name = TABLE.models.get(*position).map(|model| model.name.as_str());
        if let Some(name) = name.filter(|name| models.len() < 2 && !models.contains(name)) {
            models.push(name);
        }
    }
    models
}

impl Known {
    /// The model's fields, as fields of the spec.
    pub fn fields(&self) -> Vec<(AnyField, Value)> {
        TrainingJob { model: Some(self.model.clone()), ..TrainingJob::default() }.values()
    }

    /// Whether it has an encoder, whose tokens its decoder attends to.
    pub fn has_encoder(&self) -> bool {
        self.model.layer_pattern.as_ref().is_some_and(|pattern| pattern.letters().contains('B'))
    }

    /// The number of parameters.
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
        assert!(claims.len() >= 358);
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
        let mut seen = std::collections::BTreeSet::new();
        for (name, table) in &tables {
            let known = serde_json::to_value(&find(name).unwrap().model).unwrap();
            for key in table.keys().filter(|key| !["published", "nominal", "also"].contains(&key.as_str())) {
                assert!(known.get(key).is_some(), "{name}: {key}");
            }
            let also = table.get("also").and_then(|also| also.as_array()).into_iter().flatten();
            for name in also.filter_map(|name| name.as_str()).chain([name.as_str()]) {
                assert!(seen.insert(names::plain(name)), "{name} is listed twice");
            }
        }
    }

    #[test]
    fn names_are_found_in_the_spellings_of_people() {
        for (written, name) in [
            ("llama-2-70b", "llama-2-70b"),
            ("meta-llama/Llama-2-70b-hf", "llama-2-70b"),
            ("meta-llama/Llama-2-7b-chat-hf", "llama-2-7b"),
            ("Llama2-7B", "llama-2-7b"),
            ("meta-llama/Meta-Llama-3-8B", "llama-3-8b"),
            ("meta-llama/Llama-3.1-8B-Instruct", "llama-3.1-8b"),
            ("unsloth/llama-3-8b-bnb-4bit", "llama-3-8b"),
            ("unsloth/Meta-Llama-3.1-8B-Instruct-unsloth-bnb-4bit", "llama-3.1-8b"),
            ("huggyllama/llama-7b", "llama-7b"),
            ("mistralai/Mixtral-8x7B-Instruct-v0.1", "mixtral-8x7b"),
            ("mistralai/Mistral-7B-v0.1", "mistral-7b"),
            ("mistralai/Mistral-7B-Instruct-v0.2", "mistral-7b"),
            ("mistralai/Mistral-7B-Instruct-v0.3", "mistral-7b-v0.3"),
            ("Qwen/Qwen-7B-Chat", "qwen-7b"),
            ("Qwen/Qwen2.5-7B-Instruct", "qwen2.5-7b"),
            ("Qwen/Qwen3-30B-A3B-Instruct-2507", "qwen3-30b-a3b"),
            ("Qwen/QwQ-32B-Preview", "qwen2.5-32b"),
            ("google/gemma-2b", "gemma-2b"),
            ("google/gemma-2-2b-it", "gemma-2-2b"),
            ("google/gemma-3-4b-it", "gemma-3-4b"),
            ("deepseek-ai/DeepSeek-V3", "deepseek-v3"),
            ("deepseek-ai/DeepSeek-R1", "deepseek-v3"),
            ("deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B", "deepseek-r1-distill-qwen-1.5b"),
            ("bigscience/bloom-560m", "bloom-560m"),
            ("bigscience/bloomz-7b1-mt", "bloom-7b1"),
            ("EleutherAI/pythia-6.9b-deduped", "pythia-6.9b"),
            ("openai-community/gpt2", "gpt2"),
            ("GPT-3", "gpt3-175b"),
            ("ibm-granite/granite-8b-code-base-4k", "granite-8b-code"),
            ("nvidia/Nemotron-Mini-4B-Instruct", "nemotron-mini-4b"),
            ("nvidia/Minitron-4B-Base", "nemotron-mini-4b"),
            ("CohereForAI/c4ai-command-r-v01", "command-r"),
            ("lmsys/vicuna-7b-v1.5", "llama-2-7b"),
            ("HuggingFaceH4/zephyr-7b-beta", "mistral-7b"),
            ("TinyLlama/TinyLlama-1.1B-Chat-v1.0", "tinyllama-1.1b"),
            ("Qwen/Qwen3.5-35B-A3B", "qwen3.5-35b-a3b"),
            ("Qwen/Qwen2.5-VL-7B-Instruct", "qwen2.5-vl-7b"),
            ("nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", "nemotron-3-nano-30b-a3b"),
            ("mistralai/Ministral-3-3B-Reasoning-2512", "ministral-3-3b"),
            ("trl-lib/Qwen2-0.5B-Reward", "qwen2-0.5b"),
            ("cleanrl/EleutherAI_pythia-1b-deduped__reward__tldr", "pythia-1b"),
            ("OpenRLHF/Llama-3-8b-sft-mixture", "llama-3-8b"),
            ("OpenRLHF/Llama-3-8b-rm-mixture", "llama-3-8b"),
            ("openchat/openchat-3.6-8b-20240522", "llama-3-8b"),
            ("HuggingFaceH4/zephyr-7b-gemma-sft-v0.1", "gemma-7b"),
            ("HuggingFaceTB/SmolLM3-3B-checkpoints", "smollm3-3b"),
            ("swiss-ai/Apertus-8B-Instruct-2509", "apertus-8b"),
            ("tencent/Hunyuan-0.5B-Instruct", "hunyuan-0.5b"),
            ("tencent/Hunyuan-7B-Pretrain", "hunyuan-7b"),
            ("Qwen/Qwen1.5-14B-Chat-GPTQ-Int4", "qwen1.5-14b"),
            ("distilbert/distilgpt2", "distilgpt2"),
            ("beomi/KoAlpaca-Polyglot-12.8B", "polyglot-ko-12.8b"),
            ("ByteDance-Seed/Seed-Coder-8B-Instruct", "seed-coder-8b"),
            ("deepseek-ai/deepseek-coder-7b-instruct-v1.5", "deepseek-llm-7b"),
            ("Qwen/Qwen3-Coder-Next", "qwen3-next-80b-a3b"),
        ] {
            assert_eq!(find(written).map(|known| known.name.as_str()), Some(name), "{written}");
        }
    }

    #[test]
    fn names_are_found_at_the_end_of_paths() {
        for (written, name) in [
            ("/workspace/models/hf-meta-llama3-8B/", "llama-3-8b"),
            ("/mnt/llama-2-70b-hf", "llama-2-70b"),
            ("s3://acme-models/llama/Llama-2-7b-hf", "llama-2-7b"),
            ("hf://meta-llama/Llama-3.2-1B", "llama-3.2-1b"),
            ("hf://meta-llama/Llama-3.2-1B@4e20de3", "llama-3.2-1b"),
            ("pvc://weights/mistral-7b-v0.3/", "mistral-7b-v0.3"),
            (
                "models--meta-llama--Llama-3.1-8B/snapshots/d04e592bb4f6aa9cfee91e2e20afa771667e1d4b",
                "llama-3.1-8b",
            ),
            ("/root/.cache/huggingface/hub/models--Qwen--Qwen2.5-7B-Instruct", "qwen2.5-7b"),
            ("/data/llama-3-8b/checkpoint-500", "llama-3-8b"),
            ("/models/google_gemma-2b/original", "gemma-2b"),
            ("/models/meta-llama--Llama-2-7b-hf", "llama-2-7b"),
            ("/models/Qwen.Qwen2.5-VL-7B-Instruct", "qwen2.5-vl-7b"),
        ] {
            assert_eq!(find(written).map(|known| known.name.as_str()), Some(name), "{written}");
        }
    }

    #[test]
    fn names_are_found_in_the_spellings_of_frameworks() {
        for (written, name) in [
            // torchtune: configurations and builders.
            ("llama3_2/1B_full", "llama-3.2-1b"),
            ("llama3/8B_lora", "llama-3-8b"),
            ("llama3_1/70B_qlora", "llama-3.1-70b"),
            ("qwen2_5/7B_lora_single_device", "qwen2.5-7b"),
            ("code_llama2/7B_full_low_memory", "codellama-7b"),
            ("phi3/mini_full", "phi-3-mini"),
            ("phi4/14B_lora", "phi-4"),
            ("gemma2/27B_lora.yaml", "gemma-2-27b"),
            ("qwen2/1.5B_lora", "qwen2-1.5b"),
            ("torchtune.models.llama3_1.llama3_1_8b", "llama-3.1-8b"),
            ("torchtune.models.llama3_2.lora_llama3_2_3b", "llama-3.2-3b"),
            ("torchtune.models.qwen2_5.qwen2_5_0_5b", "qwen2.5-0.5b"),
            ("torchtune.models.phi3.qlora_phi3_mini", "phi-3-mini"),
            // NeMo and Megatron-Bridge.
            ("llama3_70b", "llama-3-70b"),
            ("llama3_8b_64k", "llama-3-8b"),
            ("llama31_405b", "llama-3.1-405b"),
            ("llama32_1b", "llama-3.2-1b"),
            ("qwen3_235b_a22b", "qwen3-235b-a22b"),
            ("qwen35_vl_35b_a3b", "qwen3.5-35b-a3b"),
            ("nemotron_3_super", "nemotron-3-super-120b-a12b"),
            ("torchtune.models.llama3_2_vision.lora_llama3_2_vision_11b", "llama-3.2-11b-vision"),
            ("qwen25_1p5b", "qwen2.5-1.5b"),
            ("qwen25_500m", "qwen2.5-0.5b"),
            ("deepseek_v3", "deepseek-v3"),
            ("nemotron4_340b", "nemotron-4-340b"),
            ("mixtral_8x7b_16k", "mixtral-8x7b"),
            ("phi3_mini_4k_instruct", "phi-3-mini"),
            ("starcoder_15b", "starcoder"),
            ("llama4_e128", "llama-4-maverick"),
            ("glm45_air_106b", "glm-4.5-air"),
            ("llama3_8b_pretrain_config", "llama-3-8b"),
            ("llm.llama3_8b", "llama-3-8b"),
            ("llm.mixtral_8x7b.pretrain_recipe", "mixtral-8x7b"),
            ("nemo.collections.llm.recipes.gpt3_175b", "gpt3-175b"),
            // MaxText.
            ("llama2-70b", "llama-2-70b"),
            ("gemma2-9b", "gemma-2-9b"),
            ("deepseek3-671b", "deepseek-v3"),
            ("llama4-17b-16e", "llama-4-scout"),
            ("gpt-oss-20b", "gpt-oss-20b"),
            // torchtitan, swift, ollama.
            ("llama3 8B", "llama-3-8b"),
            ("llama3/405B", "llama-3.1-405b"),
            ("qwen3/30B-A3B", "qwen3-30b-a3b"),
            ("llama4/17bx16e", "llama-4-scout"),
            ("qwen2_5-7b-instruct", "qwen2.5-7b"),
            ("qwen1half-14b-chat", "qwen1.5-14b"),
            ("llama3:8b", "llama-3-8b"),
        ] {
            assert_eq!(find(written).map(|known| known.name.as_str()), Some(name), "{written}");
        }
    }

    #[test]
    fn other_names_find_no_model() {
        for unknown in [
            "",
            "/",
            "-",
            "-hf",
            "hf",
            "7b",
            "/models/7b",
            "8B_lora",
            "mini_full",
            "models--",
            "models--a--",
            "@",
            "://",
            "llama",
            "llama-2",
            "llama-27b",
            "gemma-lora",
            "qwen2-57b",
            "my-model-7b",
            "acme/frontier-x",
            "roberta",
            "gpt-4",
            "llama-2-7b-vision",
            "llama-2-7b/outputs",
            "phi/4",
            "gemma/2",
            "llama3_8b.py",
            "train_llama3_8b.sh",
            "gpt3_5b.sh",
            "pretrain_gpt.py",
            "llama3_2/8B_to_1B_KD_lora_distributed",
            "mamba2_2_7b",
            "glm-4-9b-chat-1m",
            "ü",
            "llama-2-7b\u{0}",
        ] {
            assert_eq!(find(unknown).map(|known| known.name.as_str()), None, "{unknown}");
        }
        assert!(find(&"a/".repeat(200)).is_none());
    }

    #[test]
    fn every_name_is_found_in_other_spellings() {
        for known in &TABLE.models {
            let name = &known.name;
            for written in [
                name.to_uppercase(),
                name.replace('-', "_"),
                format!("acme/{name}"),
                format!("/mnt/models/{name}/"),
                format!("s3://bucket/{name}-instruct"),
                format!("models--acme--{name}/snapshots/0"),
            ] {
                assert_eq!(find(&written).map(|known| &known.name), Some(name), "{written}");
            }
        }
    }

    #[test]
    fn a_misspelt_name_and_a_family_have_nearest_names() {
        for (written, first) in [
            ("meta-llama/Lama-2-70b-hf", "llama-2-70b"),
            ("mistrall-7b-instruct", "mistral-7b"),
            ("EleutherAI/pithia-6.9b", "pythia-6.9b"),
            ("mixtrla-8x7b", "mixtral-8x7b"),
            // A family without its size.
            ("mixtral", "mixtral-8x22b"),
            ("gemma-lora", "gemma-2b"),
        ] {
            assert_eq!(nearest(written).first().copied(), Some(first), "{written}");
        }
        for unknown in ["", "acme/frontier-x", "my-model-7b", "electra-large-uncased"] {
            assert_eq!(nearest(unknown), Vec::<&str>::new(), "{unknown}");
        }
    }

    #[test]
    fn a_name_without_a_version_means_those_of_its_size() {
        assert_eq!(nearest("llama-70b"), ["llama-2-70b", "llama-3-70b"]);
        assert_eq!(nearest("qwen-72B-instruct").first().and_then(|name| size(name)), Some("72b"));
        assert_eq!(
            ["70B", "org/llama-70b-hf", "x", "b", "a-1.5B"].map(size),
            [Some("70B"), Some("70b"), None, None, Some("1.5B")]
        );
    }

    proptest::proptest! {
        #[test]
        fn looking_up_any_name_ends(name in "\\PC{0,80}") {
            let _ = (find(&name), nearest(&name));
        }

        #[test]
        fn words_that_name_no_family_find_no_model(
            word in "(my|our|team|prod|exp|test|custom|base|final)[-_](model|run|job|v[0-9]|lora|adapter)",
            size in "[-_]?([1-9][0-9]?(\\.[1-9])?b|[1-9]00m)?",
        ) {
            let found = find(&format!("{word}{size}"));
            proptest::prop_assert!(found.is_none());
        }
    }
}
