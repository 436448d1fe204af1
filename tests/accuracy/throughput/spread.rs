//! The errors on unseen rows: the standard deviations of `data/time.toml`.
//!
//! ```text
//! σ of a group     the larger of two, / 1.645: the 85 % quantile of |ln predicted − ln measured|, each origin of n rows with
//!                  weight √n; and the largest of the 80 % quantiles of its origins with 8 rows and more
//! dense, experts   all rows that state layout and batch
//! classes          the same, by framework, one node or several, dense or with experts: classes with 8 rows and more
//! open             √(σ² of rows that leave them open − σ² of all that state them)
//! accelerator      √(σ² of rows with their accelerators held out − σ² of all)
//! generation       √(σ² of rows of a generation with one origin − σ² of all)
//! framework        √(σ² of rows of a framework with one origin − σ² of all)
//! ```
//!
//! Whole origins are held out, because a user's machines are a new origin. The rows of a framework with one origin are held
//! out with their models: without its only origin a framework is unknown.

use std::collections::{BTreeMap, BTreeSet};

use weighbridge::estimate::time::{Coefficients, Known, Spread, framework_name};

use super::fit::Sample;
use super::rows::Row;

const NINETY_PERCENT: f64 = 1.645;
/// The smallest number of rows of a class or an origin.
const ENOUGH: usize = 8;

/// Residuals with whole groups held out.
pub(crate) struct HeldOut {
    pub(crate) models: Vec<f64>,
    pub(crate) origins: Vec<f64>,
    pub(crate) accelerators: Vec<f64>,
}

/// A residual and its origin.
type OfOrigin<'a> = (&'a str, f64);

/// The quantile of absolute residuals, each origin of n rows with weight √n, as a standard deviation.
fn quantile(residuals: &[OfOrigin<'_>], share: f64) -> f64 {
    let mut counts: BTreeMap<&str, f64> = BTreeMap::new();
    for (origin, _) in residuals {
        *counts.entry(origin).or_default() += 1.0;
    }
    let mut weighted: Vec<_> = residuals.iter().map(|(o, r)| (r.abs(), 1.0 / counts[o].sqrt())).collect();
    weighted.sort_by(|one, other| one.0.total_cmp(&other.0));
    let all: f64 = weighted.iter().map(|(_, weight)| weight).sum();
    let mut below = 0.0;
    let reached = weighted.iter().find(|(_, weight)| {
        below += weight;
        below >= share * all
    });
    reached.map_or(0.0, |(size, _)| size / NINETY_PERCENT)
}

/// The standard deviation of a group.
fn deviation(residuals: &[OfOrigin<'_>]) -> f64 {
    let mut of: BTreeMap<&str, Vec<OfOrigin<'_>>> = BTreeMap::new();
    for residual in residuals {
        of.entry(residual.0).or_default().push(*residual);
    }
    let origins = of.values().filter(|origin| origin.len() >= ENOUGH);
    origins.map(|origin| quantile(origin, 0.8)).fold(quantile(residuals, 0.85), f64::max)
}

/// The framework's name in the coefficients.
pub(crate) fn framework(row: &Row) -> Option<String> {
    let generation = Coefficients::builtin().generation(row.accelerator);
    row.job.framework.map(|framework| framework_name(framework, generation))
}

/// The name of a row's generation of accelerators.
pub(crate) fn generation(row: &Row) -> &'static str {
    &Coefficients::builtin().generation(row.accelerator).name
}

/// The names that rows of several origins have.
fn shared(rows: &[Row], name: impl Fn(&Row) -> Option<String>) -> BTreeSet<String> {
    let mut origins: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for row in rows {
        if let Some(name) = name(row) {
            origins.entry(name).or_default().insert(&row.origin);
        }
    }
    origins.into_iter().filter(|(_, origins)| origins.len() > 1).map(|(name, _)| name).collect()
}

/// The spreads.
pub(crate) fn spread(rows: &[Row], samples: &[Sample], held_out: &HeldOut) -> Spread {
    let frameworks = shared(rows, framework);
    let generations = shared(rows, |row| Some(generation(row).to_owned()));
    let is_shared = |row: &Row| framework(row).is_some_and(|framework| frameworks.contains(&framework));
    let of = |keep: &dyn Fn(&Row, &Sample) -> bool| -> Vec<OfOrigin<'_>> {
        let all = rows.iter().zip(samples).enumerate();
        all.filter(|(_, (row, sample))| row.laid_out && keep(row, sample))
            .map(|(i, (row, _))| (row.origin.as_str(), held_out.origins[i]))
            .collect()
    };
    let usual =
        |experts: bool| quantile(&of(&|row, sample| row.complete && sample.work.experts == experts), 0.85);
    let (dense, experts) = (usual(false), usual(true));
    let mut classes: BTreeMap<String, Vec<OfOrigin<'_>>> = BTreeMap::new();
    for (i, (row, sample)) in rows.iter().zip(samples).enumerate() {
        let framework = framework(row);
        let class = known(row, sample, framework.as_deref(), (true, true)).class();
        if let Some(class) = class.filter(|_| row.complete && row.laid_out) {
            let residual = if is_shared(row) { held_out.origins[i] } else { held_out.models[i] };
            classes.entry(class).or_default().push((&row.origin, residual));
        }
    }
    let beyond = |rows: Vec<OfOrigin<'_>>, part: f64| {
        if rows.is_empty() { 0.0 } else { (quantile(&rows, 0.85).powi(2) - part * part).max(0.0).sqrt() }
    };
    let open = |experts: bool| of(&|row, sample| !row.complete && sample.work.experts == experts);
    Spread {
        dense,
        experts,
        classes: classes
            .into_iter()
            .filter(|(_, residuals)| residuals.len() >= ENOUGH)
            .map(|(class, residuals)| (class, deviation(&residuals)))
            .collect(),
        open: beyond(open(false), dense),
        open_experts: beyond(open(true), experts),
        accelerator: {
            let all = rows.iter().zip(samples).zip(&held_out.accelerators);
            let kept = all.filter(|((row, sample), _)| row.laid_out && row.complete && !sample.work.experts);
            let unseen: Vec<_> = kept.map(|((row, _), residual)| (row.origin.as_str(), *residual)).collect();
            (deviation(&unseen).powi(2) - dense * dense).max(0.0).sqrt()
        },
        generation: beyond(
            of(&|row, sample| row.complete && !sample.work.experts && !generations.contains(generation(row))),
            dense,
        ),
        framework: beyond(of(&|row, sample| row.complete && !sample.work.experts && !is_shared(row)), dense),
        given: Coefficients::builtin().spread.given,
    }
}

/// The facts that are known about a row, if its group is held out.
pub(crate) fn known<'a>(
    row: &Row,
    sample: &Sample,
    framework: Option<&'a str>,
    (accelerator, generation): (bool, bool),
) -> Known<'a> {
    Known {
        framework,
        accelerator,
        generation,
        layout: row.complete,
        experts: sample.work.experts,
        several_nodes: sample.work.several_nodes,
    }
}
