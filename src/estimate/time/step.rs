//! The time of one step, from its work and the coefficients.
//!
//! ```text
//! busy          (products + routed·experts·native) / (efficiency·narrow) + head / efficiency + Σ memory-bound terms
//! computing     C³ = busy³ + launches³
//! shards        S  = near + far·(ZeRO's third stage)
//! microbatch    M  = C + tensor + context + exchange + pipeline + hidden(S, 0.9·M) + exposed·S
//! step          m·M·(1 + bubble·(p−1)/(v·m)) + hidden(gradients, 0.6·M) + exposed·gradients + optimizer + offload
//!               + every step's (more with torchtitan's sharded tensors), all · (1 + scale·log₂(N / 8))
//! hidden(x, y) = ½·(x − y + √((x − y)² + (0.05·M)²))     the excess of x over y, smooth
//! ```
//!
//! A real microbatch launches kernels while others run. So the excess of computing and launching counts, with a smooth
//! transition. More of `S` is exposed if accelerators exchange through the host, because the copies wait for each
//! other.

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
const MEMORY_BOUND: [Term; 15] = [
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
    Term::Permutation,
    Term::Quantization,
    Term::Dequantization,
];
/// The launches of a microbatch.
const LAUNCHES: [Term; 6] = [
    Term::Launch,
    Term::LaunchEarly,
    Term::LaunchEager,
    Term::LaunchExperts,
    Term::LaunchSlow,
    Term::MicrobatchSlow,
];
/// What the accelerators of a microbatch exchange.
const EXCHANGES: [Term; 4] = [Term::Tensor, Term::Context, Term::Exchange, Term::Pipeline];

/// The excess of `x` over `y`, rounded over `width`.
fn excess(x: f64, y: f64, width: f64) -> f64 {
    0.5 * (x - y + (x - y).hypot(width))
}

/// The time of one step, with matrix products at `efficiency` times the rate of measured kernels.
pub fn step(work: &Work, terms: &Terms, efficiency: f64) -> Step {
    let efficiency = efficiency.max(1e-3);
    let seconds = |term: Term| of(&work.terms, term) * of(terms, term);
    let narrow = work.narrow.map_or(1.0, |term| of(terms, term));
    let native = if work.native { of(terms, Term::ExpertsNative) } else { 1.0 };
    let routed = work.routed * of(terms, Term::Experts) * native;
    let busy = (work.products + routed) / (efficiency * narrow)
        + work.head / efficiency
        + MEMORY_BOUND.map(seconds).iter().sum::<f64>();
    let launches: f64 = LAUNCHES.map(seconds).iter().sum();
    let computing = (busy.powi(3) + launches.powi(3)).cbrt();
    let exchange: f64 = EXCHANGES.map(seconds).iter().sum();
    let mut micro_batch = computing + exchange;
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
    let every_step = 0.01 * (of(terms, Term::Step) + sharded);
    let once = gradients + seconds(Term::Optimizer) + seconds(Term::Offload) + every_step;
    let many = 1.0 + of(terms, Term::Scale) * (work.world / 8.0).max(1.0).log2();
    Step { seconds: (micro_batch * work.micro_batches + bubble + once) * many, bubble: bubble * many }
}
