//! The table that `check` prints: a line a judged document, and below it the explanation of each line.

use super::columns::{self, Line};
use super::{Entry, Style, block, figures};
use crate::judgement::Verdict;

const HEADINGS: [&str; 10] =
    ["NAME", "KIND", "MODEL", "GPUS", "ACCELERATOR", "PEAK", "OF", "VERDICT", "DAYS", "GPU-HOURS"];

/// The entries that train, as a table with explanations. Empty if there are none.
pub fn table(entries: &[Entry], style: Style) -> String {
    let trains = || entries.iter().filter(|entry| entry.judgement.verdict.trains());
    let mut text = columns::table(HEADINGS, trains().map(line), style);
    for entry in trains() {
        text.push('\n');
        block::explain(&mut text, entry, style);
    }
    text
}

fn line(entry: &Entry) -> Line<10> {
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
    Line { verdict: judgement.verdict, cells }
}

/// The verdict as it stands in a heading.
pub(super) fn coloured(verdict: Verdict, style: Style) -> String {
    style.verdict(verdict, verdict.name())
}
