//! The facts about nanotron.

use crate::frameworks::profile::Profile;
use crate::frameworks::profile::defaults::{
    Batches, Ends, Experts, FineTuning, Remedies, ShardingDefaults, TrainedWeights, UsualLoss, UsualRecompute,
};
use crate::frameworks::profile::host::Host;
use crate::frameworks::profile::kernels::Kernels;
use crate::frameworks::profile::memory::{Fsdp, Gradients, Layers, OptimizerStep, Pipeline};
use crate::frameworks::profile::widths::{BySharding, HALF_WITH_SINGLE_GRADIENT, StateWidths};
use crate::job::Sharding;

/// The facts.
pub(crate) static PROFILE: Profile = FACTS;

/// The same as a value, for profiles that differ in a few of them.
pub(crate) const FACTS: Profile = Profile {
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
    gradients: Gradients::ONCE,
    optimizer: OptimizerStep::UNPUBLISHED,
    fsdp: Fsdp::PLAIN,
    pipeline: Pipeline::Balanced,
    host: Host { workers: [0, 1, 8], ..Host::SHARES },
    kernels: Kernels::FLASH_ATTENTION_2,
};
