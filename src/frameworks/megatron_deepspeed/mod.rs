//! The facts about Megatron-DeepSpeed: Megatron-LM's layers of 2021 on DeepSpeed's engine. [`super::megatron_lm`] reads
//! it.
//!
//! Source for the states of ZeRO 1 without a pipeline: ten published runs of 2021 and 2022.

use crate::frameworks::profile::Profile;
use crate::frameworks::profile::defaults::{
    Batches, Ends, Experts, FineTuning, Remedies, ShardingDefaults, TrainedWeights, UsualLoss, UsualRecompute,
};
use crate::frameworks::profile::host::Host;
use crate::frameworks::profile::kernels::{AttentionKernel, Between, Kernels, Launches, Selective};
use crate::frameworks::profile::memory::{Fsdp, Gradients, Layers, OptimizerStep, Pipeline};
use crate::frameworks::profile::widths::{
    BySharding, HALF_WITH_BOTH_GRADIENTS, HALF_WITH_SINGLE_COPIES, HALF_WITH_SINGLE_GRADIENT, StateWidths,
};
use crate::frameworks::reading::claims::Claims;
use crate::job::{Sharding, field};

/// Opens what stage 1 keeps of gradients without a pipeline. The published runs have a whole copy in fp32, later releases of
/// DeepSpeed reduce in buckets; the least is what stage 2 keeps.
pub(crate) fn gradients_of_stage_one(claims: &mut Claims) {
    let is_cut = claims.get(field::parallelism::PIPELINE).is_some_and(|stages| stages > 1);
    if claims.get(field::parallelism::SHARDING) == Some(Sharding::ZeRO1) && !is_cut {
        claims.open_anyway(field::parallelism::SHARDING, Sharding::ZeRO2);
    }
}

/// The facts.
pub(crate) static PROFILE: Profile = Profile {
    name: "MegatronDeepSpeed",
    earlier_name: None,
    widths: StateWidths {
        usual: BySharding {
            none: HALF_WITH_SINGLE_GRADIENT,
            zero_1: HALF_WITH_BOTH_GRADIENTS,
            zero_2: HALF_WITH_SINGLE_GRADIENT,
            zero_3: HALF_WITH_SINGLE_GRADIENT,
            fsdp: HALF_WITH_SINGLE_GRADIENT,
        },
        fp16: BySharding::same(HALF_WITH_SINGLE_COPIES),
    },
    weights: TrainedWeights::Made,
    autocast: false,
    divides_model: true,
    sharding: ShardingDefaults {
        usual: Sharding::ZeRO1,
        open: Some(Ends { lean: Sharding::ZeRO1, heavy: Sharding::None }),
        next: &[(Sharding::None, &[Sharding::ZeRO1])],
        pipeline_refuses_zero_2: true,
    },
    loss: UsualLoss::VocabParallel { fuses: false },
    recompute: UsualRecompute::Undocumented,
    batches: Batches::FULL,
    experts: Experts::ALL_TO_ALL,
    fine_tuning: FineTuning::PLAIN,
    open_versions: None,
    remedies: Remedies::Many,
    layers: Layers::Fused,
    gradients: Gradients { cast_by_zero: true, flattened_by_zero_1: true, ..Gradients::FUSED_ACCUMULATION },
    optimizer: OptimizerStep::OWN,
    fsdp: Fsdp::PLAIN,
    pipeline: Pipeline::Balanced,
    host: Host { workers: [0, 2, 8], ..Host::SHARES },
    kernels: Kernels {
        attention: AttentionKernel::Unfused,
        may_run_unfused: true,
        between: Between::Fused,
        launches: Launches::Early,
        native: false,
        selective: Selective::Attention,
        transformer_engine: false,
    },
};
