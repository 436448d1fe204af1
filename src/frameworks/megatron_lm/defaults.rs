//! Megatron-LM's defaults.
//!
//! A default is claimed only if the command is complete: its dimensions are among its options, it reads no settings
//! from a checkpoint or another file, and none of its words may hold further options.

use crate::command::Arguments;
use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::complete::Written;
use crate::frameworks::reading::settings::Settings;
use crate::job::{
    Activation, Assignment, Dispatcher, Loss, Normalization, Optimizer, Positions, Precision, Recompute,
    Sharding, field,
};

const SOURCE: &str = "Megatron-LM core_v0.12 default";
const DEEPSPEED_SOURCE: &str = "Megatron-DeepSpeed default";

/// Options that read further settings from elsewhere.
const ELSEWHERE: &[&str] =
    &["use-checkpoint-args", "use-mp-args-from-checkpoint-args", "yaml-cfg", "load-args"];

/// Options without a value, some by their prefix.
const SHAPE: Written = Written {
    alone: &[
        "bf16",
        "fp16",
        "swiglu",
        "sequence-parallel",
        "group-query-attention",
        "untie-embeddings-and-output-weights",
        "multi-latent-attention",
        "multi-head-latent-attention",
        "qk-layernorm",
        "add-qkv-bias",
        "mock-data",
        "moe-grouped-gemm",
        "accumulate-allreduce-grads-in-fp32",
        "deepspeed",
        "distributed-backend-nccl",
        "async-save",
        "finetune",
        "profile",
        "recompute-activations",
    ],
    alone_beginnings: &["use-", "no-", "log-", "overlap-", "disable-", "enable-"],
    valued: &["log-interval"],
    lists: &["data-path", "train-data-path", "valid-data-path", "test-data-path", "rampup-batch-size"],
};

/// The defaults, each with the options that give another value.
const DEFAULTS: &[(&[&str], Assignment)] = &[
    (
        &["bf16", "fp16", "fp8-format", "fp8-hybrid", "fp8-e4m3", "fp4-format"],
        field::PRECISION.is(Precision::FP32),
    ),
    (
        &["swiglu", "quick-geglu", "geglu", "gelu-tanh", "squared-relu", "openai-gelu", "glu-activation"],
        field::model::ACTIVATION.is(Activation::GELU),
    ),
    (&["normalization", "apply-layernorm-rms"], field::model::NORMALIZATION.is(Normalization::LayerNorm)),
    (&["untie-embeddings-and-output-weights"], field::model::TIED_EMBEDDINGS.is(true)),
    (&["disable-bias-linear"], field::model::BIASES.is(true)),
    (&["hidden-dropout"], field::model::HIDDEN_DROPOUT.is(10)),
    (&["attention-dropout"], field::model::ATTENTION_DROPOUT.is(10)),
    (&["tensor-model-parallel-size", "model-parallel-size"], field::parallelism::TENSOR.is(1)),
    (&["pipeline-model-parallel-size"], field::parallelism::PIPELINE.is(1)),
    (&["context-parallel-size", "ds-sequence-parallel-size"], field::parallelism::CONTEXT.is(1)),
    (&["sequence-parallel"], field::parallelism::SEQUENCE.is(false)),
    (&["cross-entropy-loss-fusion"], field::LOSS.is(Loss::VocabParallel)),
    (&["optimizer", "cpu-optimizer"], field::OPTIMIZER.is(Optimizer::AdamW)),
];

