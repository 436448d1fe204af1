//! 2. The estimate: memory per accelerator by component, time, accelerator-hours and cost, each with its interval.
//!
//! A training job that leaves fields open becomes three complete [`plan::Plan`]s ([`assume`]): the leanest that its
//! fields allow, the likeliest, and the heaviest. [`memory`] computes the peak of each, [`time`] the duration of the
//! likeliest.

pub mod amount;
pub mod assume;
pub mod calibration;
mod communicators;
pub mod cost;
mod deepep;
pub mod duration;
pub mod evidence;
pub mod feasible;
pub mod goodput;
pub mod host;
pub mod memory;
pub mod objective;
pub mod plan;
pub mod schedule;
pub mod states;
pub mod time;
mod workspaces;

use crate::job::{Rank, TrainingJob};
use crate::judgement::{Evidence, Swing};
use crate::model::{Parameters, ShapeError};
use crate::units::Bytes;
use crate::verdict::Distribution;

use assume::{Assumed, Device};
use calibration::Calibration;
use evidence::{Mode, Spread};
use memory::{Figure, Peak};
use objective::ObjectiveProfile;
use plan::Plan;

/// The standard deviation that parts add whose activations were never compared with a measurement. The formulas of such
/// parts follow from code alone.
const UNCHECKED: f64 = 0.25;

/// The least standard deviations of a framework without a measurement. The parties that are met worst have 0.10 of counts
/// and 0.14 of figures that include what the allocator keeps, and the next one may be like them.
const UNCHECKED_FRAMEWORK: Spread = Spread { allocated: 0.10, kept: 0.15 };

/// The least standard deviations of any mode. The spreads come from counts and from single figures of clean runs. The need also
/// has the allocator's holes, and a fork of a checked framework may have twice its error. Of what the allocator keeps: nine in ten
/// of 30 public reports with a figure, which take no part in any fit, are within 27 %.
const LEAST: Spread = Spread { allocated: 0.07, kept: 0.14 };

/// The memory estimate of a training job.
pub struct Estimate {
    /// The plans and their assumptions.
    pub assumed: Assumed,
    /// The likeliest plan's peak.
    pub peak: Peak,
    /// The memory that the leanest plan needs.
    pub lean: Bytes,
    /// The memory that the heaviest plan needs.
    pub heavy: Bytes,
    /// How far the modes of the plans were compared with measurements.
    pub evidence: Evidence,
    /// The standard deviations of ln(measured / estimated).
    pub spread: Spread,
    /// Whether the framework's version is missing and its versions differ.
    pub version_decides: bool,
    feasible: Option<Plan>,
    rank: Rank,
    calibration: &'static Calibration,
    /// What the leanest plan holds by arithmetic alone. Zero if the model's dimensions are not known.
    pub floor: Bytes,
    lean_peak: Peak,
    heavy_peak: Peak,
}

/// Estimates the worst rank of a training job.
///
/// # Errors
/// [`ShapeError::Unknown`] if not even the model's size is known.
pub fn estimate(job: &TrainingJob, device: Device) -> Result<Estimate, ShapeError> {
    estimate_rank(job, device, Rank::Worst, Calibration::builtin())
}

/// Estimates one rank of a training job, with these constants.
///
/// # Errors
/// [`ShapeError::Unknown`] if not even the model's size is known.
pub fn estimate_rank(
    job: &TrainingJob,
    device: Device,
    rank: Rank,
    calibration: &'static Calibration,
) -> Result<Estimate, ShapeError> {
    let assumed = assume::assume(job, device)?;
    let (leanest, heaviest) = (assumed.lean(), assumed.heavy());
    let [lean_peak, peak, heavy_peak] =
        [&leanest, &assumed.likely, &heaviest].map(|plan| rank_peak(plan, rank, calibration));
    let (lean, heavy) = (lean_peak.needed, heavy_peak.needed);
    let modes = [&leanest, &assumed.likely, &heaviest].map(Mode::of);
    let (named, versioned) = (job.framework.is_some(), job.framework_version.is_some());
    let (evidence, spread) = calibration.evidence(&modes, named, versioned);
    // Parts of a model, and objectives, that were never compared make the whole unchecked.
    let compared =
        assumed.likely.shape.is_checked() && ObjectiveProfile::of(assumed.likely.objective).is_plain();
    let (evidence, spread) = match (compared, evidence) {
        (false, _) => (Evidence::Unchecked, spread.and(UNCHECKED)),
        (true, Evidence::Unchecked) => (evidence, spread.at_least(UNCHECKED_FRAMEWORK)),
        (true, _) => (evidence, spread.at_least(LEAST)),
    };
    // In a planner's question, an open field is not a choice yet.
    let planned = time::planner::lacks_layout(job);
    let feasible = if planned { None } else { feasible::feasible(&assumed, peak.needed, calibration) };
    let dimensions = job.model.as_ref().is_some_and(|m| m.layers.is_some() && m.hidden_size.is_some());
    let floor = if dimensions { rank_floor(&leanest, rank) } else { Bytes::ZERO };
    Ok(Estimate {
        floor,
        feasible,
        lean: lean.min(peak.needed).min(heavy),
        heavy: heavy.max(peak.needed).max(lean),
        assumed,
        peak,
        evidence,
        spread,
        rank,
        calibration,
        version_decides: !versioned && modes.iter().any(|mode| calibration.version_decides(mode)),
        lean_peak,
        heavy_peak,
    })
}

