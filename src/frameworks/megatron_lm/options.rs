//! Megatron-LM's options that decide memory and time, by the field that each sets.
//!
//! [`TABLE`] has the options that set a field alone. [`super`] has the rules over several options.

use crate::frameworks::reading::flags::Takes::{Decimal, List, Number, OneOf, Percent, Switch, Word};
use crate::frameworks::reading::flags::{Table, flag};
use crate::job::{Activation, Attention, Normalization, Optimizer, Precision, Recompute, field};

/// Number formats, by the words of the options.
pub(crate) const PRECISIONS: &[(&str, Precision)] = &[
    ("fp32", Precision::FP32),
    ("bf16", Precision::BF16),
    ("fp16", Precision::FP16),
    ("fp8", Precision::FP8),
];

/// Options of one field each.
pub(crate) const TABLE: Table = &[
    // The model.
    &flag(&["num-layers", "encoder-num-layers"], field::model::LAYERS, Number),
    &flag(&["hidden-size"], field::model::HIDDEN_SIZE, Number),
    &flag(&["num-attention-heads"], field::model::ATTENTION_HEADS, Number),
    &flag(&["kv-channels"], field::model::HEAD_SIZE, Number),
    &flag(&["ffn-hidden-size"], field::model::FFN_HIDDEN_SIZE, Number),
    &flag(&["vocab-size"], field::model::VOCAB_SIZE, Number),
    &flag(&["padded-vocab-size"], field::model::PADDED_VOCAB_SIZE, Number),
    &flag(&["max-position-embeddings"], field::model::MAX_POSITIONS, Number),
    &flag(&["untie-embeddings-and-output-weights"], field::model::TIED_EMBEDDINGS, Switch(false)),
    // The last two are MindSpeed-LLM's.
    &flag(
        &["swiglu", "quick-geglu", "geglu", "gelu-tanh"],
        field::model::ACTIVATION,
        Word(Activation::SwiGLU),
    ),
    &flag(&["squared-relu", "openai-gelu"], field::model::ACTIVATION, Word(Activation::GELU)),
    &flag(
        &["normalization"],
        field::model::NORMALIZATION,
        OneOf(&[("RMSNorm", Normalization::RMSNorm), ("LayerNorm", Normalization::LayerNorm)]),
    ),
    &flag(&["disable-bias-linear"], field::model::BIASES, Switch(false)),
    &flag(&["add-qkv-bias"], field::model::QKV_BIASES, Switch(true)),
    &flag(&["qk-layernorm"], field::model::QUERY_KEY_NORMALIZATION, Switch(true)),
    &flag(&["hidden-dropout"], field::model::HIDDEN_DROPOUT, Percent),
    &flag(&["attention-dropout"], field::model::ATTENTION_DROPOUT, Percent),
    // The experts.
    &flag(&["num-experts"], field::model::EXPERTS, Number),
    &flag(&["moe-router-topk", "topk"], field::model::EXPERTS_PER_TOKEN, Number),
    &flag(&["moe-ffn-hidden-size", "moe-intermediate-size"], field::model::EXPERT_FFN_HIDDEN_SIZE, Number),
    &flag(&["n-shared-experts"], field::model::SHARED_EXPERTS, Number),
    &flag(
        &["mtp-num-layers", "num-nextn-predict-layers"],
        field::model::MULTI_TOKEN_PREDICTION_LAYERS,
        Number,
    ),
    &flag(&["moe-expert-capacity-factor"], field::parallelism::CAPACITY_FACTOR, Decimal),
    // The division.
    &flag(&["tensor-model-parallel-size"], field::parallelism::TENSOR, Number),
    &flag(&["sequence-parallel"], field::parallelism::SEQUENCE, Switch(true)),
    &flag(&["pipeline-model-parallel-size"], field::parallelism::PIPELINE, Number),
    &flag(&["num-virtual-stages-per-pipeline-rank"], field::parallelism::VIRTUAL_PIPELINE, Number),
    &flag(&["decoder-first-pipeline-num-layers"], field::parallelism::FIRST_STAGE_LAYERS, Number),
    &flag(&["decoder-last-pipeline-num-layers"], field::parallelism::LAST_STAGE_LAYERS, Number),
    &flag(&["account-for-embedding-in-pipeline-split"], field::parallelism::EMBEDDING_AS_LAYER, Switch(true)),
    &flag(&["account-for-loss-in-pipeline-split"], field::parallelism::LOSS_AS_LAYER, Switch(true)),
    &flag(&["context-parallel-size", "ds-sequence-parallel-size"], field::parallelism::CONTEXT, Number),
    &flag(&["expert-model-parallel-size"], field::parallelism::EXPERT, Number),
    &flag(&["expert-tensor-parallel-size"], field::parallelism::EXPERT_TENSOR, Number),
    // The batch.
    &flag(&["micro-batch-size"], field::batch::MICRO_BATCH_SIZE, Number),
    &flag(&["global-batch-size"], field::batch::GLOBAL_BATCH_SIZE, Number),
    &flag(&["seq-length", "encoder-seq-length"], field::batch::SEQUENCE_LENGTH, Number),
    &flag(&["train-iters"], field::dataset::STEPS, Number),
    &flag(&["train-tokens"], field::dataset::TOKENS, Number),
    // The formats of computation and states.
    &flag(&["fp8-param-gather"], field::PARAMETER_PRECISION, Word(Precision::FP8)),
    &flag(&["main-params-dtype"], field::MAIN_PARAMETER_PRECISION, OneOf(PRECISIONS)),
    // MindSpeed keeps the other half of an fp32 parameter beside its bf16 half.
    &flag(&["reuse-fp32-param"], field::MAIN_PARAMETER_PRECISION, Word(Precision::BF16)),
    &flag(
        &["optimizer"],
        field::OPTIMIZER,
        OneOf(&[
            ("adam", Optimizer::AdamW),
            ("adamw", Optimizer::AdamW),
            ("sgd", Optimizer::SGD),
            ("muon", Optimizer::Muon),
            ("dist_muon", Optimizer::Muon),
            ("lion", Optimizer::Lion),
            ("adafactor", Optimizer::Adafactor),
        ]),
    ),
    // The saved tensors, and their place.
    &flag(
        &["recompute-granularity"],
        field::RECOMPUTE,
        OneOf(&[("full", Recompute::Full), ("selective", Recompute::Selective), ("none", Recompute::None)]),
    ),
    &flag(&["recompute-activations"], field::RECOMPUTE, Word(Recompute::Selective)),
    &flag(
        &["checkpoint-activations", "deepspeed-activation-checkpointing"],
        field::RECOMPUTE,
        Word(Recompute::Full),
    ),
    &flag(&["recompute-modules"], field::RECOMPUTE_MODULES, List),
    &flag(
        &["attention-backend"],
        field::ATTENTION,
        OneOf(&[
            ("flash", Attention::Flash),
            ("fused", Attention::Fused),
            ("unfused", Attention::Unfused),
            ("local", Attention::Unfused),
        ]),
    ),
    &flag(
        &["use-flash-attn", "use-flash-attn-v2", "use-flash-attn-triton", "use-flash-attn-builder"],
        field::ATTENTION,
        Word(Attention::Flash),
    ),
    &flag(&["enable-cuda-graph", "external-cuda-graph"], field::CUDA_GRAPHS, Switch(true)),
    &flag(
        &["fine-grained-activation-offloading", "swap-attention"],
        field::offload::ACTIVATIONS,
        Switch(true),
    ),
    &flag(&["swap-optimizer", "cpu-optimizer"], field::offload::OPTIMIZER, Switch(true)),
    // MindSpeed-LLM's adapters.
    &flag(&["lora-r"], field::finetuning::RANK, Number),
    &flag(&["lora-target-modules"], field::finetuning::TARGETS, List),
];
