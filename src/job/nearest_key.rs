//! The key that a person means by another word: the word of another tool, the path of a field, or a misspelling.
//!
//! In this order: the key in another spelling (`TENSOR_PARALLEL`), the key of a field's path (`finetuning.method`), a word
//! that other tools have for it (`tp`), and the key with the fewest slips, one for every four letters.

use crate::job::keys::{self, KEYS};
use crate::job::{AnyField, field};

/// Longer names are not compared.
const LONGEST: usize = 63;

/// Words of other tools and of everyday speech, and the keys that they mean. Abbreviations, options of Megatron-LM,
/// Hugging Face's Trainer, `DeepSpeed` and torchtitan, and columns of this tool.
const WORDS: &[(&[&str], &[&str])] = &[
    (
        &["tensor-parallel"],
        &["tp", "tp-size", "tensor", "tensor-model-parallel-size", "tensor-parallel-size"],
    ),
    (&["pipeline-parallel"], &["pp", "pp-size", "pipeline", "pipeline-model-parallel-size", "stages"]),
    (&["context-parallel"], &["cp", "cp-size", "context", "context-parallel-size", "ring-attention"]),
    (&["expert-parallel"], &["ep", "ep-size", "expert-model-parallel-size"]),
    (&["data-parallel"], &["dp", "dp-size", "data", "data-parallel-size", "replicas"]),
    (&["virtual-pipeline"], &["vp", "vpp", "interleave"]),
    (&["sequence-parallel"], &["sp"]),
    (
        &["sequence-length"],
        &[
            "seq",
            "seq-len",
            "seqlen",
            "seq-length",
            "sequence-len",
            "max-length",
            "max-seq-length",
            "context-length",
            "cutoff-len",
        ],
    ),
    (&["micro-batch-size", "global-batch-size"], &["batch", "batch-size", "bs"]),
    (&["micro-batch-size"], &["mbs", "micro-batch", "per-device-train-batch-size", "local-batch-size"]),
    (&["global-batch-size"], &["gbs", "global-batch", "train-batch-size"]),
    (
        &["sharding"],
        &["shard", "zero", "zero-stage", "fsdp", "ddp", "hsdp", "distributed-optimizer", "strategy", "stage"],
    ),
    (
        &["recompute"],
        &[
            "gradient-checkpointing",
            "activation-checkpointing",
            "checkpointing",
            "recomputation",
            "ac",
            "remat",
        ],
    ),
    (&["gpu-type"], &["gpu", "gpus-type", "accelerator", "accelerator-type", "device", "card"]),
    (&["accelerator-count"], &["gpus", "gpu-count", "num-gpus", "world-size", "accelerators"]),
    (&["accelerator-per-node"], &["gpus-per-node", "per-node", "nproc-per-node"]),
    (&["accelerator-memory"], &["gpu-memory", "memory", "vram"]),
    (&["parameters"], &["params", "size", "model-size", "num-parameters"]),
    (&["model"], &["name", "model-name", "model-id", "model-name-or-path", "base-model"]),
    (&["layers"], &["num-layers", "num-hidden-layers", "n-layers", "depth"]),
    (&["hidden-size"], &["hidden", "width", "dim", "d-model"]),
    (&["attention-heads"], &["heads", "num-heads", "num-attention-heads", "n-heads"]),
    (&["kv-heads"], &["num-kv-heads", "num-key-value-heads", "num-query-groups", "n-kv-heads"]),
    (&["ffn-hidden-size"], &["ffn", "intermediate-size"]),
    (&["vocab-size"], &["vocab", "vocabulary"]),
    (&["experts"], &["num-experts", "moe"]),
    (&["experts-per-token"], &["top-k", "topk", "num-experts-per-tok"]),
    (&["method"], &["finetuning", "finetuning-type", "peft", "lora", "qlora", "adapter"]),
    (&["lora-rank"], &["rank", "lora-r", "r"]),
    (&["lora-targets"], &["targets", "target-modules", "lora-target-modules"]),
    (&["precision"], &["dtype", "bf16", "fp16", "mixed-precision"]),
    (&["optimizer"], &["optim", "adam"]),
    (&["attention"], &["flash", "flash-attention", "attn", "attn-implementation"]),
    (&["offload"], &["cpu-offload", "offload-optimizer"]),
    (&["tokens"], &["train-tokens", "dataset-tokens", "dataset"]),
    (&["steps"], &["max-steps", "train-iters", "iterations"]),
    (&["target-days"], &["days", "deadline"]),
    (&["price-per-gpu-hour"], &["price", "cost"]),
];

