//! The time of one step, from its work and the coefficients.
//!
//! ```text
//! uneven        u  = ranks of experts ^ imbalance                       1 if a router's tokens are balanced
//! busy          (products + routed·experts·u) / (efficiency·narrow) + head / efficiency + Σ memory-bound terms
//! computing     C  = ∛(busy³ + (launches of dense layers + microbatch·slowness)³) + launches of layers with experts
//! shards        S  = near + far·(ZeRO's third stage)
//! microbatch    M  = C + tensor + context + exchange·u + pipeline + hidden(S, 0.9·M) + exposed·S
//! step          m·M·(1 + bubble·(p−1)/(v·m)) + hidden(gradients, 0.6·M) + exposed·gradients + optimizer + offload
//!               + every step's·slowness (more with torchtitan's sharded tensors), all · (1 + scale·log₂(N / 8))
//! hidden(x, y) = ½·(x − y + √((x − y)² + (0.05·M)²))     the excess of x over y, smooth
//! ```
//!
//! A real microbatch launches kernels while others run. So the excess of computing and launching counts, with a smooth
//! transition. The host also has work of its own for a microbatch and for a step. A slow host takes longer for it by as much
//! as for a launch. A layer with experts waits until the host knows how many tokens each expert has, so its launches hide
//! behind no computation. More of `S` is exposed if accelerators exchange through the host, because the copies wait for
//! each other.
//!
//! A router sends more tokens to some ranks than to others, and the busiest rank decides. The more ranks have experts, the
//! farther is the busiest one above the mean. Most published runs measure the first steps, with a router that is not
//! trained. A capacity factor bounds the tokens of an expert, and benchmarks force the balance: then `u` is 1. Tokens that
//! every rank gathers are even while they are exchanged, and uneven when they are computed.

use super::terms::{Term, Terms, of};
use super::work::Work;

/// The time of one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Seconds of a step.
    pub seconds: f64,
    /// The seconds of the pipeline's bubble among them.
    pub bubble: f64,
}

/// The memory-bound terms of a microbatch.
const MEMORY_BOUND: [Term; 14] = [
    Term::Attention,
    Term::AttentionEarly,
    Term::AttentionUnfused,
    Term::Start,
    Term::Traffic,
    Term::Elementwise,
    Term::ElementwiseEager,
    Term::Adapters,
    Term::Cast,
    Term::Accumulation,
    Term::Softmax,
    Term::Logits,
    Term::Quantization,
    Term::Dequantization,
];
/// The launches of all layers.
const LAUNCHES: [Term; 4] = [Term::Launch, Term::LaunchEarly, Term::LaunchEager, Term::LaunchSlow];
/// The further launches of layers with experts.
const LAUNCHES_OF_EXPERTS: [Term; 2] = [Term::LaunchExperts, Term::LaunchOwn];
/// What the accelerators of a microbatch exchange, without experts.
const EXCHANGES: [Term; 3] = [Term::Tensor, Term::Context, Term::Pipeline];
/// The exchange of experts.
const EXCHANGES_OF_EXPERTS: [Term; 2] = [Term::Exchange, Term::ExchangePlain];

/// The excess of `x` over `y`, rounded over `width`.
fn excess(x: f64, y: f64, width: f64) -> f64 {
    0.5 * (x - y + (x - y).hypot(width))
}

/// How much longer the host takes for the same work, if it is slow: as much as for a launch.
fn slowness(work: &Work, terms: &Terms) -> f64 {
    if work.slow_host { of(terms, Term::LaunchSlow) / of(terms, Term::Launch) } else { 1.0 }
}

/// Seconds that a microbatch computes and exchanges activations.
fn activations(work: &Work, terms: &Terms, efficiency: f64) -> f64 {
    let seconds = |term: Term| of(&work.terms, term) * of(terms, term);
    let narrow = work.narrow.map_or(1.0, |term| of(terms, term));
    let uneven = work.uneven.max(1.0).powf(of(terms, Term::Imbalance));
    let routed = work.routed * of(terms, Term::Experts) * uneven;
    let busy = (work.products + routed) / (efficiency * narrow)
        + work.head / efficiency
        + MEMORY_BOUND.map(seconds).iter().sum::<f64>()
        + seconds(Term::Permutation) * uneven;
    let launches: f64 = LAUNCHES.map(seconds).iter().sum();
    let waiting = launches * work.sparse + LAUNCHES_OF_EXPERTS.map(seconds).iter().sum::<f64>();
    let own = seconds(Term::Microbatch) * slowness(work, terms);
    let hidden = launches * (1.0 - work.sparse) + own;
    let computing = (busy.powi(3) + hidden.powi(3)).cbrt() + waiting;
    let sent = if work.gathered { 1.0 } else { uneven };
    let exchange: f64 = EXCHANGES.map(seconds).iter().sum();
    computing + exchange + EXCHANGES_OF_EXPERTS.map(seconds).iter().sum::<f64>() * sent
}

/// The time of one step, with matrix products at `efficiency` times the rate of measured kernels.
pub fn step(work: &Work, terms: &Terms, efficiency: f64) -> Step {
    let seconds = |term: Term| of(&work.terms, term) * of(terms, term);
    let mut micro_batch = activations(work, terms, efficiency.max(1e-3));
    let width = 0.05 * micro_batch;
    let zero_three = if work.zero_three { of(terms, Term::ZeroThree) } else { 1.0 };
    let shards = seconds(Term::ShardsNear) + seconds(Term::ShardsFar) * zero_three;
    let exposed = if work.through_host { Term::ShardsExposedHost } else { Term::ShardsExposed };
    if shards > 0.0 {
        micro_batch += excess(shards, 0.9 * micro_batch, width) + shards * of(terms, exposed);
    }
    let gradients = seconds(Term::GradientsNear) + seconds(Term::GradientsFar);
    let gradients = if gradients > 0.0 {
        excess(gradients, 0.6 * micro_batch, 0.05 * micro_batch)
            + gradients * of(terms, Term::GradientsExposed)
    } else {
        0.0
    };
    let bubble = work.bubble * of(terms, Term::Bubble) * micro_batch * work.micro_batches;
    let sharded = if work.native && work.sharded { of(terms, Term::StepSharded) } else { 0.0 };
    let every_step = 0.01 * (of(terms, Term::Step) * slowness(work, terms) + sharded);
    let once = gradients + seconds(Term::Optimizer) + seconds(Term::Offload) + every_step;
    let many = 1.0 + of(terms, Term::Scale) * (work.world / 8.0).max(1.0).log2();
    Step { seconds: (micro_batch * work.micro_batches + bubble + once) * many, bubble: bubble * many }
}
