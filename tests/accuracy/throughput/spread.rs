//! How far predictions of unseen rows lie off: the standard deviations of `data/time.toml`.
//!
//! ```text
//! σ of a group            the 90 % quantile of |ln predicted − ln measured| / 1.645, each row with its weight in the fit
//! dense, experts, …       whole models held out, rows that state layout and batch
//! open                    √(σ² of rows that leave them open − dense²)
//! accelerator, framework  √(σ² with whole accelerators, whole origins held out − dense²)
//! ```

use std::collections::{BTreeMap, BTreeSet};

use weighbridge::estimate::time::{Coefficients, Known, Spread, framework_name};

use super::fit::Sample;
use super::rows::Row;

const NINETY_PERCENT: f64 = 1.645;
/// The widest spread that still says something: a factor of 2.7 to either side. Experts between nodes lie further apart.
const WIDEST: f64 = 0.6;
/// Rows of a framework that have a spread of their own.
const ENOUGH: usize = 20;

/// Residuals with whole groups held out.
pub struct HeldOut {
    pub models: Vec<f64>,
    pub origins: Vec<f64>,
    pub accelerators: Vec<f64>,
}

/// The weighted 90 % quantile of absolute residuals, as a standard deviation.
fn deviation<'a>(chosen: impl Iterator<Item = (&'a Sample, &'a f64)>) -> (f64, usize) {
    let mut sizes: Vec<(f64, f64)> =
        chosen.map(|(sample, residual)| (residual.abs(), sample.weight)).collect();
    sizes.sort_by(|one, other| one.0.total_cmp(&other.0));
    let all: f64 = sizes.iter().map(|(_, weight)| weight).sum();
    let mut below = 0.0;
    for (size, weight) in &sizes {
        below += weight;
        if below >= 0.9 * all {
            return (size / NINETY_PERCENT, sizes.len());
        }
    }
    (0.0, sizes.len())
}

/// The framework's name in the coefficients.
pub fn framework(row: &Row) -> Option<String> {
    let generation = Coefficients::builtin().generation(row.accelerator);
    row.job.framework.map(|framework| framework_name(framework, generation))
}

/// The spreads.
pub fn spread(rows: &[Row], samples: &[Sample], held_out: &HeldOut) -> Spread {
    let of = |residuals: &[f64], keep: &dyn Fn(&Row, &Sample) -> bool| {
        let zipped = rows.iter().zip(samples).zip(residuals);
        deviation(zipped.filter(|((row, sample), _)| keep(row, sample)).map(|((_, sample), r)| (sample, r)))
    };
    let beyond = |whole: f64, part: f64| (whole * whole - part * part).max(0.0).sqrt();
    let dense = |row: &Row, sample: &Sample| row.complete && !sample.work.experts;
    let (usual, _) = of(&held_out.models, &dense);
    let names: BTreeSet<String> = rows.iter().filter_map(framework).collect();
    let frameworks: BTreeMap<String, f64> = names
        .into_iter()
        .filter_map(|name| {
            let own =
                |row: &Row, sample: &Sample| dense(row, sample) && framework(row).as_ref() == Some(&name);
            let (deviation, count) = of(&held_out.models, &own);
            (count >= ENOUGH).then_some((name, deviation))
        })
        .collect();
    let open = |row: &Row, sample: &Sample| !row.complete && row.laid_out && !sample.work.experts;
    Spread {
        dense: usual,
        frameworks,
        experts: of(&held_out.models, &|row, s| row.complete && s.work.experts && !s.work.far).0.min(WIDEST),
        experts_far: of(&held_out.models, &|row, s| row.complete && s.work.far).0.min(WIDEST),
        open: beyond(of(&held_out.models, &open).0, usual),
        accelerator: beyond(of(&held_out.accelerators, &dense).0, usual),
        framework: beyond(of(&held_out.origins, &dense).0, usual),
        given: Coefficients::builtin().spread.given,
    }
}

/// What is known of a row, when some of its kin are held out.
pub fn known<'a>(row: &Row, sample: &Sample, framework: Option<&'a str>, accelerator: bool) -> Known<'a> {
    Known { framework, accelerator, layout: row.complete, experts: sample.work.experts, far: sample.work.far }
}
