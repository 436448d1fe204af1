//! The work of a step, as seconds at the data sheets' rates, term by term.
//!
//! One rank of the fullest pipeline stage counts ([`rank`]): its [computation](compute) and [exchange](exchange) for a
//! microbatch, and the work on its [parameters, gradients and states](states). [`kernels`] has the speed of a
//! framework's kernels, [`eager`] the cost of unfused operations, [`links`] the rate of a group's exchange.

mod compute;
mod eager;
mod exchange;
mod kernels;
mod links;
mod rank;
mod states;

use super::generation::{Generation, Sustained};
use super::peak;
use super::terms::{COUNT, Term};
use crate::estimate::plan::Plan;
use crate::hardware::Accelerator;
use crate::job::{Precision, Sharding, TrainingJob};

use links::Links;
use rank::Rank;

/// The work of one step.
#[derive(Clone, Debug, PartialEq)]
pub struct Work {
    /// Seconds by term: of one microbatch, or of the step for work that is done once.
    pub terms: [f64; COUNT],
    /// Seconds of the layers' matrix products at the sustained rate, without those of routed experts.
    pub products: f64,
    /// Seconds of the routed experts' products at the sustained rate.
    pub routed: f64,
    /// Seconds of the output layer's products at the sustained half-precision rate.
    pub head: f64,
    /// Microbatches.
    pub micro_batches: f64,
    /// The pipeline's bubble as a share of the microbatches' time: `(p − 1) / (v·m)`.
    pub bubble: f64,
    /// Tokens of a step for each accelerator.
    pub tokens: f64,
    /// Model FLOPs of one token.
    pub flops: f64,
    /// The rate that a utilization of 100 % means, in FLOP/s.
    pub peak: f64,
    /// The half-precision rate.
    pub half: f64,
    /// The number of accelerators.
    pub world: f64,
    /// The format of the computation.
    pub precision: Precision,
    /// The term of products in a narrow format.
    pub narrow: Option<Term>,
    /// Whether the model has experts.
    pub experts: bool,
    /// The share of the layers that have experts.
    pub sparse: f64,
    /// The ranks of experts among which a router may send tokens unevenly. 1 if the tokens are balanced.
    pub uneven: f64,
    /// Whether every rank of experts gathers all tokens.
    pub gathered: bool,
    /// Whether tokens are sent to experts on other nodes.
    pub far: bool,
    /// Whether the accelerators are on several nodes.
    pub several_nodes: bool,
    /// Whether ZeRO's third stage gathers parameters.
    pub zero_three: bool,
    /// Whether parameters are gathered, or gradients summed, through the host.
    pub through_host: bool,
    /// Whether the host launches kernels slowly.
    pub slow_host: bool,
    /// Whether sharded optimizer steps are PyTorch's own.
    pub native: bool,
    /// Whether parameters are gathered.
    pub sharded: bool,
}

/// The rates of the machine.
struct Machine<'a> {
    generation: &'a Generation,
    links: Links,
    /// The memory's rate, in bytes per second.
    memory: f64,
    /// The rate of half-precision products, in FLOP/s.
    half: f64,
    /// The format of the computation.
    precision: Precision,
}

/// Seconds by term.
struct Seconds([f64; COUNT]);

impl Seconds {
    fn set(&mut self, term: Term, seconds: f64) {
        if let Some(slot) = self.0.get_mut(term as usize) {
            *slot = seconds;
        }
    }
}

impl Work {
    /// Counts a plan on an accelerator. `None` if no rate is known.
    pub fn of(
        job: &TrainingJob,
        plan: &Plan,
        accelerator: &Accelerator,
        generation: &Generation,
        sustained: &Sustained,
    ) -> Option<Self> {
        let (precision, rate) = peak(accelerator, plan.precision)?;
        let peak = rate.0 as f64;
        let half = match precision {
            Precision::FP32 | Precision::TF32 => peak,
            _ => peak::half(accelerator)?.0 as f64,
        };
        let memory = accelerator.bandwidth.memory.map_or(generation.memory * 1e9, |rate| rate.0 as f64);
        let links = Links::of(job, accelerator, generation);
        let machine = Machine { generation, links, memory: memory.max(1.0), half, precision };
        let rank = Rank::of(job, plan);
        let mut seconds = Seconds([0.0; COUNT]);
        compute::count(&rank, &machine, &mut seconds);
        exchange::count(&rank, &machine, &mut seconds);
        states::count(&rank, &machine, &mut seconds);
        let micro_batches = plan.micro_batches.max(1) as f64;
        let world = plan.world().max(1) as f64;
        let sequences = plan.micro_batch as f64 * micro_batches * plan.data.max(1) as f64;
        let experts = plan.shape.experts.is_some();
        Some(Self {
            terms: seconds.0,
            products: compute::products(&rank) / (peak * sustained.share(precision)),
            routed: compute::routed(&rank) / (peak * sustained.share(precision)),
            head: compute::head(&rank) / (half * sustained.half),
            micro_batches,
            bubble: plan.pipeline.saturating_sub(1) as f64
                / plan.virtual_pipeline.max(1) as f64
                / micro_batches,
            tokens: sequences * plan.sequence as f64 / world,
            flops: rank.forward.model(),
            peak,
            half,
            world,
            precision,
            narrow: match precision {
                Precision::FP8 => Some(generation.fp8.unwrap_or(Term::Fp8)),
                Precision::FP4 => Some(Term::Fp4),
                _ => None,
            },
            experts,
            sparse: rank.sparse,
            uneven: exchange::uneven(&rank),
            gathered: exchange::is_gathered(&rank),
            far: experts && machine.links.together(plan.expert, plan.tensor) < plan.expert,
            several_nodes: plan.world() > machine.links.node,
            zero_three: plan.sharding == Sharding::ZeRO3,
            through_host: machine.links.through_host(),
            slow_host: generation.slow_host,
            native: plan.profile.kernels.native,
            sharded: rank.gathers && rank.group > 1,
        })
    }
}
