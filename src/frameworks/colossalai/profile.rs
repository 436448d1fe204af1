//! The facts about ColossalAI.

use crate::frameworks::profile::Profile;
use crate::frameworks::profile::defaults::{
    Batches, Ends, Experts, FineTuning, Remedies, ShardingDefaults, TrainedWeights, UsualLoss, UsualRecompute,
};
use crate::frameworks::profile::host::Host;
use crate::frameworks::profile::kernels::Kernels;
use crate::frameworks::profile::memory::{Fsdp, Gradients, Layers, OptimizerStep, Pipeline};
use crate::frameworks::profile::widths;
use crate::job::Sharding;

/// The facts.
pub(crate) static PROFILE: Profile = Profile {
    name: "ColossalAI",
    earlier_name: None,
    widths: widths::DEEPSPEED,
    weights: TrainedWeights::Made,
    autocast: false,
    divides_model: true,
    sharding: ShardingDefaults {
        usual: Sharding::ZeRO2,
        open: Some(Ends { lean: Sharding::ZeRO3, heavy: Sharding::ZeRO1 }),
        next: &[],
        pipeline_refuses_zero_2: false,
    },
    loss: UsualLoss::Eager,
    recompute: UsualRecompute::Undocumented,
    batches: Batches::FULL,
    experts: Experts::ALL_TO_ALL,
    fine_tuning: FineTuning::PLAIN,
    open_versions: None,
    remedies: Remedies::RecomputeOrShard,
    layers: Layers::Fused,
    gradients: Gradients::ONCE,
    optimizer: OptimizerStep::OWN,
    fsdp: Fsdp::PLAIN,
    pipeline: Pipeline::Messages,
    host: Host { workers: [0, 0, 8], ..Host::WHOLE },
    kernels: Kernels { may_run_unfused: true, ..Kernels::FLASH_ATTENTION_2 },
};
