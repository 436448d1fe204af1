//! Megatron-LM's options that decide memory and time, by the field that each sets.
//!
//! What an option sets by itself stands in [`TABLE`]; what several decide together is in [`super`].

use crate::frameworks::reading::flags::Takes::{Decimal, List, Number, OneOf, Percent, Switch, Word};
use crate::frameworks::reading::flags::{Flag, flag};

/// Number formats as options write them.
pub(crate) const PRECISIONS: &[(&str, &str)] =
    &[("fp32", "FP32"), ("bf16", "BF16"), ("fp16", "FP16"), ("fp8", "FP8")];

/// Options that say one field each.
pub(crate) const TABLE: &[Flag] = &[
    // The model.
    flag(&["num-layers", "encoder-num-layers"], "model.layers", Number),
    flag(&["hidden-size"], "model.hiddenSize", Number),
    flag(&["num-attention-heads"], "model.attentionHeads", Number),
    flag(&["kv-channels"], "model.headSize", Number),
    flag(&["ffn-hidden-size"], "model.ffnHiddenSize", Number),
    flag(&["vocab-size"], "model.vocabSize", Number),
    flag(&["padded-vocab-size"], "model.paddedVocabSize", Number),
    flag(&["max-position-embeddings"], "model.maxPositions", Number),
    flag(&["untie-embeddings-and-output-weights"], "model.tiedEmbeddings", Switch(false)),
    flag(&["swiglu", "quick-geglu"], "model.activation", Word("SwiGLU")),
    flag(&["squared-relu", "openai-gelu"], "model.activation", Word("GELU")),
    flag(
        &["normalization"],
        "model.normalization",
        OneOf(&[("RMSNorm", "RMSNorm"), ("LayerNorm", "LayerNorm")]),
    ),
    flag(&["disable-bias-linear"], "model.biases", Switch(false)),
    flag(&["add-qkv-bias"], "model.qkvBiases", Switch(true)),
    flag(&["qk-layernorm"], "model.queryKeyNormalization", Switch(true)),
    flag(&["hidden-dropout"], "model.hiddenDropout", Percent),
    flag(&["attention-dropout"], "model.attentionDropout", Percent),
    // The experts.
    flag(&["num-experts"], "model.experts", Number),
    flag(&["moe-router-topk", "topk"], "model.expertsPerToken", Number),
    flag(&["moe-ffn-hidden-size", "moe-intermediate-size"], "model.expertFfnHiddenSize", Number),
    flag(&["n-shared-experts"], "model.sharedExperts", Number),
    flag(&["mtp-num-layers"], "model.multiTokenPredictionLayers", Number),
    flag(&["moe-expert-capacity-factor"], "parallelism.capacityFactor", Decimal),
    // The division.
    flag(&["tensor-model-parallel-size"], "parallelism.tensor", Number),
    flag(&["sequence-parallel"], "parallelism.sequence", Switch(true)),
    flag(&["pipeline-model-parallel-size"], "parallelism.pipeline", Number),
    flag(&["num-virtual-stages-per-pipeline-rank"], "parallelism.virtualPipeline", Number),
    flag(&["decoder-first-pipeline-num-layers"], "parallelism.firstStageLayers", Number),
    flag(&["decoder-last-pipeline-num-layers"], "parallelism.lastStageLayers", Number),
    flag(&["account-for-embedding-in-pipeline-split"], "parallelism.embeddingAsLayer", Switch(true)),
    flag(&["account-for-loss-in-pipeline-split"], "parallelism.lossAsLayer", Switch(true)),
    flag(&["context-parallel-size", "ds-sequence-parallel-size"], "parallelism.context", Number),
    flag(&["expert-model-parallel-size"], "parallelism.expert", Number),
    flag(&["expert-tensor-parallel-size"], "parallelism.expertTensor", Number),
    // The batch.
    flag(&["micro-batch-size"], "batch.microBatchSize", Number),
    flag(&["global-batch-size"], "batch.globalBatchSize", Number),
    flag(&["seq-length", "encoder-seq-length"], "batch.sequenceLength", Number),
    flag(&["train-iters"], "dataset.steps", Number),
    flag(&["train-tokens"], "dataset.tokens", Number),
    // What is computed and stored in which format.
    flag(&["fp8-param-gather"], "parameterPrecision", Word("FP8")),
    flag(&["main-params-dtype"], "mainParameterPrecision", OneOf(PRECISIONS)),
    // MindSpeed keeps the other half of an fp32 parameter beside its bf16 half.
    flag(&["reuse-fp32-param"], "mainParameterPrecision", Word("BF16")),
    flag(
        &["optimizer"],
        "optimizer",
        OneOf(&[
            ("adam", "AdamW"),
            ("adamw", "AdamW"),
            ("sgd", "SGD"),
            ("muon", "Muon"),
            ("dist_muon", "Muon"),
            ("lion", "Lion"),
            ("adafactor", "Adafactor"),
        ]),
    ),
    // What is kept, and where.
    flag(&["recompute-granularity"], "recompute", OneOf(&[("full", "Full"), ("selective", "Selective")])),
    flag(&["recompute-activations"], "recompute", Word("Selective")),
    flag(&["checkpoint-activations", "deepspeed-activation-checkpointing"], "recompute", Word("Full")),
    flag(&["recompute-modules"], "recomputeModules", List),
    flag(
        &["attention-backend"],
        "attention",
        OneOf(&[("flash", "Flash"), ("fused", "Fused"), ("unfused", "Unfused"), ("local", "Unfused")]),
    ),
    flag(
        &["use-flash-attn", "use-flash-attn-v2", "use-flash-attn-triton", "use-flash-attn-builder"],
        "attention",
        Word("Flash"),
    ),
    // The other implementations hold the logits as the unfused one does.
    flag(&["cross-entropy-fusion-impl"], "loss", OneOf(&[("linear", "Fused")])),
    flag(&["enable-cuda-graph", "external-cuda-graph"], "cudaGraphs", Switch(true)),
    flag(&["fine-grained-activation-offloading", "swap-attention"], "offload.activations", Switch(true)),
    flag(&["swap-optimizer", "cpu-optimizer"], "offload.optimizer", Switch(true)),
    // MindSpeed-LLM's adapters.
    flag(&["lora-r"], "finetuning.rank", Number),
    flag(&["lora-target-modules"], "finetuning.targets", List),
];
