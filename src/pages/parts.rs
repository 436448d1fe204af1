//! The parts of a page about one judged document. The report and the calculator show the same parts.

use std::fmt::Write as _;

use super::markup::{joined, list, section, table, text};
use super::{Sheet, bars};
use crate::judgement::{Advice, Component, Judgement, Memory, Verdict};
use crate::report::{figures, missing, sentences};

/// A row of stages for each is enough to read. More stages are named by their number.
const MOST_STAGES: usize = 32;

/// The class of a verdict's colour.
pub(super) const fn colour(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Fits => "good",
        Verdict::Tight | Verdict::Unknown => "warn",
        Verdict::OutOfMemory => "bad",
        Verdict::NotTraining | Verdict::Unrecognised => "quiet",
    }
}

/// The verdict, the message and what the gate would do.
pub(super) fn decision(sheet: &Sheet<'_>) -> String {
    let judgement = &sheet.entry.judgement;
    let verdict = judgement.verdict;
    let gate = sheet.entry.gate.map(|gate| format!(" {}", gate.sentence())).unwrap_or_default();
    let chance = judgement.oom_probability.map(|probability| {
        format!("<p>It runs out with a probability of {}.{gate}</p>\n", figures::percent(probability))
    });
    let chance = chance.unwrap_or_else(|| {
        if gate.is_empty() { String::new() } else { format!("<p>{}</p>\n", gate.trim_start()) }
    });
    format!(
        "<p class=\"decision\"><strong class=\"verdict {}\">{}</strong> {}</p>\n{chance}",
        colour(verdict),
        verdict.name(),
        text(&judgement.message),
    )
}

/// The memory by component, against the card.
pub(super) fn memory(sheet: &Sheet<'_>) -> String {
    let judgement = &sheet.entry.judgement;
    let Some(memory) = &judgement.memory else { return String::new() };
    let accelerator = judgement.summary.accelerator_name.as_deref().unwrap_or("the accelerator");
    let scale = bars::memory_scale(std::iter::once(memory).chain(&sheet.stages));
    let mut content = bars::memory(memory, scale, accelerator);
    content.push_str(&components(memory));
    let lines = [
        Some(format!(
            "The fullest moment is “{}”, on {}. {}",
            memory.instant,
            memory.worst_rank,
            interval(memory)
        )),
        Some(format!(
            "Needed is what must be free. With room to spare PyTorch keeps more: nvidia-smi would show {}, torch {} \
             allocated and {} reserved.",
            memory.process_bytes, memory.allocated_bytes, memory.reserved_bytes
        )),
        (!memory.phases.is_empty()).then(|| {
            let phases: Vec<_> =
                memory.phases.iter().map(|phase| format!("{} {}", phase.name, phase.bytes)).collect();
            format!("Phases on each GPU: {}. The higher one is needed.", phases.join(", "))
        }),
        sentences::room(&judgement.room).map(|line| format!("{line}.")),
        judgement.evidence.map(|evidence| format!("Evidence: {}.", sentences::evidence(evidence))),
    ];
    content.extend(lines.into_iter().flatten().map(|line| format!("<p>{}</p>\n", text(&line))));
    section("Memory of each GPU", &content)
}

fn interval(memory: &Memory) -> String {
    let (lower, upper) = (memory.lower_bytes, memory.upper_bytes);
    if upper > memory.peak_bytes.max(memory.capacity_bytes.unwrap_or_default()).scale(2.0) {
        return format!(
            "In nine of ten cases the need is above {lower}. What is not stated leaves the upper end open."
        );
    }
    format!("In nine of ten cases the need is between {lower} and {upper}.")
}

fn components(memory: &Memory) -> String {
    let row = |(position, component): (usize, &Component)| {
        let share = component.bytes.as_f64() / memory.peak_bytes.as_f64().max(1.0) * 100.0;
        format!(
            "<tr><th scope=\"row\"><span class=\"key c{}\"></span>{}</th><td>{}</td><td>{share:.0} %</td></tr>\n",
            bars::colour(component.name, position),
            text(component.name),
            component.bytes,
        )
    };
    let mut rows = joined(memory.components.iter().enumerate().map(row));
    // Writing to a string does not fail.
    let _ = writeln!(
        rows,
        "<tr class=\"total\"><th scope=\"row\">needed</th><td>{}</td><td></td></tr>",
        memory.peak_bytes
    );
    if let Some(capacity) = memory.capacity_bytes {
        let _ = writeln!(rows, "<tr><th scope=\"row\">offered</th><td>{capacity}</td><td></td></tr>");
    }
    format!("<table class=\"figures\"><tbody>\n{rows}</tbody></table>\n")
}

