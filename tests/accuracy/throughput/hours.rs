//! Published accelerator-hours, and what a planner would have been told: `hours.toml`.
//!
//! ```text
//! planner   ln(published MFU / MFU of one alone) = level + size·tanh(log₁₀(active / 10e9))
//! ```
//!
//! by least squares with a ridge of 0.5 on `size`; `spread` is the 90 % quantile of what is left when each run is
//! predicted without itself, / 1.645.

use serde::Deserialize;
use weighbridge::estimate::assume::{Device, assume};
use weighbridge::estimate::time::flops::Forward;
use weighbridge::estimate::time::planner::{alone, size};
use weighbridge::estimate::time::{Coefficients, Planner, Work, step};
use weighbridge::hardware::{Accelerator, Catalogue};
use weighbridge::units::Count;
use weighbridge::workload::{Accelerator as Asked, Dataset, Model, Precision, TrainingJob};

use super::fit::{self, Names};

/// One training.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Run {
    pub(crate) name: String,
    pub(crate) model: String,
    #[serde(rename = "source")]
    _source: String,
    parameters: Option<String>,
    active: Option<String>,
    tokens: Option<String>,
    accelerators: Option<u32>,
    accelerator: String,
    precision: Option<Precision>,
    pub(crate) hours: Option<f64>,
    #[serde(default)]
    pub(crate) derived: bool,
    pub(crate) left_out: Option<String>,
}

#[derive(Deserialize)]
struct File {
    run: Vec<Run>,
}

/// All runs, in the file's order.
pub(crate) fn runs() -> Vec<Run> {
    let file: File = toml::from_str(include_str!("hours.toml")).expect("hours.toml is valid");
    file.run
}

impl Run {
    /// The accelerator.
    pub(crate) fn device(&self) -> &'static Accelerator {
        Catalogue::builtin()
            .find(&self.accelerator)
            .unwrap_or_else(|| panic!("{} is not in the catalogue", self.accelerator))
    }

    /// What a planner writes.
    pub(crate) fn job(&self) -> TrainingJob {
        let count = |text: &Option<String>| {
            text.as_deref().map(|text| Count::parse(text).unwrap_or_else(|e| panic!("{text}: {e}")))
        };
        TrainingJob {
            model: Some(Model {
                parameters: count(&self.parameters),
                active_parameters: count(&self.active),
                ..Model::default()
            }),
            precision: self.precision,
            accelerator: Some(Asked {
                kind: Some(self.accelerator.clone()),
                count: self.accelerators,
                ..Asked::default()
            }),
            dataset: Some(Dataset { tokens: count(&self.tokens), ..Dataset::default() }),
            ..TrainingJob::default()
        }
    }
}

/// A run as the planner's two coefficients see it.
pub(crate) struct Point {
    /// Tens of active parameters.
    pub(crate) size: f64,
    /// ln(published / of one accelerator alone) of the utilization.
    pub(crate) off: f64,
}

/// The runs that coefficients are fitted on.
pub(crate) fn fitted_on(run: &Run) -> bool {
    run.left_out.is_none() && run.hours.is_some()
}

/// The tokens a second of one accelerator alone against the published ones.
pub(crate) fn point(run: &Run, names: &Names, fitted: &[f64]) -> Point {
    let (job, accelerator) = (run.job(), run.device());
    let plan = assume(&job, Device { bf16: accelerator.computes_in_bf16() }).expect("it has a size").likely;
    let generation = Coefficients::builtin().generation(accelerator);
    let (job_alone, plan_alone) = alone(&plan);
    let work = Work::of(&job_alone, &plan_alone, accelerator, generation).expect("it has a rate");
    let (terms, efficiency) = fit::of_accelerator(names, fitted, accelerator, generation);
    let alone = work.tokens / step(&work, &terms, efficiency).seconds * work.flops;
    let flops = Forward::of(&plan, job.model.as_ref()).model();
    let tokens = job.dataset.and_then(|data| data.tokens).expect("it has tokens").0 as f64;
    let published = tokens * flops / (run.hours.expect("it has hours") * 3600.0);
    Point { size: size(flops / 6.0), off: (published / alone).ln() }
}

/// Level and size by least squares, of all points but one.
pub(crate) fn line(points: &[Point], without: Option<usize>) -> (f64, f64) {
    const RIDGE: f64 = 0.5;
    let kept = || points.iter().enumerate().filter(|(i, _)| Some(*i) != without).map(|(_, point)| point);
    let n = kept().count() as f64;
    let (x, y) = (kept().map(|p| p.size).sum::<f64>(), kept().map(|p| p.off).sum::<f64>());
    let xx: f64 = kept().map(|p| p.size * p.size).sum::<f64>() + RIDGE;
    let xy: f64 = kept().map(|p| p.size * p.off).sum();
    let size = (xy - x * y / n) / (xx - x * x / n);
    ((y - size * x) / n, size)
}

/// What is left of each point when it is predicted without itself.
pub(crate) fn left(points: &[Point]) -> Vec<f64> {
    let one = |(i, point): (usize, &Point)| {
        let (level, size) = line(points, Some(i));
        point.off - level - size * point.size
    };
    points.iter().enumerate().map(one).collect()
}

/// The planner's coefficients.
pub(crate) fn planner(points: &[Point]) -> Planner {
    let (level, size) = line(points, None);
    let mut sizes: Vec<f64> = left(points).iter().map(|left| left.abs()).collect();
    sizes.sort_by(f64::total_cmp);
    let at = (0.9 * sizes.len() as f64).ceil() as usize;
    Planner { level, size, spread: sizes[at.saturating_sub(1)] / 1.645 }
}
