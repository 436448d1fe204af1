//! The kernels that a framework runs, as far as they decide how long a step takes.
//!
//! | framework                     | attention                 | between the products | launches         | optimizer |
//! | ----------------------------- | ------------------------- | -------------------- | ---------------- | --------- |
//! | Megatron                      | the vendor's              | fused                | of few, large    | fused     |
//! | Megatron-DeepSpeed            | unfused                   | fused                | of an early time | fused     |
//! | torchtitan                    | `FlashAttention`-2        | compiled             | of few, large    | as said   |
//! | LLM Foundry                   | the first fused ones      | fused                | of few, large    | as said   |
//! | Hugging Face                  | the vendor's              | one by one           | one by one       | as said   |
//! | DeepSpeed                     | `FlashAttention`-2        | one by one           | of an early time | fused     |
//! | every other                   | `FlashAttention`-2        | one by one           | of few, large    | as said   |
//!
//! What a job compiles is fused; torchtitan, which is published compiled, is believed to be unless the job denies it. The
//! vendor's attention is cuDNN's and `FlashAttention`-3, by Transformer Engine or by a `PyTorch` of today;
//! `FlashAttention`-2 is what `PyTorch` ran when most was published; and LLM Foundry's tables were measured with
//! `FlashAttention`'s and Triton's first versions, of which head sizes mattered less. A fused kernel needs some length
//! before it runs at its full rate:
//!
//! ```text
//! reach = reach of the generation · s / (s + 700) · min(1, d / 128)^0.3
//! ```
//!
//! `s` the sequence, `d` the head size. Source of the form: Dao 2023, arXiv 2307.08691, figures 4 and 5 (A100, about 500
//! tokens), and cuDNN's kernels on an H200 (`tests/accuracy/measured/kernels.csv`: 850 tokens, 76 % at `d` = 64).

use crate::estimate::plan::Plan;
use crate::estimate::time::generation::Generation;
use crate::estimate::time::terms::Term;
use crate::job::{Framework, OptimizerImplementation, Sharding, TrainingJob};

/// The length at which a fused attention kernel runs at half its rate, in tokens.
const HALF_LENGTH: f64 = 700.0;
/// The head size at which such a kernel reaches the most, and how its reach falls below that.
const FULL_HEAD: f64 = 128.0;
const FALL: f64 = 0.3;
/// The share of the peak that fused attention reaches where no generation says so.
const REACH: f64 = 0.4;

/// The term that a fused attention kernel's time counts in.
pub(super) fn attention_term(plan: &Plan) -> Term {
    if plan.framework == Framework::LLMFoundry { Term::AttentionEarly } else { Term::Attention }
}

/// The share of the half-precision peak that a fused attention kernel reaches.
pub(super) fn attention_reach(plan: &Plan, generation: &Generation) -> f64 {
    let most = match plan.framework {
        Framework::Megatron | Framework::HuggingFace => generation.attention,
        _ => generation.native_attention,
    };
    let size = (plan.shape.head_size as f64 / FULL_HEAD).clamp(0.1, 1.0);
    let head = if plan.framework == Framework::LLMFoundry { 1.0 } else { size.powf(FALL) };
    let length = plan.typical_sequence.max(1) as f64;
    most.unwrap_or(REACH) * head * length / (length + HALF_LENGTH)
}

/// Whether what is done between the products is done by fused or compiled kernels.
pub(super) fn is_fused(job: &TrainingJob, plan: &Plan) -> bool {
    match plan.framework {
        Framework::Megatron | Framework::MegatronDeepSpeed | Framework::LLMFoundry => true,
        Framework::Torchtitan => job.compile != Some(false),
        _ => job.compile == Some(true),
    }
}

/// The term that a layer's launches count in.
pub(super) fn launch_term(plan: &Plan, generation: &Generation) -> Term {
    match plan.framework {
        Framework::HuggingFace => Term::LaunchEager,
        Framework::MegatronDeepSpeed | Framework::DeepSpeed => Term::LaunchEarly,
        Framework::Megatron if generation.attention.is_none() => Term::LaunchEarly,
        _ => Term::Launch,
    }
}

/// Whether adapters are cast, scaled and added by themselves, as PEFT does.
pub(super) fn casts_adapters(plan: &Plan) -> bool {
    matches!(plan.framework, Framework::HuggingFace | Framework::DeepSpeed)
}

/// Bytes that the optimizer's step moves a parameter: states read and written, the gradient read, and its norm clipped.
/// One operation after the other goes over them more often; frameworks that bring their own optimizer have it fused.
pub(super) fn optimizer_bytes(plan: &Plan) -> f64 {
    let widths = &plan.widths;
    let gradient = if widths.main_gradient > 0.0 { widths.main_gradient } else { widths.gradient };
    let parameter =
        if widths.main > 0.0 { 2.0 * widths.main + widths.parameter } else { 2.0 * widths.parameter };
    let pytorchs = matches!(
        plan.framework,
        Framework::HuggingFace
            | Framework::FSDP
            | Framework::Torchtitan
            | Framework::Torchtune
            | Framework::LitGPT
            | Framework::LLMFoundry
    );
    let passes = if pytorchs && plan.implementation != OptimizerImplementation::Fused { 2.7 } else { 1.0 };
    passes * (parameter + 4.0 * widths.moment + gradient) + 3.0 * gradient
}

/// Bytes a parameter that adding a microbatch's gradients to those before moves: sum and gradient read, the sum written.
/// Megatron-LM's products add to the sum themselves; `DeepSpeed`'s ZeRO casts a gradient, adds it and clears it.
pub(super) fn accumulation_bytes(plan: &Plan) -> f64 {
    let widths = &plan.widths;
    let zero = matches!(plan.sharding, Sharding::ZeRO1 | Sharding::ZeRO2 | Sharding::ZeRO3);
    match plan.framework {
        Framework::MegatronDeepSpeed | Framework::DeepSpeed if zero => 2.0 * widths.compute + 2.0 * 4.0,
        Framework::Megatron | Framework::MegatronDeepSpeed => 0.0,
        _ => 2.0 * widths.gradient + widths.compute,
    }
}
