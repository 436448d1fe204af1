//! Predictions of rows that the coefficients were not fitted on: whole models, whole origins, whole accelerators.
//!
//! The groups of a hold-out are taken out one after the other, each with all its rows, the coefficients are fitted again
//! on what remains, and the rows of the group are predicted. Small groups are taken out together, as many at once as
//! make a twelfth of all origins' weight, so that it ends in reasonable time; none of them sees any of the others.

use std::collections::BTreeMap;

use super::fit::{self, Fitted, Names, Sample};
use super::rows::Row;

/// What is held out together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whole {
    Models,
    Origins,
    Accelerators,
}

impl Whole {
    fn of(self, row: &Row) -> &str {
        match self {
            Self::Models => row.model.split(" #").next().unwrap_or(&row.model),
            Self::Origins => &row.origin,
            Self::Accelerators => &row.accelerator.key,
        }
    }
}

/// ln predicted − ln measured of every row, each predicted without its group.
pub fn residuals(rows: &[Row], samples: &[Sample], names: &Names, start: &Fitted, whole: Whole) -> Vec<f64> {
    let mut weight: BTreeMap<&str, f64> = BTreeMap::new();
    for (index, (row, sample)) in rows.iter().zip(samples).enumerate() {
        let counted = if fit::is_fitted_on(row, index) { sample.weight } else { 0.0 };
        *weight.entry(whole.of(row)).or_default() += counted;
    }
    let all: f64 = weight.values().sum();
    let mut folds: Vec<(f64, Vec<&str>)> = Vec::new();
    for (group, weight) in &weight {
        let room = folds.iter_mut().find(|(taken, _)| taken + weight <= all / 12.0);
        match room {
            Some((taken, groups)) => {
                *taken += weight;
                groups.push(group);
            }
            None => folds.push((*weight, vec![group])),
        }
    }
    let mut residuals = vec![0.0; rows.len()];
    for (_, groups) in folds {
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
