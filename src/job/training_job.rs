//! The training job: what a workload asks for, as far as it is known.
//!
//! One type for three uses: what is read from a workload, the `training` annotation's YAML block, and the spec of a
//! `TrainingEstimate`. Every field is optional, because nobody writes all of them; what is missing becomes an
//! assumption in [`crate::estimate`], never here.
//!
//! Kubernetes objects hold no floats and no unsigned numbers: counts are [`Count`], prices and percentages are quoted
//! [`Decimal`]s, enumerations are CamelCase strings.

use serde::{Deserialize, Serialize};

use crate::units::{Count, Decimal};

/// Declares an enumeration whose values are CamelCase strings in Kubernetes objects, and dashed words, upper or lower
/// case, in annotations.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$value_doc:meta])* $value:ident = [$($word:literal),+]),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[allow(missing_docs, reason = "the values are the field's own words")]
        pub enum $name { $($(#[$value_doc])* $value),+ }

        impl $name {
            /// Every value, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$value),+];

            /// The words that people may write, each value's own first.
            pub const WORDS: &'static [&'static str] = &[$($($word),+),+];

            /// The value as Kubernetes objects hold it.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$value => stringify!($value)),+ }
            }

            /// The value that a person's word means, upper or lower case; nothing for a word that means none.
            pub fn from_word(word: &str) -> Option<Self> {
                let word = word.trim();
                $(if word.eq_ignore_ascii_case(stringify!($value))
                    $(|| word.eq_ignore_ascii_case($word))+ { return Some(Self::$value); })+
                None
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

words! {
    /// The feed-forward network's activation: SwiGLU has two input matrices, GELU one.
    Activation { SwiGLU = ["swiglu", "silu", "geglu"], GELU = ["gelu", "relu"] }
}
words! {
    /// How positions enter: computed, or a learned table of sequence length × hidden size.
    Positions { Rotary = ["rotary", "rope"], Learned = ["learned", "absolute"] }
}
words! {
    /// The normalization layer: one vector of weights, or weights and biases.
    Normalization { RMSNorm = ["rmsnorm"], LayerNorm = ["layernorm"] }
}
words! {
    /// The order in which microbatches pass the pipeline.
    Schedule {
        OneForwardOneBackward = ["1f1b", "one-forward-one-backward"], Interleaved = ["interleaved"],
        GPipe = ["gpipe", "afab"], ZeroBubble = ["zero-bubble", "zb"], DualPipe = ["dualpipe"],
    }
}
words! {
    /// How tokens reach their experts.
    Dispatcher {
        AllGather = ["allgather"], AllToAll = ["alltoall"], DeepEP = ["deepep"], HybridEP = ["hybridep"],
    }
}
words! {
    /// What the data-parallel ranks divide among themselves.
    Sharding {
        None = ["ddp", "none", "no-shard"], ZeRO1 = ["zero1", "zero-1"], ZeRO2 = ["zero2", "zero-2"],
        ZeRO3 = ["zero3", "zero-3"], FSDP = ["fsdp", "full-shard", "fsdp2"], HSDP = ["hsdp", "hybrid-shard"],
        DistributedOptimizer = ["distributed-optimizer"],
    }
}
words! {
    /// A number format.
    Precision {
        FP32 = ["fp32", "float32", "32"], TF32 = ["tf32"], FP16 = ["fp16", "float16", "16"],
        BF16 = ["bf16", "bfloat16"], FP8 = ["fp8"], FP4 = ["fp4", "nvfp4", "mxfp4"],
    }
}
words! {
    /// The optimizer, which decides how many states each parameter has.
    Optimizer {
        AdamW = ["adamw", "adam"], AdamW8bit = ["adamw-8bit", "adamw8bit", "paged-adamw-8bit"],
        AdamW4bit = ["adamw-4bit", "adamw4bit"], Adafactor = ["adafactor"], SGD = ["sgd"], Lion = ["lion"],
        Muon = ["muon"],
    }
}
words! {
    /// How the optimizer's step runs over the tensors.
    OptimizerImplementation { Foreach = ["foreach"], Fused = ["fused"], ForLoop = ["for-loop", "forloop"] }
}
words! {
    /// Which activations the backward pass computes again instead of keeping.
    Recompute {
        None = ["none", "off", "false"], Selective = ["selective"], Full = ["full", "on", "true"],
    }
}
words! {
    /// The attention kernel: fused ones keep no sequence × sequence matrix.
    Attention {
        Flash = ["flash", "flash-attention", "flash_attention_2", "sdpa"], Fused = ["fused"],
        Unfused = ["unfused", "eager"], Masked = ["masked"],
    }
}
words! {
    /// The cross-entropy's implementation, which decides how often the logits are held.
    Loss { Eager = ["eager"], VocabParallel = ["vocab-parallel"], Chunked = ["chunked"], Fused = ["fused"] }
}
words! {
    /// What is trained: every weight, or adapters beside frozen weights.
    Method { Full = ["full"], LoRA = ["lora"], QLoRA = ["qlora"] }
}
words! {
    /// The training framework, whose defaults fill what nobody writes.
    Framework {
        Megatron = ["megatron", "megatron-lm", "nemo"], DeepSpeed = ["deepspeed"],
        MegatronDeepSpeed = ["megatron-deepspeed"], FSDP = ["fsdp", "pytorch-fsdp"], Torchtitan = ["torchtitan"],
        HuggingFace = ["huggingface", "hugging-face", "transformers", "trl"], Torchtune = ["torchtune"],
        LitGPT = ["litgpt"], Nanotron = ["nanotron"], LLMFoundry = ["llm-foundry", "llmfoundry"],
        InternEvo = ["internevo"], ColossalAI = ["colossalai", "colossal-ai"], MaxText = ["maxtext"],
    }
}

/// Declares a group of optional fields of the spec.
macro_rules! group {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(rename_all = "camelCase", default)]
        pub struct $name {
            $($(#[$field_meta])*
            #[serde(skip_serializing_if = "Option::is_none")]
            pub $field: Option<$type>),+
        }
    };
}

group! {
    /// What a training job asks for: model, parallelism, batch, precision, accelerator.
    TrainingJob {
        /// The transformer that is trained.
        model: Model,
        /// How the work is divided among the accelerators.
        parallelism: Parallelism,
        /// How many tokens pass at once.
        batch: Batch,
        /// The number format of the computation.
        precision: Precision,
        /// The stored parameters' format, where it is not the framework's default.
        parameter_precision: Precision,
        /// The stored gradients' format.
        gradient_precision: Precision,
        /// The format in which gradients are summed between ranks.
        gradient_reduction_precision: Precision,
        /// The format of the optimizer's own copy of the parameters.
        main_parameter_precision: Precision,
        /// The format of the optimizer's moments.
        optimizer_precision: Precision,
        /// The optimizer.
        optimizer: Optimizer,
        /// How the optimizer's step runs.
        optimizer_implementation: OptimizerImplementation,
        /// Activation recomputation, also called gradient checkpointing.
        recompute: Recompute,
        /// How many layers of a stage are recomputed, where not all are.
        #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 10_000)))]
        recompute_layers: u32,
        /// The modules that selective recomputation covers, as the framework names them.
        #[cfg_attr(feature = "schema", schemars(length(max = 16), inner(length(max = 64))))]
        recompute_modules: Vec<String>,
        /// The attention kernel.
        attention: Attention,
        /// The cross-entropy's implementation.
        loss: Loss,
        /// Whether torch.compile is on.
        compile: bool,
        /// Whether CUDA graphs are captured.
        cuda_graphs: bool,
        /// What is moved to the host's memory.
        offload: Offload,
        /// What is trained.
        finetuning: Finetuning,
        /// The training framework.
        framework: Framework,
        /// The framework's version, as it calls itself.
        #[cfg_attr(feature = "schema", schemars(length(max = 64)))]
        framework_version: String,
        /// The accelerators.
        accelerator: Accelerator,
        /// How much is trained on.
        dataset: Dataset,
        /// How well the hardware is used.
        efficiency: Efficiency,
        /// What an accelerator's hour costs.
        price: Price,
        /// What is wished for.
        target: Target,
    }
}

group! {
    /// A transformer's shape. Explicit dimensions win over those of a known name.
    Model {
        /// A known model or a Hugging Face id.
        #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 253)))]
        name: String,
        /// All parameters, experts included.
        parameters: Count,
        /// The parameters that one token passes through, where that is fewer.
        active_parameters: Count,
        /// Transformer layers.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 10_000)))]
        layers: u32,
        /// The residual stream's width.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 1_048_576)))]
        hidden_size: u32,
        /// Query heads.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 65_536)))]
        attention_heads: u32,
        /// Key and value heads: fewer than query heads under grouped-query attention.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 65_536)))]
        key_value_heads: u32,
        /// A head's width, where it is not hidden size / heads.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 65_536)))]
        head_size: u32,
        /// The feed-forward network's width.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 4_194_304)))]
        ffn_hidden_size: u32,
        /// The vocabulary's size.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 16_777_216)))]
        vocab_size: u32,
        /// The vocabulary's size as the embedding is stored, where it is padded.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 16_777_216)))]
        padded_vocab_size: u32,
        /// The feed-forward network's activation.
        activation: Activation,
        /// Whether the output layer shares the embedding's weights.
        tied_embeddings: bool,
        /// How positions enter.
        positions: Positions,
        /// Whether linear layers have biases.
        biases: bool,
        /// Whether the query, key and value projections alone have biases.
        qkv_biases: bool,
        /// Whether queries and keys are normalized, head by head.
        query_key_normalization: bool,
        /// Whether what attention and feed-forward put out is normalized too, before it is added.
        output_normalization: bool,
        /// Whether logits are capped by a tanh: the output layer's, and those of unfused attention.
        capped_logits: bool,
        /// The length of the learned position table, where it is not the sequence's.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 134_217_728)))]
        max_positions: u32,
        /// The normalization layer.
        normalization: Normalization,
        /// Experts in a mixture-of-experts layer.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 65_536)))]
        experts: u32,
        /// Experts that a token is sent to.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 65_536)))]
        experts_per_token: u32,
        /// An expert's width.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 4_194_304)))]
        expert_ffn_hidden_size: u32,
        /// Experts that every token passes.
        #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 65_536)))]
        shared_experts: u32,
        /// The layers without experts: how many at the front, or which.
        dense_layers: DenseLayers,
        /// Extra layers that predict further tokens.
        #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 100)))]
        multi_token_prediction_layers: u32,
        /// Dropout after attention and feed-forward, in percent.
        hidden_dropout: Decimal,
        /// Dropout on the attention's weights, in percent.
        attention_dropout: Decimal,
        /// Multi-head latent attention's ranks and sizes.
        latent_attention: LatentAttention,
    }
}

/// The layers without experts: a number of first layers, or the layers' numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum DenseLayers {
    /// This many layers at the front.
    Count(u32),
    /// These layers, counted from zero.
    List(Vec<u32>),
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for DenseLayers {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "DenseLayers".into()
    }
    fn inline_schema() -> bool {
        true
    }
    /// A structural schema holds no union of a number and a list, so the field has no type. What remains can still be
    /// bounded: each keyword looks at one type alone, and the empty values rule the other types out.
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "x-kubernetes-preserve-unknown-fields": true,
            "minimum": 0,
            "maximum": 10_000,
            "multipleOf": 1,
            "maxItems": 10_000,
            "maxLength": 0,
            "maxProperties": 0,
            "not": {"enum": ["", true, false, {}]},
            "description": "The layers without experts: how many at the front, or the list of their numbers."
        })
    }
}

