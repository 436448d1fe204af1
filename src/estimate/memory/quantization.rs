//! Memory of frozen weights, whole or quantized to four bits.
//!
//! ```text
//! linear layers   P × (0.5 + scale)     one scale for every 64 parameters: four bytes, 0.0625 a parameter;
//!                                       torchtune quantizes the scales again: 0.0159
//! all others      P × parameter width   embedding and norms; the output layer, except in LitGPT, which quantizes it
//! ```
//!
//! bitsandbytes keeps the scales outside the parameters, so FSDP neither divides nor offloads them. A matrix product
//! first unpacks its matrix: [`unpacked`] bytes a parameter while it runs. LitGPT quantizes from fp16, so it unpacks to
//! fp16 and casts. Sources: bitsandbytes' `functional.py` and `autograd/_functions.py`; Lightning's
//! `plugins/precision/bitsandbytes.py`; torchao's `nf4tensor.py`.

use super::super::plan::Plan;
use crate::frameworks::profile::defaults::FourBits;
use crate::job::Sharding;
use crate::units::Bytes;

/// Bytes of one four-bit parameter.
const PACKED: f64 = 0.5;

/// Bytes of scales per parameter.
fn scale(plan: &Plan) -> f64 {
    match plan.profile.fine_tuning.four_bits {
        FourBits::Bitsandbytes | FourBits::Lightning => 4.0 / 64.0,
        FourBits::Torchao => 1.0 / 64.0 + 4.0 / (64.0 * 256.0),
    }
}

/// Whether every rank keeps all scales.
fn scales_stay(plan: &Plan) -> bool {
    plan.profile.fine_tuning.four_bits != FourBits::Torchao
        && matches!(plan.sharding, Sharding::FSDP | Sharding::HSDP)
}

/// Whether the frozen weights are quantized.
pub(super) fn is_quantized(plan: &Plan) -> bool {
    plan.adapters.as_ref().is_some_and(|adapters| adapters.quantized)
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
    if !is_quantized(plan) {
        return Frozen { divisible: Bytes::of(linear, width) + rest, staying: Bytes::ZERO };
    }
    let (packed, scales) = (Bytes::of(linear, PACKED), Bytes::of(linear, scale(plan)));
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
