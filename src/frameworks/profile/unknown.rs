//! A job that names no framework, and the framework that is assumed for it.
//!
//! A plan always has a framework: [`assumed`] chooses one by the features that only some frameworks have. So this
//! profile is read only for fields that the job leaves open. Its other facts are those of Transformers' Trainer, the
//! usual framework on a single rank.

use super::host::Host;
use crate::frameworks::hugging_face::profile::FACTS;
use crate::frameworks::profile::Profile;
use crate::frameworks::profile::defaults::{Batches, SampleLengths, ShardingDefaults, TrainedWeights};
use crate::frameworks::profile::memory::{Fsdp, OptimizerStep};
use crate::frameworks::profile::versions::Versions;
use crate::job::{Framework, Sharding};

/// The facts of a job that names no framework: those that differ from the Trainer's.
pub static PROFILE: Profile = Profile {
    name: "any",
    weights: TrainedWeights::Made,
    divides_model: true,
    sharding: ShardingDefaults { pipeline_refuses_zero_2: true, ..FACTS.sharding },
    batches: Batches {
        lengths: SampleLengths::Varying,
        logits_stay: Versions::Before((4, 45)),
        ..Batches::FULL
    },
    open_versions: None,
    optimizer: OptimizerStep::PYTORCH,
    fsdp: Fsdp { delays_reduction: true, ..Fsdp::PLAIN },
    host: Host { workers: [0, 0, 8], ..Host::WHOLE },
    ..FACTS
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
