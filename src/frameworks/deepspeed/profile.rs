//! The facts about DeepSpeed's engine with a model of Transformers' modules.
//!
//! States: DeepSpeed's stage 1, 2 and 3 sources and its corrected estimators.

use crate::frameworks::profile::Profile;
use crate::frameworks::profile::defaults::{
    Batches, Ends, Experts, FineTuning, Remedies, ShardingDefaults, TrainedWeights, UsualLoss, UsualRecompute,
};
use crate::frameworks::profile::host::Host;
use crate::frameworks::profile::kernels::{AttentionKernel, Between, Kernels, Launches, Selective};
use crate::frameworks::profile::memory::{Fsdp, Gradients, Layers, Logits, Loop, OptimizerStep, Pipeline};
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
    fine_tuning: FineTuning { adapters_apart: true, ..FineTuning::PLAIN },
    open_versions: None,
    remedies: Remedies::RecomputeOrShard,
    layers: Layers::Transformers { run_by: Loop::Engine, logits: Logits::TRANSFORMERS },
    gradients: Gradients { cast_by_zero: true, ..Gradients::ONCE },
    optimizer: OptimizerStep::OWN,
    fsdp: Fsdp::PLAIN,
    pipeline: Pipeline::Balanced,
    host: Host { workers: [0, 0, 8], ..Host::WHOLE },
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
