//! The computation of a microbatch.
//!
//! ```text
//! products      2·T·(matrices)·(passes + again) / (t·rate)              passes: 1 forward, 2 backward, 1 of frozen weights
//! routed        2·T·K·(matrices of an expert)·capacity·(passes + again) / (t·rate)
//! head          2·T·h·V·(1 + d)·passes / (t·half rate)
//! start         products·(passes + again)·(start of the generation)     each product's first and last wave
//! attention     core·(1 + 2.5 + core again) / (t·half peak·reach)       fused
//!               2·core·(3 + core again) / (t·half peak)                 unfused: both halves of the square
//! traffic       2·(weights + operands)·(passes + again) / memory        experts' weights: all on the rank
//! elementwise   2·T·(12·h + (q+2κ)·2 + 3·f·(1.5 gated))·(2.5 + again) / memory         fused; else as in `eager`
//! softmax       2·b·a·s²/c·(12 + 5·core again) / memory                 unfused; twice that without a fused softmax
//! logits        32·T·V / memory                                         fused; else as in `eager`
//! permutation   16·T·K·h·capacity / memory
//! quantization  3·T·(3·h + q + f·matrices)·(passes + again) / memory    fp8 and fp4
//! launches      layers·(3 + again)·(1 + 0.1·adapters of a layer) · 10⁻⁴ s; as many more of layers with experts, and as
//!               many for each expert of a rank, unless one kernel multiplies all experts
//! ```
//!
//! `rate` is what measured kernels sustain of the peak (`data/time.toml`). Neither CUDA graphs nor an accelerator's own
//! graphs of the whole step launch kernels one by one. The host needs 10⁻³ s of its own for each microbatch.
//!
//! Symbols as in [`rank`](super::rank) and [`flops`](crate::estimate::time::flops). Source of the backward pass's 2.5:
//! Dao 2023, arXiv 2307.08691.

use super::rank::Rank;
use super::{Machine, Seconds, eager, kernels};
use crate::estimate::time::terms::Term;
use crate::frameworks::profile::kernels::{AttentionKernel, Between};
use crate::job::{Attention, Loss, Precision};

/// Sets the terms of a microbatch's computation.
pub(super) fn count(rank: &Rank<'_>, machine: &Machine<'_>, seconds: &mut Seconds) {
    let graphs = machine.generation.graphs;
    let fused = graphs || kernels::is_fused(rank.job, rank.plan);
    attention(rank, machine, fused, seconds);
    pass_memory(rank, machine, seconds);
    between(rank, machine, fused, seconds);
    let adapters = if graphs { 0.0 } else { adapters(rank, machine, seconds) };
    let passes = rank.passes + rank.again.products;
    seconds.set(Term::Start, kernels(rank) * rank.layers * passes * machine.generation.start * 1e-6);
    if !graphs && !rank.plan.cuda_graphs {
        launches(rank, machine, adapters, seconds);
    }
}

/// The host's time to launch kernels.
fn launches(rank: &Rank<'_>, machine: &Machine<'_>, adapters: f64, seconds: &mut Seconds) {
    let each = rank.layers * (3.0 + rank.again.products) * 1e-4;
    seconds.set(Term::Microbatch, 1e-3);
    if !rank.plan.profile.kernels.native {
        seconds.set(Term::LaunchOwn, each * rank.sparse * rank.experts / rank.plan.expert.max(1) as f64);
    }
    if machine.generation.slow_host {
        seconds.set(Term::LaunchSlow, each * (1.0 + 2.0 * rank.sparse));
        return;
    }
    seconds.set(kernels::launch_term(rank.plan, machine.generation), each * (1.0 + 0.1 * adapters));
    seconds.set(Term::LaunchExperts, each * rank.sparse);
}

/// Matrix products of a layer, each a kernel: those of attention, and of the feed-forward network or the experts.
fn kernels(rank: &Rank<'_>) -> f64 {
    let shape = &rank.plan.shape;
    let attention = if shape.latent.is_some() { 6.0 } else { 2.0 };
    let joined = rank.plan.profile.kernels.between == Between::Fused;
    let dense = match (joined, shape.gated) {
        (true, _) => 2.0,
        (false, true) => 4.0,
        (false, false) => 3.0,
    };
    let shared = shape.experts.as_ref().is_some_and(|experts| experts.shared_ffn > 0);
    let sparse = if shared { 3.0 } else { 1.0 };
    attention + dense * (1.0 - rank.sparse) + sparse * rank.sparse
}

/// Operations of the layers' products, without those of routed experts.
pub(super) fn products(rank: &Rank<'_>) -> f64 {
    let matrices = rank.attention + rank.dense + (rank.active - rank.sent).max(0.0);
    2.0 * rank.tokens * matrices * rank.layers / rank.tensor * (rank.passes + rank.again.products)
}

/// Operations of the routed experts' products.
pub(super) fn routed(rank: &Rank<'_>) -> f64 {
    let passes = rank.passes + rank.again.products;
    2.0 * rank.tokens * rank.sent * rank.capacity * rank.layers / rank.tensor * passes
}

/// Operations of the output layer's products.
pub(super) fn head(rank: &Rank<'_>) -> f64 {
    rank.tokens * rank.forward.head * rank.output / rank.tensor * rank.passes
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
    let routed = rank.tokens * rank.routed * rank.capacity * h * rank.layers * rank.sparse;
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
    let logits = rank.tokens * shape.vocab as f64 * rank.output / rank.tensor;
    seconds.set(Term::Logits, each * logits / machine.memory);
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
