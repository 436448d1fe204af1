//! Names of models, brought from the spellings of people to one form.
//!
//! The last part of a path or an id counts: `meta-llama/Llama-2-70b-hf`, `/mnt/llama-2-70b-hf`,
//! `s3://models/Llama-2-7b-hf`, and in the Hugging Face cache the part after `models--`. If that part is only a size,
//! the family is the part before it, as in torchtune's configurations and torchtitan's flavours: `llama3_2/1B_full`,
//! `llama3/8B`. In a Python path the function counts: `torchtune.models.llama3_1.lora_llama3_1_8b`,
//! `llm.llama3_8b.pretrain_recipe`.
//!
//! The form is in lower case. A separator stays, as a point, only between two digits. So `qwen2_5-7b`, `Qwen2.5-7B`
//! and `qwen2p5_7b` are equal, and `llama-2-7b` and `llama-27b` are not. Words that do not change the shape may stand
//! before the name and after it.

/// Words that may stand before a name: the publisher, or the part that is trained.
const PREFIXES: &[&str] = &[
    "ai",
    "bigcode",
    "bigscience",
    "c4ai",
    "databricks",
    "deepseek",
    "dora",
    "eleutherai",
    "facebook",
    "google",
    "hf",
    "huggyllama",
    "ibm",
    "lora",
    "meta",
    "microsoft",
    "mistralai",
    "mosaicml",
    "nvidia",
    "openai",
    "qlora",
    "tiiuae",
    "unsloth",
];

/// Words that may stand after a name and do not change the shape.
const SUFFIXES: &[&str] = &[
    // Formats.
    "bnb",
    "4bit",
    "8bit",
    "awq",
    "gptq",
    "gguf",
    "bf16",
    "fp16",
    "fp8",
    "int4",
    "int8",
    "nf4",
    "nvfp4",
    "hf",
    "pt",
    "mcore",
    "unsloth",
    // Its purpose, and its version.
    "instruct",
    "chat",
    "base",
    "it",
    "sft",
    "dpo",
    "thinking",
    "preview",
    "deduped",
    "reward",
    "rm",
    "tldr",
    "reasoning",
    "v0.1",
    "v0.2",
    "v1.0",
    "2507",
    "2512",
    // The length of the sequence.
    "4k",
    "8k",
    "16k",
    "32k",
    "64k",
    "128k",
    // The recipe of the training.
    "full",
    "lora",
    "qlora",
    "dora",
    "qat",
    "ppo",
    "peft",
    "pretrain",
    "finetune",
    "single",
    "device",
    "distributed",
    "multinode",
    "low",
    "memory",
    "config",
    "recipe",
];

/// The most words around a name that are skipped, at each end.
const AROUND: usize = 8;

/// Parts at the end of a path that do not name the model.
const SUBFOLDERS: &[&str] = &["snapshots", "main", "original", "hf"];

/// The separators of words in a name. A point is not one.
const SEPARATORS: [char; 4] = ['-', '_', ' ', ':'];

/// Functions of a module that is named like a model.
const FUNCTIONS: &[&str] =
    &["pretrain_recipe", "finetune_recipe", "pretrain_config", "finetune_config", "model"];

/// The first model with one of the name's forms.
pub(super) fn look_up<T>(name: &str, known: impl Fn(&str) -> Option<T>) -> Option<T> {
    written_forms(name).into_iter().find_map(|form| {
        let words: Vec<&str> = form.split(SEPARATORS).collect();
        let (before, behind) = around(&words);
        let inner = |start: usize, end: usize| words.get(start..words.len().saturating_sub(end));
        let cuts = (0..=before).flat_map(|start| (0..=behind).map(move |end| (start, end)));
        cuts.filter_map(|(start, end)| inner(start, end)).find_map(|words| known(&plain(&words.join("-"))))
    })
}

/// The form of a name that may be misspelt, without the words around it.
pub(super) fn probable(name: &str) -> String {
    let form = written_forms(name).into_iter().next().unwrap_or_default();
    let words: Vec<&str> = form.split(SEPARATORS).collect();
    let (before, behind) = around(&words);
    let inner = words.get(before..words.len().saturating_sub(behind)).unwrap_or_default();
    plain(&inner.join("-"))
}

/// How many words before a name and after it do not belong to it.
fn around(words: &[&str]) -> (usize, usize) {
    // Two separators behind each other have no word between them.
    let is_in = |list: &[&str], word: &str| {
        word.is_empty() || list.iter().any(|known| known.eq_ignore_ascii_case(word))
    };
    let before = words.iter().take(AROUND).take_while(|word| is_in(PREFIXES, word)).count();
    let behind = words.iter().rev().take(AROUND).take_while(|word| is_in(SUFFIXES, word)).count();
    (before, behind)
}

