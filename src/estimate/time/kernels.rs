//! The kernels that a framework runs, as far as they decide how long a step takes.
//!
//! | framework                                         | attention                | between the products | launches         |
//! | ------------------------------------------------- | ------------------------ | -------------------- | ---------------- |
//! | Megatron                                          | the vendor's             | fused                | of few, large    |
//! | Megatron-DeepSpeed                                | PyTorch's, or unfused    | fused                | of an early time |
//! | torchtitan                                        | PyTorch's                | compiled             | of few, large    |
//! | LLM Foundry                                       | the first fused ones     | fused                | of few, large    |
//! | Hugging Face                                      | PyTorch's                | one by one           | one by one       |
//! | DeepSpeed                                         | PyTorch's                | one by one           | of an early time |
//! | every other                                       | PyTorch's                | one by one           | of few, large    |
//!
//! What a job compiles is fused; torchtitan, which is published compiled, is believed to be unless the job denies it. The
//! vendor's attention is that of
//! Transformer Engine (cuDNN's, `FlashAttention`-3), PyTorch's is `FlashAttention`-2 on every generation, and what LLM
//! Foundry's published tables were measured with is `FlashAttention`'s and Triton's first version. A fused kernel needs
//! some length before it runs at its full rate:
//!
//! ```text
//! reach = reach of the generation · s / (s + 600)
//! ```
//!
//! Source of the form and of the 600 tokens: Dao 2023, arXiv 2307.08691, figure 4 (A100, forward and backward, causal).

use super::generation::Generation;
use super::terms::Term;
use crate::estimate::plan::Plan;
use crate::workload::{Framework, TrainingJob};

/// The length at which a fused attention kernel runs at half its rate, in tokens.
const HALF_LENGTH: f64 = 600.0;
/// The share of the peak that fused attention reaches where no generation says so.
const REACH: f64 = 0.4;

/// The term that a fused attention kernel's time counts in.
pub(super) fn attention_term(plan: &Plan) -> Term {
    if plan.framework == Framework::LLMFoundry { Term::AttentionEarly } else { Term::Attention }
}

/// The share of the half-precision peak that a fused attention kernel reaches.
pub(super) fn attention_reach(plan: &Plan, generation: &Generation) -> f64 {
    let vendors = plan.framework == Framework::Megatron;
    let most = if vendors { generation.attention } else { generation.native_attention };
    let length = plan.typical_sequence.max(1) as f64;
    most.unwrap_or(REACH) * length / (length + HALF_LENGTH)
}

/// The term that what is done between the products counts in.
pub(super) fn elementwise_term(job: &TrainingJob, plan: &Plan) -> Term {
    let fused = match plan.framework {
        Framework::Megatron | Framework::MegatronDeepSpeed | Framework::LLMFoundry => true,
        Framework::Torchtitan => job.compile != Some(false),
        _ => job.compile == Some(true),
    };
    if fused { Term::Elementwise } else { Term::ElementwiseEager }
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
