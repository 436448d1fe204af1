//! Memory of the logits at the loss, on the last pipeline stage.
//!
//! ```text
//! bytes = T · V/t × bytes a logit
//! ```
//!
//! Bytes a logit: vocab-parallel cross-entropy 6 (the saved softmax and the bf16 gradient); compiled 10, because a compiled
//! graph computes out of place what the other changes in place: one more fp32 copy; Transformer Engine's in place of the bf16
//! logits, 2; PyTorch's eager one 14
//! (bf16 logits, fp32 copy, log-softmax, gradient; 12 in newer Transformers); chunked 6.5. Fused with the output layer,
//! only `4·T·h` for a chunk and the input's gradient. LLM Foundry's fused kernel replaces the logits in place: 4. `t`
//! divides only vocab-parallel logits and those of frameworks with parallel losses. Each layer that predicts further
//! tokens has its own logits. Distillation has those of two models, and a head of few numbers has none. With a reference,
//! the vocab-parallel logits of both models are joined and copied in fp32: 22. MindSpeed-LLM's baseline of one layer,
//! `dpo_qwen3_8b_tp2_pp1_cyclic_pairwise`, has 22.8 for each logit besides its states. Sources: Megatron-LM's
//! `cross_entropy.py` and `fusions/fused_cross_entropy.py` (core 0.12 to 0.19; two pairs of its continuous integration that differ
//! in the fusion alone are 0.37 GiB apart on H100 and 0.33 on GB200, where a copy is 0.38; three copies with PyTorch 2.2);
//! Transformer Engine 2.4 to 2.17, `triton/cross_entropy.py`; torchtitan's published tables (14 to 15); Liger's fused linear cross-entropy.

use super::super::objective::{Head, ObjectiveProfile, Role};
use super::super::plan::Plan;
use crate::frameworks::profile::defaults::UsualLoss;
use crate::job::Loss;
use crate::units::Bytes;

/// The loss's working set.
pub(super) fn logits(plan: &Plan) -> Bytes {
    let tokens = plan.tokens() as f64;
    let elements = tokens * plan.shape.vocab as f64;
    let t = plan.tensor as f64;
    if ObjectiveProfile::of(plan.objective).head == Head::Numbers {
        return Bytes::ZERO;
    }
    let facts = ObjectiveProfile::of(plan.objective);
    let models = if facts.head == Head::Distributions { 2.0 } else { 1.0 };
    // Where samples are generated, the reference runs before the step.
    let compared = facts.roles.contains(&Role::Reference) && !facts.generates;
    let all = elements / t * (1 + plan.shape.prediction_layers) as f64;
    let bytes = match plan.loss {
        Loss::VocabParallel | Loss::CompiledVocabParallel | Loss::InPlace if compared => 22.0 * all,
        Loss::VocabParallel => 6.0 * all,
        Loss::CompiledVocabParallel => 10.0 * all,
        Loss::InPlace => 2.0 * all,
        Loss::Eager => 14.0 * elements / t,
        Loss::Chunked => 6.5 * elements / t,
        // The kernel replaces the logits by their gradient.
        Loss::Fused if plan.profile.loss == UsualLoss::FusedInPlace => 4.0 * elements / t,
        Loss::Fused => 4.0 * tokens * plan.shape.hidden as f64,
    };
    Bytes::from_f64(models * bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::assume::{Device, assume};
    use crate::job::TrainingJob;

    #[test]
    fn megatrons_losses_hold_six_ten_and_two_bytes_a_logit() {
        let held = |loss: &str| {
            let job: TrainingJob = serde_json::from_value(serde_json::json!({
                "model": {"layers": 2, "hiddenSize": 512, "paddedVocabSize": 1024}, "framework": "Megatron", "loss": loss,
                "parallelism": {"tensor": 2}, "batch": {"microBatchSize": 1, "sequenceLength": 64},
            }))
            .unwrap();
            logits(&assume(&job, Device { bf16: true }).unwrap().likely).0 / (64 * 512)
        };
        assert_eq!(["VocabParallel", "CompiledVocabParallel", "InPlace"].map(held), [6, 10, 2]);
    }
}
