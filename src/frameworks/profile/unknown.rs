//! A job that names no framework, and the framework that is assumed for it.
//!
//! A plan always has a framework: [`assumed`] chooses one by the features that only some frameworks have. So this
//! profile is read only for fields that the job leaves open. Its other facts are those of Transformers' Trainer, the
//! usual framework on a single rank.

use super::host::Host;
use crate::frameworks::profile::Profile;
use crate::frameworks::profile::defaults::{
    Batches, Ends, Experts, FineTuning, JoinedExperts, Remedies, SampleLengths, ShardingDefaults,
    TrainedWeights, UsualLoss, UsualRecompute,
};
use crate::frameworks::profile::kernels::{AttentionKernel, Between, Kernels, Launches, Selective};
use crate::frameworks::profile::memory::{Fsdp, Gradients, Layers, Logits, Loop, OptimizerStep, Pipeline};
use crate::frameworks::profile::versions::Versions;
use crate::frameworks::profile::widths;
use crate::job::{Framework, Sharding};

/// The facts of a job that names no framework.
pub static PROFILE: Profile = Profile {
    name: "any",
    earlier_name: None,
    widths: widths::AUTOCAST,
    weights: TrainedWeights::Made,
    autocast: true,
    divides_model: true,
    sharding: ShardingDefaults {
        usual: Sharding::None,
        open: Some(Ends { lean: Sharding::FSDP, heavy: Sharding::None }),
        next: &[(Sharding::None, &[Sharding::FSDP])],
        pipeline_refuses_zero_2: true,
    },
    loss: UsualLoss::Eager,
    recompute: UsualRecompute::Undocumented,
    batches: Batches {
        lengths: SampleLengths::Varying,
        logits_stay: Versions::Before((4, 45)),
        ..Batches::FULL
    },
    experts: Experts {
        joined: Some(JoinedExperts {
            versions: Versions::SinceOrUnstated((5, 0)),
            last_apart: "4.57",
            first: "5.0",
        }),
        ..Experts::ALL_TO_ALL
    },
    fine_tuning: FineTuning { rest_in_fp32: true, adapters_apart: true, ..FineTuning::PLAIN },
    open_versions: None,
    remedies: Remedies::RecomputeOrShard,
    layers: Layers::Transformers { run_by: Loop::Trainer, logits: Logits::TRANSFORMERS },
    gradients: Gradients::LAZY,
    optimizer: OptimizerStep::PYTORCH,
    fsdp: Fsdp { delays_reduction: true, ..Fsdp::PLAIN },
    pipeline: Pipeline::Messages,
    host: Host { workers: [0, 0, 8], ..Host::WHOLE },
    kernels: Kernels {
        attention: AttentionKernel::Vendors,
        may_run_unfused: true,
        between: Between::OneByOne,
        launches: Launches::OneByOne,
        native: false,
        selective: Selective::Attention,
        transformer_engine: false,
    },
};

/// The most likely framework of a job, by the features that only some frameworks have.
pub fn assumed(sharding: Option<Sharding>, model_parallel: bool) -> Framework {
    match sharding {
        Some(Sharding::DistributedOptimizer) => Framework::Megatron,
        Some(Sharding::FSDP | Sharding::HSDP) => Framework::FSDP,
        Some(Sharding::ZeRO1 | Sharding::ZeRO2 | Sharding::ZeRO3) if !model_parallel => Framework::DeepSpeed,
        Some(Sharding::ZeRO1 | Sharding::ZeRO2 | Sharding::ZeRO3) => Framework::MegatronDeepSpeed,
        _ if model_parallel => Framework::Megatron,
        _ => Framework::HuggingFace,
    }
}

/// The framework of a competent team that has not chosen one yet: fused kernels and the vendor's attention.
pub fn planned() -> &'static Profile {
    super::profile(Some(Framework::Megatron))
}
