//! The facts about PyTorch's FSDP around Transformers' modules, in a user's own training loop. [`super::fsdp_scripts`]
//! and [`super::llama_cookbook`] read such loops.
//!
//! Its version is that of Transformers, whose modules it runs. A job without a version most likely has FSDP's first
//! version, or its own model.

use crate::frameworks::profile::Profile;
use crate::frameworks::profile::defaults::{
    Batches, Experts, FineTuning, JoinedExperts, Remedies, ShardingDefaults, TrainedWeights, UsualLoss,
    UsualRecompute,
};
use crate::frameworks::profile::host::Host;
use crate::frameworks::profile::kernels::Kernels;
use crate::frameworks::profile::memory::{Fsdp, Gradients, Layers, Logits, Loop, OptimizerStep, Pipeline};
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
    sharding: ShardingDefaults { next: &[(Sharding::None, &[Sharding::FSDP])], ..ShardingDefaults::FSDP },
    loss: UsualLoss::Eager,
    recompute: UsualRecompute::Undocumented,
    batches: Batches { imply_division: true, ..Batches::FULL },
    experts: Experts {
        dispatcher: Dispatcher::AllToAll,
        sent_singly: false,
        uneven_rows_stay: false,
        joined: Some(JoinedExperts { versions: Versions::Since((5, 0)), last_apart: "4.57", first: "5.0" }),
    },
    fine_tuning: FineTuning { adapters_as_weights: true, ..FineTuning::PLAIN },
    open_versions: None,
    remedies: Remedies::RecomputeOrShard,
    layers: Layers::Transformers { run_by: Loop::Own, logits: Logits::TRANSFORMERS },
    gradients: Gradients::LAZY,
    optimizer: OptimizerStep::PYTORCH,
    fsdp: Fsdp { first: Versions::BeforeOrUnstated((5, 0)), ..Fsdp::PLAIN },
    pipeline: Pipeline::Messages,
    host: Host { workers: [0, 0, 8], ..Host::WHOLE },
    kernels: Kernels::FLASH_ATTENTION_2,
};
