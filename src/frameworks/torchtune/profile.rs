//! The facts about torchtune's recipes.
//!
//! Activation checkpointing is on. Full recipes on one device step inside the backward pass (`optimizer_in_bwd: True`).
//! The loss is computed in chunks since 0.3. Embedding and output layer are separate groups (`custom_sharded_layers`).
//! Adapters have no dropout (`lora_dropout: 0.0`), and torchao quantizes.

use crate::frameworks::profile::Profile;
use crate::frameworks::profile::defaults::{
    Batches, Experts, FineTuning, FourBits, Remedies, SampleLengths, ShardingDefaults, TrainedWeights,
    UsualLoss, UsualRecompute,
};
use crate::frameworks::profile::host::Host;
use crate::frameworks::profile::kernels::Kernels;
use crate::frameworks::profile::memory::{Fsdp, Gradients, Layers, OptimizerStep, Pipeline};
use crate::frameworks::profile::versions::Versions;
use crate::frameworks::profile::widths::{BySharding, PURE_HALF, StateWidths};

/// The facts.
pub(crate) static PROFILE: Profile = Profile {
    name: "Torchtune",
    earlier_name: None,
    widths: StateWidths::of(BySharding::same(PURE_HALF)),
    weights: TrainedWeights::Made,
    autocast: false,
    divides_model: false,
    sharding: ShardingDefaults::FSDP,
    loss: UsualLoss::Chunked { eager: Versions::Beginning(&["0.0", "0.1", "0.2"]) },
    recompute: UsualRecompute::Full,
    batches: Batches {
        lengths: SampleLengths::Shorter,
        usual_length: 1024,
        imply_division: true,
        ..Batches::FULL
    },
    experts: Experts::ALL_TO_ALL,
    fine_tuning: FineTuning {
        adapters_as_weights: true,
        dropout: Some(false),
        four_bits: FourBits::Torchao,
        ..FineTuning::PLAIN
    },
    open_versions: None,
    remedies: Remedies::RecomputeOrShard,
    layers: Layers::LossInRecipe,
    gradients: Gradients::LAZY,
    optimizer: OptimizerStep { in_backward: true, ..OptimizerStep::PYTORCH },
    fsdp: Fsdp { wraps_output: true, ..Fsdp::PLAIN },
    pipeline: Pipeline::Messages,
    host: Host { workers: [0, 0, 8], ..Host::WHOLE },
    kernels: Kernels::FLASH_ATTENTION_2,
};
