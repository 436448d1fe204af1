//! The dense peak rate of a plan's computation.
//!
//! If the accelerator cannot multiply a format, the computation uses one that it can: bf16 for fp8 and fp4, fp16 for
//! bf16, and finally fp32 for all. Rates are the catalogue's: dense, without sparsity, and of one die if a resource
//! unit is a die. A partition of an accelerator has its share of the speed.

use crate::hardware::Accelerator;
use crate::job::Precision;
use crate::units::FlopRate;

/// The format of the computation, and its rate. `None` if no source gives a rate.
pub fn peak(accelerator: &Accelerator, precision: Precision) -> Option<(Precision, FlopRate)> {
    let instead: &[Precision] = match precision {
        Precision::FP32 | Precision::TF32 => &[Precision::FP32],
        _ => &[Precision::BF16, Precision::FP16, Precision::FP32],
    };
    std::iter::once(&precision)
        .chain(instead)
        .find_map(|precision| Some((*precision, accelerator.peak(*precision)?)))
}

/// The rate of two-byte formats. Attention and the output layer use them, whatever the layers use.
pub(super) fn half(accelerator: &Accelerator) -> Option<FlopRate> {
    peak(accelerator, Precision::BF16).map(|(_, rate)| rate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hardware::Catalogue;

    #[test]
    fn a_format_without_a_rate_falls_back_to_another() {
        for (name, asked, computed, tera) in [
            ("A100-80GB", Precision::BF16, Precision::BF16, 312.0),
            ("A100-80GB", Precision::FP8, Precision::BF16, 312.0),
            ("A100-80GB", Precision::TF32, Precision::TF32, 156.0),
            ("V100-32GB", Precision::BF16, Precision::FP16, 125.0),
            ("H100-80GB", Precision::FP8, Precision::FP8, 1979.0),
            ("H100-80GB", Precision::FP4, Precision::BF16, 989.0),
            ("B200", Precision::FP4, Precision::FP4, 9000.0),
            // One of the two dies of a package.
            ("MI250X", Precision::BF16, Precision::BF16, 191.5),
            ("Ascend-910B2", Precision::BF16, Precision::BF16, 353.9),
            ("Ascend-910B3", Precision::BF16, Precision::BF16, 294.9),
        ] {
            let accelerator = Catalogue::builtin().find(name).unwrap();
            assert_eq!(
                peak(accelerator, asked),
                Some((computed, FlopRate::from_tera(tera))),
                "{name} {asked}"
            );
        }
    }
}
