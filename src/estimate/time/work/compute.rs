//! The computation of a microbatch.
//!
//! ```text
//! products      2·T·(matrices)·(passes + again) / (t·peak)              passes: 1 forward, 2 backward, 1 of frozen weights
//! head          2·T·h·V·(1 + d)·passes / (t·half peak)
//! attention     core·(1 + 2.5 + core again) / (t·half peak·reach)       fused
//!               2·core·(3 + core again) / (t·half peak)                 unfused: both halves of the square
//! traffic       2·(weights + operands)·(passes + again) / memory        experts' weights: all on the rank
//! elementwise   2·T·(12·h + (q+2κ)·2 + 3·f·(1.5 gated))·(2.5 + again) / memory         fused; else as in `eager`
//! softmax       2·b·a·s²/c·(12 + 5·core again) / memory                 unfused; twice that without a fused softmax
//! logits        32·T·V / memory                                         fused; else as in `eager`
//! permutation   16·T·K·h / memory
//! quantization  3·T·(3·h + q + f·matrices)·(passes + again) / memory    fp8 and fp4
//! launches      layers·(3 + again)·(1 + 1.5·sparse)·(1 + 0.1·adapters of a layer) · 10⁻⁴ s
//! ```
//!
//! Symbols as in [`rank`](super::rank) and [`flops`](crate::estimate::time::flops). Source of the backward pass's 2.5:
//! Dao 2023, arXiv 2307.08691.

use super::rank::Rank;
use super::{Machine, Seconds, eager, kernels};
use crate::estimate::time::terms::Term;
use crate::frameworks::profile::kernels::AttentionKernel;
use crate::job::{Attention, Loss, Precision};

/// Sets the terms of a microbatch's computation.
pub(super) fn count(rank: &Rank<'_>, machine: &Machine<'_>, seconds: &mut Seconds) {
    let fused = kernels::is_fused(rank.job, rank.plan);
    attention(rank, machine, fused, seconds);
    pass_memory(rank, machine, seconds);
    between(rank, machine, fused, seconds);
    let adapters = adapters(rank, machine, seconds);
    let kernels = (1.0 + 1.5 * rank.sparse) * (1.0 + 0.1 * adapters);
    let term = kernels::launch_term(rank.plan, machine.generation);
    seconds.set(term, rank.layers * (3.0 + rank.again.products) * kernels * 1e-4);
}

/// Seconds of the layers' products at the peak.
pub(super) fn products(rank: &Rank<'_>, peak: f64) -> f64 {
    let matrices = rank.attention + rank.dense + rank.active;
    2.0 * rank.tokens * matrices * rank.layers / rank.tensor * (rank.passes + rank.again.products) / peak
}

/// Seconds of the output layer's products at the half-precision peak.
pub(super) fn head(rank: &Rank<'_>, half: f64) -> f64 {
    rank.tokens * rank.forward.head / rank.tensor * rank.passes / half
}

/// Whether attention takes several kernels: the job says so, or its framework or accelerator is older than fused
/// kernels.
fn is_unfused(rank: &Rank<'_>, machine: &Machine<'_>) -> bool {
    match rank.job.attention {
        Some(attention) => matches!(attention, Attention::Unfused),
        None => {
            rank.plan.profile.kernels.attention == AttentionKernel::Unfused
                || machine.generation.attention.is_none()
        }
    }
}

/// The divisor of the parts of a layer that sequence parallelism divides.
pub(super) fn split(rank: &Rank<'_>, machine: &Machine<'_>) -> f64 {
    if rank.plan.sequence_parallel && !is_unfused(rank, machine) { rank.tensor } else { 1.0 }
}

