//! A table in Markdown, for a comment on a pull request. Below it stand the messages of the jobs that do not fit.

use std::fmt::Write as _;

use super::{Level, title};
use crate::report::{Entry, figures, printable};

/// The entries in Markdown. Empty if there are none.
pub fn markdown(entries: &[Entry]) -> String {
    let mut text = String::new();
    if entries.is_empty() {
        return text;
    }
    text.push_str("| job | model | GPUs | peak | of | verdict | gate | days | GPU-hours |\n");
    text.push_str("| --- | --- | ---: | ---: | ---: | --- | --- | ---: | ---: |\n");
    for entry in entries {
        let (summary, time) = (&entry.judgement.summary, entry.judgement.time.as_ref());
        let memory = entry.judgement.memory.as_ref();
        let gpus = summary.accelerators.map_or_else(|| "?".to_owned(), |count| count.to_string());
        let accelerator = summary.accelerator_name.as_deref().unwrap_or("?");
        let cells = [
            format!("{} {}", entry.kind, entry.name.as_deref().unwrap_or("(no name)")),
            summary.model.clone().unwrap_or_default(),
            format!("{gpus} × {accelerator}"),
            memory.map(|memory| memory.peak_bytes.to_string()).unwrap_or_default(),
            memory
                .and_then(|memory| memory.capacity_bytes)
                .map(|bytes| bytes.to_string())
                .unwrap_or_default(),
            entry.judgement.verdict.name().to_owned(),
            entry.gate.map(|gate| gate.name().to_owned()).unwrap_or_default(),
            time.and_then(|time| time.days).map(figures::days).unwrap_or_default(),
            time.and_then(|time| time.gpu_hours).map(figures::count).unwrap_or_default(),
        ];
        let cells: Vec<_> = cells.iter().map(|cell| escaped(cell)).collect();
        // Writing to a string does not fail.
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    for entry in entries.iter().filter(|entry| Level::of(entry, &|_| false) != Level::Note) {
        let _ = write!(text, "\n- **{}**: {}", escaped(&title(entry)), escaped(&entry.judgement.message));
    }
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

/// A text that cannot leave its cell, nor become markup.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for letter in printable(text).chars() {
        if matches!(letter, '|' | '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '#') {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}
