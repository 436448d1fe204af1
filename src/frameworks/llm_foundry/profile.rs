//! The facts about LLM Foundry: Composer's loop around fused kernels. Its loss replaces the logits in place by their
//! gradient.

use crate::frameworks::profile::Profile;
use crate::frameworks::profile::defaults::{
    Batches, Experts, FineTuning, Remedies, ShardingDefaults, TrainedWeights, UsualLoss, UsualRecompute,
};
use crate::frameworks::profile::host::Host;
use crate::frameworks::profile::kernels::{AttentionKernel, Between, Kernels, Launches, Selective};
use crate::frameworks::profile::memory::{Fsdp, Gradients, Layers, OptimizerStep, Pipeline};
use crate::frameworks::profile::widths;

/// The facts.
pub(crate) static PROFILE: Profile = Profile {
    name: "LLMFoundry",
    earlier_name: None,
    widths: widths::SINGLE_SHARDS,
    weights: TrainedWeights::Made,
    autocast: false,
    divides_model: false,
    sharding: ShardingDefaults::FSDP,
    loss: UsualLoss::FusedInPlace,
    recompute: UsualRecompute::Undocumented,
    batches: Batches { imply_division: true, ..Batches::FULL },
    experts: Experts::ALL_TO_ALL,
    fine_tuning: FineTuning::PLAIN,
    open_versions: None,
    remedies: Remedies::RecomputeOrShard,
    layers: Layers::Fused,
    gradients: Gradients::LAZY,
    optimizer: OptimizerStep::PYTORCH,
    fsdp: Fsdp::PLAIN,
    pipeline: Pipeline::Messages,
    host: Host { workers: [0, 8, 16], ..Host::WHOLE },
    kernels: Kernels {
        attention: AttentionKernel::FirstFused,
        may_run_unfused: false,
        between: Between::Fused,
        launches: Launches::Few,
        native: false,
        selective: Selective::Attention,
        transformer_engine: false,
    },
};
