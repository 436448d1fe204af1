//! Memory of the messages between pipeline stages.
//!
//! ```text
//! each message    2·T·h/t'
//! in general      4 messages
//! torchtitan      m received activations and m received gradients for each of a rank's v chunks, of m microbatches,
//!                 and the outputs of those that are alive; before 0.1 all m outputs, and m gradients of inputs
//!                 before 0.2, on the last stage, m times its logits, 2·T·V/t
//! ```
//!
//! PyTorch's pipeline stages allocate a buffer for every microbatch of a step at its start. All stages kept the output
//! of every microbatch until the next step, to merge the outputs, until May 2025. The last stage did so until an option
//! could turn it off (pytorch/pytorch pull request 153383, issue 159251). Gradients of inputs were kept equally long.
//! The first stage receives no activations, the last no gradients. Live inputs count as activations here, and the
//! logits at the loss as logits. Source: `torch.distributed.pipelining`, `stage.py` (`_prepare_forward_infra`,
//! `_prepare_backward_infra`, `forward_one_chunk`, `clear_runtime_states`) and `_backward.py`.

use super::super::plan::{Plan, Stage};
use super::super::schedule;
use crate::frameworks::profile::memory::Pipeline;
use crate::units::Bytes;

/// The messages of a stage.
pub(super) fn messages(plan: &Plan, stage: Stage) -> Bytes {
    if plan.pipeline <= 1 {
        return Bytes::ZERO;
    }
    let tokens = plan.tokens() as f64;
    let message = 2.0 * tokens * plan.shape.hidden as f64 / plan.sequence_divisor() as f64;
    let Pipeline::PyTorch { keeps_outputs, keeps_logits } = plan.profile.pipeline else {
        return Bytes::from_f64(4.0 * message);
    };
    let (microbatches, chunks) = (plan.micro_batches.max(1) as f64, plan.virtual_pipeline.max(1) as f64);
    let all = microbatches * chunks;
    let alive = schedule::live_layers(plan, stage) * chunks / stage.layers().max(1) as f64;
    let at = |end: bool| if end { microbatches } else { 0.0 };
    let (received, sent) = (all - at(stage.embedding), all - at(stage.output));
    // A live input counts as an activation, and has no gradient yet.
    let waiting = (received - alive).max(0.0);
    let kept = if plan.is_of(keeps_outputs) { waiting + sent } else { alive.min(sent) };
    let logits = if stage.output && plan.is_of(keeps_logits) {
        2.0 * tokens * plan.shape.vocab as f64 / plan.tensor.max(1) as f64
    } else {
        0.0
    };
    Bytes::from_f64((waiting + sent + kept) * message + (microbatches - 1.0) * logits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::assume::{Device, assume};
    use crate::job::TrainingJob;

    #[test]
    fn a_stage_holds_four_messages_of_its_tokens() {
        let job: TrainingJob = serde_json::from_value(serde_json::json!({
            "model": {"layers": 4, "hiddenSize": 512}, "framework": "Megatron",
            "parallelism": {"pipeline": 2, "data": 1},
            "batch": {"microBatchSize": 2, "globalBatchSize": 8, "sequenceLength": 64},
        }))
        .unwrap();
        let plan = assume(&job, Device { bf16: true }).unwrap().likely;
        // Two sequences of 64 tokens, 512 numbers of two bytes each.
        assert_eq!(messages(&plan, plan.stage(0)), Bytes(4 * 2 * 64 * 512 * 2));
    }
}
