//! The facts about torchtune's recipes.
//!
//! Activation checkpointing is on. Full recipes on one device step inside the backward pass (`optimizer_in_bwd: True`).
//! The loss is computed in chunks since 0.3. Embedding and output layer are separate groups (`custom_sharded_layers`).
//! Adapters have no dropout (`lora_dropout: 0.0`), and torchao quantizes.

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
    name: "Torchtune",
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
    loss: UsualLoss::Chunked { eager: Versions::Beginning(&["0.0", "0.1", "0.2"]) },
    recompute: UsualRecompute::Full,
    batches: Batches {
        lengths: SampleLengths::Shorter,
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
        dropout: Some(false),
        four_bits: FourBits::Torchao,
        unties_embedding: false,
    },
    open_versions: None,
    remedies: Remedies::RecomputeOrShard,
    layers: Layers::Torchtune,
    gradients: Gradients {
        buffer: GradientBuffer::Lazy,
        cast_by_zero: false,
        flattened_by_zero_1: false,
        placeholders: Versions::Never,
    },
    optimizer: OptimizerStep {
        by: Stepper::PyTorch,
        copies_gradients: false,
        in_backward: true,
        fused: Versions::Never,
    },
    fsdp: Fsdp {
        delays_reduction: false,
        flattens_frozen: false,
        wraps_output: true,
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
        workers: [0, 0, 8],
        save_interval: None,
        kept: None,
    },
    kernels: Kernels::FLASH_ATTENTION_2,
};
