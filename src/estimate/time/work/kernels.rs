//! The speed of a framework's [`Kernels`].
//!
//! Compiled operations are fused. A fused attention kernel reaches its full rate only on long sequences:
//!
//! ```text
//! reach = reach of the generation · s / (s + 700) · min(1, d / 128)^0.3
//! ```
//!
//! `s` is the sequence, `d` the head size. Source of the form: Dao 2023, arXiv 2307.08691, figures 4 and 5 (A100, about
//! 500 tokens), and cuDNN's kernels on an H200 (`tests/accuracy/measured/kernels.csv`: 850 tokens, 76 % at `d` = 64).
//!
//! [`Kernels`]: crate::frameworks::profile::kernels::Kernels

use crate::estimate::plan::Plan;
use crate::estimate::time::generation::Generation;
use crate::estimate::time::terms::Term;
use crate::frameworks::profile::kernels::{AttentionKernel, Between, Launches};
use crate::frameworks::profile::memory::{GradientBuffer, Stepper};
use crate::job::{OptimizerImplementation, Sharding, TrainingJob};

/// The length at which a fused attention kernel runs at half its rate, in tokens.
const HALF_LENGTH: f64 = 700.0;
/// The head size of the highest rate, and the exponent by which the rate falls below it.
const FULL_HEAD: f64 = 128.0;
const FALL: f64 = 0.3;
/// The share of the peak that fused attention reaches, if the generation does not give one.
const REACH: f64 = 0.4;

/// The term of a fused attention kernel's time.
pub(super) fn attention_term(plan: &Plan) -> Term {
    match plan.profile.kernels.attention {
        AttentionKernel::FirstFused => Term::AttentionEarly,
        _ => Term::Attention,
    }
}

/// The share of the half-precision peak that a fused attention kernel reaches.
pub(super) fn attention_reach(plan: &Plan, generation: &Generation) -> f64 {
    let kernel = plan.profile.kernels.attention;
    let most = match kernel {
        AttentionKernel::Vendors => generation.attention,
        AttentionKernel::FlashAttention2 | AttentionKernel::FirstFused | AttentionKernel::Unfused => {
            generation.native_attention
        }
    };
    let size = (plan.shape.head_size as f64 / FULL_HEAD).clamp(0.1, 1.0);
    let head = if kernel == AttentionKernel::FirstFused { 1.0 } else { size.powf(FALL) };
    let length = plan.typical_sequence.max(1) as f64;
    most.unwrap_or(REACH) * head * length / (length + HALF_LENGTH)
}

/// Whether fused or compiled kernels run the operations between the products.
pub(super) fn is_fused(job: &TrainingJob, plan: &Plan) -> bool {
    match plan.profile.kernels.between {
        Between::Fused => true,
        Between::Compiled => job.compile != Some(false),
        Between::OneByOne => job.compile == Some(true),
    }
}

/// The term of a layer's launches.
pub(super) fn launch_term(plan: &Plan, generation: &Generation) -> Term {
    match plan.profile.kernels.launches {
        Launches::OneByOne => Term::LaunchEager,
        Launches::Early => Term::LaunchEarly,
        Launches::FewWithFusedAttention if generation.attention.is_none() => Term::LaunchEarly,
        Launches::FewWithFusedAttention | Launches::Few => Term::Launch,
    }
}

/// Bytes per parameter that the optimizer's step moves: it reads and writes states, reads the gradient, and clips its
/// norm. Unfused operations move them more often. Frameworks with their own optimizer have it fused.
pub(super) fn optimizer_bytes(plan: &Plan) -> f64 {
    let widths = &plan.widths;
    let gradient = if widths.main_gradient > 0.0 { widths.main_gradient } else { widths.gradient };
    let parameter =
        if widths.main > 0.0 { 2.0 * widths.main + widths.parameter } else { 2.0 * widths.parameter };
    let pytorchs = plan.profile.optimizer.by == Stepper::PyTorch;
    let passes = if pytorchs && plan.implementation != OptimizerImplementation::Fused { 2.7 } else { 1.0 };
    passes * (parameter + 4.0 * widths.moment + gradient) + 3.0 * gradient
}

/// Bytes per parameter to add a microbatch's gradients to earlier ones: it reads sum and gradient, and writes the sum.
/// Products that add to Megatron's buffers cost no extra time. ZeRO may cast a gradient, add it and clear it.
pub(super) fn accumulation_bytes(plan: &Plan) -> f64 {
    let widths = &plan.widths;
    let zero = matches!(plan.sharding, Sharding::ZeRO1 | Sharding::ZeRO2 | Sharding::ZeRO3);
    let gradients = plan.profile.gradients;
    if zero && gradients.cast_by_zero {
        2.0 * widths.compute + 2.0 * 4.0
    } else if gradients.buffer == GradientBuffer::FusedAccumulation {
        0.0
    } else {
        2.0 * widths.gradient + widths.compute
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::assume::{Device, assume};
    use crate::estimate::time::coefficients::Coefficients;
    use crate::hardware::Catalogue;

    #[test]
    fn fused_attention_reaches_half_of_its_rate_at_700_tokens() {
        let job: TrainingJob = serde_json::from_value(serde_json::json!({
            "model": {"layers": 2, "hiddenSize": 512, "attentionHeads": 4}, "framework": "Megatron",
            "batch": {"sequenceLength": 700},
        }))
        .unwrap();
        let plan = assume(&job, Device { bf16: true }).unwrap().likely;
        let h100 = Catalogue::builtin().find("H100-80GB").unwrap();
        let generation = Coefficients::builtin().generation(h100);
        let reach = attention_reach(&plan, generation) / generation.attention.unwrap();
        assert!((reach - 0.5).abs() < 1e-9, "heads of 128: {reach}");
    }
}
