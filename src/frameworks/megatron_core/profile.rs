//! The facts about Megatron Core, under every front end: Megatron-LM, NeMo, Megatron-Bridge.
//!
//! States, buffers and losses: Megatron-LM's distributed optimizer documentation, `param_and_grad_buffer.py` and
//! `cross_entropy.py`. The default dispatcher gathers all tokens; its guides replace it by one that sends them.
//! Published runs on accelerators before Hopper used an earlier Megatron-LM.

use crate::frameworks::profile::Profile;
use crate::frameworks::profile::defaults::{
    Batches, Ends, Experts, FineTuning, Remedies, ShardingDefaults, TrainedWeights, UsualLoss, UsualRecompute,
};
use crate::frameworks::profile::host::Host;
use crate::frameworks::profile::kernels::{AttentionKernel, Between, Kernels, Launches, Selective};
use crate::frameworks::profile::memory::{Fsdp, Gradients, Layers, OptimizerStep, Pipeline};
use crate::frameworks::profile::versions::Versions;
use crate::frameworks::profile::widths::{
    BySharding, HALF_WITH_SINGLE_COPIES, HALF_WITH_SINGLE_GRADIENT, StateWidths,
};
use crate::job::{Dispatcher, Sharding};

/// The facts.
pub(crate) static PROFILE: Profile = Profile {
    name: "Megatron",
    earlier_name: Some("Megatron-early"),
    widths: StateWidths {
        usual: BySharding::same(HALF_WITH_SINGLE_GRADIENT),
        fp16: BySharding::same(HALF_WITH_SINGLE_COPIES),
    },
    weights: TrainedWeights::Made,
    autocast: false,
    divides_model: true,
    sharding: ShardingDefaults {
        usual: Sharding::DistributedOptimizer,
        open: Some(Ends { lean: Sharding::DistributedOptimizer, heavy: Sharding::None }),
        next: &[(Sharding::None, &[Sharding::DistributedOptimizer])],
        pipeline_refuses_zero_2: false,
    },
    loss: UsualLoss::VocabParallel { fuses: true },
    recompute: UsualRecompute::Undocumented,
    batches: Batches::FULL,
    experts: Experts {
        dispatcher: Dispatcher::AllGather,
        sent_singly: false,
        uneven_rows_stay: true,
        joined: None,
    },
    fine_tuning: FineTuning::PLAIN,
    open_versions: None,
    remedies: Remedies::Many,
    layers: Layers::Fused,
    gradients: Gradients { placeholders: Versions::Since((0, 13)), ..Gradients::FUSED_ACCUMULATION },
    optimizer: OptimizerStep { copies_gradients: true, ..OptimizerStep::OWN },
    fsdp: Fsdp::PLAIN,
    pipeline: Pipeline::Messages,
    host: Host { workers: [0, 2, 8], ..Host::SHARES },
    kernels: Kernels {
        attention: AttentionKernel::Vendors,
        may_run_unfused: false,
        between: Between::Fused,
        launches: Launches::FewWithFusedAttention,
        native: false,
        selective: Selective::Attention,
        transformer_engine: true,
    },
};
