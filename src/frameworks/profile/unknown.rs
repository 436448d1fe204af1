//! A job that names no framework, and the framework that is assumed for it.
//!
//! A plan always has a framework: [`assumed`] chooses one by the features that only some frameworks have. So this
//! profile is read only for fields that the job leaves open. Its other facts are those of Transformers' Trainer, the
//! usual framework on a single rank.

use super::host::{Host, UsualLoading};
use crate::frameworks::profile::Profile;
use crate::frameworks::profile::defaults::{
    Batches, Ends, Experts, FineTuning, FourBits, JoinedExperts, Remedies, SampleLengths, ShardingDefaults,
    TrainedWeights, UsualLoss, UsualRecompute,
};
use crate::frameworks::profile::kernels::{AttentionKernel, Between, Kernels, Launches, Selective};
use crate::frameworks::profile::memory::{
    Fsdp, GradientBuffer, Gradients, Layers, Logits, Loop, OptimizerStep, Pipeline, Stepper,
};
use crate::frameworks::profile::versions::Versions;
use crate::frameworks::profile::widths::{
    BySharding, HALF_WITH_PARTITIONED_GRADIENT, HALF_WITH_SINGLE_COPIES, MIXED_ON_SINGLE, StateWidths, Widths,
};
use crate::job::{Dispatcher, Framework, Sharding};

/// The facts of a job that names no framework.
pub static PROFILE: Profile = Profile {
    name: "any",
    earlier_name: None,
    widths: StateWidths::of(BySharding {
        none: MIXED_ON_SINGLE,
        zero_1: HALF_WITH_SINGLE_COPIES,
        zero_2: HALF_WITH_SINGLE_COPIES,
        zero_3: HALF_WITH_PARTITIONED_GRADIENT,
        fsdp: Widths { reduction: 2.0, ..MIXED_ON_SINGLE },
    }),
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
        tunes: false,
        cut_over_stages: Versions::Never,
        imply_division: false,
        logits_stay: Versions::Before((4, 45)),
    },
    experts: Experts {
        dispatcher: Dispatcher::AllToAll,
        sent_singly: false,
        uneven_rows_stay: false,
        joined: Some(JoinedExperts {
            versions: Versions::SinceOrUnstated((5, 0)),
            last_apart: "4.57",
            first: "5.0",
        }),
    },
    fine_tuning: FineTuning {
        rest_in_fp32: true,
        adapters_as_weights: false,
        adapters_apart: true,
        adapters_joined: false,
        dropout: None,
        four_bits: FourBits::Bitsandbytes,
        unties_embedding: false,
    },
    open_versions: None,
    remedies: Remedies::RecomputeOrShard,
    layers: Layers::Transformers { run_by: Loop::Trainer, logits: Logits::TRANSFORMERS },
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
        flattens_frozen: false,
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
        workers: [0, 0, 8],
        save_interval: None,
        kept: None,
    },
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
