//! The scores of measured runs: a table of each figure by source, what the gate did, and its reliability.

use std::fmt::Write as _;

use super::{Style, columns};
use crate::score::{Bin, Gate, Group, Report};

/// The report as tables; a table without runs is left out.
pub fn score_table(report: &Report, style: Style) -> String {
    let mut text = String::new();
    let figures = [
        ("Memory per GPU", &report.memory),
        ("Tokens a second and GPU", &report.tokens_per_second_per_gpu),
        ("GPU-hours", &report.gpu_hours),
    ];
    for (title, groups) in figures {
        let headings = ["SOURCE", "RUNS", "MEDIAN", "P95", "BIAS", "WORST-UNDER", "COVERED"];
        section(&mut text, title, &headings, groups.iter().map(accuracy), style);
    }
    let headings =
        ["SOURCE", "RAN", "REFUSED", "WARNED", "UNKNOWN", "RAN-OUT", "REFUSED", "WARNED", "UNKNOWN"];
    section(&mut text, "The gate", &headings, report.gate.iter().map(gate), style);
    let headings = ["P(OOM)", "RUNS", "PREDICTED", "RAN-OUT"];
    section(&mut text, "Reliability", &headings, report.reliability.iter().map(bin), style);
    text
}

/// The report as JSON.
///
/// # Errors
/// Where a figure is no number, which arithmetic rules out.
pub fn score_json(report: &Report) -> serde_json::Result<String> {
    Ok(serde_json::to_string_pretty(report)? + "\n")
}

fn section(
    text: &mut String,
    title: &str,
    headings: &[&str],
    lines: impl Iterator<Item = Vec<String>>,
    style: Style,
) {
    let mut rows = vec![headings.iter().map(|heading| (*heading).to_owned()).collect::<Vec<_>>()];
    rows.extend(lines);
    if rows.len() == 1 {
        return;
    }
    let gap = if text.is_empty() { "" } else { "\n" };
    let _ = writeln!(text, "{gap}{}", style.heading(title));
    columns::align(text, 0, &rows, |_, _, cell| cell.to_owned());
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
    ];
    std::iter::once(gate.source.clone()).chain(counts.iter().map(ToString::to_string)).collect()
}

fn bin(bin: &Bin) -> Vec<String> {
    let range = format!("{:.2}–{:.2}", bin.from, bin.to);
    vec![range, bin.runs.to_string(), percent(bin.predicted), percent(bin.ran_out)]
}

fn percent(share: f64) -> String {
    format!("{:.1}%", share * 100.0)
}
