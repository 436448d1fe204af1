//! The errors on unseen rows: the standard deviations of `data/time.toml`.
//!
//! ```text
//! σ of a group            the 90 % quantile of |ln predicted − ln measured| / 1.645, each origin of n rows with weight √n
//! dense, experts, …       whole models and whole origins held out, together, because a user's machines are a new origin.
//!                         Rows that state layout and batch; those of a framework with one origin, only with their models
//! open                    √(σ² of rows that leave them open − dense²), models held out
//! accelerator             √(σ² with whole accelerators held out − dense²)
//! framework               √(σ² of rows of a framework with one origin, origins held out − dense²)
//! ```

use std::collections::{BTreeMap, BTreeSet};

use weighbridge::estimate::time::{Coefficients, Known, Spread, framework_name};

use super::fit::Sample;
use super::rows::Row;

const NINETY_PERCENT: f64 = 1.645;
/// The widest meaningful spread: a factor of 2.7 in each direction. Experts between nodes have a wider one.
const WIDEST: f64 = 0.6;
/// The smallest number of rows for a framework's own spread.
const ENOUGH: usize = 20;

/// Residuals with whole groups held out.
pub(crate) struct HeldOut {
    pub(crate) models: Vec<f64>,
    pub(crate) origins: Vec<f64>,
    pub(crate) accelerators: Vec<f64>,
}

/// A residual and its weight.
type Weighted = (f64, f64);

/// The weighted 90 % quantile of absolute residuals, as a standard deviation.
fn deviation(mut residuals: Vec<Weighted>) -> f64 {
    residuals.sort_by(|one, other| one.0.total_cmp(&other.0));
    let all: f64 = residuals.iter().map(|(_, weight)| weight).sum();
    let mut below = 0.0;
    let reached = residuals.iter().find(|(_, weight)| {
        below += weight;
        below >= 0.9 * all
    });
    reached.map_or(0.0, |(size, _)| size / NINETY_PERCENT)
}

/// The framework's name in the coefficients.
pub(crate) fn framework(row: &Row) -> Option<String> {
    let generation = Coefficients::builtin().generation(row.accelerator);
    row.job.framework.map(|framework| framework_name(framework, generation))
}

/// The frameworks with several origins.
fn shared(rows: &[Row]) -> BTreeSet<String> {
    let mut origins: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for row in rows {
        if let Some(framework) = framework(row) {
            origins.entry(framework).or_default().insert(&row.origin);
        }
    }
    origins.into_iter().filter(|(_, origins)| origins.len() > 1).map(|(framework, _)| framework).collect()
}

/// The spreads.
pub(crate) fn spread(rows: &[Row], samples: &[Sample], held_out: &HeldOut) -> Spread {
    let shared = shared(rows);
    let is_shared = |row: &Row| framework(row).is_some_and(|framework| shared.contains(&framework));
    let of = |residuals: &[f64], keep: &dyn Fn(&Row, &Sample) -> bool| -> Vec<Weighted> {
        let kept: Vec<_> = rows
            .iter()
            .zip(samples)
            .zip(residuals)
            .filter(|((row, sample), _)| keep(row, sample))
            .map(|((row, _), residual)| (row.origin.as_str(), residual.abs()))
            .collect();
        let mut of_origin: BTreeMap<&str, f64> = BTreeMap::new();
        for (origin, _) in &kept {
            *of_origin.entry(origin).or_default() += 1.0;
        }
        kept.iter().map(|(origin, residual)| (*residual, 1.0 / of_origin[origin].sqrt())).collect()
    };
    let both = |keep: &dyn Fn(&Row, &Sample) -> bool| {
        let mut all = of(&held_out.models, keep);
        all.extend(of(&held_out.origins, &|row, sample| keep(row, sample) && is_shared(row)));
        all
    };
    let beyond = |whole: f64, part: f64| (whole * whole - part * part).max(0.0).sqrt();
    let dense = |row: &Row, sample: &Sample| row.complete && !sample.work.experts;
    let usual = deviation(both(&dense));
    let names: BTreeSet<String> = rows.iter().filter_map(framework).collect();
    let frameworks: BTreeMap<String, f64> = names
        .into_iter()
        .filter_map(|name| {
            let own = both(&|row, sample| dense(row, sample) && framework(row).as_ref() == Some(&name));
            (own.len() >= ENOUGH).then(|| (name, deviation(own)))
        })
        .collect();
    let open = |row: &Row, sample: &Sample| !row.complete && row.laid_out && !sample.work.experts;
    let near = |row: &Row, sample: &Sample| row.complete && sample.work.experts && !sample.work.far;
    Spread {
        dense: usual,
        frameworks,
        experts: deviation(both(&near)).min(WIDEST),
        experts_far: deviation(both(&|row, sample| row.complete && sample.work.far)).min(WIDEST),
        open: beyond(deviation(of(&held_out.models, &open)), usual),
        accelerator: beyond(deviation(of(&held_out.accelerators, &dense)), usual),
        framework: beyond(
            deviation(of(&held_out.origins, &|row, sample| dense(row, sample) && !is_shared(row))),
            usual,
        ),
        given: Coefficients::builtin().spread.given,
    }
}

/// The facts that are known about a row, if its group is held out.
pub(crate) fn known<'a>(
    row: &Row,
    sample: &Sample,
    framework: Option<&'a str>,
    accelerator: bool,
) -> Known<'a> {
    Known { framework, accelerator, layout: row.complete, experts: sample.work.experts, far: sample.work.far }
}
