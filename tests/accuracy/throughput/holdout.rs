//! Predictions of rows that the coefficients were not fitted on: whole models, whole origins, whole accelerators.
//!
//! The groups of a hold-out are excluded one after the other, each with all its rows. The coefficients are fitted again
//! on the other rows, and the group's rows are predicted. Models are excluded a sixteenth at a time. They are
//! distributed in turn, so that models of one origin are not excluded together.

use super::fit::{self, Fitted, Names, Sample};
use super::rows::Row;

/// The parts into which models are distributed.
const FOLDS: usize = 16;

/// The kind of groups that are held out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whole {
    Models,
    Origins,
    Accelerators,
}

impl Whole {
    fn of(self, row: &Row) -> &str {
        match self {
            Self::Models => row.model.split(" #").next().unwrap_or_default(),
            Self::Origins => &row.origin,
            Self::Accelerators => &row.accelerator.key,
        }
    }
}

/// ln predicted − ln measured of every row, each predicted without its group.
pub(crate) fn residuals(
    rows: &[Row],
    samples: &[Sample],
    names: &Names,
    start: &Fitted,
    whole: Whole,
) -> Vec<f64> {
    let mut groups: Vec<&str> = Vec::new();
    for row in rows {
        if !groups.contains(&whole.of(row)) {
            groups.push(whole.of(row));
        }
    }
    let count = if whole == Whole::Models { FOLDS } else { groups.len() };
    let mut folds = vec![Vec::new(); count];
    for (index, group) in groups.iter().enumerate() {
        folds[index % count].push(*group);
    }
    let mut residuals = vec![0.0; rows.len()];
    for groups in folds {
        let inside = |row: &Row| groups.contains(&whole.of(row));
        let chosen: Vec<&Sample> = rows
            .iter()
            .zip(samples)
            .enumerate()
            .filter(|(index, (row, _))| !inside(row) && fit::is_fitted_on(row, *index))
            .map(|(_, (_, sample))| sample)
            .collect();
        let fitted = fit::fit(&chosen, names, Some(start), 6);
        for ((row, sample), residual) in rows.iter().zip(samples).zip(&mut residuals) {
            if inside(row) {
                *residual = fit::predict(sample, names, &fitted) - sample.measured;
            }
        }
    }
    residuals
}