group! {
    /// Multi-head latent attention.
    LatentAttention {
        /// The queries' low rank; none where queries are projected directly.
        #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 1_048_576)))]
        query_rank: u32,
        /// The keys' and values' low rank.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 1_048_576)))]
        key_value_rank: u32,
        /// The rotary part of a head.
        #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 65_536)))]
        rope_head_size: u32,
        /// The part of a head without positions.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 65_536)))]
        nope_head_size: u32,
        /// A value head's width.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 65_536)))]
        value_head_size: u32,
    }
}

group! {
    /// How the work is divided. Degrees multiply to the number of accelerators.
    Parallelism {
        /// Tensor parallel degree.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 65_536)))]
        tensor: u32,
        /// Whether the tensor parallel group also divides the sequence between its matrix products.
        sequence: bool,
        /// Pipeline parallel degree.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 65_536)))]
        pipeline: u32,
        /// Model chunks a pipeline stage holds.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 1_024)))]
        virtual_pipeline: u32,
        /// Context parallel degree.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 65_536)))]
        context: u32,
        /// Expert parallel degree.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 65_536)))]
        expert: u32,
        /// Tensor parallel degree of the experts, where it differs.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 65_536)))]
        expert_tensor: u32,
        /// Data parallel degree.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 10_000_000)))]
        data: u32,
        /// The order in which microbatches pass the pipeline.
        schedule: Schedule,
        /// Layers of the first stage, where they are not an even share.
        #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 10_000)))]
        first_stage_layers: u32,
        /// Layers of the last stage.
        #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 10_000)))]
        last_stage_layers: u32,
        /// Whether the embedding counts as a layer when stages are cut.
        embedding_as_layer: bool,
        /// Whether the loss counts as a layer when stages are cut.
        loss_as_layer: bool,
        /// How tokens reach their experts.
        dispatcher: Dispatcher,
        /// The most tokens an expert takes, as a multiple of an even share.
        capacity_factor: Decimal,
        /// What the data-parallel ranks divide among themselves.
        sharding: Sharding,
        /// The group that shards, where it is smaller than all of data × context.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 10_000_000)))]
        sharding_degree: u32,
        /// Whether FSDP frees the gathered parameters after the forward pass.
        reshard_after_forward: bool,
    }
}

