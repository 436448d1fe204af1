//! The states of a parameter: formats, the optimizer's moments, and the states that ranks divide.
//!
//! ZeRO 1 and the distributed optimizer divide main parameters, main gradients and moments; ZeRO 2 also gradients; ZeRO
//! 3 and FSDP also parameters. The width of each state, by framework: [`crate::frameworks::profile::widths`].

use crate::job::{Optimizer, Precision, Sharding};

/// Bytes of one stored number of a format.
pub fn width(precision: Precision) -> f64 {
    match precision {
        Precision::FP32 | Precision::TF32 => 4.0,
        Precision::FP16 | Precision::BF16 => 2.0,
        Precision::FP8 => 1.0,
        Precision::FP4 => 0.5,
    }
}

/// The optimizer's moments, in bytes per parameter; `moment` is the bytes of one full moment.
///
/// An eight-bit state has a scale of four bytes for each block of 256, so a moment takes 1.016 bytes. A four-bit state
/// has one for each block of 128: 0.53 bytes. Adafactor keeps a row and a column instead of a matrix. Muon keeps one
/// momentum.
/// Source: the optimizers' published sources (bitsandbytes' block size is 256, torchao's four-bit 128).
pub fn moments(optimizer: Optimizer, moment: f64) -> f64 {
    match optimizer {
        Optimizer::AdamW => 2.0 * moment,
        Optimizer::AdamW8bit => 2.0 * (1.0 + 4.0 / 256.0),
        Optimizer::AdamW4bit => 2.0 * (0.5 + 4.0 / 128.0),
        Optimizer::Adafactor => 0.02 * moment,
        Optimizer::SGD => 0.0,
        Optimizer::Lion | Optimizer::Muon => moment,
    }
}

/// The states that the data-parallel ranks divide: parameters, gradients, optimizer states.
pub fn divided(sharding: Sharding) -> (bool, bool, bool) {
    match sharding {
        Sharding::None => (false, false, false),
        Sharding::ZeRO1 | Sharding::DistributedOptimizer => (false, false, true),
        Sharding::ZeRO2 => (false, true, true),
        Sharding::ZeRO3 | Sharding::FSDP | Sharding::HSDP => (true, true, true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frameworks::profile;
    use crate::job::Framework;

    /// Bytes per parameter with Adam: whole, and divided.
    fn adam(framework: Framework, precision: Precision, sharding: Sharding) -> (f64, f64) {
        let w = profile(Some(framework)).widths.widths(precision, sharding);
        let states =
            [w.parameter, w.gradient, w.main + w.main_gradient + moments(Optimizer::AdamW, w.moment)];
        let (p, g, o) = divided(sharding);
        states.iter().zip([p, g, o]).fold((0.0, 0.0), |(whole, part), (bytes, cut)| {
            if cut { (whole, part + bytes) } else { (whole + bytes, part) }
        })
    }

    #[test]
    fn bytes_per_parameter_match_the_frameworks_documents() {
        use Framework as F;
        use Precision as P;
        use Sharding as S;
        for (framework, precision, sharding, expected) in [
            (F::Megatron, P::BF16, S::None, (18.0, 0.0)),
            (F::Megatron, P::BF16, S::DistributedOptimizer, (6.0, 12.0)),
            (F::Megatron, P::FP16, S::None, (20.0, 0.0)),
            (F::Megatron, P::FP16, S::DistributedOptimizer, (4.0, 16.0)),
            (F::Megatron, P::FP32, S::DistributedOptimizer, (8.0, 8.0)),
            (F::MegatronDeepSpeed, P::BF16, S::ZeRO1, (8.0, 12.0)),
            (F::DeepSpeed, P::FP16, S::ZeRO1, (4.0, 16.0)),
            (F::DeepSpeed, P::BF16, S::ZeRO2, (2.0, 18.0)),
            (F::DeepSpeed, P::BF16, S::ZeRO3, (0.0, 18.0)),
            (F::FSDP, P::BF16, S::FSDP, (0.0, 16.0)),
            (F::LitGPT, P::BF16, S::FSDP, (0.0, 8.0)),
        ] {
            assert_eq!(adam(framework, precision, sharding), expected, "{framework} {precision} {sharding}");
        }
    }

    #[test]
    fn moments_match_the_optimizers_sources() {
        use Optimizer as O;
        for (optimizer, moment, bytes) in [
            (O::AdamW, 4.0, 8.0),
            (O::AdamW, 2.0, 4.0),
            // bitsandbytes: one byte, and four bytes for each block of 256.
            (O::AdamW8bit, 4.0, 2.031_25),
            // torchao: half a byte, and four bytes for each block of 128.
            (O::AdamW4bit, 4.0, 1.062_5),
            (O::Adafactor, 4.0, 0.08),
            (O::SGD, 4.0, 0.0),
            (O::Lion, 4.0, 4.0),
            (O::Muon, 4.0, 4.0),
        ] {
            assert_eq!(moments(optimizer, moment).to_bits(), f64::to_bits(bytes), "{optimizer}");
        }
    }
}
