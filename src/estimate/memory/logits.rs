//! Memory of the logits at the loss, on the last pipeline stage.
//!
//! ```text
//! bytes = T · V/t × bytes a logit
//! ```
//!
//! Bytes a logit: vocab-parallel cross-entropy 6 (the saved softmax and the bf16 gradient); PyTorch's eager one 14
//! (bf16 logits, fp32 copy, log-softmax, gradient; 12 in newer Transformers); chunked 6.5. Fused with the output layer,
//! only `4·T·h` for a chunk and the input's gradient. LLM Foundry's fused kernel replaces the logits in place: 4. `t`
//! divides only vocab-parallel logits and those of frameworks with parallel losses. Each layer that predicts further
//! tokens has its own logits. Distillation has those of two models, and a head of few numbers has none. With a reference,
//! the vocab-parallel logits of both models are joined and copied in fp32: 22. MindSpeed-LLM's baseline of one layer,
//! `dpo_qwen3_8b_tp2_pp1_cyclic_pairwise`, has 22.8 for each logit besides its states. Sources: Megatron-LM's
//! `cross_entropy.py`; torchtitan's published tables (14 to 15); Liger's fused linear cross-entropy.

use super::super::objective::{Facts, Head, Role};
use super::super::plan::Plan;
use crate::frameworks::profile::defaults::UsualLoss;
use crate::job::Loss;
use crate::units::Bytes;

/// The loss's working set.
pub(super) fn logits(plan: &Plan) -> Bytes {
    let tokens = plan.tokens() as f64;
    let elements = tokens * plan.shape.vocab as f64;
    let t = plan.tensor as f64;
    if Facts::of(plan.objective).head == Head::Numbers {
        return Bytes::ZERO;
    }
    let facts = Facts::of(plan.objective);
    let models = if facts.head == Head::Distributions { 2.0 } else { 1.0 };
    let parallel = if facts.roles.contains(&Role::Reference) { 22.0 } else { 6.0 };
    let bytes = match plan.loss {
        Loss::VocabParallel => parallel * elements / t * (1 + plan.shape.prediction_layers) as f64,
        Loss::Eager => 14.0 * elements / t,
        Loss::Chunked => 6.5 * elements / t,
        // The kernel replaces the logits by their gradient.
        Loss::Fused if plan.profile.loss == UsualLoss::FusedInPlace => 4.0 * elements / t,
        Loss::Fused => 4.0 * tokens * plan.shape.hidden as f64,
    };
    Bytes::from_f64(models * bytes)
}
