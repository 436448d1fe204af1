//! Published accelerator-hours, with the facts that a planner would have had: `hours.toml`.
//!
//! ```text
//! least   Σ runs w·2·(√(1 + (r/0.1)²) − 1)  +  3·(later² + experts²) / 0.2²
//! r       ln(published MFU / MFU of one accelerator) − (level + later + experts)
//! w       1; ½ of hours that are derived
//! ```
//!
//! The method is reweighted least squares. Published hours are multiplied by the goodput, because the product divides
//! by it; so no loss counts twice. `spread` is the 90 % quantile of the absolute residuals, each run predicted without
//! its publisher's runs, / 1.645.

use serde::Deserialize;
use weighbridge::estimate::assume::{Device, assume};
use weighbridge::estimate::goodput::goodput;
use weighbridge::estimate::time::flops::Forward;
use weighbridge::estimate::time::planner::{Class, on_one_accelerator};
use weighbridge::estimate::time::{Coefficients, Planner, Work, step};
use weighbridge::hardware::{Accelerator, Catalogue};
use weighbridge::job::{Accelerator as Asked, Dataset, Model, Precision, TrainingJob};
use weighbridge::model::known;
use weighbridge::units::Count;

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

    /// The publisher: the run's name up to the first digit or hyphen.
    pub(crate) fn publisher(&self) -> &str {
        self.name.split(|c: char| c == '-' || c.is_ascii_digit()).next().unwrap_or_default()
    }

    /// The model in the program's table, if it is there.
    pub(crate) fn known(&self) -> Option<&'static known::Known> {
        known::find(self.model.split(" (").next()?)
    }

    /// The job of a planner who names the model.
    pub(crate) fn named(&self) -> TrainingJob {
        let model = self.known().map(|known| known.model.clone());
        let sized = self.sized();
        TrainingJob { model: model.or(sized.model.clone()), ..sized }
    }

    /// The job of a planner who knows only the model's size.
    pub(crate) fn sized(&self) -> TrainingJob {
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

/// A run in the fit of the planner's coefficients.
pub(crate) struct Point {
    /// The class of the planner's coefficients.
    class: Class,
    /// ln(published / one accelerator's utilization).
    log_ratio: f64,
    weight: f64,
    publisher: String,
}

/// Whether the coefficients are fitted on a run.
pub(crate) fn fitted_on(run: &Run) -> bool {
    run.left_out.is_none() && run.hours.is_some()
}

/// The published utilization against that of one accelerator.
pub(crate) fn point(run: &Run, job: &TrainingJob, names: &Names, fitted: &[f64]) -> Point {
    let accelerator = run.device();
    let plan = assume(job, Device { bf16: accelerator.computes_in_bf16() }).expect("it has a size").likely;
    let generation = Coefficients::builtin().generation(accelerator);
    let (job_alone, plan_alone) = on_one_accelerator(job, &plan);
    let sustained = Coefficients::builtin().sustained(accelerator);
    let work = Work::of(&job_alone, &plan_alone, accelerator, generation, sustained).expect("it has a rate");
    let (terms, efficiency) = fit::of_accelerator(names, fitted, accelerator, generation);
    let alone = work.tokens / step(&work, &terms, efficiency).seconds * work.flops;
    let flops = Forward::of(&plan, job.model.as_ref()).model();
    let tokens = job.dataset.as_ref().and_then(|data| data.tokens).expect("it has tokens").0 as f64;
    let hours = run.hours.expect("it has hours");
    let computed = goodput(job).map_or(hours, |goodput| {
        let once = goodput.startup_seconds / 3600.0 * f64::from(run.accelerators.unwrap_or(0));
        (hours - once) * goodput.share
    });
    let published = tokens * flops / (computed * 3600.0);
    Point {
        class: Class::of(job, &plan, generation),
        log_ratio: (published / alone).ln(),
        weight: if run.derived { 0.5 } else { 1.0 },
        publisher: run.publisher().to_owned(),
    }
}

impl Point {
    /// ln(predicted / published hours).
    pub(crate) fn residual(&self, planner: &Planner) -> f64 {
        self.log_ratio - planner.log_ratio(self.class)
    }
}

const SCALE: f64 = 0.1;
const WIDTH: f64 = 0.2;
const STRICTNESS: f64 = 3.0;

/// The coefficients that best fit the points.
pub(crate) fn line(points: &[&Point]) -> Planner {
    let mut fitted = Planner { level: -0.6, later: 0.0, experts: 0.0, spread: 0.0 };
    for _ in 0..50 {
        let mut matrix = vec![vec![0.0; 3]; 3];
        let mut right = vec![0.0; 3];
        for point in points {
            let known = [1.0, point.class.later, point.class.experts];
            let weight = point.weight / (point.residual(&fitted) / SCALE).hypot(1.0) / (SCALE * SCALE);
            for (i, one) in known.iter().enumerate() {
                right[i] += weight * one * point.log_ratio;
                for (j, other) in known.iter().enumerate() {
                    matrix[i][j] += weight * one * other;
                }
            }
        }
        for (index, row) in matrix.iter_mut().enumerate().skip(1) {
            row[index] += STRICTNESS / (WIDTH * WIDTH);
        }
        let solved = fit::solve(matrix, right);
        fitted = Planner { level: solved[0], later: solved[1], experts: solved[2], spread: 0.0 };
    }
    fitted
}

/// The residual of each point, predicted without the point itself or without all points of its publisher.
pub(crate) fn residuals(points: &[Point], publishers: bool) -> Vec<f64> {
    let one = |(i, point): (usize, &Point)| {
        let others = points
            .iter()
            .enumerate()
            .filter(|(j, other)| if publishers { other.publisher != point.publisher } else { *j != i });
        point.residual(&line(&others.map(|(_, other)| other).collect::<Vec<_>>()))
    };
    points.iter().enumerate().map(one).collect()
}

/// The planner's coefficients.
pub(crate) fn planner(points: &[Point]) -> Planner {
    let mut sizes: Vec<f64> = residuals(points, true).iter().map(|residual| residual.abs()).collect();
    sizes.sort_by(f64::total_cmp);
    let at = (0.9 * sizes.len() as f64).ceil() as usize;
    Planner { spread: sizes[at.saturating_sub(1)] / 1.645, ..line(&points.iter().collect::<Vec<_>>()) }
}
