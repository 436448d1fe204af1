//! What a layer's experts hold while the layer runs, if they are one tensor that is quantized or has adapters.
//!
//! ```text
//! four bits      c·E                 the unpacked matrices, which the grouped products keep for their derivative
//! eight bits     4·E + 4·M           unpacked to fp32, and one more copy while the scales are multiplied
//! adapters       c·E + 2·c·M         the sums W + BA, kept; the gradients of one sum and of its scaled product
//! ```
//!
//! `E`: numbers of a layer's experts on a rank; `M`: those of its larger tensor, gate and up; `c`: bytes of a number of the
//! computation. Experts that are separate linear layers are unpacked one by one, which counts as nothing. A tensor without an
//! adapter that is not quantized holds nothing more.
//!
//! Sources: axolotl's `monkeypatch/moe_quant.py` (067b021c); bitsandbytes' `nn/parametrize.py` and
//! `backends/default/ops.py`, `int8_vectorwise_dequant` (0.49); PEFT's `tuners/lora/layer.py`, `ParamWrapper` (0.19);
//! Transformers' `integrations/moe.py`, `grouped_mm_experts_forward` (5.2).

use super::super::plan::{Plan, Stage};
use super::instants::Instant;
use super::quantization;
use crate::units::Bytes;

/// Adds what the experts hold to the instants at which a layer runs.
pub(super) fn add(plan: &Plan, stage: Stage, instants: &mut [Instant]) {
    let held = held(plan, stage);
    for instant in instants.iter_mut().filter(|instant| instant.working_set > Bytes::ZERO) {
        instant.working_set += held;
    }
}

/// The memory that one layer's experts hold while it runs.
fn held(plan: &Plan, stage: Stage) -> Bytes {
    let Some((experts, adapters)) = plan.shape.experts.as_ref().zip(plan.adapters.as_ref()) else {
        return Bytes::ZERO;
    };
    if !stage.has_experts(&plan.shape) || !quantization::joins_experts(plan) {
        return Bytes::ZERO;
    }
    let ranks = plan.expert.saturating_mul(plan.expert_tensor).max(1);
    let matrix = experts.count.saturating_mul(experts.ffn).saturating_mul(plan.shape.hidden).div_ceil(ranks);
    let inputs = if plan.shape.gated { matrix.saturating_mul(2) } else { matrix };
    let both = inputs.saturating_add(matrix);
    let adapted = [(adapters.targets.joined_inputs, inputs), (adapters.targets.joined_outputs, matrix)];
    let adapted: u64 = adapted.iter().filter(|(on, _)| *on).map(|(_, numbers)| *numbers).sum();
    let computed = |numbers| Bytes::of(numbers, plan.widths.compute);
    let sums = if adapted > 0 { computed(adapted) + computed(inputs) * 2 } else { Bytes::ZERO };
    let unpacked = match adapters.quantized.filter(|quantized| quantized.joined_experts) {
        None => Bytes::ZERO,
        Some(quantized) if quantized.bits == 8 => Bytes(both.saturating_add(inputs)) * 4,
        Some(_) => computed(both),
    };
    // The sums take the unpacked matrices' place.
    unpacked.max(sums + if unpacked > Bytes::ZERO { computed(both - adapted) } else { Bytes::ZERO })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::assume::{Device, assume};
    use crate::job::TrainingJob;

    /// Bytes that a layer of eight experts of 512 × 256 numbers, three matrices each, holds.
    fn held_with(method: &str, bits: u64, targets: &[&str]) -> u64 {
        let job: TrainingJob = serde_json::from_value(serde_json::json!({
            "model": {"layers": 2, "hiddenSize": 512, "attentionHeads": 8, "vocabSize": 1000, "experts": 8,
                      "expertsPerToken": 2, "expertFfnHiddenSize": 256, "activation": "SwiGLU"},
            "framework": "HuggingFace", "precision": "BF16",
            "finetuning": {"method": method, "rank": 8, "targets": targets,
                           "quantization": {"bits": bits, "experts": true}},
        }))
        .unwrap();
        let plan = assume(&job, Device { bf16: true }).unwrap().likely;
        held(&plan, plan.stage(0)).0
    }

    #[test]
    fn quantized_experts_are_unpacked_while_their_layer_runs() {
        let matrix = 8 * 512 * 256;
        assert_eq!(held_with("QLoRA", 4, &["q_proj"]), 2 * 3 * matrix);
        assert_eq!(held_with("QLoRA", 8, &["q_proj"]), 4 * 5 * matrix);
        assert_eq!(held_with("LoRA", 4, &["q_proj"]), 0);
    }

    #[test]
    fn adapters_of_experts_hold_the_sums_and_two_gradients() {
        let matrix = 8 * 512 * 256;
        let both = ["experts.gate_up_proj", "experts.down_proj"];
        assert_eq!(held_with("LoRA", 4, &both), 2 * 3 * matrix + 2 * 2 * 2 * matrix);
        assert_eq!(held_with("LoRA", 4, &["experts.down_proj"]), 2 * matrix + 2 * 2 * 2 * matrix);
        assert_eq!(held_with("QLoRA", 4, &["experts.down_proj"]), 2 * 3 * matrix + 2 * 2 * 2 * matrix);
    }
}
