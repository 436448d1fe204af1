//! The defaults of a framework, and the fields that it leaves open.

use crate::job::{Dispatcher, Sharding};

use super::versions::Versions;

/// The values of an open field that need the least and the most memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends<T> {
    /// Needs the least memory.
    pub lean: T,
    /// Needs the most memory.
    pub heavy: T,
}

/// The states that the data-parallel ranks divide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardingDefaults {
    /// The usual sharding on several ranks.
    pub usual: Sharding,
    /// The ends of an unstated sharding. `None` if it is always the usual one.
    pub open: Option<Ends<Sharding>>,
    /// The shardings that a job can change to, by its current one. The smallest change is first.
    pub next: &'static [(Sharding, &'static [Sharding])],
    /// Whether its pipelines reject divided gradients, as DeepSpeed's do.
    pub pipeline_refuses_zero_2: bool,
}

impl ShardingDefaults {
    /// FSDP over all ranks, and no other way (PyTorch's `fully_shard`).
    pub const FSDP: Self =
        Self { usual: Sharding::FSDP, open: None, next: &[], pipeline_refuses_zero_2: false };
}

/// The format of the trained weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrainedWeights {
    /// The format of the framework's states.
    Made,
    /// The format in which they are loaded: two bytes per number, or fp32 under autocast.
    Loaded {
        /// The versions that load weights in their saved format. Others load fp32 unless asked.
        as_saved: Versions,
    },
}

/// The cross-entropy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsualLoss {
    /// PyTorch's own loss.
    Eager,
    /// A loss on logits that tensor parallelism divides.
    VocabParallel {
        /// Whether options fuse it.
        fuses: bool,
    },
    /// One kernel that replaces the logits in place by their gradient.
    FusedInPlace,
    /// In chunks, except in some versions.
    Chunked {
        /// The versions that compute it at once.
        eager: Versions,
    },
    /// Compiled with the model, which holds the logits no longer than chunks would.
    CompiledWithModel {
        /// The versions that do not compile it.
        eager: Versions,
        /// The versions with published figures of a compiled model.
        documented: Versions,
    },
}

/// The usual recomputation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsualRecompute {
    /// The framework does not document it.
    Undocumented,
    /// All layers.
    Full,
    /// All layers if several ranks share the model, otherwise none.
    FullWhereSharded,
}

/// Batches and the lengths of their samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batches {
    /// The lengths of samples.
    pub lengths: SampleLengths,
    /// The usual tokens of a sequence, in a job that states no length.
    pub usual_length: u64,
    /// The versions that divide a rank's batch into as many microbatches as the pipeline has stages.
    pub cut_over_stages: Versions,
    /// Whether a stated batch implies the division of the work: by data parallelism alone.
    pub imply_division: bool,
    /// The versions in which the blocks of typical batches' logits are too small for the longest batch.
    pub logits_stay: Versions,
}

impl Batches {
    /// Batches of full sequences, as pretraining has them.
    pub const FULL: Self = Self {
        lengths: SampleLengths::Full,
        usual_length: 4096,
        cut_over_stages: Versions::Never,
        imply_division: false,
        logits_stay: Versions::Never,
    };
}

/// The lengths of a batch's samples, if samples are neither packed nor of a stated length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampleLengths {
    /// The maximum: packed samples, or the longest sample first.
    Full,
    /// Mostly shorter, in batches of one length.
    Shorter,
    /// Mostly shorter, and each batch as long as its longest sample.
    Varying,
}

/// The dispatch of tokens to experts, and the experts' tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Experts {
    /// The usual dispatcher. If it gathers all tokens, guides replace it, so an unstated one is open.
    pub dispatcher: Dispatcher,
    /// Whether the default is a plain all-to-all, which does not know nodes.
    pub sent_singly: bool,
    /// Whether the changing number of routed rows leaves blocks that fit no later rows.
    pub uneven_rows_stay: bool,
    /// Whether all experts of a layer are one tensor, which FSDP2 pads.
    pub joined: Option<JoinedExperts>,
}

impl Experts {
    /// Tokens are sent all to all, and a layer's experts are separate tensors.
    pub const ALL_TO_ALL: Self =
        Self { dispatcher: Dispatcher::AllToAll, sent_singly: false, uneven_rows_stay: false, joined: None };
}

/// All experts of a layer in one tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JoinedExperts {
    /// The versions with joined experts.
    pub versions: Versions,
    /// The last version with separate experts.
    pub last_apart: &'static str,
    /// The first version with joined experts.
    pub first: &'static str,
}

/// Fine-tuning: frozen weights and adapters.
///
/// ```text
///                         frozen weights     not quantized under QLoRA   adapters   dropout before them
/// Hugging Face with PEFT  computation's      fp32                        fp32       open, most likely none
/// LitGPT                  computation's      computation's               as weights 5 %
/// torchtune               computation's      computation's               as weights none
/// plain FSDP              computation's      computation's               as weights open, most likely none
/// others                  computation's      computation's               fp32       open, most likely none
/// ```
///
/// Sources: PEFT's `autocast_adapter_dtype` and `prepare_model_for_kbit_training`; LitGPT's config hub (`lora_dropout:
/// 0.05`); torchtune's recipes (`dtype: bf16`, `lora_dropout: 0.0`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FineTuning {
    /// Whether the other weights of a quantized model become fp32.
    pub rest_in_fp32: bool,
    /// Whether adapters have the weights' format. Otherwise they have fp32.
    pub adapters_as_weights: bool,
    /// Whether adapters are cast, scaled and added in separate operations, as in PEFT.
    pub adapters_apart: bool,
    /// Whether one kernel computes a layer with its adapter and keeps the layer's input alone, as Unsloth's `fast_lora`
    /// does.
    pub adapters_joined: bool,
    /// Whether adapters have a dropout before them, if documented.
    pub dropout: Option<bool>,
    /// The library that quantizes to four bits.
    pub four_bits: FourBits,
    /// Whether a tied embedding is copied into a separate output layer.
    pub unties_embedding: bool,
}

impl FineTuning {
    /// Adapters without features of their own.
    pub const PLAIN: Self = Self {
        rest_in_fp32: false,
        adapters_as_weights: false,
        adapters_apart: false,
        adapters_joined: false,
        dropout: None,
        four_bits: FourBits::Bitsandbytes,
        unties_embedding: false,
    };
}

/// The library that quantizes frozen weights to four bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FourBits {
    /// bitsandbytes: fp32 scales outside the parameters.
    Bitsandbytes,
    /// bitsandbytes before 0.44 through Lightning: it also quantizes the output layer, from fp16, and keeps inputs.
    Lightning,
    /// torchao: scales inside the parameters, quantized again.
    Torchao,
}

/// The changes of open fields that users make if a job does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedies {
    /// Many means (single modules, offloading): users choose those that cost least time.
    Many,
    /// Selective recomputation, then full recomputation.
    Recompute,
    /// Full recomputation, full sharding, both.
    RecomputeOrShard,
}
