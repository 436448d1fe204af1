//! The facts about nanotron.

use crate::frameworks::profile::Profile;
use crate::frameworks::profile::defaults::{
    Batches, Ends, Experts, FineTuning, Remedies, ShardingDefaults, TrainedWeights, UsualLoss, UsualRecompute,
};
use crate::frameworks::profile::host::{Host, UsualLoading};
use crate::frameworks::profile::kernels::Kernels;
use crate::frameworks::profile::memory::{
    Fsdp, GradientBuffer, Gradients, Layers, OptimizerStep, Pipeline, Stepper,
};
use crate::frameworks::profile::versions::Versions;
use crate::frameworks::profile::widths::{BySharding, HALF_WITH_SINGLE_GRADIENT, StateWidths};
use crate::job::Sharding;

/// The facts.
pub(crate) static PROFILE: Profile = Profile {
    name: "Nanotron",
    earlier_name: None,
    widths: StateWidths::of(BySharding::same(HALF_WITH_SINGLE_GRADIENT)),
    weights: TrainedWeights::Made,
    autocast: false,
    divides_model: true,
    sharding: ShardingDefaults {
        usual: Sharding::ZeRO1,
        open: Some(Ends { lean: Sharding::ZeRO1, heavy: Sharding::None }),
        next: &[(Sharding::None, &[Sharding::ZeRO1])],
        pipeline_refuses_zero_2: false,
    },
    loss: UsualLoss::VocabParallel { fuses: false },
    recompute: UsualRecompute::Undocumented,
    batches: Batches::FULL,
    experts: Experts::ALL_TO_ALL,
    fine_tuning: FineTuning::PLAIN,
    open_versions: None,
    remedies: Remedies::Many,
    layers: Layers::Fused,
    gradients: Gradients {
        buffer: GradientBuffer::Once,
        cast_by_zero: false,
        flattened_by_zero_1: false,
        placeholders: Versions::Never,
    },
    optimizer: OptimizerStep {
        by: Stepper::Unpublished,
        copies_gradients: false,
        in_backward: false,
        fused: Versions::Never,
    },
    fsdp: Fsdp::PLAIN,
    pipeline: Pipeline::Messages,
    host: Host {
        loading: UsualLoading::Shares,
        maps: Versions::Never,
        first_rank_fails: Versions::Never,
        large_files: Versions::Never,
        gathers: false,
        workers: [0, 1, 8],
        save_interval: None,
        kept: None,
    },
    kernels: Kernels::FLASH_ATTENTION_2,
};
