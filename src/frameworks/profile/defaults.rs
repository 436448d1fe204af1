//! What a framework does unless a job tells it otherwise, and what it leaves open.

use crate::job::{Dispatcher, Sharding};

use super::versions::Versions;

/// The values of an open field that need the least and the most memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends<T> {
    /// The least.
    pub lean: T,
    /// The most.
    pub heavy: T,
}

/// What the data-parallel ranks divide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardingDefaults {
    /// What is usual with more ranks than one.
    pub usual: Sharding,
    /// What a job that does not say may divide; nothing where it is always the usual.
    pub open: Option<Ends<Sharding>>,
    /// What a job can change its sharding to, the smallest change first.
    pub next: &'static [(Sharding, &'static [Sharding])],
    /// Whether its pipelines refuse to divide gradients, as DeepSpeed's do.
    pub pipeline_refuses_zero_2: bool,
}

/// The format of the weights that are trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrainedWeights {
    /// That of the framework's states.
    Made,
    /// The format that they are loaded in: two bytes a number, or fp32 under autocast.
    Loaded {
        /// The versions that load them in the format that they were saved in; others load fp32 unless asked.
        as_saved: Versions,
    },
}

/// The cross-entropy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsualLoss {
    /// PyTorch's own.
    Eager,
    /// On logits that tensor parallelism divides.
    VocabParallel,
    /// In one kernel that replaces the logits by their gradient in place.
    FusedInPlace,
    /// In chunks, but for some versions.
    Chunked {
        /// Those that compute it at once.
        eager: Versions,
    },
    /// Compiled with the model, which holds the logits no longer than chunks do.
    CompiledWithModel {
        /// The versions that do not compile it.
        eager: Versions,
        /// The versions whose numbers tell what a compiled model holds.
        documented: Versions,
    },
}

/// What is computed again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsualRecompute {
    /// The framework's documentation says nothing.
    Undocumented,
    /// All layers.
    Full,
    /// All layers where several ranks share the model, else none.
    FullWhereSharded,
}

/// Batches and the lengths of their samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batches {
    /// How long samples are.
    pub lengths: SampleLengths,
    /// Whether it mostly tunes models on short samples.
    pub tunes: bool,
    /// The versions that cut a rank's batch into as many microbatches as the pipeline has stages.
    pub cut_over_stages: Versions,
    /// Whether a batch tells how the work is divided: by ranks that share everything else.
    pub imply_division: bool,
    /// The versions in which the logits of typical batches leave blocks that the longest batch finds too small.
    pub logits_stay: Versions,
}

/// How long the samples of a batch are, where they are neither packed nor of a stated length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampleLengths {
    /// As long as is allowed: packed, or the longest sample comes first.
    Full,
    /// Shorter, most of them, in batches of one length.
    Shorter,
    /// Shorter, most of them, and each batch as long as its longest.
    Varying,
}

/// How tokens reach their experts, and how experts are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Experts {
    /// The usual dispatcher. One that gathers all tokens is what guides replace, and so open where a job does not say.
    pub dispatcher: Dispatcher,
    /// Whether tokens are sent by a plain all-to-all, unless told otherwise: one that does not know of nodes.
    pub sent_singly: bool,
    /// Whether rows whose number changes with every step leave blocks that fit no later one.
    pub uneven_rows_stay: bool,
    /// Whether all experts of a layer are one tensor, which FSDP2 pads.
    pub joined: Option<JoinedExperts>,
}

/// All experts of a layer in one tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JoinedExperts {
    /// The versions that join them.
    pub versions: Versions,
    /// The last version that keeps them apart.
    pub last_apart: &'static str,
    /// The first version that joins them.
    pub first: &'static str,
}

/// Fine-tuning: frozen weights, and adapters beside them.
///
/// ```text
///                         frozen weights     not quantized under QLoRA   adapters   dropout before them
/// Hugging Face with PEFT  computation's      fp32                        fp32       none or some, the likeliest none
/// LitGPT                  computation's      computation's               as weights 5 %
/// torchtune               computation's      computation's               as weights none
/// plain FSDP              computation's      computation's               as weights none or some, the likeliest none
/// others                  computation's      computation's               fp32       none or some, the likeliest none
/// ```
///
/// Sources: PEFT's `autocast_adapter_dtype` and `prepare_model_for_kbit_training`; LitGPT's config hub
/// (`lora_dropout: 0.05`); torchtune's recipes (`dtype: bf16`, `lora_dropout: 0.0`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FineTuning {
    /// Whether what is not quantized of a quantized model becomes fp32.
    pub rest_in_fp32: bool,
    /// Whether adapters have the weights' format; else fp32.
    pub adapters_as_weights: bool,
    /// Whether adapters are cast, scaled and added by themselves, as PEFT does.
    pub adapters_apart: bool,
    /// Whether a dropout stands before the adapters, where the documentation says.
    pub dropout: Option<bool>,
    /// What quantizes to four bits.
    pub four_bits: FourBits,
    /// Whether a tied embedding is copied into an output layer of its own.
    pub unties_embedding: bool,
}

/// What quantizes frozen weights to four bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FourBits {
    /// bitsandbytes: fp32 scales outside the parameters.
    Bitsandbytes,
    /// bitsandbytes before 0.44 by way of Lightning: the output layer too, from fp16, and inputs are kept.
    Lightning,
    /// torchao: scales that are quantized again, inside the parameters.
    Torchao,
}

/// What a job that does not fit is changed to, of what it leaves open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedies {
    /// Nothing that is known: of its many means those are chosen that cost the least time.
    Many,
    /// Selective recomputation, then full.
    Recompute,
    /// Full recomputation, full sharding, both.
    RecomputeOrShard,
}