/// The names that a written name may mean, the likeliest first.
fn written_forms(written: &str) -> Vec<String> {
    let written = written.trim();
    let path = written.split_once("://").map_or(written, |(_, path)| path);
    let mut parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    if let Some(cached) = parts.iter().rev().find_map(|part| part.strip_prefix("models--")) {
        return vec![cached.rsplit("--").next().unwrap_or(cached).to_owned()];
    }
    while parts.len() > 1 && parts.last().is_some_and(|part| is_subfolder(part)) {
        parts.pop();
    }
    let Some(last) = parts.pop() else { return Vec::new() };
    // A revision does not belong to the name, nor does the organisation before it in the cache.
    let last = last.split_once('@').map_or(last, |(name, _)| name);
    let last = last.rsplit("--").next().unwrap_or(last);
    let mut forms = vec![last.to_owned()];
    if let Some(family) = parts.last().filter(|_| is_size(last)) {
        let size = last.strip_suffix(".yaml").unwrap_or(last);
        forms.push(format!("{family}-{size}"));
    }
    forms.extend(function(last).map(ToOwned::to_owned));
    forms.extend(behind_organisation(last).map(ToOwned::to_owned));
    forms
}

/// The name behind an organisation and a point, as `ModelScope`'s folders have it: `Qwen.Qwen2.5-7B-Instruct`.
fn behind_organisation(name: &str) -> Option<&str> {
    let (organisation, name) = name.split_once('.')?;
    let letters = !organisation.is_empty() && organisation.chars().all(char::is_alphabetic);
    Some(name).filter(|name| letters && name.contains(|c: char| c.is_ascii_digit()))
}

/// Whether a part of a path stands after a model's folder: a revision, a checkpoint, a format.
fn is_subfolder(part: &str) -> bool {
    const HASH: usize = 40;
    let step = part.strip_prefix("checkpoint-").is_some_and(|step| step.bytes().all(|b| b.is_ascii_digit()));
    let hash = part.len() == HASH && part.bytes().all(|b| b.is_ascii_hexdigit());
    step || hash || SUBFOLDERS.contains(&part)
}

/// Whether a name is only the size of a family: `8B_lora`, `30B-A3B`, `17bx16e`, `mini_full`.
fn is_size(name: &str) -> bool {
    let unit = name.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | '_'));
    let sized = unit.len() < name.len() && unit.starts_with(['b', 'B', 'm', 'M', 'x', 'X']);
    sized || name.starts_with("mini_")
}

/// The function at the end of a Python path.
fn function(path: &str) -> Option<&str> {
    let is_identifier = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    if !path.contains('.') || !path.split('.').all(is_identifier) {
        return None;
    }
    path.rsplit('.').find(|part| !FUNCTIONS.contains(part))
}

/// A name in its one form.
pub(super) fn plain(name: &str) -> String {
    let mut plain = String::with_capacity(name.len());
    let mut separated = false;
    let mut letters = name.chars().flat_map(char::to_lowercase).peekable();
    while let Some(letter) = letters.next() {
        let after_digit = plain.ends_with(|last: char| last.is_ascii_digit());
        let before_digit = letters.peek().is_some_and(char::is_ascii_digit);
        let point = letter == 'p' && after_digit && before_digit && !separated;
        if point || letter == '.' || SEPARATORS.contains(&letter) {
            separated = true;
            continue;
        }
        if separated && after_digit && letter.is_ascii_digit() {
            plain.push('.');
        }
        separated = false;
        plain.push(letter);
    }
    plain
}

/// The name with its version as one number, as in NeMo and Megatron-Bridge: `llama31-8b`.
pub(super) fn squeezed(name: &str) -> Option<String> {
    let (at, _) = name.match_indices('.').find(|(at, _)| {
        let around = (name.get(..*at).and_then(|s| s.chars().last()), name.get(at + 1..));
        let (Some(before), Some(after)) = around else { return false };
        let mut after = after.chars();
        let minor = after.next().is_some_and(|c| c.is_ascii_digit());
        before.is_ascii_digit() && minor && after.next() == Some('-')
    })?;
    Some(plain(&format!("{}{}", name.get(..at)?, name.get(at + 1..)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_form_and_versions_are_not_sizes() {
        for (written, form) in [
            ("Qwen2.5-7B", "qwen2.5.7b"),
            ("qwen2_5_7b", "qwen2.5.7b"),
            ("qwen2p5-7b", "qwen2.5.7b"),
            ("llama-2-7b", "llama2.7b"),
            ("llama-27b", "llama27b"),
            ("llama3:8b", "llama3.8b"),
            ("mixtral 8x7b", "mixtral8x7b"),
            ("", ""),
            ("-_.", ""),
        ] {
            assert_eq!(plain(written), form, "{written}");
        }
        assert_eq!(squeezed("llama-3.1-8b").as_deref(), Some("llama31.8b"));
        assert_eq!(squeezed("qwen2-1.5b"), None);
        assert_eq!(squeezed("ü.5-"), None);
    }
}