/// Options that give the positions.
const POSITIONS: &[&str] = &[
    "position-embedding-type",
    "use-rotary-position-embeddings",
    "use-rotary-emb",
    "use-alibi-position-embeddings",
    "no-position-embedding",
];
/// Options that divide the optimizer's states.
const DIVIDING: &[&str] = &[
    "use-distributed-optimizer",
    "overlapped-distributed-optimizer",
    "use-megatron-fsdp",
    "use-custom-fsdp",
    "use-torch-fsdp2",
];
/// Options that make the attention latent: Megatron-LM's, and an older one of `MindSpeed`.
pub(crate) const LATENT: &[&str] = &["multi-latent-attention", "multi-head-latent-attention"];
/// Options that turn recomputation on.
const RECOMPUTING: &[&str] = &[
    "recompute-granularity",
    "recompute-activations",
    "recompute-method",
    "recompute-modules",
    "moe-layer-recompute",
    "checkpoint-activations",
    "deepspeed-activation-checkpointing",
    "adaptive-recompute-device-swap",
    "recompute-activation-function",
];

/// Whether the defaults hold for options that are not given.
pub(crate) fn hold(arguments: &Arguments, settings: &Settings<'_>) -> bool {
    let shape = ["num-layers", "hidden-size", "num-attention-heads"];
    shape.iter().all(|name| settings.get(&[name]).is_some_and(|setting| setting.number().is_some()))
        && !settings.has(ELSEWHERE)
        && !SHAPE.may_hold_more(arguments)
}

/// Claims the defaults of options that are not given.
pub(crate) fn assume(program: &str, settings: &Settings<'_>, deepspeed: bool, claims: &mut Claims) {
    let source = if deepspeed { DEEPSPEED_SOURCE } else { SOURCE };
    let open = DEFAULTS.iter().filter(|(options, _)| !settings.has(options));
    let defaults: Vec<_> = open.map(|(_, default)| *default).collect();
    crate::frameworks::reading::settings::assume(&defaults, source, claims);
    if !settings.has(POSITIONS) {
        claims.assume(field::model::POSITIONS, Positions::Learned, source);
    }
    if !settings.has(RECOMPUTING) {
        claims.assume(field::RECOMPUTE, Recompute::None, source);
    }
    if !deepspeed && !settings.has(DIVIDING) {
        claims.assume(field::parallelism::SHARDING, Sharding::None, source);
    }
    let hidden = settings.number(&["hidden-size"]).unwrap_or_default();
    let width = hidden.saturating_mul(4);
    if settings.has(&["swiglu"]) {
        claims.assume(field::model::FFN_HIDDEN_SIZE, width.saturating_mul(2) / 3 / 64 * 64, source);
    } else if !settings.has(&["quick-geglu", "geglu", "gelu-tanh", "glu-activation"]) {
        claims.assume(field::model::FFN_HIDDEN_SIZE, width, source);
    }
    if settings.has(&["group-query-attention"]) && !settings.has(&["num-query-groups"]) {
        claims.assume(field::model::KEY_VALUE_HEADS, 1, source);
    }
    if settings.has(&["num-experts"]) {
        claims.assume(field::model::EXPERTS_PER_TOKEN, 2, source);
        // Forks of older releases send a token to one expert.
        claims.open(field::model::EXPERTS_PER_TOKEN, 1);
        if !deepspeed {
            claims.assume(field::parallelism::DISPATCHER, Dispatcher::AllGather, source);
        }
    }
    if settings.has(LATENT) {
        let latent = [
            (field::latent_attention::QUERY_RANK, 0),
            (field::latent_attention::KEY_VALUE_RANK, 32),
            (field::latent_attention::ROPE_HEAD_SIZE, 64),
            (field::latent_attention::NOPE_HEAD_SIZE, 128),
            (field::latent_attention::VALUE_HEAD_SIZE, 128),
        ];
        for (field, value) in latent {
            claims.assume(field, value, source);
        }
    }
    let tokenizer = settings.text(&["tokenizer-type"]);
    let gpt2 = tokenizer.as_deref() == Some("GPT2BPETokenizer")
        || tokenizer.is_none() && ["pretrain_gpt", "pretrain_llama"].contains(&program);
    if gpt2 && !settings.has(&["vocab-size", "padded-vocab-size"]) {
        claims.assume(field::model::VOCAB_SIZE, 50_257, "Megatron-LM's GPT2BPETokenizer");
    }
}
