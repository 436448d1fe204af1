//! Megatron Core's settings, by the names of its frontends: NeMo's Hydra keys (`model.num_layers`), NeMo 2's
//! (`trainer.strategy.tensor_model_parallel_size`), Megatron-Bridge's options (`--tensor_model_parallel_size`, `-tp`)
//! and its keys (`train.micro_batch_size`).
//!
//! The names come from NVIDIA/NeMo 2.0's `megatron_gpt_config.yaml` and `nemo/collections/llm`, and from
//! NVIDIA-NeMo/Megatron-Bridge's `scripts/performance/argument_parser.py` and configuration container.

pub(super) mod keys;
pub(super) mod list;
pub(super) mod loss;
pub(super) mod profile;

use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::complete;
use crate::frameworks::reading::flags::Takes::{List, Number, OneOf, Percent, Switch, Word};
use crate::frameworks::reading::flags::{Table, flag};
use crate::frameworks::reading::settings::{self, Settings};
use crate::job::{
    Activation, Attention, Dispatcher, Loss, Normalization, OpenField, Optimizer, Positions, Precision,
    Recompute, Sharding, ValueOf as _, field,
};
use crate::units::Decimal;

/// Settings of one field each.
const TABLE: Table = &[
    &flag(&["num_layers", "model.num_layers", "model.config.num_layers"], field::model::LAYERS, Number),
    &flag(
        &["hidden_size", "model.hidden_size", "model.config.hidden_size"],
        field::model::HIDDEN_SIZE,
        Number,
    ),
    &flag(
        &["model.num_attention_heads", "model.config.num_attention_heads"],
        field::model::ATTENTION_HEADS,
        Number,
    ),
    &flag(
        &["model.num_query_groups", "model.config.num_query_groups"],
        field::model::KEY_VALUE_HEADS,
        Number,
    ),
    &flag(&["model.kv_channels", "model.config.kv_channels"], field::model::HEAD_SIZE, Number),
    &flag(&["model.ffn_hidden_size", "model.config.ffn_hidden_size"], field::model::FFN_HIDDEN_SIZE, Number),
    &flag(&["model.vocab_size", "model.override_vocab_size"], field::model::VOCAB_SIZE, Number),
    &flag(&["model.max_position_embeddings"], field::model::MAX_POSITIONS, Number),
    &flag(&["model.share_embeddings_and_output_weights"], field::model::TIED_EMBEDDINGS, Switch(true)),
    &flag(&["model.bias", "model.add_bias_linear"], field::model::BIASES, Switch(true)),
    &flag(&["model.qkv_bias", "model.add_qkv_bias"], field::model::QKV_BIASES, Switch(true)),
    &flag(&["model.hidden_dropout"], field::model::HIDDEN_DROPOUT, Percent),
    &flag(&["model.attention_dropout"], field::model::ATTENTION_DROPOUT, Percent),
    &flag(
        &["model.activation"],
        field::model::ACTIVATION,
        OneOf(&[
            ("gelu", Activation::GELU),
            ("squared-relu", Activation::GELU),
            ("relu", Activation::GELU),
            ("swiglu", Activation::SwiGLU),
            ("fast-swiglu", Activation::SwiGLU),
            ("geglu", Activation::SwiGLU),
            ("fast-geglu", Activation::SwiGLU),
            ("reglu", Activation::SwiGLU),
        ]),
    ),
    &flag(
        &["model.normalization"],
        field::model::NORMALIZATION,
        OneOf(&[
            ("layernorm", Normalization::LayerNorm),
            ("layernorm1p", Normalization::LayerNorm),
            ("low_precision_layernorm", Normalization::LayerNorm),
            ("rmsnorm", Normalization::RMSNorm),
        ]),
    ),
    &flag(
        &["model.position_embedding_type"],
        field::model::POSITIONS,
        OneOf(&[
            ("learned_absolute", Positions::Learned),
            ("rope", Positions::Rotary),
            ("alibi", Positions::Rotary),
            ("none", Positions::Rotary),
        ]),
    ),
    &flag(&["model.num_moe_experts", "model.num_experts"], field::model::EXPERTS, Number),
    &flag(&["model.moe_router_topk"], field::model::EXPERTS_PER_TOKEN, Number),
    &flag(&["model.moe_ffn_hidden_size"], field::model::EXPERT_FFN_HIDDEN_SIZE, Number),
    &flag(&["first_k_dense_replace"], field::model::DENSE_LAYERS, Number),
    &flag(
        &[
            "tensor_model_parallel_size",
            "tp",
            "model.tensor_model_parallel_size",
            "trainer.strategy.tensor_model_parallel_size",
        ],
        field::parallelism::TENSOR,
        Number,
    ),
    &flag(
        &[
            "pipeline_model_parallel_size",
            "pp",
            "model.pipeline_model_parallel_size",
            "trainer.strategy.pipeline_model_parallel_size",
        ],
        field::parallelism::PIPELINE,
        Number,
    ),
    &flag(
        &[
            "context_parallel_size",
            "cp",
            "model.context_parallel_size",
            "trainer.strategy.context_parallel_size",
        ],
        field::parallelism::CONTEXT,
        Number,
    ),
    &flag(
        &[
            "expert_model_parallel_size",
            "ep",
            "model.expert_model_parallel_size",
            "trainer.strategy.expert_model_parallel_size",
        ],
        field::parallelism::EXPERT,
        Number,
    ),
    &flag(
        &[
            "expert_tensor_parallel_size",
            "et",
            "model.expert_tensor_parallel_size",
            "trainer.strategy.expert_tensor_parallel_size",
        ],
        field::parallelism::EXPERT_TENSOR,
        Number,
    ),
    &flag(
        &["model.sequence_parallel", "trainer.strategy.sequence_parallel"],
        field::parallelism::SEQUENCE,
        Switch(true),
    ),
    &flag(
        &["moe_flex_dispatcher_backend", "model.moe_flex_dispatcher_backend"],
        field::parallelism::DISPATCHER,
        OneOf(&[
            ("deepep", Dispatcher::DeepEP),
            ("hybridep", Dispatcher::HybridEP),
            ("None", Dispatcher::AllToAll),
        ]),
    ),
    &flag(
        &["model.moe_token_dispatcher_type"],
        field::parallelism::DISPATCHER,
        OneOf(&[("allgather", Dispatcher::AllGather), ("alltoall", Dispatcher::AllToAll)]),
    ),
    &flag(
        &[
            "micro_batch_size",
            "mb",
            "model.micro_batch_size",
            "train.micro_batch_size",
            "data.micro_batch_size",
        ],
        field::batch::MICRO_BATCH_SIZE,
        Number,
    ),
    &flag(
        &[
            "global_batch_size",
            "gb",
            "model.global_batch_size",
            "train.global_batch_size",
            "data.global_batch_size",
        ],
        field::batch::GLOBAL_BATCH_SIZE,
        Number,
    ),
    &flag(
        &[
            "seq_length",
            "sl",
            "model.encoder_seq_length",
            "model.seq_length",
            "dataset.sequence_length",
            "data.seq_length",
            "model.config.seq_length",
            "model.data.seq_length",
        ],
        field::batch::SEQUENCE_LENGTH,
        Number,
    ),
    &flag(&["max_steps", "ms", "trainer.max_steps", "train.train_iters"], field::dataset::STEPS, Number),
    &flag(
        GRANULARITY,
        field::RECOMPUTE,
        OneOf(&[
            ("full", Recompute::Full),
            ("selective", Recompute::Selective),
            ("null", Recompute::None),
            ("none", Recompute::None),
        ]),
    ),
    &flag(
        &["recompute_modules", "model.recompute_modules", "model.config.recompute_modules"],
        field::RECOMPUTE_MODULES,
        List,
    ),
    &flag(&["model.use_flash_attention"], field::ATTENTION, Word(Attention::Flash)),
    &flag(
        &["use_megatron_fsdp", "ddp.use_megatron_fsdp", "model.fsdp"],
        field::parallelism::SHARDING,
        Word(Sharding::FSDP),
    ),
    &flag(
        &["trainer.strategy.fsdp"],
        field::parallelism::SHARDING,
        OneOf(&[("megatron", Sharding::FSDP), ("pytorch", Sharding::FSDP)]),
    ),
    &flag(
        &["ddp.use_distributed_optimizer", "optimizer.use_distributed_optimizer"],
        field::parallelism::SHARDING,
        Word(Sharding::DistributedOptimizer),
    ),
    &flag(&["optimizer.optimizer_cpu_offload"], field::offload::OPTIMIZER, Switch(true)),
    &flag(&["model.cpu_offloading"], field::offload::ACTIVATIONS, Switch(true)),
    &flag(
        &["model.optim.grad_sync_dtype", "optim.grad_sync_dtype"],
        field::GRADIENT_PRECISION,
        OneOf(&[
            ("bf16", Precision::BF16),
            ("bfloat16", Precision::BF16),
            ("fp16", Precision::FP16),
            ("fp32", Precision::FP32),
            ("float32", Precision::FP32),
        ]),
    ),
    &flag(
        &["ddp.grad_reduce_in_fp32", "trainer.plugins.grad_reduce_in_fp32"],
        field::GRADIENT_PRECISION,
        OneOf(&[("true", Precision::FP32), ("false", Precision::BF16)]),
    ),
    &flag(
        &["model.fp8", "trainer.plugins.fp8"],
        field::PRECISION,
        OneOf(&[("true", Precision::FP8), ("hybrid", Precision::FP8), ("e4m3", Precision::FP8)]),
    ),
];

