//! The memory that stays reserved after FSDP's first version has wrapped a model, before the first step.
//!
//! ```text
//! reserved ≥ shards + 2 × (largest layer + embedding and output layer) + optimizer states + gathered parameters
//! ```
//!
//! Each wrapped module is on the device twice for a moment, whole: as its parameters, and as the flat parameter made
//! from them. The freed copy stays reserved. Gathered parameters cannot use this memory, because they are allocated on
//! their own stream. The states of adapters cannot use it either, because tensors under 1 MiB have their own pool. A
//! step with adapters on short sequences needs less than this. Sources: `torch/distributed/fsdp/_flat_param.py`
//! (`flatten_tensors`, `shard`); PyTorch's notes on its caching allocator. Answer.AI's benchmark of March 2024 prints
//! 3.72 GiB after wrapping Llama 2 7B in four bits on two ranks; this formula gives 3.45. The benchmark's peaks are
//! equal at 512 and at 2048 tokens.

use super::super::plan::Plan;
use super::quantization;
use crate::job::Sharding;
use crate::model::Parameters;
use crate::units::Bytes;

/// The smallest reserved memory during training. Zero without FSDP's first version, or if the whole model is trained.
pub(super) fn wrapped(plan: &Plan, counted: &Parameters, held: Bytes, gathered: Bytes) -> Bytes {
    let first_version = plan.is_of(plan.profile.fsdp.first);
    let shards = matches!(plan.sharding, Sharding::FSDP | Sharding::HSDP) && plan.shard_group() > 1;
    if !first_version || !shards || plan.adapters.is_none() {
        return Bytes::ZERO;
    }
    let layer = counted.kinds.iter().zip(plan.shape.blocks.all()).filter(|(_, (_, count))| *count > 0);
    let layer = layer.map(|(kind, _)| kind.total()).max().unwrap_or(0);
    let outer = counted.embedding.saturating_add(counted.output);
    let modules = quantization::frozen(plan, layer, outer, plan.widths.parameter).divisible;
    held + modules * 2 + gathered
}
