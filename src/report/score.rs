//! The scores of measured runs, for the terminal and as JSON.

use super::Style;
use crate::score::{Report, tables};

/// The report as tables; a table without runs is left out.
pub fn score_table(report: &Report, style: Style) -> String {
    tables(report, |title| style.heading(title))
}

/// The report as JSON.
///
/// # Errors
/// Where a figure is no number, which arithmetic rules out.
pub fn score_json(report: &Report) -> serde_json::Result<String> {
    Ok(serde_json::to_string_pretty(report)? + "\n")
}
