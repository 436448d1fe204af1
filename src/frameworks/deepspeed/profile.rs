//! The facts about DeepSpeed's engine with a model of Transformers' modules.
//!
//! States: DeepSpeed's stage 1, 2 and 3 sources and its corrected estimators.

use crate::frameworks::profile::Profile;
use crate::frameworks::profile::defaults::{
    Batches, Ends, Experts, FineTuning, FourBits, Remedies, ShardingDefaults, TrainedWeights, UsualLoss,
    UsualRecompute,
};
use crate::frameworks::profile::host::{Host, UsualLoading};
use crate::frameworks::profile::kernels::{AttentionKernel, Between, Kernels, Launches, Selective};
use crate::frameworks::profile::memory::{
    Fsdp, GradientBuffer, Gradients, Layers, Logits, Loop, OptimizerStep, Pipeline, Stepper,
};
use crate::frameworks::profile::versions::Versions;
use crate::frameworks::profile::widths;
use crate::job::Sharding;

/// The facts.
pub(crate) static PROFILE: Profile = Profile {
    name: "DeepSpeed",
    earlier_name: None,
    widths: widths::DEEPSPEED,
    weights: TrainedWeights::Made,
    autocast: false,
    divides_model: false,
    sharding: ShardingDefaults {
        usual: Sharding::ZeRO2,
        open: Some(Ends { lean: Sharding::ZeRO3, heavy: Sharding::ZeRO1 }),
        next: &[
            (Sharding::None, &[Sharding::ZeRO2, Sharding::ZeRO3]),
            (Sharding::ZeRO1, &[Sharding::ZeRO2, Sharding::ZeRO3]),
            (Sharding::ZeRO2, &[Sharding::ZeRO3]),
        ],
        pipeline_refuses_zero_2: true,
    },
    loss: UsualLoss::Eager,
    recompute: UsualRecompute::Undocumented,
    batches: Batches::FULL,
    experts: Experts::ALL_TO_ALL,
    fine_tuning: FineTuning {
        rest_in_fp32: false,
        adapters_as_weights: false,
        adapters_apart: true,
        adapters_joined: false,
        dropout: None,
        four_bits: FourBits::Bitsandbytes,
        unties_embedding: false,
    },
    open_versions: None,
    remedies: Remedies::RecomputeOrShard,
    layers: Layers::Transformers { run_by: Loop::Engine, logits: Logits::TRANSFORMERS },
    gradients: Gradients {
        buffer: GradientBuffer::Once,
        cast_by_zero: true,
        flattened_by_zero_1: false,
        placeholders: Versions::Never,
    },
    optimizer: OptimizerStep {
        by: Stepper::Own,
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
        workers: [0, 0, 8],
        save_interval: None,
        kept: None,
    },
    kernels: Kernels {
        attention: AttentionKernel::FlashAttention2,
        may_run_unfused: true,
        between: Between::OneByOne,
        launches: Launches::Early,
        native: false,
        selective: Selective::Attention,
        transformer_engine: false,
    },
};
