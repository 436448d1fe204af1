//! The facts about PyTorch's FSDP around Transformers' modules, in a user's own training loop. [`super::fsdp_scripts`]
//! and [`super::llama_cookbook`] read such loops.
//!
//! Its version is that of Transformers, whose modules it runs. A job without a version most likely has FSDP's first
//! version, or its own model.

use crate::frameworks::profile::Profile;
use crate::frameworks::profile::defaults::{
    Batches, Experts, FineTuning, FourBits, JoinedExperts, Remedies, SampleLengths, ShardingDefaults,
    TrainedWeights, UsualLoss, UsualRecompute,
};
use crate::frameworks::profile::host::{Host, UsualLoading};
use crate::frameworks::profile::kernels::Kernels;
use crate::frameworks::profile::memory::{
    Fsdp, GradientBuffer, Gradients, Layers, Logits, Loop, OptimizerStep, Pipeline, Stepper,
};
use crate::frameworks::profile::versions::Versions;
use crate::frameworks::profile::widths;
use crate::job::{Dispatcher, Sharding};

/// The facts.
pub(crate) static PROFILE: Profile = Profile {
    name: "FSDP",
    earlier_name: None,
    widths: widths::SINGLE_SHARDS,
    weights: TrainedWeights::Made,
    autocast: false,
    divides_model: false,
    sharding: ShardingDefaults {
        usual: Sharding::FSDP,
        open: None,
        next: &[(Sharding::None, &[Sharding::FSDP])],
        pipeline_refuses_zero_2: false,
    },
    loss: UsualLoss::Eager,
    recompute: UsualRecompute::Undocumented,
    batches: Batches {
        lengths: SampleLengths::Full,
        tunes: false,
        cut_over_stages: Versions::Never,
        imply_division: true,
        logits_stay: Versions::Never,
    },
    experts: Experts {
        dispatcher: Dispatcher::AllToAll,
        sent_singly: false,
        uneven_rows_stay: false,
        joined: Some(JoinedExperts { versions: Versions::Since((5, 0)), last_apart: "4.57", first: "5.0" }),
    },
    fine_tuning: FineTuning {
        rest_in_fp32: false,
        adapters_as_weights: true,
        adapters_apart: false,
        adapters_joined: false,
        dropout: None,
        four_bits: FourBits::Bitsandbytes,
        unties_embedding: false,
    },
    open_versions: None,
    remedies: Remedies::RecomputeOrShard,
    layers: Layers::Transformers { run_by: Loop::Own, logits: Logits::TRANSFORMERS },
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
        delays_reduction: false,
        flattens_frozen: false,
        wraps_output: false,
        first: Versions::BeforeOrUnstated((5, 0)),
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
    kernels: Kernels::FLASH_ATTENTION_2,
};
