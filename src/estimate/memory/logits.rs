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
//! tokens has its own logits. Sources: Megatron-LM's `cross_entropy.py`; torchtitan's published tables (14 to 15);
//! Liger's fused linear cross-entropy.

use super::super::plan::Plan;
use crate::frameworks::profile::defaults::UsualLoss;
use crate::job::Loss;
use crate::units::Bytes;

/// The loss's working set.
pub(super) fn logits(plan: &Plan) -> Bytes {
    let tokens = plan.tokens() as f64;
    let elements = tokens * plan.shape.vocab as f64;
    let t = plan.tensor as f64;
    Bytes::from_f64(match plan.loss {
        Loss::VocabParallel => 6.0 * elements / t * (1 + plan.shape.prediction_layers) as f64,
        Loss::Eager => 14.0 * elements / t,
        Loss::Chunked => 6.5 * elements / t,
        // The kernel replaces the logits by their gradient.
        Loss::Fused if plan.profile.loss == UsualLoss::FusedInPlace => 4.0 * elements / t,
        Loss::Fused => 4.0 * tokens * plan.shape.hidden as f64,
    })
}
