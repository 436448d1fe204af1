//! The facts about LitGPT.
//!
//! Its scripts checkpoint activations only with FSDP. Fabric delays FSDP's reduction to the last microbatch, and FSDP
//! flattens a layer's frozen and trained parameters together. Fine-tuning begins with the longest sample, has a dropout
//! of 5 % before adapters (its config hub), and copies a tied embedding into a separate output layer.

use crate::frameworks::profile::Profile;
use crate::frameworks::profile::defaults::{
    Batches, Experts, FineTuning, FourBits, Remedies, ShardingDefaults, TrainedWeights, UsualLoss,
    UsualRecompute,
};
use crate::frameworks::profile::host::Host;
use crate::frameworks::profile::kernels::Kernels;
use crate::frameworks::profile::memory::{Fsdp, Gradients, Layers, OptimizerStep, Pipeline};
use crate::frameworks::profile::widths::{BySharding, PURE_HALF, StateWidths};

/// The facts.
pub(crate) static PROFILE: Profile = Profile {
    name: "LitGPT",
    earlier_name: None,
    widths: StateWidths::of(BySharding::same(PURE_HALF)),
    weights: TrainedWeights::Made,
    autocast: false,
    divides_model: false,
    sharding: ShardingDefaults::FSDP,
    loss: UsualLoss::Eager,
    recompute: UsualRecompute::FullWhereSharded,
    batches: Batches { usual_length: 1024, imply_division: true, ..Batches::FULL },
    experts: Experts::ALL_TO_ALL,
    fine_tuning: FineTuning {
        rest_in_fp32: false,
        adapters_as_weights: true,
        adapters_apart: false,
        adapters_joined: false,
        dropout: Some(true),
        four_bits: FourBits::Lightning,
        unties_embedding: true,
    },
    open_versions: None,
    remedies: Remedies::RecomputeOrShard,
    layers: Layers::JointProjection,
    gradients: Gradients::LAZY,
    optimizer: OptimizerStep::PYTORCH,
    fsdp: Fsdp { delays_reduction: true, flattens_frozen: true, ..Fsdp::PLAIN },
    pipeline: Pipeline::Messages,
    host: Host { workers: [0, 4, 8], save_interval: Some(1_000), ..Host::WHOLE },
    kernels: Kernels::FLASH_ATTENTION_2,
};
