//! The tables of a report, as text: each figure by source, the gate's decisions, and the reliability of the probabilities.

use std::fmt::Write as _;

use super::{Area, Bin, Gate, Group, Report};
use crate::printable::printable;

/// The report as tables, with their titles made by `heading`. A table without runs is left out.
pub fn tables(report: &Report, heading: impl Fn(&str) -> String) -> String {
    let mut text = String::new();
    let figures = [
        ("Memory per GPU", &report.memory),
        ("Tokens a second and GPU", &report.tokens_per_second_per_gpu),
        ("GPU-hours", &report.gpu_hours),
    ];
    for (title, groups) in figures {
        let headings = ["SOURCE", "RUNS", "MEDIAN", "P95", "BIAS", "WORST-UNDER", "COVERED", "WIDTH"];
        section(&mut text, title, &headings, groups.iter().map(accuracy), &heading);
    }
    let headings = [
        "SOURCE", "RAN", "REFUSED", "WARNED", "UNKNOWN", "RAN-OUT", "REFUSED", "WARNED", "UNKNOWN", "CLEAR",
        "REFUSED",
    ];
    section(&mut text, "The gate", &headings, report.gate.iter().map(gate), &heading);
    let headings = ["P(OOM)", "RUNS", "PREDICTED", "RAN-OUT"];
    section(&mut text, "Reliability", &headings, report.reliability.iter().map(bin), &heading);
    if let Some(Area { area, low, high, pairs }) = report.area {
        let _ = writeln!(
            text,
            "\nArea under the curve, by source and accelerator: {area:.3} ({low:.3}–{high:.3}), {pairs} pairs"
        );
    }
    text
}

fn section(
    text: &mut String,
    title: &str,
    headings: &[&str],
    lines: impl Iterator<Item = Vec<String>>,
    heading: &dyn Fn(&str) -> String,
) {
    let mut rows = vec![headings.iter().map(|heading| (*heading).to_owned()).collect::<Vec<_>>()];
    rows.extend(lines);
    if rows.len() == 1 {
        return;
    }
    let gap = if text.is_empty() { "" } else { "\n" };
    let _ = writeln!(text, "{gap}{}", heading(title));
    align(text, &rows);
}

fn accuracy(group: &Group) -> Vec<String> {
    vec![
        group.source.clone(),
        group.runs.to_string(),
        percent(group.median),
        percent(group.p95),
        percent(group.bias),
        percent(group.worst_under),
        group.covered.map_or_else(|| "-".to_owned(), percent),
        group.width.map_or_else(|| "-".to_owned(), percent),
    ]
}

fn gate(gate: &Gate) -> Vec<String> {
    let counts = [
        gate.fits,
        gate.fits_refused,
        gate.fits_warned,
        gate.fits_unknown,
        gate.ooms,
        gate.ooms_refused,
        gate.ooms_warned,
        gate.ooms_unknown,
        gate.clear_ooms,
        gate.clear_ooms_refused,
    ];
    std::iter::once(gate.source.clone()).chain(counts.iter().map(ToString::to_string)).collect()
}

fn bin(bin: &Bin) -> Vec<String> {
    let range = format!("{:.2}–{:.2}", bin.from, bin.to);
    vec![range, bin.runs.to_string(), predicted(bin.predicted), percent(bin.ran_out)]
}

/// A predicted share. An estimate is never certain.
fn predicted(share: f64) -> String {
    match share {
        share if share < 0.0005 => "<0.1%".to_owned(),
        share if share >= 0.9995 => ">99.9%".to_owned(),
        share => percent(share),
    }
}

fn percent(share: f64) -> String {
    format!("{:.1}%", share * 100.0)
}

/// Lines of cells, each column as wide as its widest cell.
fn align(text: &mut String, rows: &[Vec<String>]) {
    const LONGEST: usize = 80;
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| printable(cell, LONGEST)).collect()).collect();
    let mut widths: Vec<usize> = Vec::new();
    for row in &rows {
        widths.resize(widths.len().max(row.len()), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for row in &rows {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        // Writing to a string does not fail.
        let _ = writeln!(text, "{}", cells.join("  ").trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prediction_is_never_a_certainty() {
        assert_eq!([0.0, 0.002, 0.5, 1.0].map(predicted), ["<0.1%", "0.2%", "50.0%", ">99.9%"]);
    }
}
