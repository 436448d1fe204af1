//! The facts about torchtitan.
//!
//! Before 0.1 it divided a rank's batch into as many microbatches as the pipeline has stages
//! (`pipeline_parallel_microbatches`), and did not compile its loss with the model. Its published runs are compiled.
//! Selective recomputation saves the outputs of every second product and of the attention (`activation_checkpoint.py`).
//! The tensors that its pipeline stages keep: `torch.distributed.pipelining`, pytorch/pytorch pull request 153383 and
//! issue 159251.

use crate::frameworks::profile::Profile;
use crate::frameworks::profile::defaults::{
    Batches, Experts, FineTuning, Remedies, SampleLengths, ShardingDefaults, TrainedWeights, UsualLoss,
    UsualRecompute,
};
use crate::frameworks::profile::host::{Host, UsualLoading};
use crate::frameworks::profile::kernels::{AttentionKernel, Between, Kernels, Launches, Selective};
use crate::frameworks::profile::memory::{
    Fsdp, GradientBuffer, Gradients, Layers, OptimizerStep, Pipeline, Stepper,
};
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
    sharding: ShardingDefaults {
        usual: Sharding::FSDP,
        open: None,
        next: &[(Sharding::None, &[Sharding::FSDP])],
        pipeline_refuses_zero_2: false,
    },
    loss: UsualLoss::CompiledWithModel {
        eager: Versions::Beginning(&["0.0"]),
        documented: Versions::Beginning(&["0."]),
    },
    recompute: UsualRecompute::Undocumented,
    batches: Batches {
        lengths: SampleLengths::Full,
        tunes: false,
        cut_over_stages: Versions::Beginning(&["0.0"]),
        imply_division: true,
        logits_stay: Versions::Never,
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
    layers: Layers::Torchtitan,
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
    fsdp: Fsdp::PLAIN,
    pipeline: Pipeline::PyTorch {
        keeps_outputs: Versions::Before((0, 1)),
        keeps_logits: Versions::Before((0, 2)),
    },
    host: Host {
        loading: UsualLoading::Shares,
        maps: Versions::Never,
        first_rank_fails: Versions::Never,
        large_files: Versions::Never,
        gathers: false,
        workers: [0, 0, 8],
        save_interval: None,
        kept: Some(10),
    },
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
