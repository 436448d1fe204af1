//! The facts about MaxText.

use crate::frameworks::profile::Profile;
use crate::frameworks::profile::defaults::{
    Batches, Experts, FineTuning, Remedies, ShardingDefaults, TrainedWeights, UsualLoss, UsualRecompute,
};
use crate::frameworks::profile::host::Host;
use crate::frameworks::profile::kernels::Kernels;
use crate::frameworks::profile::memory::{Fsdp, Gradients, Layers, OptimizerStep, Pipeline};
use crate::frameworks::profile::widths;

/// The facts.
pub(crate) static PROFILE: Profile = Profile {
    name: "MaxText",
    earlier_name: None,
    widths: widths::SINGLE_SHARDS,
    weights: TrainedWeights::Made,
    autocast: false,
    divides_model: true,
    sharding: ShardingDefaults::FSDP,
    loss: UsualLoss::Eager,
    recompute: UsualRecompute::Undocumented,
    batches: Batches::FULL,
    experts: Experts::ALL_TO_ALL,
    fine_tuning: FineTuning::PLAIN,
    open_versions: None,
    remedies: Remedies::Many,
    layers: Layers::Fused,
    gradients: Gradients::LAZY,
    optimizer: OptimizerStep::UNPUBLISHED,
    fsdp: Fsdp::PLAIN,
    pipeline: Pipeline::Messages,
    host: Host { workers: [0, 1, 8], save_interval: Some(10_000), ..Host::SHARES },
    kernels: Kernels::FLASH_ATTENTION_2,
};