/// What is recomputed of a layer. Without a value it is nothing.
const GRANULARITY: &[&str] = &[
    "model.activations_checkpoint_granularity",
    "model.recompute_granularity",
    "model.config.recompute_granularity",
];

/// Formats of the computation, as Lightning and Megatron-Bridge call them.
const PRECISIONS: &[(&str, Precision)] = &[
    ("bf16", Precision::BF16),
    ("bf16-mixed", Precision::BF16),
    ("bf16_mixed", Precision::BF16),
    ("16", Precision::FP16),
    ("16-mixed", Precision::FP16),
    ("fp16", Precision::FP16),
    ("32", Precision::FP32),
    ("32-true", Precision::FP32),
    ("fp8", Precision::FP8),
    ("fp8_cs", Precision::FP8),
    ("fp8_mx", Precision::FP8),
    ("fp8_sc", Precision::FP8),
    ("fp8_ds", Precision::FP8),
    ("nvfp4", Precision::FP4),
];

/// Claims a frontend's settings.
pub(crate) fn read(settings: &Settings<'_>, claims: &mut Claims) {
    settings::read(TABLE, settings, claims);
    loss::read(settings, claims);
    balance(settings, claims);
    chunks(settings, claims);
    precision(settings, claims);
    recomputed_layers(settings, claims);
    if let Some(setting) = settings.nothing(GRANULARITY).filter(|_| !claims.gives(field::RECOMPUTE)) {
        setting.says(claims, field::RECOMPUTE, Recompute::None);
    }
    if let Some(setting) = settings.get(&["cuda_graph_impl", "model.cuda_graph_impl"])
        && let Some(text) = setting.text()
    {
        setting.says(claims, field::CUDA_GRAPHS, text != "none");
    }
    if let Some(setting) = settings.get(&[
        "activation_offload_layers",
        "ol",
        "model.cpu_offloading_num_layers",
        "model.config.cpu_offloading_num_layers",
    ]) && let Some(layers) = setting.number().filter(|layers| *layers > 0)
    {
        setting.says(claims, field::offload::ACTIVATIONS, true);
        setting.says(claims, field::OFFLOADED_LAYERS, layers);
    }
    // How apex' distributed optimizer sends what it keeps anyway.
    for name in ["bucket_cap_mb", "overlap_grad_sync", "overlap_param_sync", "contiguous_grad_buffer"] {
        settings.has(&[&format!("model.optim.{name}")]);
    }
    settings.has(&["model.optim.contiguous_param_buffer", "model.optim.param_sync_dtype"]);
    if let Some(setting) = settings.get(&["model.optim.name", "optim.name"]) {
        match setting.text().as_deref() {
            Some("distributed_fused_adam" | "mcore_distributed_optim") => {
                setting.says(claims, field::OPTIMIZER, Optimizer::AdamW);
                setting.says(claims, field::parallelism::SHARDING, Sharding::DistributedOptimizer);
            }
            Some("fused_adam" | "adam" | "adamw") => {
                setting.says(claims, field::OPTIMIZER, Optimizer::AdamW);
                // PyTorch's FSDP has an optimizer that divides nothing itself.
                if !claims.gives(field::parallelism::SHARDING) {
                    setting.says(claims, field::parallelism::SHARDING, Sharding::None);
                }
            }
            _ => {}
        }
    }
    claims.nodes = settings.number(&["trainer.num_nodes"]).or(claims.nodes);
    let devices = settings.number(&["trainer.devices"]);
    claims.processes_per_node = devices.or(claims.processes_per_node);
}