/// The memory of each pipeline stage.
pub(super) fn stages(sheet: &Sheet<'_>) -> String {
    let scale = bars::memory_scale(sheet.stages.iter().chain(&sheet.entry.judgement.memory));
    let shown = sheet.stages.iter().take(MOST_STAGES).enumerate();
    let mut rows = joined(shown.map(|(number, memory)| {
        format!(
            "<tr><th scope=\"row\">stage {number}</th><td class=\"wide\">{}</td><td>{}</td></tr>\n",
            bars::stage(memory, scale),
            memory.peak_bytes
        )
    }));
    if rows.is_empty() {
        return rows;
    }
    rows = format!("<table class=\"stages\"><tbody>\n{rows}</tbody></table>\n");
    if sheet.stages.len() > MOST_STAGES {
        let more = sheet.stages.len() - MOST_STAGES;
        let _ = writeln!(rows, "<p>{more} further stages are not shown.</p>");
    }
    section("Memory by pipeline stage", &rows)
}

/// How long it takes, and what it costs.
pub(super) fn time(judgement: &Judgement) -> String {
    let Some(time) = &judgement.time else { return String::new() };
    let target = judgement.job.target.as_ref().and_then(|target| target.days);
    let mut content = bars::days(time, target.map(crate::units::Decimal::as_f64)).unwrap_or_default();
    let lasts = time.gpu_hours.is_some();
    let lines = [
        Some(sentences::time(time, judgement.summary.accelerators)),
        judgement.goodput.as_ref().filter(|_| lasts).map(sentences::goodput),
        judgement.deadline.as_ref().map(|deadline| format!("Deadline: {}", deadline.message)),
        judgement.cost.as_ref().map(sentences::cost),
    ];
    content.extend(lines.into_iter().flatten().map(|line| format!("<p>{}</p>\n", text(&line))));
    section("Time and cost", &content)
}

/// The changes that fit.
pub(super) fn alternatives(judgement: &Judgement) -> String {
    if judgement.advice.is_empty() {
        return String::new();
    }
    let days = |advice: &Advice| advice.days.map(figures::days).unwrap_or_default();
    let rows: Vec<Vec<String>> = judgement
        .advice
        .iter()
        .map(|advice| vec![advice.change.clone(), advice.peak_bytes.to_string(), days(advice)])
        .collect();
    section("What would fit", &table("plain", &["change", "needs", "days"], &rows))
}

/// What is missing, what is doubtful, and what cannot be read.
pub(super) fn doubts(judgement: &Judgement) -> String {
    let errors = judgement.errors.iter().map(|error| error.message.clone());
    let mut content = section("Cannot be read", &list(errors));
    let missing: Vec<_> = missing::lines(judgement)
        .map(|line| [line, vec![String::new(); 3]].concat().into_iter().take(3).collect::<Vec<_>>())
        .collect();
    if !missing.is_empty() {
        let headings = ["line to add to the annotations", "memory that depends on it", "values"];
        content.push_str(&section("Missing", &table("plain lines", &headings, &missing)));
    }
    let warnings = judgement.warnings.iter().filter(|warning| !missing::tells(judgement, warning));
    content + &section("Warnings", &list(warnings.cloned()))
}

/// Every value and its source.
pub(super) fn inputs(judgement: &Judgement) -> String {
    if judgement.inputs.is_empty() {
        return String::new();
    }
    let rows: Vec<Vec<String>> = judgement
        .inputs
        .iter()
        .map(|input| vec![input.field.to_string(), input.value.clone(), input.source.clone()])
        .collect();
    let mut content = table("plain", &["field", "value", "from"], &rows);
    if let Some(words) = &judgement.words {
        let _ = writeln!(content, "<p>{}</p>", text(&sentences::words(words)));
    }
    section("Where each input came from", &content)
}
