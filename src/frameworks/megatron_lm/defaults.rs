//! What Megatron-LM does where an option is not given.
//!
//! Defaults decide only a command that says all there is: one whose dimensions are among its options, that takes nothing
//! from a checkpoint or another file, and none of whose words may hold further options.

use crate::command::Arguments;
use crate::frameworks::reading::complete::Written;
use crate::frameworks::reading::said::Said;
use crate::frameworks::reading::settings::Settings;

const SOURCE: &str = "Megatron-LM core_v0.12 default";
const DEEPSPEED_SOURCE: &str = "Megatron-DeepSpeed default";

/// Options whose presence means that more is read from elsewhere.
const ELSEWHERE: &[&str] =
    &["use-checkpoint-args", "use-mp-args-from-checkpoint-args", "yaml-cfg", "load-args"];

/// Options that stand alone, some by their beginnings; what follows such a one is no value of it.
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

/// What each default is, and the options that give another value.
const DEFAULTS: &[(&[&str], &str, &str)] = &[
    (&["bf16", "fp16", "fp8-format", "fp8-hybrid", "fp8-e4m3", "fp4-format"], "precision", "FP32"),
    (&["swiglu", "quick-geglu", "squared-relu", "openai-gelu", "glu-activation"], "model.activation", "GELU"),
    (&["normalization", "apply-layernorm-rms"], "model.normalization", "LayerNorm"),
    (&["untie-embeddings-and-output-weights"], "model.tiedEmbeddings", "true"),
    (&["disable-bias-linear"], "model.biases", "true"),
    (&["hidden-dropout"], "model.hiddenDropout", "10"),
    (&["attention-dropout"], "model.attentionDropout", "10"),
    (&["tensor-model-parallel-size", "model-parallel-size"], "parallelism.tensor", "1"),
    (&["pipeline-model-parallel-size"], "parallelism.pipeline", "1"),
    (&["context-parallel-size", "ds-sequence-parallel-size"], "parallelism.context", "1"),
    (&["sequence-parallel"], "parallelism.sequence", "false"),
    (&["optimizer", "cpu-optimizer"], "optimizer", "AdamW"),
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
const DIVIDING: &[&str] =
    &["use-distributed-optimizer", "use-megatron-fsdp", "use-custom-fsdp", "use-torch-fsdp2"];
/// Options that make the attention latent: Megatron-LM's, and `MindSpeed`'s before.
pub(crate) const LATENT: &[&str] = &["multi-latent-attention", "multi-head-latent-attention"];
/// Options that recompute.
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

/// Whether what is not given is the default.
pub(crate) fn hold(arguments: &Arguments, settings: &Settings<'_>) -> bool {
    let shape = ["num-layers", "hidden-size", "num-attention-heads"];
    shape.iter().all(|name| settings.get(&[name]).is_some_and(|setting| setting.number().is_some()))
        && !settings.has(ELSEWHERE)
        && !SHAPE.may_hold_more(arguments)
}

/// Says the defaults of what is not given.
pub(crate) fn assume(program: &str, settings: &Settings<'_>, deepspeed: bool, said: &mut Said) {
    let source = if deepspeed { DEEPSPEED_SOURCE } else { SOURCE };
    let open: Vec<_> = DEFAULTS.iter().filter(|(options, _, _)| !settings.has(options)).collect();
    let defaults: Vec<_> = open.iter().map(|(_, field, value)| (*field, *value)).collect();
    crate::frameworks::reading::settings::assume(&defaults, source, said);
    if !settings.has(POSITIONS) {
        said.assume("model.positions", "Learned", source);
    }
    if !settings.has(RECOMPUTING) {
        said.assume("recompute", "None", source);
    }
    if !deepspeed && !settings.has(DIVIDING) {
        said.assume("parallelism.sharding", "None", source);
    }
    let hidden = settings.get(&["hidden-size"]).and_then(|setting| setting.number()).unwrap_or_default();
    let width = hidden.saturating_mul(4);
    if settings.has(&["swiglu"]) {
        said.assume("model.ffnHiddenSize", width.saturating_mul(2) / 3 / 64 * 64, source);
    } else if !settings.has(&["quick-geglu", "glu-activation"]) {
        said.assume("model.ffnHiddenSize", width, source);
    }
    if settings.has(&["group-query-attention"]) && !settings.has(&["num-query-groups"]) {
        said.assume("model.keyValueHeads", 1, source);
    }
    if settings.has(&["num-experts"]) {
        said.assume("model.expertsPerToken", 2, source);
        if !deepspeed {
            said.assume("parallelism.dispatcher", "AllGather", source);
        }
    }
    if settings.has(LATENT) {
        let latent = [
            ("queryRank", 0),
            ("keyValueRank", 32),
            ("ropeHeadSize", 64),
            ("nopeHeadSize", 128),
            ("valueHeadSize", 128),
        ];
        for (field, value) in latent {
            said.assume(&format!("model.latentAttention.{field}"), value, source);
        }
    }
    let tokenizer = settings.text(&["tokenizer-type"]);
    let gpt2 = tokenizer.as_deref() == Some("GPT2BPETokenizer")
        || tokenizer.is_none() && ["pretrain_gpt", "pretrain_llama"].contains(&program);
    if gpt2 && !settings.has(&["vocab-size", "padded-vocab-size"]) {
        said.assume("model.vocabSize", 50_257, "Megatron-LM's GPT2BPETokenizer");
    }
}