fn rank_peak(plan: &Plan, rank: Rank, calibration: &Calibration) -> Peak {
    stage_of(plan, rank).map_or_else(
        || memory::peak(plan, calibration),
        |stage| memory::stage_peak(plan, &Parameters::of(&plan.shape), calibration, plan.stage(stage)),
    )
}

fn rank_floor(plan: &Plan, rank: Rank) -> Bytes {
    stage_of(plan, rank)
        .map_or_else(|| memory::floor(plan), |stage| memory::stage_floor(plan, plan.stage(stage)))
}

/// The stage of a rank. `None` is the worst.
fn stage_of(plan: &Plan, rank: Rank) -> Option<u64> {
    let last = plan.pipeline.saturating_sub(1);
    match rank {
        Rank::Worst => None,
        Rank::Last => Some(last),
        Rank::Stage(index) => Some(index.min(last)),
    }
}

/// The allocated memory at each instant, on the stage of the plan's peak.
fn instants(plan: &Plan, peak: &Peak, calibration: &Calibration) -> Vec<(&'static str, Bytes)> {
    memory::instants(plan, calibration, plan.stage(peak.stage))
}

impl Estimate {
    /// The plan whose time is the job's: the likeliest, or one that [fits](feasible).
    pub fn running(&self) -> &Plan {
        self.feasible.as_ref().unwrap_or(&self.assumed.likely)
    }

    /// A figure of the leanest plan.
    pub fn leanest(&self, figure: Figure) -> Bytes {
        let of = |peak: &Peak| peak.figure(figure);
        of(&self.lean_peak).min(of(&self.peak)).min(of(&self.heavy_peak))
    }

    /// A figure of the heaviest plan.
    pub fn heaviest(&self, figure: Figure) -> Bytes {
        let of = |peak: &Peak| peak.figure(figure);
        of(&self.lean_peak).max(of(&self.peak)).max(of(&self.heavy_peak))
    }

    /// A figure of the likeliest plan, as a distribution.
    pub fn distribution(&self, figure: Figure) -> Distribution {
        let of = |peak: &Peak| peak.figure(figure);
        let unowned = match figure {
            Figure::Allocated | Figure::Reserved => self.calibration.workspaces_spread(),
            Figure::Process | Figure::Needed => self.calibration.runtime_spread(&self.assumed.likely),
        };
        let spread = match figure {
            Figure::Allocated | Figure::Needed => self.spread.allocated,
            Figure::Reserved | Figure::Process => self.spread.kept,
        };
        let peaks = [&self.lean_peak, &self.peak, &self.heavy_peak];
        let distribution = match figure {
            Figure::Needed => {
                let [lean, likely, heavy] = peaks.map(|peak| peak.estimated);
                let [of_lean, of_likely, of_heavy] = peaks.map(|peak| peak.stated);
                Distribution::new(lean, likely, heavy, spread).with_stated(of_lean, of_likely, of_heavy)
            }
            Figure::Allocated | Figure::Reserved | Figure::Process => {
                let [lean, likely, heavy] = peaks.map(of);
                Distribution::new(lean, likely, heavy, spread)
            }
        };
        let distribution = distribution.with_unowned(unowned).with_floor(self.floor);
        if self.evidence == Evidence::Unchecked { distribution.with_floor_alone() } else { distribution }
    }

    /// The open fields, each with its effect on the need: the heaviest value's need less the leanest value's, with all
    /// other fields at their likeliest. The largest effect is first.
    pub fn swings(&self) -> Vec<Swing> {
        self.swings_of(Figure::Needed)
    }

    /// The same effects on another figure.
    pub fn swings_of(&self, figure: Figure) -> Vec<Swing> {
        self.swings_by(&|_, peak| peak.figure(figure))
    }

    /// The allocated memory at each instant of the likeliest plan.
    pub fn instants(&self) -> Vec<(&'static str, Bytes)> {
        instants(&self.assumed.likely, &self.peak, self.calibration)
    }

    /// The same effects on the allocated memory at one instant of the likeliest plan.
    pub fn swings_at(&self, instant: &str) -> Vec<Swing> {
        let at = |plan: &Plan, peak: &Peak| {
            let all = instants(plan, peak, self.calibration);
            all.into_iter().find(|(name, _)| *name == instant).map(|(_, live)| live)
        };
        let likely = at(&self.assumed.likely, &self.peak).unwrap_or(Bytes::ZERO);
        self.swings_by(&|plan, peak| at(plan, peak).unwrap_or(likely))
    }

    fn swings_by(&self, part: &dyn Fn(&Plan, &Peak) -> Bytes) -> Vec<Swing> {
        let likely = part(&self.assumed.likely, &self.peak);
        let of = |set: &dyn Fn(&mut Plan)| {
            let mut plan = self.assumed.likely.clone();
            set(&mut plan);
            part(&plan, &rank_peak(&plan, self.rank, self.calibration))
        };
        let mut swings: Vec<_> = self
            .assumed
            .choices
            .iter()
            .map(|choice| {
                let (lean, heavy) = (of(&choice.lean), of(&choice.heavy));
                let (least, most) = (lean.min(heavy), heavy.max(lean));
                Swing { field: choice.field, less: likely - least, more: most - likely }
            })
            .collect();
        swings.sort_by_key(|swing| std::cmp::Reverse(swing.total()));
        swings
    }
}