/// An even share of the tokens.
pub(crate) const EVEN: Decimal = Decimal { micros: 1_000_000 };

/// A router that is forced to balance gives every expert an even share, as a capacity factor of one does.
pub(crate) fn balance(settings: &Settings<'_>, claims: &mut Claims) {
    let names = [
        "moe-router-force-load-balancing",
        "moe_router_force_load_balancing",
        "model.moe_router_force_load_balancing",
        "model.config.moe_router_force_load_balancing",
    ];
    if let Some(setting) = settings.get(&names)
        && setting.truth() == Some(true)
        && claims.get(field::parallelism::CAPACITY_FACTOR).is_none()
    {
        setting.says(claims, field::parallelism::CAPACITY_FACTOR, EVEN);
    }
}

/// The chunks of a stage. `None` and -1 mean one.
fn chunks(settings: &Settings<'_>, claims: &mut Claims) {
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
            setting.says(claims, field::parallelism::VIRTUAL_PIPELINE, number);
        }
    }
}

fn precision(settings: &Settings<'_>, claims: &mut Claims) {
    if claims.gives(field::PRECISION) {
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
        setting.says(claims, field::PRECISION, *precision);
    }
}

/// The method `block` recomputes this many layers of each chunk of a stage. The method `uniform` recomputes all layers.
fn recomputed_layers(settings: &Settings<'_>, claims: &mut Claims) {
    let names = [
        "recompute_num_layers",
        "rl",
        "model.activations_checkpoint_num_layers",
        "model.recompute_num_layers",
        "model.config.recompute_num_layers",
    ];
    let method = settings.text(&[
        "model.activations_checkpoint_method",
        "model.recompute_method",
        "model.config.recompute_method",
    ]);
    // Megatron-Bridge's option alone recomputes blocks of whole layers.
    let option = settings.has(&["recompute_num_layers", "rl"]);
    if (option || method.as_deref() == Some("block"))
        && let Some(setting) = settings.get(&names)
        && let Some(layers) = setting.number()
    {
        let chunks = claims.get(field::parallelism::VIRTUAL_PIPELINE).map_or(1, u64::from);
        setting.says(claims, field::RECOMPUTE_LAYERS, layers.saturating_mul(chunks));
        if option && claims.get(field::RECOMPUTE).is_none() {
            setting.says(claims, field::RECOMPUTE, Recompute::Full);
        }
    }
}

/// Opens the fields that a recipe may set: it may divide and move all that Megatron Core can.
pub(crate) fn recipe_may(claims: &mut Claims) {
    for field in [
        field::parallelism::SHARDING.erased(),
        field::parallelism::TENSOR.erased(),
        field::parallelism::PIPELINE.erased(),
        field::parallelism::EXPERT.erased(),
        field::GRADIENT_PRECISION.erased(),
        field::OPTIMIZER_PRECISION.erased(),
        field::RECOMPUTE.erased(),
        field::offload::ACTIVATIONS.erased(),
        field::offload::OPTIMIZER.erased(),
    ] {
        complete::open_at_its_leanest(field, claims);
    }
    claims.open(field::parallelism::SEQUENCE, true);
    claims.open_field(OpenField {
        field: field::LOSS.erased(),
        leanest: Some(Loss::InPlace.json()),
        heaviest: Some(Loss::CompiledVocabParallel.json()),
        although_given: false,
    });
}
