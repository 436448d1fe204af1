//! Peak memory of a plan: the fullest instant of the fullest rank.
//!
//! The peak is not a sum of maxima. For every pipeline stage
//!
//! ```text
//! peak(stage) = weights + optimizer states + max over instants of the other live memory
//! ```
//!
//! and the job's peak is the worst stage's. [`instants`] lists the instants, [`layers`] computes the activations of a
//! layer; each other term has a file here. The needed figure is the sum of the live tensors, the allocator's memory
//! that cannot be released, and the memory outside all tensors ([`super::calibration`]).

mod communication;
mod eager;
mod floor;
mod gradients;
mod holes;
mod instants;
mod joined_experts;
mod layers;
mod loading;
mod logits;
mod optimizer;
mod others;
mod phases;
mod pipeline;
mod quantization;
mod streams;
mod tape;
mod weights;
mod wrapping;
mod zero;

use super::calibration::Calibration;
use super::objective::Role;
use super::plan::{Plan, RankParameters, Stage};
use crate::judgement::Component;
use crate::model::Parameters;
use crate::units::Bytes;
use instants::Instant;

/// The four figures of a plan's worst rank, and the components of the needed figure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peak {
    /// Live tensors.
    pub allocated: Bytes,
    /// Live tensors, and the memory that the allocator keeps.
    pub reserved: Bytes,
    /// Reserved memory, and the memory outside all tensors.
    pub process: Bytes,
    /// The memory that must be available.
    pub needed: Bytes,
    /// The same at every time that is estimated: all but the reservation of a rollout engine.
    pub estimated: Bytes,
    /// The same while a rollout engine holds the share of the device that the job states. Zero without an engine.
    pub stated: Bytes,
    /// The worst stage.
    pub stage: u64,
    /// The fullest instant.
    pub instant: &'static str,
    /// The components of the needed figure; they add up to it.
    pub components: Vec<Component>,
    /// The need of each phase, if the job also generates on the device. The need is the highest.
    pub phases: Vec<Component>,
}

/// One of the four figures of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Figure {
    /// Live tensors.
    Allocated,
    /// Live tensors, and the memory that the allocator keeps.
    Reserved,
    /// Reserved memory, and the memory outside all tensors.
    Process,
    /// The memory that must be available.
    Needed,
}

impl Peak {
    /// One of the four figures.
    pub fn figure(&self, figure: Figure) -> Bytes {
        match figure {
            Figure::Allocated => self.allocated,
            Figure::Reserved => self.reserved,
            Figure::Process => self.process,
            Figure::Needed => self.needed,
        }
    }
}

/// Whether a part of the peak is held at every instant, and counted exactly.
fn is_held(name: &str) -> bool {
    ["weights", "optimizer states"].contains(&name) || Role::is_name(name)
}

/// The peak of the worst rank.
pub fn peak(plan: &Plan, calibration: &Calibration) -> Peak {
    let counted = Parameters::of(&plan.shape);
    let outside = Outside::of(plan, calibration);
    let mut worst: Option<Peak> = None;
    for index in stages(plan) {
        let candidate = peak_of(plan, &counted, calibration, outside, plan.stage(index));
        if worst.as_ref().is_none_or(|w| candidate.needed > w.needed) {
            worst = Some(candidate);
        }
    }
    worst.unwrap_or_else(|| peak_of(plan, &counted, calibration, outside, plan.stage(0)))
}

/// What the libraries of a process hold, the same on every stage.
#[derive(Clone, Copy)]
struct Outside {
    /// In the framework's allocator.
    workspaces: Bytes,
    /// Outside all tensors.
    runtime: Bytes,
}

impl Outside {
    fn of(plan: &Plan, calibration: &Calibration) -> Self {
        Self { workspaces: calibration.workspaces(plan), runtime: calibration.runtime(plan) }
    }
}

/// The stages to examine: all of a real pipeline. In an absurdly long one only the first ones and the last, because
/// memory only falls between them.
fn stages(plan: &Plan) -> impl Iterator<Item = u64> {
    let p = plan.pipeline.max(1);
    let head = p.min(256);
    (0..head).chain((p > head).then(|| p - 1))
}

/// What a plan's ranks must hold by arithmetic alone: the most of all stages.
pub fn floor(plan: &Plan) -> Bytes {
    let counted = Parameters::of(&plan.shape);
    stages(plan).map(|index| floor::of_stage(plan, &counted, plan.stage(index))).max().unwrap_or(Bytes::ZERO)
}

/// What the ranks of one stage must hold.
pub fn stage_floor(plan: &Plan, stage: Stage) -> Bytes {
    floor::of_stage(plan, &Parameters::of(&plan.shape), stage)
}

/// The peak of one stage's ranks.
pub fn stage_peak(plan: &Plan, counted: &Parameters, calibration: &Calibration, stage: Stage) -> Peak {
    peak_of(plan, counted, calibration, Outside::of(plan, calibration), stage)
}