/// The keys that a name may mean: one, or two where it is ambiguous, or none.
pub fn nearest(name: &str) -> Vec<&'static str> {
    if name.len() > LONGEST {
        return Vec::new();
    }
    if let Some(key) = field::find(name).and_then(keys::of_member) {
        return vec![key];
    }
    let dashed = dashed(name);
    let key = |name: &str| KEYS.iter().map(|key| key.name).find(|key| *key == name);
    let word =
        |name: &str| WORDS.iter().find(|(_, words)| words.contains(&name)).map(|(keys, _)| keys.to_vec());
    let last = name.rsplit('.').next().map(self::dashed).unwrap_or_default();
    let known = [dashed.as_str(), last.as_str()]
        .into_iter()
        .find_map(|name| key(name).map(|key| vec![key]).or_else(|| word(name)));
    known.unwrap_or_else(|| likeliest(&dashed).into_iter().collect())
}

/// The path of the field that is meant: the one with the fewest wrong letters, or that of the annotation with this name.
pub fn nearest_field(path: &str) -> Option<&'static str> {
    if path.len() > LONGEST {
        return None;
    }
    let allowed = 1 + path.rsplit('.').next().unwrap_or_default().len() / 4;
    let fields = field::SPEC.fields().into_iter().map(AnyField::path);
    let alike = fields.filter(|field| field.len().abs_diff(path.len()) <= allowed);
    let compared = alike.map(|field| (strsim::osa_distance(field, path), field));
    let misspelt = compared.filter(|(wrong, _)| *wrong <= allowed).min_by_key(|(wrong, _)| *wrong);
    let of_key = || {
        let name = *nearest(path).first()?;
        KEYS.iter().find(|key| key.name == name).map(keys::Key::path)
    };
    misspelt.map(|(_, field)| field).or_else(of_key)
}

/// The key with the fewest slips.
fn likeliest(name: &str) -> Option<&'static str> {
    const LETTERS: usize = 4;
    let slips = name.chars().count() / LETTERS;
    let compared = KEYS.iter().map(|key| (strsim::damerau_levenshtein(name, key.name), key.name));
    compared
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, _)| *distance <= slips)
        .map(|(_, key)| key)
}

/// A name as keys are written: `tensorParallel`, `TENSOR_PARALLEL` and `--tensor-parallel` are `tensor-parallel`.
fn dashed(name: &str) -> String {
    let name = name.trim_start_matches('-');
    let mixed = name.chars().any(char::is_lowercase);
    let mut dashed = String::new();
    for letter in name.chars() {
        match letter {
            '_' | '.' | ' ' => dashed.push('-'),
            letter if mixed && letter.is_uppercase() => {
                dashed.push('-');
                dashed.extend(letter.to_lowercase());
            }
            letter => dashed.extend(letter.to_lowercase()),
        }
    }
    dashed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_other_tools_mean_a_key() {
        for (written, meant) in [
            ("tp", "tensor-parallel"),
            ("pp", "pipeline-parallel"),
            ("dp", "data-parallel"),
            ("seq-len", "sequence-length"),
            ("shard", "sharding"),
            ("zero-stage", "sharding"),
            ("TENSOR-PARALLEL", "tensor-parallel"),
            ("tensor_parallel", "tensor-parallel"),
            ("tensorParallel", "tensor-parallel"),
            ("finetuning.method", "method"),
            ("batch.micro_batch_size", "micro-batch-size"),
            ("offload.optimizer", "offload"),
            ("gradient-checkpointing", "recompute"),
            ("gpu", "gpu-type"),
            ("gpus", "accelerator-count"),
            ("tensor-paralel", "tensor-parallel"),
            ("modle", "model"),
        ] {
            assert_eq!(nearest(written).first().copied(), Some(meant), "{written}");
        }
        assert_eq!(nearest("batch-size"), ["micro-batch-size", "global-batch-size"]);
    }

    #[test]
    fn a_word_that_is_like_no_key_means_none() {
        for unknown in ["", "x", "mfx", "team", "owner", "xyzzy", &"tensor-parallel".repeat(9)] {
            assert_eq!(nearest(unknown), Vec::<&str>::new(), "{unknown}");
        }
    }

    #[test]
    fn every_word_means_keys_that_there_are() {
        for (keys, words) in WORDS {
            for key in *keys {
                assert!(KEYS.iter().any(|known| known.name == *key), "{key}");
            }
            for word in *words {
                assert!(KEYS.iter().all(|known| known.name != *word), "{word} is a key itself");
            }
        }
    }
}
