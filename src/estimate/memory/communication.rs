//! Memory of the buffers of collective communication, inside the framework's allocator.
//!
//! ```text
//! DDP            P_trained × gradient width                   (buckets besides the gradients)
//! ZeRO 1         P_trained × 4 in Megatron-DeepSpeed without a pipeline (× 2 on one rank)
//! ZeRO 1 and 2   2 × min(5e8, P_rank) × 2                     (two reduce buckets under overlap_comm)
//! ZeRO 3         min(1e9 + block, P_rank) × 2 + min(5e8, P_rank) × 2   (live parameters, one reduce bucket)
//! FSDP, HSDP     at the loss 2·(block + outer)·2, backward (4 + 2 + reduction)·block + 2·outer
//! pipeline       see [`super::pipeline`]
//! ```
//!
//! `block`: parameters of the largest layer after tensor parallelism. `outer`: embedding and output layer, which FSDP's
//! root group keeps gathered. Sources: DeepSpeed's configuration defaults; PyTorch FSDP2's parameter group; ten
//! published runs of Megatron-DeepSpeed in 2021 and 2022 (ZeRO 1 without a pipeline).

use super::super::plan::{Plan, Stage};
use super::pipeline;
use crate::frameworks::profile::memory::{GradientBuffer, Pipeline};
use crate::job::Sharding;
use crate::model::{LayerParameters, Parameters};
use crate::units::Bytes;

/// Elements of DeepSpeed's reduce bucket and of its limit on live parameters.
const REDUCE_BUCKET: u64 = 500_000_000;
const LIVE_PARAMETERS: u64 = 1_000_000_000;

/// Buffers that are alive at three instants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Buffers {
    /// At the loss.
    pub(super) loss: Bytes,
    /// While a layer's gradients are computed and reduced.
    pub(super) backward: Bytes,
    /// At the optimizer's step.
    pub(super) step: Bytes,
}

/// The buffers of a stage.
pub(super) fn communication(
    plan: &Plan,
    counted: &Parameters,
    stage: Stage,
    parameters: u64,
    trained: u64,
) -> Buffers {
    let (block, outer) = (largest_layer(plan, counted, stage), outer_layers(plan, counted, stage));
    let shared = plan.shard_group() > 1;
    let own_buffers = plan.profile.gradients.buffer == GradientBuffer::FusedAccumulation;
    let mut buffers = match plan.sharding {
        Sharding::None if shared && !own_buffers => {
            let buckets =
                Bytes::of(trained, plan.adapters.as_ref().map_or(plan.widths.gradient, |a| a.width as f64));
            Buffers { loss: Bytes::ZERO, backward: buckets, step: buckets }
        }
        // Without a pipeline the engine flattens all gradients before it reduces them, and gathers into a second copy.
        Sharding::ZeRO1 if plan.profile.gradients.flattened_by_zero_1 => {
            let width = match (plan.pipeline, shared) {
                (2.., _) => 0.0,
                (_, true) => 4.0,
                (_, false) => 2.0,
            };
            let copies = Bytes::of(trained, width);
            Buffers { loss: copies, backward: copies, step: copies }
        }
        Sharding::ZeRO1 | Sharding::ZeRO2 if shared => {
            let buckets = Bytes::of(trained.min(REDUCE_BUCKET), 2.0) * 2;
            Buffers { loss: buckets, backward: buckets, step: buckets }
        }
        Sharding::ZeRO3 if shared || plan.offload_parameters => {
            let live = Bytes::of(parameters.min(LIVE_PARAMETERS.saturating_add(block)), plan.widths.compute);
            let bucket = Bytes::of(trained.min(REDUCE_BUCKET), 2.0);
            Buffers { loss: live, backward: live + bucket, step: bucket }
        }
        Sharding::FSDP | Sharding::HSDP if shared => gathered_by_fsdp(plan, parameters, block, outer),
        _ => Buffers::default(),
    };
    let messages = pipeline::messages(plan, stage);
    buffers.loss += messages;
    buffers.backward += messages;
    buffers
}

/// The parameters of the largest layer that the stage has. If it has experts, the layers without them count too.
fn largest_layer(plan: &Plan, counted: &Parameters, stage: Stage) -> u64 {
    let t = plan.tensor.max(1);
    let expert_ranks = plan.expert.saturating_mul(plan.expert_tensor).max(1);
    let layer = |l: LayerParameters| {
        l.tensor_sharded
            .div_ceil(t)
            .saturating_add(l.replicated)
            .saturating_add(l.experts.div_ceil(expert_ranks))
    };
    let mixed = stage.has_experts(&plan.shape);
    let counts = plan.shape.blocks.within(stage.from, stage.to);
    let here = counted.kinds.iter().zip(counts).filter(|(_, count)| *count > 0 || mixed);
    here.map(|(kind, _)| layer(*kind)).max().unwrap_or(0)
}

/// The parameters of the stage's embedding and output layer.
fn outer_layers(plan: &Plan, counted: &Parameters, stage: Stage) -> u64 {
    let t = plan.tensor.max(1);
    let embedding = if stage.embedding { counted.embedding.div_ceil(t) } else { 0 };
    let output = if stage.output { counted.output.div_ceil(t) } else { 0 };
    embedding.saturating_add(output)
}

/// The parameters that FSDP gathers, and the gradients that it reduces.
fn gathered_by_fsdp(plan: &Plan, parameters: u64, block: u64, outer: u64) -> Buffers {
    let c = plan.widths.compute;
    let gradients = if plan.adapters.is_some() { 0.0 } else { 2.0 + plan.widths.reduction };
    if plan.reshard_after_forward {
        let root = Bytes::of(outer, c);
        return Buffers {
            loss: root + Bytes::of(block, 2.0 * c),
            backward: root + Bytes::of(block, 2.0 * c + gradients),
            step: Bytes::ZERO,
        };
    }
    // PyTorch's pipelines sum whole gradients over their microbatches and divide them at the end.
    let pipelined = matches!(plan.profile.pipeline, Pipeline::PyTorch { .. }) && plan.pipeline > 1;
    let summed = if pipelined { Bytes::of(parameters, plan.widths.reduction) } else { Bytes::ZERO };
    let whole = Bytes::of(parameters, c) + summed;
    Buffers { loss: whole, backward: whole + Bytes::of(block, gradients), step: Bytes::ZERO }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::assume::{Device, assume};
    use crate::job::TrainingJob;

    #[test]
    fn deepspeeds_buckets_have_500_million_elements_of_two_bytes() {
        let buffers = |stage: &str| {
            let job: TrainingJob = serde_json::from_value(serde_json::json!({
                "model": {"layers": 2, "hiddenSize": 512}, "framework": "DeepSpeed",
                "parallelism": {"data": 2, "sharding": stage},
            }))
            .unwrap();
            let plan = assume(&job, Device { bf16: true }).unwrap().likely;
            let billion = 1_000_000_000;
            communication(&plan, &Parameters::of(&plan.shape), plan.stage(0), billion, billion)
        };
        // `reduce_bucket_size` is 5e8 in deepspeed/runtime/zero/config.py.
        assert_eq!(buffers("ZeRO2").step, Bytes(2 * 2 * 500_000_000));
        assert_eq!(buffers("ZeRO3").step, Bytes(2 * 500_000_000));
    }
}