group! {
    /// How many tokens pass at once.
    Batch {
        /// Sequences that one model replica computes at once.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 1_048_576)))]
        micro_batch_size: u32,
        /// Sequences of one optimizer step, over all ranks.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 2_147_483_647)))]
        global_batch_size: u32,
        /// Tokens a sequence, at most.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 134_217_728)))]
        sequence_length: u32,
        /// Tokens a sequence, typically, where that is fewer.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 134_217_728)))]
        typical_sequence_length: u32,
        /// Whether short samples are packed into full sequences.
        packing: bool,
    }
}

group! {
    /// What is moved to the host's memory.
    Offload {
        /// Optimizer states, and the step with them.
        optimizer: bool,
        /// Parameters, gathered layer by layer.
        parameters: bool,
        /// Saved activations.
        activations: bool,
    }
}

group! {
    /// What is trained.
    Finetuning {
        /// Every weight, or adapters.
        method: Method,
        /// The adapters' rank.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 65_536)))]
        rank: u32,
        /// The linear layers that have adapters: q_proj, k_proj, …, or all-linear.
        #[allow(clippy::doc_markdown, reason = "the description of a field in the CRD is plain text")]
        #[cfg_attr(feature = "schema", schemars(length(max = 32), inner(length(max = 64))))]
        targets: Vec<String>,
        /// Dropout on the adapters' inputs, in percent.
        dropout: Decimal,
    }
}

