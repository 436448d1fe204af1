//! Memory of frozen weights, whole or quantized to four or eight bits.
//!
//! ```text
//! four bits       P × (0.5 + scale)     one scale for every 64 parameters: four bytes, 0.0625 a parameter;
//!                                       quantized again to one byte, with four bytes for every 256: 0.0159
//! eight bits      P × 1                 one scale for each row
//! joined experts  P × 2                 Transformers 5 has a layer's experts in one tensor, which is no linear layer
//! all others      P × parameter width   embedding and norms; the output layer, except in LitGPT, which quantizes it
//! ```
//!
//! Programs differ in the scales and in the format of the other weights. PEFT's `prepare_model_for_kbit_training` makes
//! them fp32. axolotl casts them back, ms-swift and LLaMA-Factory never make them fp32.
//!
//! bitsandbytes keeps the scales outside the parameters, so FSDP neither divides nor offloads them. A matrix product
//! first unpacks its matrix: [`unpacked`] bytes a parameter while it runs. LitGPT quantizes from fp16, so it unpacks to
//! fp16 and casts. An eight-bit product keeps its input, although its
//! weight is frozen (`MatMul8bitLt`). Sources: bitsandbytes' `functional.py` and `autograd/_functions.py` (0.50);
//! Lightning's
//! `plugins/precision/bitsandbytes.py`; torchao's `nf4tensor.py`.

use super::super::plan::{Plan, Quantized};
use super::tape::InputKept;
use crate::frameworks::profile::defaults::FourBits;
use crate::job::Sharding;
use crate::units::Bytes;

/// Bytes of scales per parameter. A scale for each row of an eight-bit matrix counts as nothing.
fn scale(quantized: Quantized) -> f64 {
    match quantized {
        Quantized { bits: 8, .. } => 0.0,
        Quantized { double: true, .. } => 1.0 / 64.0 + 4.0 / (64.0 * 256.0),
        Quantized { double: false, .. } => 4.0 / 64.0,
    }
}

/// Whether every rank keeps all scales.
fn scales_stay(plan: &Plan) -> bool {
    plan.profile.fine_tuning.four_bits != FourBits::Torchao
        && matches!(plan.sharding, Sharding::FSDP | Sharding::HSDP)
}

/// Whether the frozen weights are quantized.
pub(super) fn is_quantized(plan: &Plan) -> bool {
    quantized(plan).is_some()
}

fn quantized(plan: &Plan) -> Option<Quantized> {
    plan.adapters.as_ref().and_then(|adapters| adapters.quantized)
}

/// How long a product keeps its input. bitsandbytes before 0.44, the version that Lightning pinned, keeps it, but not as
/// a saved tensor: it is freed only with the graph, when the next microbatch's loss replaces this one's variable.
pub(super) fn input_kept(plan: &Plan) -> InputKept {
    match quantized(plan) {
        Some(_) if plan.profile.fine_tuning.four_bits == FourBits::Lightning => InputKept::WithTheGraph,
        Some(Quantized { bits: 8, .. }) => InputKept::UntilItsBackward,
        _ => InputKept::Never,
    }
}

/// Whether a layer's experts are quantized. bitsandbytes replaces linear layers, and experts that are joined into one tensor
/// are none.
pub(super) fn covers_experts(plan: &Plan) -> bool {
    quantized(plan).is_some_and(|quantized| !joins_experts(plan) || quantized.joined_experts)
}

/// Whether a layer's experts are one tensor.
pub(super) fn joins_experts(plan: &Plan) -> bool {
    plan.profile.experts.joined.is_some_and(|joined| plan.is_of(joined.versions))
}

/// Whether the output layer is quantized too.
pub(super) fn covers_output(plan: &Plan) -> bool {
    is_quantized(plan) && plan.profile.fine_tuning.four_bits == FourBits::Lightning
}

/// Bytes that one unpacked parameter takes while its matrix is in use.
pub(super) fn unpacked(plan: &Plan) -> u64 {
    let compute = plan.widths.compute.round().max(1.0) as u64;
    match plan.profile.fine_tuning.four_bits {
        FourBits::Lightning => compute.saturating_add(2),
        FourBits::Bitsandbytes | FourBits::Torchao => compute,
    }
}

/// Memory of frozen weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Frozen {
    /// The part that sharding divides and offloading moves.
    pub(super) divisible: Bytes,
    /// The part that stays on every rank's device.
    pub(super) staying: Bytes,
}

/// `linear` parameters in linear layers and `other` parameters, stored in `width` bytes unless they are quantized.
pub(super) fn frozen(plan: &Plan, linear: u64, other: u64, width: f64) -> Frozen {
    let rest = Bytes::of(other, width);
    let Some(quantized) = quantized(plan) else {
        return Frozen { divisible: Bytes::of(linear, width) + rest, staying: Bytes::ZERO };
    };
    let packed = Bytes::of(linear, quantized.bits as f64 / 8.0);
    let scales = Bytes::of(linear, scale(quantized));
    if scales_stay(plan) {
        Frozen { divisible: packed + rest, staying: scales }
    } else {
        Frozen { divisible: packed + scales + rest, staying: Bytes::ZERO }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::assume::{Device, assume};
    use crate::job::TrainingJob;

    fn four_bit(framework: &str, sharding: &str) -> Frozen {
        let job: TrainingJob = serde_json::from_value(serde_json::json!({
            "model": {"layers": 2, "hiddenSize": 512}, "framework": framework,
            "parallelism": {"sharding": sharding},
            "finetuning": {"method": "QLoRA", "rank": 8},
        }))
        .unwrap();
        frozen(&assume(&job, Device { bf16: true }).unwrap().likely, 16_384, 100, 2.0)
    }

    #[test]
    fn a_parameter_takes_half_a_byte_and_its_share_of_a_scale() {
        // 16,384 parameters: 8,192 bytes and 256 scales of four bytes. The other 100 take two bytes each.
        let whole = Frozen { divisible: Bytes(8_192 + 1_024 + 200), staying: Bytes::ZERO };
        assert_eq!(four_bit("HuggingFace", "None"), whole);
        let sharded = Frozen { divisible: Bytes(8_192 + 200), staying: Bytes(1_024) };
        assert_eq!(four_bit("HuggingFace", "FSDP"), sharded);
        // torchtune's 256 scales: one byte each, and four bytes for the block.
        let torchtune = Frozen { divisible: Bytes(8_192 + 256 + 4 + 200), staying: Bytes::ZERO };
        assert_eq!(four_bit("Torchtune", "FSDP"), torchtune);
    }
}
