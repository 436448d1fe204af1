//! The accuracy of the calibrated constants on models and sources from which they were not taken.
//!
//! Every constant of `data/calibration.toml` that moves a figure is fitted again without the rows of one model, and
//! without those of one source ([`super::constants`]). Then the excluded rows are scored with it. If no other source has
//! such a row, the entry for any framework applies, as for a job of a new source without this entry.

use std::collections::BTreeSet;

use super::constants::{Constant, Fitting, Linear, evaluate, fitting, refit};
use super::shown::{Shown, show};
use super::statistics::{median, quantile};

/// The group of a row, for rows that are excluded together.
type Key = fn(&Linear) -> String;

/// The smallest number of rows for a meaningful error, and the largest allowed median.
const ENOUGH: usize = 20;
const MEDIAN_AT_MOST: f64 = 0.07;

/// A table's cell for a set of errors: the median and the 95 % quantile of their absolute values, their bias, and the
/// standard deviation of a 90 % interval of that width, in percent.
fn summary(errors: &[f64]) -> String {
    let sizes: Vec<f64> = errors.iter().map(|e| e.abs()).collect();
    if errors.is_empty() {
        return "-".to_owned();
    }
    format!(
        "{:>5.1} {:>5.1} {:>+6.1} {:>4.1}",
        100.0 * median(&sizes),
        100.0 * quantile(&sizes, 0.95),
        100.0 * median(errors),
        100.0 * quantile(&sizes, 0.90) / 1.645
    )
}

/// The errors of every group of `key`, with the constants `free` fitted on the other groups.
fn left_out(rows: &[&Linear], constants: &[Constant], free: &[usize], key: Key) -> Vec<f64> {
    let groups: BTreeSet<String> = rows.iter().map(|row| key(row)).collect();
    let mut errors = Vec::new();
    for group in groups {
        let (own, rest): (Vec<&Linear>, Vec<&Linear>) = rows.iter().partition(|row| key(row) == group);
        if !rest.is_empty() {
            let values = refit(&rest, constants, free);
            errors.extend(own.iter().map(|row| evaluate(row, constants, &values) / row.measured - 1.0));
        }
    }
    errors
}

#[test]
fn the_constants_hold_where_they_were_not_measured() {
    let mut shown = Shown::new("unseen-constants");
    let Fitting { constants, rows } = fitting();
    show!(
        shown,
        "\n{:<50}{:>4}{:>4}{:>4}{:>9}{:>9}{:>25}{:>25}{:>25}{:>25}",
        "constant",
        "n",
        "src",
        "mod",
        "value",
        "refit",
        "in sample",
        "model left out",
        "source left out",
        "without the entry"
    );
    let source: Key = |row| row.source.clone();
    let model: Key = |row| row.model.clone();
    for (k, constant) in constants.iter().enumerate() {
        let moved: Vec<&Linear> = rows.iter().filter(|row| row.slopes[k] > 0.0).collect();
        let count = |key: Key| moved.iter().map(|r| key(r)).collect::<BTreeSet<_>>().len();
        // The constants of one entry are fitted together.
        let same = |other: &Constant| other.table == constant.table && other.entry == constant.entry;
        let free: Vec<usize> = (0..constants.len()).filter(|other| same(&constants[*other])).collect();
        let now: Vec<f64> = moved.iter().map(|row| row.estimated / row.measured - 1.0).collect();
        let unseen = left_out(&moved, constants, &free, model);
        let elsewhere: Vec<f64> =
            moved.iter().map(|r| r.elsewhere[k] / r.measured - 1.0).filter(|e| e.is_finite()).collect();
        show!(
            shown,
            "{:<50}{:>4}{:>4}{:>4}{:>9.2}{:>9.2}{:>25}{:>25}{:>25}{:>25}",
            constant.label,
            moved.len(),
            count(source),
            count(model),
            constant.value,
            refit(&moved, constants, &free)[k],
            summary(&now),
            summary(&unseen),
            summary(&left_out(&moved, constants, &free, source)),
            summary(&elsewhere),
        );
        if unseen.len() >= ENOUGH {
            let sizes: Vec<f64> = unseen.iter().map(|e| e.abs()).collect();
            assert!(median(&sizes) <= MEDIAN_AT_MOST, "{}: {}", constant.label, summary(&unseen));
        }
    }
    shown.end();
}
