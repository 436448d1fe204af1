//! What a step has to do, as seconds at the data sheets' rates, term by term.
//!
//! One rank of the fullest pipeline stage is counted ([`rank`]): what it [computes](compute) and [exchanges](exchange) for
//! a microbatch, and what it does with [parameters, gradients and states](states). [`kernels`] says how a framework runs
//! these, [`eager`] what it costs to run them one by one, [`links`] how fast a group exchanges.

mod compute;
mod eager;
mod exchange;
mod kernels;
mod links;
mod rank;
mod states;

use super::generation::Generation;
use super::peak;
use super::terms::{COUNT, Term};
use crate::estimate::plan::Plan;
use crate::hardware::Accelerator;
use crate::job::{Precision, Sharding, TrainingJob};

use links::Links;
use rank::Rank;

/// The work of one step.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::struct_excessive_bools, reason = "independent facts")]
pub struct Work {
    /// Seconds by term: of one microbatch, or of the step for what is done once.
    pub terms: [f64; COUNT],
    /// Seconds of the layers' matrix products at the peak.
    pub products: f64,
    /// Seconds of the output layer's products at the half-precision peak.
    pub head: f64,
    /// Microbatches.
    pub micro_batches: f64,
    /// The pipeline's bubble as a share of the microbatches' time: `(p − 1) / (v·m)`.
    pub bubble: f64,
    /// Tokens of a step for each accelerator.
    pub tokens: f64,
    /// Model FLOPs of one token.
    pub flops: f64,
    /// The rate that utilization is a share of, in FLOP/s.
    pub peak: f64,
    /// The half-precision rate.
    pub half: f64,
    /// All accelerators.
    pub world: f64,
    /// The format that is computed in.
    pub precision: Precision,
    /// Whether there are experts.
    pub experts: bool,
    /// Whether tokens are sent to experts on other nodes.
    pub far: bool,
    /// Whether parameters are gathered by ZeRO's third stage.
    pub zero_three: bool,
    /// Whether parameters are gathered, or gradients summed, through the host.
    pub through_host: bool,
    /// Whether experts and sharded optimizer steps are PyTorch's own.
    pub native: bool,
    /// Whether parameters are gathered.
    pub sharded: bool,
}

/// The rates of the machine.
struct Machine<'a> {
    generation: &'a Generation,
    links: Links,
    /// The memory's, in bytes a second.
    memory: f64,
    /// Of half-precision products, in FLOP/s.
    half: f64,
    /// The format that is computed in.
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
    /// Counts a plan on an accelerator; nothing where no rate is known.
    pub fn of(
        job: &TrainingJob,
        plan: &Plan,
        accelerator: &Accelerator,
        generation: &Generation,
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
            products: compute::products(&rank, peak),
            head: compute::head(&rank, half),
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
            experts,
            far: experts && machine.links.together(plan.expert, plan.tensor) < plan.expert,
            zero_three: plan.sharding == Sharding::ZeRO3,
            through_host: machine.links.pass_the_host(),
            native: plan.profile.kernels.native,
            sharded: rank.gathers && rank.group > 1,
        })
    }
}
