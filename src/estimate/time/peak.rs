//! The dense peak rate that a plan computes at.
//!
//! A format that the accelerator does not multiply is computed in one that it does: fp8 and fp4 in bf16, bf16 in fp16,
//! and all of them in fp32 at last. Rates are those of the catalogue: dense, never with sparsity, of one die where a
//! resource unit is a die. A part of an accelerator has its share of the speed.

use crate::hardware::Accelerator;
use crate::job::Precision;
use crate::units::FlopRate;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hardware::Catalogue;

    #[test]
    fn rates_are_dense_and_of_one_die_and_fall_back_to_what_is_multiplied() {
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
