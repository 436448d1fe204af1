//! The dense peak rate that a plan computes at.
//!
//! A format that the accelerator does not multiply is computed in one that it does: fp8 and fp4 in bf16, bf16 in fp16,
//! and all of them in fp32 at last. Rates are those of the catalogue: dense, never with sparsity, of one die where a
//! resource unit is a die. A part of an accelerator has its share of the speed.

use crate::hardware::Accelerator;
use crate::units::FlopRate;
use crate::workload::Precision;

/// The format that is computed in, and its rate; nothing where no source gives one.
pub fn peak(accelerator: &Accelerator, precision: Precision) -> Option<(Precision, FlopRate)> {
    let instead: &[Precision] = match precision {
        Precision::FP32 | Precision::TF32 => &[Precision::FP32],
        _ => &[Precision::BF16, Precision::FP16, Precision::FP32],
    };
    std::iter::once(&precision)
        .chain(instead)
        .find_map(|precision| Some((*precision, accelerator.peak(*precision)?)))
}

/// The rate of two-byte formats, in which attention and the output layer are computed whatever the layers are.
pub(super) fn half(accelerator: &Accelerator) -> Option<FlopRate> {
    peak(accelerator, Precision::BF16).map(|(_, rate)| rate)
}
