//! The facts about Transformers' Trainer, with PEFT's adapters.
//!
//! | since | change |
//! | --- | --- |
//! | 4.45 | the logits are copied in fp32 once less, and batches of different lengths leave smaller blocks |
//! | 4.55 | PyTorch's fused step is the default with PyTorch 2.8 or later |
//! | 5.0 | weights are loaded in their saved format, as most programs requested before; a layer's experts are one tensor |
//!
//! The Trainer copies the model to every rank unless the job asks for sharding. Accelerate takes FSDP's first version unless
//! `fsdp_version` says 2. It delays FSDP's reduction to the last
//! microbatch, and pads to the longest sample of a batch. Accelerate's mixed precision policy reduces in the format of
//! the computation. PEFT casts the other weights of a quantized model to fp32.

use crate::frameworks::profile::Profile;
use crate::frameworks::profile::defaults::{
    Batches, Ends, Experts, FineTuning, JoinedExperts, Remedies, SampleLengths, ShardingDefaults,
    TrainedWeights, UsualLoss, UsualRecompute,
};
use crate::frameworks::profile::host::{Host, UsualLoading};
use crate::frameworks::profile::kernels::{AttentionKernel, Between, Kernels, Launches, Selective};
use crate::frameworks::profile::memory::{Fsdp, Gradients, Layers, Logits, Loop, OptimizerStep, Pipeline};
use crate::frameworks::profile::versions::Versions;
use crate::frameworks::profile::widths;
use crate::job::Sharding;

/// The facts.
pub(crate) static PROFILE: Profile = FACTS;

/// The same as a value, for profiles that differ in a few of them.
pub(crate) const FACTS: Profile = Profile {
    name: "HuggingFace",
    earlier_name: None,
    widths: widths::AUTOCAST,
    weights: TrainedWeights::Loaded { as_saved: Versions::SinceOrUnstated((5, 0)) },
    autocast: true,
    divides_model: false,
    sharding: ShardingDefaults {
        usual: Sharding::None,
        open: Some(Ends { lean: Sharding::FSDP, heavy: Sharding::None }),
        next: &[(Sharding::None, &[Sharding::FSDP])],
        pipeline_refuses_zero_2: false,
    },
    loss: UsualLoss::Eager,
    recompute: UsualRecompute::Undocumented,
    batches: Batches {
        lengths: SampleLengths::Varying,
        // The median of the 68 public command lines (tests/accuracy/reports.jsonl) that state one. Eight in ten have at most this.
        usual_length: 2048,
        imply_division: true,
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
    open_versions: Some(Ends { lean: "5.0", heavy: "4.48" }),
    remedies: Remedies::RecomputeOrShard,
    layers: Layers::Transformers { run_by: Loop::Trainer, logits: Logits::TRANSFORMERS },
    gradients: Gradients::LAZY,
    optimizer: OptimizerStep { fused: Versions::SinceOrUnstated((4, 55)), ..OptimizerStep::PYTORCH },
    fsdp: Fsdp {
        delays_reduction: true,
        first: Versions::Always,
        reentrant: Versions::BeforeOrUnstated((5, 0)),
        ..Fsdp::PLAIN
    },
    pipeline: Pipeline::Messages,
    host: Host {
        loading: UsualLoading::Whole,
        maps: Versions::Since((5, 0)),
        first_rank_fails: Versions::Since((5, 0)),
        large_files: Versions::Since((5, 0)),
        gathers: true,
        workers: [0, 0, 8],
        save_interval: Some(500),
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
