//! Megatron Core's settings under the names that its frontends give them: NeMo's Hydra keys (`model.num_layers`), NeMo 2's
//! (`trainer.strategy.tensor_model_parallel_size`), Megatron-Bridge's options (`--tensor_model_parallel_size`, `-tp`) and
//! its keys (`train.micro_batch_size`).
//!
//! Names as NVIDIA/NeMo 2.0's `megatron_gpt_config.yaml` and `nemo/collections/llm`, and NVIDIA-NeMo/Megatron-Bridge's
//! `scripts/performance/argument_parser.py` and configuration container have them.

pub(super) mod profile;

use serde_json::Value;

use crate::frameworks::reading::flags::Takes::{List, Number, OneOf, Percent, Switch};
use crate::frameworks::reading::flags::{Flag, flag};
use crate::frameworks::reading::said::Said;
use crate::frameworks::reading::settings::{self, Settings};

/// Settings that say one field each.
const TABLE: &[Flag] = &[
    flag(&["num_layers", "model.num_layers", "model.config.num_layers"], "model.layers", Number),
    flag(&["hidden_size", "model.hidden_size", "model.config.hidden_size"], "model.hiddenSize", Number),
    flag(&["model.num_attention_heads", "model.config.num_attention_heads"], "model.attentionHeads", Number),
    flag(&["model.num_query_groups", "model.config.num_query_groups"], "model.keyValueHeads", Number),
    flag(&["model.kv_channels", "model.config.kv_channels"], "model.headSize", Number),
    flag(&["model.ffn_hidden_size", "model.config.ffn_hidden_size"], "model.ffnHiddenSize", Number),
    flag(&["model.vocab_size", "model.override_vocab_size"], "model.vocabSize", Number),
    flag(&["model.max_position_embeddings"], "model.maxPositions", Number),
    flag(&["model.share_embeddings_and_output_weights"], "model.tiedEmbeddings", Switch(true)),
    flag(&["model.bias", "model.add_bias_linear"], "model.biases", Switch(true)),
    flag(&["model.qkv_bias", "model.add_qkv_bias"], "model.qkvBiases", Switch(true)),
    flag(&["model.hidden_dropout"], "model.hiddenDropout", Percent),
    flag(&["model.attention_dropout"], "model.attentionDropout", Percent),
    flag(
        &["model.activation"],
        "model.activation",
        OneOf(&[
            ("gelu", "GELU"),
            ("squared-relu", "GELU"),
            ("relu", "GELU"),
            ("swiglu", "SwiGLU"),
            ("fast-swiglu", "SwiGLU"),
            ("geglu", "SwiGLU"),
            ("fast-geglu", "SwiGLU"),
            ("reglu", "SwiGLU"),
        ]),
    ),
    flag(
        &["model.normalization"],
        "model.normalization",
        OneOf(&[
            ("layernorm", "LayerNorm"),
            ("layernorm1p", "LayerNorm"),
            ("low_precision_layernorm", "LayerNorm"),
            ("rmsnorm", "RMSNorm"),
        ]),
    ),
    flag(
        &["model.position_embedding_type"],
        "model.positions",
        OneOf(&[
            ("learned_absolute", "Learned"),
            ("rope", "Rotary"),
            ("alibi", "Rotary"),
            ("none", "Rotary"),
        ]),
    ),
    flag(&["model.num_moe_experts", "model.num_experts"], "model.experts", Number),
    flag(&["model.moe_router_topk"], "model.expertsPerToken", Number),
    flag(&["model.moe_ffn_hidden_size"], "model.expertFfnHiddenSize", Number),
    flag(&["first_k_dense_replace"], "model.denseLayers", Number),
    flag(
        &[
            "tensor_model_parallel_size",
            "tp",
            "model.tensor_model_parallel_size",
            "trainer.strategy.tensor_model_parallel_size",
        ],
        "parallelism.tensor",
        Number,
    ),
    flag(
        &[
            "pipeline_model_parallel_size",
            "pp",
            "model.pipeline_model_parallel_size",
            "trainer.strategy.pipeline_model_parallel_size",
        ],
        "parallelism.pipeline",
        Number,
    ),
    flag(
        &[
            "context_parallel_size",
            "cp",
            "model.context_parallel_size",
            "trainer.strategy.context_parallel_size",
        ],
        "parallelism.context",
        Number,
    ),
    flag(
        &[
            "expert_model_parallel_size",
            "ep",
            "model.expert_model_parallel_size",
            "trainer.strategy.expert_model_parallel_size",
        ],
        "parallelism.expert",
        Number,
    ),
    flag(
        &[
            "expert_tensor_parallel_size",
            "et",
            "model.expert_tensor_parallel_size",
            "trainer.strategy.expert_tensor_parallel_size",
        ],
        "parallelism.expertTensor",
        Number,
    ),
    flag(
        &["model.sequence_parallel", "trainer.strategy.sequence_parallel"],
        "parallelism.sequence",
        Switch(true),
    ),
    flag(
        &["moe_flex_dispatcher_backend", "model.moe_flex_dispatcher_backend"],
        "parallelism.dispatcher",
        OneOf(&[("deepep", "DeepEP"), ("hybridep", "HybridEP"), ("None", "AllToAll")]),
    ),
    flag(
        &["model.moe_token_dispatcher_type"],
        "parallelism.dispatcher",
        OneOf(&[("allgather", "AllGather"), ("alltoall", "AllToAll")]),
    ),
    flag(
        &[
            "micro_batch_size",
            "mb",
            "model.micro_batch_size",
            "train.micro_batch_size",
            "data.micro_batch_size",
        ],
        "batch.microBatchSize",
        Number,
    ),
    flag(
        &[
            "global_batch_size",
            "gb",
            "model.global_batch_size",
            "train.global_batch_size",
            "data.global_batch_size",
        ],
        "batch.globalBatchSize",
        Number,
    ),
    flag(
        &[
            "seq_length",
            "sl",
            "model.encoder_seq_length",
            "model.seq_length",
            "dataset.sequence_length",
            "data.seq_length",
            "model.data.seq_length",
        ],
        "batch.sequenceLength",
        Number,
    ),
    flag(&["max_steps", "ms", "trainer.max_steps", "train.train_iters"], "dataset.steps", Number),
    flag(
        &[
            "model.activations_checkpoint_granularity",
            "model.recompute_granularity",
            "model.config.recompute_granularity",
        ],
        "recompute",
        OneOf(&[("full", "Full"), ("selective", "Selective"), ("null", "None"), ("none", "None")]),
    ),
    flag(&["recompute_modules", "model.recompute_modules"], "recomputeModules", List),
    flag(&["model.use_flash_attention"], "attention", Switch(true)),
    flag(
        &["use_megatron_fsdp", "ddp.use_megatron_fsdp"],
        "parallelism.sharding",
        crate::frameworks::reading::flags::Takes::Word("FSDP"),
    ),
    flag(
        &["ddp.use_distributed_optimizer", "optimizer.use_distributed_optimizer"],
        "parallelism.sharding",
        crate::frameworks::reading::flags::Takes::Word("DistributedOptimizer"),
    ),
    flag(&["optimizer.optimizer_cpu_offload"], "offload.optimizer", Switch(true)),
    flag(&["model.cpu_offloading"], "offload.activations", Switch(true)),
    flag(&["ddp.grad_reduce_in_fp32"], "gradientPrecision", OneOf(&[("true", "FP32"), ("false", "BF16")])),
    flag(
        &["model.fp8", "trainer.plugins.fp8"],
        "precision",
        OneOf(&[("true", "FP8"), ("hybrid", "FP8"), ("e4m3", "FP8")]),
    ),
];

