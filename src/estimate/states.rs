//! How many bytes each parameter's states take, by framework and precision.
//!
//! ```text
//! framework, precision                 parameter  gradient  main  extra gradient   with Adam's moments (8)
//! Megatron bf16                            2          4       4         -            18
//! Megatron fp16                            2          2       4         4            20
//! Megatron-DeepSpeed bf16, ZeRO 1          2          6       4         -            20
//! DeepSpeed bf16 or fp16, ZeRO 1 and 2     2          2       4         4            20
//! DeepSpeed ZeRO 3                         2          -       4         4            18
//! FSDP, torchtitan (fp32 shards)           4          4       -         -            16
//! Hugging Face, autocast on fp32           4          4       -         -            16 (and the weights' casts)
//! Hugging Face, weights as saved           2          2       -         -            4 (moments of 2 each)
//! pure bf16 (litgpt, torchtune, …)         2          2       -         -            4 (moments of 2 each)
//! any, fp32                                4          4       -         -            16
//! ```
//!
//! "Main" is the optimizer's fp32 copy of the parameters; the extra gradient is the fp32 partition that lives beside
//! it. Main, extra gradient and moments are divided by ZeRO 1 and the distributed optimizer; gradients by ZeRO 2;
//! parameters by ZeRO 3 and FSDP. Sources: Megatron-LM's distributed optimizer documentation; DeepSpeed's stage
//! 1, 2 and 3 sources and its corrected estimators; PyTorch FSDP2's mixed precision policy.

use crate::job::{Framework, Optimizer, Precision, Sharding};

/// Bytes of each state of one parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Widths {
    /// The parameter as it is stored between steps.
    pub parameter: f64,
    /// Its gradient.
    pub gradient: f64,
    /// The optimizer's own copy of the parameter.
    pub main: f64,
    /// The optimizer's own copy of the gradient.
    pub main_gradient: f64,
    /// One of the optimizer's moments.
    pub moment: f64,
    /// The parameter as it is computed with, where it is gathered or cast.
    pub compute: f64,
    /// A gradient while ranks sum it.
    pub reduction: f64,
}

/// Bytes of one number of a format as it is stored.
pub fn width(precision: Precision) -> f64 {
    match precision {
        Precision::FP32 | Precision::TF32 => 4.0,
        Precision::FP16 | Precision::BF16 => 2.0,
        Precision::FP8 => 1.0,
        Precision::FP4 => 0.5,
    }
}

/// Everything in fp32.
const SINGLE: Widths = Widths {
    parameter: 4.0,
    gradient: 4.0,
    main: 0.0,
    main_gradient: 0.0,
    moment: 4.0,
    compute: 4.0,
    reduction: 4.0,
};

/// Everything in two bytes, moments too.
pub const PURE_HALF: Widths = Widths {
    parameter: 2.0,
    gradient: 2.0,
    main: 0.0,
    main_gradient: 0.0,
    moment: 2.0,
    compute: 2.0,
    reduction: 2.0,
};

/// Parameters in fp32, computed with in two bytes.
pub const MIXED_ON_SINGLE: Widths = Widths {
    parameter: 4.0,
    gradient: 4.0,
    main: 0.0,
    main_gradient: 0.0,
    moment: 4.0,
    compute: 2.0,
    reduction: 4.0,
};

/// Two-byte parameters, an fp32 gradient, an fp32 copy.
const HALF_WITH_SINGLE_GRADIENT: Widths = Widths {
    parameter: 2.0,
    gradient: 4.0,
    main: 4.0,
    main_gradient: 0.0,
    moment: 4.0,
    compute: 2.0,
    reduction: 4.0,
};

/// Two-byte parameters and gradients, fp32 copies of both.
const HALF_WITH_SINGLE_COPIES: Widths = Widths {
    parameter: 2.0,
    gradient: 2.0,
    main: 4.0,
    main_gradient: 4.0,
    moment: 4.0,
    compute: 2.0,
    reduction: 2.0,
};

/// Two-byte parameters and gradients, fp32 gradients beside them that no rank divides, an fp32 copy.
const HALF_WITH_BOTH_GRADIENTS: Widths = Widths { gradient: 6.0, ..HALF_WITH_SINGLE_GRADIENT };

/// Two-byte parameters, gradients that only exist as the fp32 partition.
const HALF_WITH_PARTITIONED_GRADIENT: Widths = Widths { gradient: 0.0, ..HALF_WITH_SINGLE_COPIES };

/// The framework's own widths.
pub fn widths(framework: Framework, precision: Precision, sharding: Sharding) -> Widths {
    use Framework as F;
    if matches!(precision, Precision::FP32 | Precision::TF32) {
        return SINGLE;
    }
    match framework {
        F::Megatron | F::MegatronDeepSpeed if precision == Precision::FP16 => HALF_WITH_SINGLE_COPIES,
        F::MegatronDeepSpeed if sharding == Sharding::ZeRO1 => HALF_WITH_BOTH_GRADIENTS,
        F::Megatron | F::MegatronDeepSpeed | F::Nanotron | F::InternEvo => HALF_WITH_SINGLE_GRADIENT,
        F::DeepSpeed | F::ColossalAI if sharding == Sharding::ZeRO3 => HALF_WITH_PARTITIONED_GRADIENT,
        F::DeepSpeed | F::ColossalAI => HALF_WITH_SINGLE_COPIES,
        F::LitGPT | F::Torchtune => PURE_HALF,
        F::FSDP | F::Torchtitan | F::HuggingFace | F::LLMFoundry | F::MaxText => match sharding {
            Sharding::ZeRO1 | Sharding::ZeRO2 => HALF_WITH_SINGLE_COPIES,
            Sharding::ZeRO3 if framework == F::HuggingFace => HALF_WITH_PARTITIONED_GRADIENT,
            // Accelerate's mixed precision policy reduces in the format of the computation.
            Sharding::FSDP | Sharding::HSDP if framework == F::HuggingFace => {
                Widths { reduction: 2.0, ..MIXED_ON_SINGLE }
            }
            _ => MIXED_ON_SINGLE,
        },
    }
}

/// Moments that the optimizer keeps: bytes a parameter, `moment` being the bytes of one full moment.
///
/// Eight-bit states have a scale of four bytes for each block of 256 and so take 1.016 bytes a moment; four-bit ones
/// of 128, 0.53. Adafactor keeps a row and a column in place of a matrix. Muon keeps one momentum.
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

/// Which states the data-parallel ranks divide: parameters, gradients, the optimizer's.
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

    /// Bytes a parameter with Adam: what is not divided, and what is.
    fn adam(framework: Framework, precision: Precision, sharding: Sharding) -> (f64, f64) {
        let w = widths(framework, precision, sharding);
        let states =
            [w.parameter, w.gradient, w.main + w.main_gradient + moments(Optimizer::AdamW, w.moment)];
        let (p, g, o) = divided(sharding);
        states.iter().zip([p, g, o]).fold((0.0, 0.0), |(whole, part), (bytes, cut)| {
            if cut { (whole, part + bytes) } else { (whole + bytes, part) }
        })
    }

    #[test]
    fn bytes_a_parameter_are_those_that_the_frameworks_document() {
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
    fn moments_take_the_bytes_that_their_sources_document() {
        use Optimizer as O;
        for (optimizer, moment, bytes) in [
            (O::AdamW, 4.0, 8.0),
            (O::AdamW, 2.0, 4.0),
            // bitsandbytes: a byte, and four bytes for each block of 256.
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
