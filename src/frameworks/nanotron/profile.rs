//! The facts about nanotron.

use crate::frameworks::profile::Profile;
use crate::frameworks::profile::defaults::{
    Batches, Ends, Experts, FineTuning, FourBits, Remedies, SampleLengths, ShardingDefaults, TrainedWeights,
    UsualLoss, UsualRecompute,
};
use crate::frameworks::profile::kernels::{AttentionKernel, Between, Kernels, Launches, Selective};
use crate::frameworks::profile::memory::{
    Fsdp, GradientBuffer, Gradients, Layers, OptimizerStep, Pipeline, Stepper,
};
use crate::frameworks::profile::versions::Versions;
use crate::frameworks::profile::widths::{BySharding, HALF_WITH_SINGLE_GRADIENT, StateWidths};
use crate::job::{Dispatcher, Sharding};

/// The facts.
pub(crate) static PROFILE: Profile = Profile {
    name: "Nanotron",
    earlier_name: None,
    widths: StateWidths::of(BySharding::same(HALF_WITH_SINGLE_GRADIENT)),
    weights: TrainedWeights::Made,
    autocast: false,
    sharding: ShardingDefaults {
        usual: Sharding::ZeRO1,
        open: Some(Ends { lean: Sharding::ZeRO1, heavy: Sharding::None }),
        next: &[(Sharding::None, &[Sharding::ZeRO1])],
        pipeline_refuses_zero_2: false,
    },
    loss: UsualLoss::VocabParallel,
    recompute: UsualRecompute::Undocumented,
    batches: Batches {
        lengths: SampleLengths::Full,
        tunes: false,
        cut_over_stages: Versions::Never,
        imply_division: false,
        logits_stay: Versions::Never,
    },
    experts: Experts {
        dispatcher: Dispatcher::AllToAll,
        sent_singly: false,
        uneven_rows_stay: false,
        joined: None,
    },
    fine_tuning: FineTuning {
        rest_in_fp32: false,
        adapters_as_weights: false,
        adapters_apart: false,
        dropout: None,
        four_bits: FourBits::Bitsandbytes,
        unties_embedding: false,
    },
    open_versions: None,
    remedies: Remedies::Many,
    layers: Layers::Fused,
    gradients: Gradients { buffer: GradientBuffer::Once, cast_by_zero: false, flattened_by_zero_1: false },
    optimizer: OptimizerStep {
        by: Stepper::Unpublished,
        copies_gradients: false,
        in_backward: false,
        fused: Versions::Never,
    },
    fsdp: Fsdp {
        delays_reduction: false,
        flattens_frozen: false,
        wraps_output: false,
        first: Versions::Never,
    },
    pipeline: Pipeline::Messages,
    kernels: Kernels {
        attention: AttentionKernel::FlashAttention2,
        may_run_unfused: false,
        between: Between::OneByOne,
        launches: Launches::Few,
        native: false,
        selective: Selective::Attention,
    },
};