/// Formats of the computation, as Lightning and Megatron-Bridge call them.
const PRECISIONS: &[(&str, &str)] = &[
    ("bf16", "BF16"),
    ("bf16-mixed", "BF16"),
    ("bf16_mixed", "BF16"),
    ("16", "FP16"),
    ("16-mixed", "FP16"),
    ("fp16", "FP16"),
    ("32", "FP32"),
    ("32-true", "FP32"),
    ("fp8", "FP8"),
    ("fp8_cs", "FP8"),
    ("fp8_mx", "FP8"),
    ("fp8_sc", "FP8"),
    ("fp8_ds", "FP8"),
    ("nvfp4", "FP4"),
];

/// Says what a frontend's settings say.
pub(crate) fn read(settings: &Settings<'_>, said: &mut Said) {
    settings::read(TABLE, settings, said);
    chunks(settings, said);
    precision(settings, said);
    recomputed_layers(settings, said);
    if let Some(setting) = settings.get(&["cuda_graph_impl", "model.cuda_graph_impl"])
        && let Some(text) = setting.text()
    {
        setting.says(said, "cudaGraphs", text != "none");
    }
    if let Some(setting) =
        settings.get(&["activation_offload_layers", "ol", "model.cpu_offloading_num_layers"])
        && setting.number().is_some_and(|layers| layers > 0)
    {
        setting.says(said, "offload.activations", true);
    }
    if let Some(setting) = settings.get(&["model.optim.name", "optim.name"]) {
        match setting.text().as_deref() {
            Some("distributed_fused_adam" | "mcore_distributed_optim") => {
                setting.says(said, "optimizer", "AdamW");
                setting.says(said, "parallelism.sharding", "DistributedOptimizer");
            }
            Some("fused_adam" | "adam" | "adamw") => {
                setting.says(said, "optimizer", "AdamW");
                setting.says(said, "parallelism.sharding", "None");
            }
            _ => {}
        }
    }
    said.nodes = settings.get(&["trainer.num_nodes"]).and_then(|setting| setting.number()).or(said.nodes);
    let devices = settings.get(&["trainer.devices"]).and_then(|setting| setting.number());
    said.processes_per_node = devices.or(said.processes_per_node);
}

