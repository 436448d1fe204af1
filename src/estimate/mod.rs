//! 2. What it takes: memory per accelerator by component, time, accelerator-hours, cost, each with its interval.
//!
//! A training job that leaves things open becomes three complete [`plan::Plan`]s ([`assume`]): the leanest that the
//! words allow, the likeliest, and the heaviest. [`memory`] computes the peak of each, [`time`] how long the likeliest
//! takes.

pub mod assume;
pub mod calibration;
pub mod cost;
pub mod memory;
pub mod plan;
pub mod schedule;
pub mod states;
pub mod time;

use crate::model::ShapeError;
use crate::units::Bytes;
use crate::workload::TrainingJob;

use assume::{Assumed, Device};
use calibration::Calibration;
use memory::Peak;

/// What a training job takes, as far as memory goes.
pub struct Estimate {
    /// The plans, and what was assumed for them.
    pub assumed: Assumed,
    /// The likeliest plan's peak.
    pub peak: Peak,
    /// What the leanest plan needs.
    pub lean: Bytes,
    /// What the heaviest plan needs.
    pub heavy: Bytes,
    /// The standard deviation of ln(measured / estimated).
    pub spread: f64,
}

/// Estimates a training job.
///
/// # Errors
/// [`ShapeError::Unknown`] where not even the model's size is known.
pub fn estimate(job: &TrainingJob, device: Device) -> Result<Estimate, ShapeError> {
    let calibration = Calibration::builtin();
    let assumed = assume::assume(job, device)?;
    let peak = memory::peak(&assumed.likely, calibration);
    let lean = memory::peak(&assumed.lean(), calibration).needed;
    let heavy = memory::peak(&assumed.heavy(), calibration).needed;
    let experts = assumed.likely.shape.experts.is_some();
    let spread = calibration.spread(job.framework, experts);
    Ok(Estimate {
        lean: lean.min(peak.needed).min(heavy),
        heavy: heavy.max(peak.needed).max(lean),
        assumed,
        peak,
        spread,
    })
}

impl Estimate {
    /// The open fields with what hangs on each, the heaviest first: the need at its heaviest less that at its leanest,
    /// all else likely.
    pub fn swings(&self) -> Vec<Swing> {
        let calibration = Calibration::builtin();
        let likely = self.peak.needed;
        let mut swings: Vec<_> = self
            .assumed
            .choices
            .iter()
            .map(|choice| {
                let (mut lean, mut heavy) = (self.assumed.likely.clone(), self.assumed.likely.clone());
                (choice.lean)(&mut lean);
                (choice.heavy)(&mut heavy);
                let [least, most] = [lean, heavy].map(|plan| memory::peak(&plan, calibration).needed);
                Swing { field: choice.field, less: likely - least, more: most - likely }
            })
            .collect();
        swings.sort_by_key(|swing| std::cmp::Reverse(swing.total()));
        swings
    }
}

/// What hangs on an open field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swing {
    /// The spec's field path.
    pub field: &'static str,
    /// How much less than estimated is needed at its leanest.
    pub less: Bytes,
    /// How much more is needed at its heaviest.
    pub more: Bytes,
}

impl Swing {
    /// From the leanest to the heaviest.
    pub fn total(self) -> Bytes {
        self.less + self.more
    }
}