group! {
    /// The accelerators.
    Accelerator {
        /// A name from the catalogue: A100-80GB, H100, Ascend-910B3.
        #[serde(rename = "type")]
        #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 253)))]
        kind: String,
        /// Accelerators in all.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 10_000_000)))]
        count: u32,
        /// Accelerators of one node.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 1_024)))]
        per_node: u32,
        /// One accelerator's memory, as a quantity like 80Gi; overrides the catalogue.
        #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 32), regex(pattern = r"^[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti|k|M|G|T)?$")))]
        memory: String,
    }
}

group! {
    /// How much is trained on. Steps × global batch × sequence where tokens are not given.
    Dataset {
        /// Tokens of one epoch.
        tokens: Count,
        /// Passes over the tokens.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 1_000_000)))]
        epochs: u32,
        /// Optimizer steps.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 1_000_000_000_000_i64)))]
        steps: u64,
    }
}

group! {
    /// How well the hardware is used.
    Efficiency {
        /// Model FLOPs utilization, in percent of the peak.
        mfu_percent: Decimal,
        /// The share of the time that is spent training, not failing, restarting or saving, in percent.
        goodput_percent: Decimal,
    }
}

group! {
    /// What an accelerator's hour costs.
    Price {
        /// The price of one accelerator for one hour.
        per_gpu_hour: Decimal,
        /// ISO 4217: USD, EUR, CNY.
        #[cfg_attr(feature = "schema", schemars(length(min = 3, max = 3)))]
        currency: String,
    }
}

group! {
    /// What is wished for.
    Target {
        /// Days until it should be done.
        days: Decimal,
    }
}
