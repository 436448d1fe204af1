//! The number of accelerators of each type: a line each, and below it how it was rounded, or why there is none.

use serde::Serialize;

use super::columns::{self, Line};
use super::{Style, figures, printable};
use crate::judgement::Judgement;
use crate::plan::Planned;

const HEADINGS: [&str; 10] =
    ["NAME", "ACCELERATOR", "GPUS", "DAYS", "INTERVAL", "GPU-HOURS", "COST", "PEAK", "OF", "VERDICT"];

/// The plans of a named job.
#[derive(Debug)]
pub struct PlanEntry {
    /// The object's name, if it has one.
    pub name: Option<String>,
    /// The plan for one type of accelerator.
    pub planned: Planned,
}

/// The entries as a table with explanations. Empty if there are no entries.
pub fn plan_table(entries: &[PlanEntry], style: Style) -> String {
    if entries.is_empty() {
        return String::new();
    }
    let mut text = columns::table(HEADINGS, entries.iter().map(line), style);
    text.push('\n');
    for entry in entries {
        text.push_str(&printable(&explained(&entry.planned)));
        text.push('\n');
    }
    text
}

fn line(entry: &PlanEntry) -> Line<10> {
    let judgement = &entry.planned.judgement;
    let (time, memory) = (judgement.time.as_ref(), judgement.memory.as_ref());
    let range =
        time.and_then(|time| Some(figures::days(time.days_low?) + "–" + &figures::days(time.days_high?)));
    let cost = judgement.cost.as_ref();
    let cells = [
        entry.name.clone(),
        Some(entry.planned.accelerator.clone()),
        entry.planned.count.map(|count| count.usable.to_string()),
        time.and_then(|time| time.days).map(figures::days),
        range,
        time.and_then(|time| time.gpu_hours).map(figures::count),
        cost.map(|cost| format!("{}\u{a0}{}", figures::count(cost.total.as_f64()), cost.currency)),
        memory.map(|memory| figures::memory(memory.peak_bytes)),
        memory.and_then(|memory| memory.capacity_bytes).map(figures::memory),
        Some(judgement.verdict.name().to_owned()),
    ];
    Line { verdict: judgement.verdict, cells }
}

fn explained(planned: &Planned) -> String {
    let days = figures::days(planned.days);
    let name = &planned.accelerator;
    match (&planned.count, &planned.reason) {
        (Some(count), _) => {
            let even = if count.usable > count.whole {
                format!(", {} where they share the global batch evenly", count.usable)
            } else {
                String::new()
            };
            let (least, whole) = (count.least, count.whole);
            format!(
                "{name}: {days} days take {least} by arithmetic, {whole} in whole replicas and nodes{even}"
            )
        }
        (None, Some(reason)) => format!("{name}: in {days} days it cannot be planned: {reason}"),
        (None, None) => name.clone(),
    }
}

/// Every key is always present. A value that is not known is null.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Element<'a> {
    name: Option<&'a str>,
    accelerator: &'a str,
    target_days: f64,
    gpus: Option<u64>,
    gpus_by_arithmetic: Option<u64>,
    gpus_in_whole_replicas: Option<u64>,
    no_number: Option<&'a str>,
    #[serde(flatten)]
    judgement: &'a Judgement,
}

/// The entries as JSON, with a newline at the end.
///
/// # Errors
/// The serializer's error. A judgement holds nothing that JSON cannot.
pub fn plan_json(entries: &[PlanEntry]) -> serde_json::Result<String> {
    let element = |entry: &'_ PlanEntry| -> serde_json::Result<serde_json::Value> {
        let planned = &entry.planned;
        serde_json::to_value(Element {
            name: entry.name.as_deref(),
            accelerator: &planned.accelerator,
            target_days: planned.days,
            gpus: planned.count.map(|count| count.usable),
            gpus_by_arithmetic: planned.count.map(|count| count.least),
            gpus_in_whole_replicas: planned.count.map(|count| count.whole),
            no_number: planned.reason.as_deref(),
            judgement: &planned.judgement,
        })
    };
    let elements = entries.iter().map(element).collect::<serde_json::Result<Vec<_>>>()?;
    let mut text = serde_json::to_string_pretty(&elements)?;
    text.push('\n');
    Ok(text)
}
