//! The facts about LitGPT.
//!
//! Its scripts checkpoint activations only with FSDP. Fabric delays FSDP's reduction to the last microbatch, and FSDP
//! flattens a layer's frozen and trained parameters together. Fine-tuning begins with the longest sample, has a dropout
//! of 5 % before adapters (its config hub), and copies a tied embedding into a separate output layer.

use crate::frameworks::profile::Profile;
use crate::frameworks::profile::defaults::{
    Batches, Experts, FineTuning, FourBits, Remedies, SampleLengths, ShardingDefaults, TrainedWeights,
    UsualLoss, UsualRecompute,
};
use crate::frameworks::profile::host::{Host, UsualLoading};
use crate::frameworks::profile::kernels::Kernels;
use crate::frameworks::profile::memory::{
    Fsdp, GradientBuffer, Gradients, Layers, OptimizerStep, Pipeline, Stepper,
};
use crate::frameworks::profile::versions::Versions;
use crate::frameworks::profile::widths::{BySharding, PURE_HALF, StateWidths};
use crate::job::Sharding;

/// The facts.
pub(crate) static PROFILE: Profile = Profile {
    name: "LitGPT",
    earlier_name: None,
    widths: StateWidths::of(BySharding::same(PURE_HALF)),
    weights: TrainedWeights::Made,
    autocast: false,
    divides_model: false,
    sharding: ShardingDefaults {
        usual: Sharding::FSDP,
        open: None,
        next: &[],
        pipeline_refuses_zero_2: false,
    },
    loss: UsualLoss::Eager,
    recompute: UsualRecompute::FullWhereSharded,
    batches: Batches {
        lengths: SampleLengths::Full,
        tunes: true,
        cut_over_stages: Versions::Never,
        imply_division: true,
        logits_stay: Versions::Never,
    },
    experts: Experts::ALL_TO_ALL,
    fine_tuning: FineTuning {
        rest_in_fp32: false,
        adapters_as_weights: true,
        adapters_apart: false,
        adapters_joined: false,
        dropout: Some(true),
        four_bits: FourBits::Lightning,
        unties_embedding: true,
    },
    open_versions: None,
    remedies: Remedies::RecomputeOrShard,
    layers: Layers::LitGPT,
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
    fsdp: Fsdp {
        delays_reduction: true,
        flattens_frozen: true,
        wraps_output: false,
        first: Versions::Never,
        reentrant: Versions::Never,
    },
    pipeline: Pipeline::Messages,
    host: Host {
        loading: UsualLoading::Whole,
        maps: Versions::Never,
        first_rank_fails: Versions::Never,
        large_files: Versions::Never,
        gathers: true,
        workers: [0, 4, 8],
        save_interval: Some(1_000),
        kept: None,
    },
    kernels: Kernels::FLASH_ATTENTION_2,
};
