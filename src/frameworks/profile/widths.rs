//! Bytes of each state per parameter, by framework, precision and sharding.
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
//! "Main" is the optimizer's fp32 copy of the parameters. The extra gradient is its fp32 copy of the gradients, which
//! Megatron and DeepSpeed make at the step.
//! Sources: Megatron-LM's distributed optimizer documentation; DeepSpeed's stage 1, 2 and 3 sources and its corrected
//! estimators; PyTorch FSDP2's mixed precision policy.

use crate::job::{Precision, Sharding};

/// Bytes of each state per parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Widths {
    /// The stored parameter between steps.
    pub parameter: f64,
    /// The gradient.
    pub gradient: f64,
    /// The optimizer's own copy of the parameter.
    pub main: f64,
    /// The optimizer's own copy of the gradient.
    pub main_gradient: f64,
    /// One moment of the optimizer.
    pub moment: f64,
    /// The parameter in the computation, if it is gathered or cast.
    pub compute: f64,
    /// A gradient during its reduction.
    pub reduction: f64,
}

/// The widths of a framework's states in formats below fp32.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StateWidths {
    /// In bf16 and narrower formats.
    pub usual: BySharding,
    /// In fp16.
    pub fp16: BySharding,
}

/// Widths by sharding.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BySharding {
    /// No sharding, or the distributed optimizer.
    pub none: Widths,
    /// ZeRO 1.
    pub zero_1: Widths,
    /// ZeRO 2.
    pub zero_2: Widths,
    /// ZeRO 3.
    pub zero_3: Widths,
    /// FSDP or HSDP.
    pub fsdp: Widths,
}

impl BySharding {
    /// The same widths for every sharding.
    pub const fn same(widths: Widths) -> Self {
        Self { none: widths, zero_1: widths, zero_2: widths, zero_3: widths, fsdp: widths }
    }
}

impl StateWidths {
    /// The same widths in every format of two bytes or less.
    pub const fn of(widths: BySharding) -> Self {
        Self { usual: widths, fp16: widths }
    }

    /// The widths in a format under a sharding.
    pub fn widths(&self, precision: Precision, sharding: Sharding) -> Widths {
        let by_sharding = match precision {
            Precision::FP32 | Precision::TF32 => return SINGLE,
            Precision::FP16 => &self.fp16,
            Precision::BF16 | Precision::FP8 | Precision::FP4 => &self.usual,
        };
        match sharding {
            Sharding::None | Sharding::DistributedOptimizer => by_sharding.none,
            Sharding::ZeRO1 => by_sharding.zero_1,
            Sharding::ZeRO2 => by_sharding.zero_2,
            Sharding::ZeRO3 => by_sharding.zero_3,
            Sharding::FSDP | Sharding::HSDP => by_sharding.fsdp,
        }
    }
}

/// All states in fp32.
const SINGLE: Widths = Widths {
    parameter: 4.0,
    gradient: 4.0,
    main: 0.0,
    main_gradient: 0.0,
    moment: 4.0,
    compute: 4.0,
    reduction: 4.0,
};

/// All states in two bytes, also the moments.
pub const PURE_HALF: Widths = Widths {
    parameter: 2.0,
    gradient: 2.0,
    main: 0.0,
    main_gradient: 0.0,
    moment: 2.0,
    compute: 2.0,
    reduction: 2.0,
};

/// Parameters in fp32, computation in two bytes.
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
pub const HALF_WITH_SINGLE_GRADIENT: Widths = Widths {
    parameter: 2.0,
    gradient: 4.0,
    main: 4.0,
    main_gradient: 0.0,
    moment: 4.0,
    compute: 2.0,
    reduction: 4.0,
};

/// Two-byte parameters and gradients, fp32 copies of both: the largest widths of all frameworks without sharding.
pub const HALF_WITH_SINGLE_COPIES: Widths = Widths {
    parameter: 2.0,
    gradient: 2.0,
    main: 4.0,
    main_gradient: 4.0,
    moment: 4.0,
    compute: 2.0,
    reduction: 2.0,
};

/// Two-byte parameters and gradients, fp32 gradients that no rank divides, an fp32 copy.
pub const HALF_WITH_BOTH_GRADIENTS: Widths = Widths { gradient: 6.0, ..HALF_WITH_SINGLE_GRADIENT };

/// Two-byte parameters. Gradients have the format of the computation, or the memory of the parameters; the fp32 copy is
/// their partition's.
pub const HALF_WITH_PARTITIONED_GRADIENT: Widths = Widths { gradient: 0.0, ..HALF_WITH_SINGLE_COPIES };

/// `DeepSpeed`'s ZeRO, all stages.
pub const DEEPSPEED: StateWidths = StateWidths::of(BySharding {
    none: HALF_WITH_SINGLE_COPIES,
    zero_1: HALF_WITH_SINGLE_COPIES,
    zero_2: HALF_WITH_SINGLE_COPIES,
    zero_3: HALF_WITH_PARTITIONED_GRADIENT,
    fsdp: HALF_WITH_SINGLE_COPIES,
});

/// Autocast on fp32 parameters. FSDP reduces in the format of the computation, as accelerate's mixed precision policy sets it.
pub const AUTOCAST: StateWidths = StateWidths::of(BySharding {
    none: MIXED_ON_SINGLE,
    zero_1: HALF_WITH_SINGLE_COPIES,
    zero_2: HALF_WITH_SINGLE_COPIES,
    zero_3: HALF_WITH_PARTITIONED_GRADIENT,
    fsdp: Widths { reduction: 2.0, ..MIXED_ON_SINGLE },
});

/// Shards in fp32, computation in two bytes.
pub const SINGLE_SHARDS: StateWidths = StateWidths::of(BySharding {
    none: MIXED_ON_SINGLE,
    zero_1: HALF_WITH_SINGLE_COPIES,
    zero_2: HALF_WITH_SINGLE_COPIES,
    zero_3: MIXED_ON_SINGLE,
    fsdp: MIXED_ON_SINGLE,
});
