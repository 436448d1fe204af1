//! The table that `check` prints: a line a judged document, and below it what stands behind each line.

use super::{Entry, Style, block, columns, figures};
use crate::judgement::Verdict;

const HEADINGS: [&str; 10] =
    ["NAME", "KIND", "MODEL", "GPUS", "ACCELERATOR", "PEAK", "OF", "VERDICT", "DAYS", "GPU-HOURS"];
const VERDICT: usize = 7;

/// The entries as a table with explanations; nothing at all for no entries.
pub fn table(entries: &[Entry], style: Style) -> String {
    let mut text = String::new();
    if entries.is_empty() {
        return text;
    }
    let mut rows = vec![HEADINGS.map(str::to_owned).to_vec()];
    rows.extend(entries.iter().map(row));
    columns::align(&mut text, 0, &rows, |row, column, cell| {
        match row.checked_sub(1).and_then(|index| entries.get(index)) {
            None => style.heading(cell),
            Some(entry) if column == VERDICT => style.verdict(entry.judgement.verdict, cell),
            Some(_) => cell.to_owned(),
        }
    });
    for entry in entries {
        text.push('\n');
        block::explain(&mut text, entry, style);
    }
    text
}

fn row(entry: &Entry) -> Vec<String> {
    let judgement = &entry.judgement;
    let summary = &judgement.summary;
    let memory = judgement.memory.as_ref();
    let time = judgement.time.as_ref();
    let cells = [
        entry.name.clone(),
        Some(entry.kind.clone()),
        summary.model.clone(),
        summary.accelerators.map(|count| count.to_string()),
        summary.accelerator.clone(),
        memory.map(|memory| figures::memory(memory.peak_bytes)),
        memory.and_then(|memory| memory.capacity_bytes).map(figures::memory),
        Some(judgement.verdict.name().to_owned()),
        time.and_then(|time| time.days).map(figures::days),
        time.and_then(|time| time.gpu_hours).map(figures::count),
    ];
    // A word in every column, so that the line can be cut by spaces.
    cells.map(|cell| cell.filter(|text| !text.is_empty()).unwrap_or_else(|| "-".to_owned())).to_vec()
}

/// The verdict as a heading shows it.
pub(super) fn coloured(verdict: Verdict, style: Style) -> String {
    style.verdict(verdict, verdict.name())
}
