//! The table that `check` prints: a line a judged document, and below it the explanation of each line, or one line about
//! each.

use super::columns::{self, Columns, Line};
use super::{Detail, Entry, Style, block, figures};
use crate::judgement::Verdict;

const COLUMNS: Columns<'_, 12> = Columns {
    headings: [
        "NAMESPACE",
        "NAME",
        "KIND",
        "MODEL",
        "GPUS",
        "ACCELERATOR",
        "PEAK",
        "OF",
        "VERDICT",
        "GATE",
        "DAYS",
        "GPU-HOURS",
    ],
    expendable: &["GPU-HOURS", "KIND", "DAYS", "MODEL", "NAMESPACE", "ACCELERATOR"],
    hidden: &[],
};

/// The entries that train, as a table with explanations. Empty if there are none.
pub fn table(entries: &[Entry], detail: Detail, style: Style) -> String {
    let entries: Vec<&Entry> = entries.iter().filter(|entry| entry.judgement.verdict.trains()).collect();
    // The namespace is a column where it tells two lines apart.
    let several =
        entries.iter().any(|entry| entry.namespace != entries.first().and_then(|e| e.namespace.clone()));
    let shown = if several { COLUMNS } else { Columns { hidden: &["NAMESPACE"], ..COLUMNS } };
    let mut text = columns::table(&shown, entries.iter().copied().map(line), style);
    let explained = match detail {
        Detail::Whole => true,
        Detail::Lines => false,
        Detail::ByNumber => entries.len() == 1,
    };
    if !explained && !entries.is_empty() {
        text.push('\n');
    }
    for entry in entries {
        if explained {
            text.push('\n');
            block::explain(&mut text, entry, style);
        } else {
            block::summarize(&mut text, entry, style);
        }
    }
    text
}

fn line(entry: &Entry) -> Line<12> {
    let judgement = &entry.judgement;
    let summary = &judgement.summary;
    let memory = judgement.memory.as_ref();
    let time = judgement.time.as_ref();
    let cells = [
        entry.namespace.clone(),
        entry.name.clone(),
        Some(entry.kind.clone()),
        summary.model.clone(),
        summary.accelerators.map(|count| count.to_string()),
        summary.accelerator.clone(),
        memory.map(|memory| figures::memory(memory.peak_bytes)),
        memory.and_then(|memory| memory.capacity_bytes).map(figures::memory),
        Some(judgement.verdict.name().to_owned()),
        entry.gate.map(|gate| gate.name().to_owned()),
        time.and_then(|time| time.days).map(figures::days),
        time.and_then(|time| time.gpu_hours).map(figures::count),
    ];
    Line { verdict: judgement.verdict, cells }
}

/// The verdict as it stands in a heading.
pub(super) fn coloured(verdict: Verdict, style: Style) -> String {
    style.verdict(verdict, verdict.name())
}
