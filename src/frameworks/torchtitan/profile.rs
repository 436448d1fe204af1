//! The facts about torchtitan.
//!
//! Before 0.1 it divided a rank's batch into as many microbatches as the pipeline has stages
//! (`pipeline_parallel_microbatches`), and did not compile its loss with the model. Its published runs are compiled.
//! Selective recomputation saves the outputs of every second product and of the attention (`activation_checkpoint.py`).
//! The tensors that its pipeline stages keep: `torch.distributed.pipelining`, pytorch/pytorch pull request 153383 and
//! issue 159251.

use crate::frameworks::profile::Profile;
use crate::frameworks::profile::defaults::{
    Batches, Experts, FineTuning, Remedies, ShardingDefaults, TrainedWeights, UsualLoss, UsualRecompute,
};
use crate::frameworks::profile::host::Host;
use crate::frameworks::profile::kernels::{AttentionKernel, Between, Kernels, Launches, Selective};
use crate::frameworks::profile::memory::{Fsdp, Gradients, Layers, OptimizerStep, Pipeline};
use crate::frameworks::profile::versions::Versions;
use crate::frameworks::profile::widths;
use crate::job::{Dispatcher, Sharding};

/// The facts.
pub(crate) static PROFILE: Profile = Profile {
    name: "Torchtitan",
    earlier_name: None,
    widths: widths::SINGLE_SHARDS,
    weights: TrainedWeights::Made,
    autocast: false,
    divides_model: true,
    sharding: ShardingDefaults { next: &[(Sharding::None, &[Sharding::FSDP])], ..ShardingDefaults::FSDP },
    loss: UsualLoss::CompiledWithModel {
        eager: Versions::Beginning(&["0.0"]),
        documented: Versions::Beginning(&["0."]),
    },
    recompute: UsualRecompute::Undocumented,
    batches: Batches {
        cut_over_stages: Versions::Beginning(&["0.0"]),
        imply_division: true,
        ..Batches::FULL
    },
    experts: Experts {
        dispatcher: Dispatcher::AllToAll,
        sent_singly: true,
        uneven_rows_stay: false,
        joined: None,
    },
    fine_tuning: FineTuning::PLAIN,
    open_versions: None,
    remedies: Remedies::Recompute,
    layers: Layers::Unfused,
    gradients: Gradients::LAZY,
    optimizer: OptimizerStep::PYTORCH,
    fsdp: Fsdp::PLAIN,
    pipeline: Pipeline::PyTorch {
        keeps_outputs: Versions::Before((0, 1)),
        keeps_logits: Versions::Before((0, 2)),
    },
    host: Host { workers: [0, 0, 8], kept: Some(10), ..Host::SHARES },
    kernels: Kernels {
        attention: AttentionKernel::FlashAttention2,
        may_run_unfused: false,
        between: Between::Compiled,
        launches: Launches::Few,
        native: true,
        selective: Selective::Products,
        transformer_engine: false,
    },
};
