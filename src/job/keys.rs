//! The keys of the contract: which field of the spec each means, and how its value is written.

use crate::job::grammar::Grammar::{self, Boolean, Count, List, Name, Offload, Percent, Price, Whole, Word};
use crate::job::{Attention, Framework, Method, Optimizer, Precision, Recompute, Sharding};

/// What all keys begin with.
pub const PREFIX: &str = "weighbridge.dev/";

/// An annotation of the contract.
#[derive(Debug)]
pub struct Key {
    /// Behind the prefix: `tensor-parallel`.
    pub name: &'static str,
    /// The spec's field that it sets: `parallelism.tensor`. Where a value sets several, the group of them.
    pub field: &'static str,
    /// How its value is written.
    pub grammar: Grammar,
}

const fn key(name: &'static str, field: &'static str, grammar: Grammar) -> Key {
    Key { name, field, grammar }
}

/// Every annotation that sets fields of the spec, in the order of the documentation. `training` and `override` are the
/// two others.
pub static KEYS: &[Key] = &[
    key("model", "model.name", Name("the name of a model, like llama-2-70b or meta-llama/Llama-2-70b-hf")),
    key("parameters", "model.parameters", Count),
    key("layers", "model.layers", Whole { most: 10_000 }),
    key("hidden-size", "model.hiddenSize", Whole { most: 1_048_576 }),
    key("attention-heads", "model.attentionHeads", Whole { most: 65_536 }),
    key("kv-heads", "model.keyValueHeads", Whole { most: 65_536 }),
    key("ffn-hidden-size", "model.ffnHiddenSize", Whole { most: 4_194_304 }),
    key("vocab-size", "model.vocabSize", Whole { most: 16_777_216 }),
    key("experts", "model.experts", Whole { most: 65_536 }),
    key("experts-per-token", "model.expertsPerToken", Whole { most: 65_536 }),
    key("sequence-length", "batch.sequenceLength", Whole { most: 134_217_728 }),
    key("micro-batch-size", "batch.microBatchSize", Whole { most: 1_048_576 }),
    key("global-batch-size", "batch.globalBatchSize", Whole { most: 2_147_483_647 }),
    key("tensor-parallel", "parallelism.tensor", Whole { most: 65_536 }),
    key("pipeline-parallel", "parallelism.pipeline", Whole { most: 65_536 }),
    key("context-parallel", "parallelism.context", Whole { most: 65_536 }),
    key("expert-parallel", "parallelism.expert", Whole { most: 65_536 }),
    key("data-parallel", "parallelism.data", Whole { most: 10_000_000 }),
    key("virtual-pipeline", "parallelism.virtualPipeline", Whole { most: 1_024 }),
    key("sequence-parallel", "parallelism.sequence", Boolean),
    key(
        "sharding",
        "parallelism.sharding",
        Word {
            read: |word| Sharding::from_word(word).map(Sharding::name),
            words: "ddp, zero1, zero2, zero3, fsdp, hsdp or distributed-optimizer",
        },
    ),
    key(
        "method",
        "finetuning.method",
        Word { read: |word| Method::from_word(word).map(Method::name), words: "full, lora or qlora" },
    ),
    key("lora-rank", "finetuning.rank", Whole { most: 65_536 }),
    key("lora-targets", "finetuning.targets", List),
    key(
        "precision",
        "precision",
        Word {
            read: |word| Precision::from_word(word).map(Precision::name),
            words: "fp32, tf32, fp16, bf16, fp8 or fp4",
        },
    ),
    key(
        "optimizer",
        "optimizer",
        Word {
            read: |word| Optimizer::from_word(word).map(Optimizer::name),
            words: "adamw, adamw-8bit, adamw-4bit, adafactor, sgd, lion or muon",
        },
    ),
    key(
        "recompute",
        "recompute",
        Word {
            read: |word| Recompute::from_word(word).map(Recompute::name),
            words: "none, selective or full",
        },
    ),
    key(
        "attention",
        "attention",
        Word {
            read: |word| Attention::from_word(word).map(Attention::name),
            words: "flash, fused, unfused or masked",
        },
    ),
    key("offload", "offload", Offload),
    key(
        "framework",
        "framework",
        Word {
            read: |word| Framework::from_word(word).map(Framework::name),
            words: "megatron, deepspeed, megatron-deepspeed, fsdp, torchtitan, huggingface, torchtune, litgpt, nanotron, \
                    llm-foundry, internevo, colossalai or maxtext",
        },
    ),
    key("gpu-type", "accelerator.type", Name("the name of an accelerator, like A100-80GB")),
    key("tokens", "dataset.tokens", Count),
    key("steps", "dataset.steps", Count),
    key("mfu", "efficiency.mfuPercent", Percent),
    key("price-per-gpu-hour", "price", Price),
];

/// The key of a field of the spec, or of the group that it belongs to: what to write on a workload to give it.
pub fn of_field(field: &str) -> Option<&'static str> {
    let of = |field: &str| KEYS.iter().find(|key| key.field == field).map(|key| key.name);
    of(field).or_else(|| of(field.rsplit_once('.')?.0))
}
