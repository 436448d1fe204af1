//! The facts about LLM Foundry: Composer's loop around fused kernels. Its loss replaces the logits in place by their
//! gradient.

use crate::frameworks::profile::Profile;
use crate::frameworks::profile::defaults::{
    Batches, Experts, FineTuning, Remedies, SampleLengths, ShardingDefaults, TrainedWeights, UsualLoss,
    UsualRecompute,
};
use crate::frameworks::profile::host::{Host, UsualLoading};
use crate::frameworks::profile::kernels::{AttentionKernel, Between, Kernels, Launches, Selective};
use crate::frameworks::profile::memory::{
    Fsdp, GradientBuffer, Gradients, Layers, OptimizerStep, Pipeline, Stepper,
};
use crate::frameworks::profile::versions::Versions;
use crate::frameworks::profile::widths;
use crate::job::Sharding;

/// The facts.
pub(crate) static PROFILE: Profile = Profile {
    name: "LLMFoundry",
    earlier_name: None,
    widths: widths::SINGLE_SHARDS,
    weights: TrainedWeights::Made,
    autocast: false,
    divides_model: false,
    sharding: ShardingDefaults {
        usual: Sharding::FSDP,
        open: None,
        next: &[],
        pipeline_refuses_zero_2: false,
    },
    loss: UsualLoss::FusedInPlace,
    recompute: UsualRecompute::Undocumented,
    batches: Batches {
        lengths: SampleLengths::Full,
        tunes: false,
        cut_over_stages: Versions::Never,
        imply_division: true,
        logits_stay: Versions::Never,
    },
    experts: Experts::ALL_TO_ALL,
    fine_tuning: FineTuning::PLAIN,
    open_versions: None,
    remedies: Remedies::RecomputeOrShard,
    layers: Layers::Fused,
    gradients: Gradients {
        buffer: GradientBuffer::Lazy,
        cast_by_zero: false,
        flattened_by_zero_1: false,
        placeholders: Versions::Never,
    },
    optimizer: OptimizerStep {
        by: Stepper::PyTorch,
        copies_gradients: false,
        in_backward: false,
        fused: Versions::Never,
    },
    fsdp: Fsdp::PLAIN,
    pipeline: Pipeline::Messages,
    host: Host {
        loading: UsualLoading::Whole,
        maps: Versions::Never,
        first_rank_fails: Versions::Never,
        large_files: Versions::Never,
        gathers: true,
        workers: [0, 8, 16],
        save_interval: None,
        kept: None,
    },
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
