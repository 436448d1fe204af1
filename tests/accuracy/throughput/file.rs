//! The fitted part of `data/time.toml`, as text.

use std::fmt::Write;

use weighbridge::estimate::time::Term;

use super::fit::{self, Fitted, Names, Sample};
use super::holdout::{Whole, residuals};
use super::hours;
use super::rows::{self, Row};
use super::spread::{self, HeldOut};

/// All fitted values, and the predictions of held-out rows.
pub(crate) struct Fitting {
    pub(crate) rows: Vec<Row>,
    pub(crate) samples: Vec<Sample>,
    pub(crate) names: Names,
    pub(crate) fitted: Fitted,
    pub(crate) held_out: HeldOut,
}

/// Fits all rows, then again without each group.
pub(crate) fn fitting() -> Fitting {
    let rows = rows::rows();
    let (samples, names) = fit::samples(&rows);
    let used: Vec<&Sample> = fit::fitted_on(&rows, &samples).collect();
    let fitted = fit::fit(&used, &names, None, 40);
    let without = |whole| residuals(&rows, &samples, &names, &fitted, whole);
    let held_out = HeldOut {
        models: without(Whole::Models),
        origins: without(Whole::Origins),
        accelerators: without(Whole::Accelerators),
    };
    Fitting { rows, samples, names, fitted, held_out }
}

fn borrowed(entries: &[(String, f64)]) -> Vec<(&str, f64)> {
    entries.iter().map(|(name, value)| (name.as_str(), *value)).collect()
}

/// The fitted part of the file.
pub(crate) fn text(fitting: &Fitting) -> String {
    let Fitting { rows, samples, names, fitted, held_out } = fitting;
    let mut text = String::new();
    let mut table = |name: &str, entries: &[(&str, f64)]| {
        let _ = writeln!(text, "\n[{name}]");
        for (key, value) in entries {
            let _ = writeln!(text, "{key} = {value:.4}");
        }
    };
    let terms: Vec<_> =
        Term::ALL.iter().zip(fitted).map(|(term, value)| (term.name(), value.exp())).collect();
    table("terms", &terms);
    let of = |names: &[String], at: &dyn Fn(usize) -> usize| -> Vec<(String, f64)> {
        names.iter().enumerate().map(|(i, name)| (name.clone(), fitted[at(i)])).collect()
    };
    // A generation without rows has its prior, which the program already knows.
    let efficiency: Vec<_> = of(&names.generations, &|i| fit::of_generation(i))
        .into_iter()
        .filter(|(name, _)| name != "other")
        .map(|(name, value)| (name, value.exp()))
        .collect();
    table("efficiency", &borrowed(&efficiency));
    table("accelerators", &borrowed(&of(&names.accelerators, &|i| names.accelerator(i))));
    table("frameworks", &borrowed(&of(&names.frameworks, &|i| names.framework(i))));
    let spread = spread::spread(rows, samples, held_out);
    table(
        "spread",
        &[
            ("dense", spread.dense),
            ("experts", spread.experts),
            ("open", spread.open),
            ("open_experts", spread.open_experts),
            ("accelerator", spread.accelerator),
            ("generation", spread.generation),
            ("framework", spread.framework),
            ("given", spread.given),
        ],
    );
    let classes: Vec<(String, f64)> = spread.classes.into_iter().collect();
    table("spread.classes", &borrowed(&classes));
    let runs = hours::runs();
    let points: Vec<_> = runs
        .iter()
        .filter(|run| hours::fitted_on(run))
        .map(|run| hours::point(run, &run.named(), names, fitted))
        .collect();
    let planner = hours::planner(&points);
    table(
        "planner",
        &[
            ("level", planner.level),
            ("later", planner.later),
            ("experts", planner.experts),
            ("spread", planner.spread),
        ],
    );
    text
}