fn attention(rank: &Rank<'_>, machine: &Machine<'_>, fused: bool, seconds: &mut Seconds) {
    let plan = rank.plan;
    let share = rank.layers / plan.shape.layers.max(1) as f64;
    let core = rank.forward.core * rank.tokens * share / rank.tensor;
    if is_unfused(rank, machine) {
        seconds.set(Term::AttentionUnfused, 2.0 * core * (3.0 + rank.again.core) / machine.half);
        let square = plan.micro_batch as f64 * plan.shape.heads as f64 * (plan.sequence as f64).powi(2)
            / rank.context
            / rank.tensor;
        // Without a fused softmax, separate kernels mask the scores and cast them to fp32 and back.
        let each = if fused { 1.0 } else { 2.0 };
        let bytes = 2.0 * square * rank.layers * each * (12.0 + 5.0 * rank.again.core);
        seconds.set(Term::Softmax, bytes / machine.memory);
    } else {
        let reach = kernels::attention_reach(plan, machine.generation);
        seconds.set(kernels::attention_term(plan), core * (3.5 + rank.again.core) / machine.half / reach);
    }
}

/// The memory traffic of products, narrow formats and experts.
fn pass_memory(rank: &Rank<'_>, machine: &Machine<'_>, seconds: &mut Seconds) {
    let shape = &rank.plan.shape;
    let (h, q, kappa) = (shape.hidden as f64, shape.query_width() as f64, shape.key_width() as f64);
    let passes = rank.passes + rank.again.products;
    let inner = (rank.ffn + rank.passed) * shape.ffn_matrices() as f64;
    let weights = (rank.attention + rank.dense + rank.held) / rank.tensor;
    let operands = rank.tokens * ((2.0 * (h + q + kappa) + inner) / rank.tensor + 6.0 * h);
    seconds.set(Term::Traffic, 2.0 * (weights + operands) * rank.layers * passes / machine.memory);
    let routed = rank.tokens * rank.routed * h * rank.layers * rank.sparse;
    seconds.set(Term::Permutation, 16.0 * routed / split(rank, machine) / machine.memory);
    if matches!(machine.precision, Precision::FP8 | Precision::FP4) {
        let cast = 3.0 * h + q + inner / rank.tensor;
        seconds.set(Term::Quantization, 3.0 * rank.tokens * rank.layers * cast * passes / machine.memory);
    }
}

/// The operations between products.
fn between(rank: &Rank<'_>, machine: &Machine<'_>, fused: bool, seconds: &mut Seconds) {
    let shape = &rank.plan.shape;
    let (again, split) = (rank.again.products, split(rank, machine));
    let of_layers = rank.tokens * rank.layers / machine.memory;
    if fused {
        let heads = shape.query_width() as f64 + 2.0 * shape.key_width() as f64;
        let gate = if shape.gated { 1.5 } else { 1.0 };
        let inner = 2.0 * heads + 3.0 * (rank.ffn + rank.passed) * gate;
        let numbers = 12.0 * shape.hidden as f64 / split + inner / rank.tensor;
        seconds.set(Term::Elementwise, of_layers * 2.0 * numbers * (2.5 + again));
    } else {
        let inner = eager::inner(shape, rank.ffn, rank.passed).passes(again);
        let bytes = eager::hidden(shape).passes(again) / split + inner / rank.tensor;
        seconds.set(Term::ElementwiseEager, of_layers * bytes);
    }
    let each = if fused || rank.plan.loss != Loss::Eager { FUSED_LOGITS } else { eager::LOGITS };
    seconds.set(Term::Logits, each * rank.tokens * shape.vocab as f64 / rank.tensor / machine.memory);
}

/// The operations of adapters that are cast, scaled and added separately. Returns the number of such adapters in a
/// layer.
fn adapters(rank: &Rank<'_>, machine: &Machine<'_>, seconds: &mut Seconds) -> f64 {
    let adapters = rank.plan.adapters.as_ref().filter(|_| rank.plan.profile.fine_tuning.adapters_apart);
    adapters.map_or(0.0, |adapters| {
        let bytes = eager::adapters(rank.plan, adapters).passes(rank.again.products) / rank.tensor;
        seconds.set(Term::Adapters, rank.tokens * rank.layers * bytes / machine.memory);
        adapters.targets.count() as f64
    })
}

/// Bytes per token and vocabulary entry of fused logits and their loss.
const FUSED_LOGITS: f64 = 32.0;
