//! The parts of a page about one judged document. The report and the calculator show the same parts.

use std::fmt::Write as _;

use super::markup::{joined, list, section, table, text};
use super::{Sheet, bars};
use crate::judgement::{Advice, Judgement, Memory, Verdict};
use crate::report::{figures, missing, sentences};
use crate::units::Bytes;
use crate::verdict::Ends;

/// A row of stages for each is enough to read. More stages are named by their number.
const MOST_STAGES: usize = 32;

/// The badge of a verdict.
pub(super) fn badge(verdict: Verdict) -> String {
    format!("<strong class=\"verdict {}\">{}</strong>", colour(verdict), verdict.name())
}

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
    let chance = sentences::chance(judgement);
    let chance = chance.map(|chance| format!("<p>{}.{gate}</p>\n", capitalized(&chance)));
    let chance = chance.unwrap_or_else(|| {
        if gate.is_empty() { String::new() } else { format!("<p>{}</p>\n", gate.trim_start()) }
    });
    format!(
        "<p class=\"decision\"><strong class=\"verdict {}\">{}</strong> {}</p>\n{chance}",
        colour(verdict),
        verdict.name(),
        text(&sheet.form.told(&judgement.message)),
    )
}

/// The memory by component, against the card.
pub(super) fn memory(sheet: &Sheet<'_>) -> String {
    let judgement = &sheet.entry.judgement;
    let Some(memory) = &judgement.memory else { return String::new() };
    let accelerator = judgement.summary.accelerator_name.as_deref().unwrap_or("the accelerator");
    let scale = bars::scale_of(std::iter::once(memory).chain(&sheet.stages).map(Into::into));
    let mut content = bars::need(&memory.into(), scale, "per GPU", &format!("{accelerator} offers"));
    content.push_str(&components(&memory.into()));
    let lines = [
        Some(format!(
            "The fullest moment is “{}”, on {}. {}",
            memory.instant,
            memory.worst_rank,
            interval(&memory.into())
        )),
        bound(memory),
        Some(format!("{}.", sentences::tools(memory))),
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

/// The bound of all readings, where it is another figure than the lower end of the interval.
fn bound(memory: &Memory) -> Option<String> {
    let bound = memory.least_bytes.to_string();
    (bound != memory.lower_bytes.to_string()).then(|| {
        format!("The bound of all readings is {bound}: with every open field at its leanest, it needs at least that. A refusal rests on it.")
    })
}

/// The interval, which few jobs leave.
fn interval(need: &bars::Need<'_>) -> String {
    match need.ends {
        Ends { lower: Some(lower), upper: Some(upper) } => {
            format!("In nine of ten cases the need is between {lower} and {upper}.")
        }
        Ends { lower: Some(lower), upper: None } => format!(
            "In nine of ten cases the need is above {lower}. What is not stated leaves the upper end open."
        ),
        Ends { lower: None, upper: Some(upper) } => format!(
            "In nine of ten cases the need is below {upper}. What is not stated leaves the lower end open."
        ),
        Ends { lower: None, upper: None } => {
            "What is not stated leaves both ends of the need open.".to_owned()
        }
    }
}

/// The components as a table, which is the key of the colours.
pub(super) fn components(need: &bars::Need<'_>) -> String {
    let bars::Need { peak, offered, written: shown, .. } = need;
    let row = |(position, (name, bytes)): (usize, &bars::Part<'_>)| {
        let share = bytes.as_f64() / peak.as_f64().max(1.0) * 100.0;
        format!(
            "<tr><th scope=\"row\"><span class=\"key c{}\"></span>{}</th><td>{}</td><td>{share:.0} %</td></tr>\n",
            bars::colour(name, position),
            text(name),
            shown(*bytes),
        )
    };
    let mut rows = joined(need.parts.iter().enumerate().map(row));
    // Writing to a string does not fail.
    let _ = writeln!(
        rows,
        "<tr class=\"total\"><th scope=\"row\">needed</th><td>{}</td><td></td></tr>",
        shown(*peak)
    );
    if let Some(offered) = offered {
        let _ =
            writeln!(rows, "<tr><th scope=\"row\">offered</th><td>{}</td><td></td></tr>", shown(*offered));
    }
    format!("<table class=\"figures\"><tbody>\n{rows}</tbody></table>\n")
}

/// Parts of the need that change within a step.
const PASSING: &[&str] = &[
    "gradients",
    "activations",
    "layer working set",
    "logits",
    "communication buffers",
    "optimizer step",
    "fragmentation",
    "context and libraries",
];

/// The live tensors at each instant of a step, from its first to its last.
pub(super) fn instants(judgement: &Judgement) -> String {
    let Some(memory) = judgement.memory.as_ref().filter(|memory| memory.instants.len() > 1) else {
        return String::new();
    };
    let stay = memory.components.iter().filter(|part| !PASSING.contains(&part.name));
    let stays: Bytes = stay.map(|part| part.bytes).sum();
    let scale = bars::scale_of(std::iter::once(memory.into()));
    let rows = joined(memory.instants.iter().map(|instant| {
        let drawing = bars::instant(stays, instant.bytes, memory.capacity_bytes, scale, instant.name);
        format!(
            "<tr{}><th scope=\"row\">{}</th><td class=\"wide\">{drawing}</td><td>{}</td></tr>\n",
            if instant.name == memory.instant { " class=\"total\"" } else { "" },
            text(instant.name),
            instant.bytes,
        )
    }));
    let outside = memory.peak_bytes - memory.allocated_bytes;
    let grey = if stays > Bytes::ZERO { " The grey part stays: weights and optimizer states." } else { "" };
    let explained = format!(
        "Live tensors at the moments when memory can be fullest, in the order of a step.{grey} The card also holds {outside} \
         outside of tensors."
    );
    section(
        "Memory during a step",
        &format!(
            "<p>{}</p>\n<div class=\"scroll\"><table class=\"stages instants\"><tbody>\n{rows}</tbody></table></div>\n",
            text(&explained)
        ),
    )
}

/// Host memory, shared memory and disk, each against its limit.
pub(super) fn resources(sheet: &Sheet<'_>) -> String {
    let content = joined(sheet.entry.judgement.resources().map(|(name, resource)| {
        let need = bars::Need::from(resource);
        let scale = bars::scale_of(std::iter::once(need.clone()));
        let lines = resource.warnings.iter().cloned();
        let advice = resource.advice.iter().map(|line| format!("Would suffice: {line}"));
        format!(
            "<div class=\"resource\">\n<h4>{}</h4>\n<p>{} {}</p>\n{}{}{}</div>\n",
            text(&capitalized(name)),
            badge(resource.verdict),
            text(&sheet.form.told(&resource.message)),
            bars::need(&need, scale, "a pod", "allowed:"),
            components(&need),
            list(lines.chain(advice).map(|line| sheet.form.told(&line))),
        )
    }));
    section("Memory and disk of the pod", &content)
}

fn capitalized(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// The memory of each pipeline stage.
pub(super) fn stages(sheet: &Sheet<'_>) -> String {
    let memories = sheet.stages.iter().chain(&sheet.entry.judgement.memory);
    let scale = bars::scale_of(memories.map(Into::into));
    let shown = sheet.stages.iter().take(MOST_STAGES).enumerate();
    let mut rows = joined(shown.map(|(number, memory)| {
        format!(
            "<tr><th scope=\"row\">stage {number}</th><td class=\"wide\">{}</td><td>{}</td></tr>\n",
            bars::one_of_several(&memory.into(), scale, &memory.worst_rank),
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
pub(super) fn time(sheet: &Sheet<'_>) -> String {
    let judgement = &sheet.entry.judgement;
    let Some(time) = &judgement.time else { return String::new() };
    let target = judgement.job.target.as_ref().and_then(|target| target.days);
    let mut content = bars::days(time, target.map(crate::units::Decimal::as_f64)).unwrap_or_default();
    let lasts = time.gpu_hours.is_some();
    let lines = [
        Some(sentences::time(time, judgement.summary.accelerators)),
        sentences::no_amount(judgement).map(|line| sheet.form.told(&line)),
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
pub(super) fn doubts(sheet: &Sheet<'_>) -> String {
    let Sheet { entry, form, .. } = sheet;
    let judgement = &entry.judgement;
    let errors = judgement.errors.iter().map(|error| form.told(&error.message));
    let mut content = section("Cannot be read", &list(errors));
    let missing: Vec<_> = missing::lines(judgement, *form)
        .map(|line| [line, vec![String::new(); 3]].concat().into_iter().take(3).collect::<Vec<_>>())
        .collect();
    if !missing.is_empty() {
        let headings = [form.heading(), "memory that depends on it", "values"];
        content.push_str(&section("Missing", &table("plain lines", &headings, &missing)));
    }
    let warnings = judgement.warnings.iter().filter(|warning| !missing::tells(judgement, warning));
    content + &section("Warnings", &list(warnings.map(|warning| form.told(warning))))
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
