//! What FSDP's first version leaves in the allocator when it wraps a model, before the first step.
//!
//! ```text
//! reserved ≥ shards + 2 × (largest layer + embedding and output layer) + optimizer states + gathered parameters
//! ```
//!
//! Every module that is wrapped is on the device twice for a moment, as its parameters and as the flat one made of them,
//! whole; what is freed then stays reserved. Gathered parameters cannot use it, as they are allocated on a stream of
//! their own, nor can the states of adapters, whose pieces of less than 1 MiB have a pool of their own. With
//! adapters on short sequences a step needs less than that. Sources: `torch/distributed/fsdp/_flat_param.py`
//! (`flatten_tensors`, `shard`); PyTorch's notes on its caching allocator. Answer.AI's benchmark of March 2024 prints 3.72
//! GiB after wrapping Llama 2 7B in four bits on two ranks, where this gives 3.45; its peaks are the same at 512 and at
//! 2048 tokens.

use super::super::plan::Plan;
use super::quantization;
use crate::job::Sharding;
use crate::model::Parameters;
use crate::units::Bytes;

/// The least that is reserved once training runs; zero where it is not FSDP's first version, or where whole models train.
pub(super) fn wrapped(plan: &Plan, counted: &Parameters, held: Bytes, gathered: Bytes) -> Bytes {
    let first_version = plan.is_of(plan.profile.fsdp.first);
    let shards = matches!(plan.sharding, Sharding::FSDP | Sharding::HSDP) && plan.shard_group() > 1;
    if !first_version || !shards || plan.offload_parameters || plan.adapters.is_none() {
        return Bytes::ZERO;
    }
    let whole = |layer: crate::model::LayerParameters| {
        layer.tensor_sharded.saturating_add(layer.replicated).saturating_add(layer.experts)
    };
    let layer = match &plan.shape.experts {
        Some(_) => whole(counted.expert_layer),
        None => whole(counted.dense_layer),
    };
    let outer = counted.embedding.saturating_add(counted.output);
    let modules = quantization::frozen(plan, layer, outer, plan.widths.parameter).divisible;
    held + modules * 2 + gathered
}