fn all_instants(plan: &Plan, counted: &Parameters, rank: RankParameters, stage: Stage) -> Vec<Instant> {
    let mut instants = if eager::is_eager(plan) {
        eager::instants(plan, counted, rank, stage).to_vec()
    } else {
        instants::instants(plan, counted, rank, stage).to_vec()
    };
    joined_experts::add(plan, stage, &mut instants);
    instants
}

/// The allocated memory on a stage at each instant.
pub fn instants(plan: &Plan, calibration: &Calibration, stage: Stage) -> Vec<(&'static str, Bytes)> {
    let counted = Parameters::of(&plan.shape);
    let rank = RankParameters::of(plan, &counted, stage);
    let constant = weights::weights(plan, rank)
        + optimizer::optimizer_states(plan, rank)
        + others::others(plan, stage).iter().map(|other| other.bytes).sum()
        + calibration.workspaces(plan);
    // An instant that the plan does not have is empty.
    let instants = all_instants(plan, &counted, rank, stage);
    let there = instants.iter().filter(|instant| instant.live() > Bytes::ZERO);
    there.map(|instant| (instant.name, constant + instant.live())).collect()
}

/// The figures of a stage's rank, from its instants.
fn peak_of(
    plan: &Plan,
    counted: &Parameters,
    calibration: &Calibration,
    Outside { workspaces, runtime }: Outside,
    stage: Stage,
) -> Peak {
    let rank = RankParameters::of(plan, counted, stage);
    let instants = all_instants(plan, counted, rank, stage);
    let instants = instants.as_slice();
    let weights = weights::weights(plan, rank);
    let states = optimizer::optimizer_states(plan, rank);
    let others = others::others(plan, stage);
    let held = weights + states + others.iter().map(|other| other.bytes).sum();
    let fullest = instants::fullest(instants);

    let allocated = held + fullest.live() + workspaces;
    // Transient tensors leave holes; weights, states and gradients stay in place.
    let transient = fullest.live() - fullest.gradients;
    let graphs = holes::graphs(plan, fullest.activations);
    let fragmentation = calibration.fragmentation(plan, transient)
        + calibration.idle_logits_that_stay(holes::idle_logits(plan))
        + graphs;
    // If gradients are transient too, their blocks are too small for the next tensors.
    let freed = gradients::gradients(plan, rank) - fullest.gradients;
    // The blocks of typical batches' logits are idle while logits are alive. Later tensors use them again.
    let with_logits = instants.iter().filter(|instant| instant.logits > Bytes::ZERO);
    let loss = with_logits.map(Instant::live).max().unwrap_or(Bytes::ZERO);
    let left = (loss + calibration.length_slack(plan)) - fullest.live();
    let gathered = instants.iter().map(|instant| instant.communication).max().unwrap_or(Bytes::ZERO);
    let shares = || allocated + left + freed + calibration.slack(plan, transient) + graphs;
    let idle = calibration.idle_logits_at_the_peak(holes::idle_logits(plan));
    let constant = held + workspaces;
    let slack = |bytes: Bytes| calibration.slack(plan, bytes);
    let wanted = holes::reserved(plan, rank, constant, idle, instants)
        .or_else(|| streams::reserved(plan, rank, constant, slack, instants))
        .unwrap_or_else(shares)
        .max(wrapping::wrapped(plan, counted, held, gathered));
    // The allocator keeps as much as the device has room for.
    let room = plan.accelerator_memory.map_or(wanted, |memory| memory - runtime);
    let reserved = wanted.min(room).max(allocated + fragmentation);
    let part = |(name, bytes)| Component { name, bytes };
    let models = [("weights", weights), ("optimizer states", states)].map(part);
    let around =
        [("workspaces", workspaces), ("fragmentation", fragmentation), ("context and libraries", runtime)];
    let live = fullest.parts().map(part);
    let components = models.into_iter().chain(others).chain(live).chain(around.map(part));
    let training = Peak {
        allocated,
        reserved,
        process: reserved + runtime,
        needed: allocated + fragmentation + runtime,
        estimated: allocated + fragmentation + runtime,
        stated: Bytes::ZERO,
        stage: stage.index,
        instant: fullest.name,
        components: components.filter(|component| component.bytes > Bytes::ZERO).collect(),
        phases: Vec::new(),
    };
    let trained = phases::with_generation(plan, rank, training, held, runtime);
    match loading::whole(plan, rank) {
        Some(whole) if whole + runtime > trained.needed => while_loading(whole, runtime, stage),
        _ => trained,
    }
}

/// The figures while the whole model is on the device.
fn while_loading(whole: Bytes, runtime: Bytes, stage: Stage) -> Peak {
    let part = |(name, bytes)| Component { name, bytes };
    Peak {
        allocated: whole,
        reserved: whole,
        process: whole + runtime,
        needed: whole + runtime,
        estimated: whole + runtime,
        stated: Bytes::ZERO,
        stage: stage.index,
        instant: loading::NAME,
        components: [("weights", whole), ("context and libraries", runtime)].map(part).to_vec(),
        phases: Vec::new(),
    }
}