/// Chunks a stage; none of them, or -1, is one.
fn chunks(settings: &Settings<'_>, said: &mut Said) {
    let names = [
        "virtual_pipeline_model_parallel_size",
        "vp",
        "model.virtual_pipeline_model_parallel_size",
        "trainer.strategy.virtual_pipeline_model_parallel_size",
    ];
    if let Some(setting) = settings.get(&names) {
        let none =
            setting.text().is_some_and(|text| ["none", "null", "-1"].contains(&text.to_lowercase().as_str()));
        if let Some(number) = setting.number().or(none.then_some(1)) {
            setting.says(said, "parallelism.virtualPipeline", number);
        }
    }
}

fn precision(settings: &Settings<'_>, said: &mut Said) {
    if said.get("precision").is_some() {
        return;
    }
    let names = [
        "compute_dtype",
        "c",
        "trainer.precision",
        "trainer.plugins.precision",
        "model.precision",
        "mixed_precision",
    ];
    if let Some(setting) = settings.get(&names)
        && let Some(text) = setting.text()
        && let Some((_, precision)) = PRECISIONS.iter().find(|(name, _)| name.eq_ignore_ascii_case(&text))
    {
        setting.says(said, "precision", *precision);
    }
}

/// Under the method `block`, so many layers of each of a stage's chunks are recomputed; uniformly, all of them.
fn recomputed_layers(settings: &Settings<'_>, said: &mut Said) {
    let names = [
        "recompute_num_layers",
        "rl",
        "model.activations_checkpoint_num_layers",
        "model.recompute_num_layers",
        "model.config.recompute_num_layers",
    ];
    let method = settings.text(&["model.activations_checkpoint_method", "model.recompute_method"]);
    // Megatron-Bridge's option alone recomputes blocks of whole layers.
    let option = settings.has(&["recompute_num_layers", "rl"]);
    if (option || method.as_deref() == Some("block"))
        && let Some(setting) = settings.get(&names)
        && let Some(layers) = setting.number()
    {
        let chunks = said.get("parallelism.virtualPipeline").and_then(Value::as_u64).unwrap_or(1);
        setting.says(said, "recomputeLayers", layers.saturating_mul(chunks));
        if option && said.get("recompute").is_none() {
            setting.says(said, "recompute", "Full");
        }
    }
}

/// What a recipe decides that nobody can read here: it may divide and move all that Megatron Core can.
pub(crate) fn recipe_may(said: &mut Said) {
    said.may("parallelism.sharding", "FSDP");
    said.may("parallelism.tensor", 8);
    said.may("parallelism.pipeline", 8);
    said.may("parallelism.expert", 64);
    said.may("parallelism.sequence", true);
    said.may("gradientPrecision", "BF16");
    said.may("optimizerPrecision", "BF16");
    said.may("recompute", "Full");
    said.may("offload.activations", true);
    said.may("offload.optimizer", true);
}
