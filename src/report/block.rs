//! The explanation of a line of the table: the message, the parts of the peak, time and cost, and every input with
//! its source.

use std::fmt::Write as _;

use super::{Entry, Form, Style, columns, missing, printable, sentences, table, width};
use crate::judgement::{Advice, Component, Judgement, Memory, Resource, Verdict};
use crate::units::{Bytes, span};

/// Appends the explanation of one entry.
pub(super) fn explain(text: &mut String, entry: &Entry, style: Style) {
    let judgement = &entry.judgement;
    let form = Form::of(entry);
    let mut block = Block { text, width: style.width, form };
    block.heading(entry, style);
    block.line(2, &judgement.message);
    block.line(2, entry.gate.map(super::Forecast::sentence).unwrap_or_default());
    if let Some(memory) = &judgement.memory {
        block.memory(memory, judgement);
    }
    block.line(2, &sentences::room(&judgement.room).unwrap_or_default());
    for (name, resource) in judgement.resources() {
        block.resource(name, resource);
    }
    if let Some(evidence) = judgement.evidence {
        block.line(2, &format!("Evidence: {}", sentences::evidence(evidence)));
    }
    if let Some(time) = &judgement.time {
        block.line(2, &sentences::time(time, judgement.summary.accelerators));
    }
    block.line(2, &sentences::no_amount(judgement).unwrap_or_default());
    let lasts = judgement.time.as_ref().is_some_and(|time| time.gpu_hours.is_some());
    if let Some(goodput) = judgement.goodput.as_ref().filter(|_| lasts) {
        block.line(2, &sentences::goodput(goodput));
    }
    if let Some(deadline) = &judgement.deadline {
        block.line(2, &format!("Deadline: {}", deadline.message));
    }
    if let Some(cost) = &judgement.cost {
        block.line(2, &sentences::cost(cost));
    }
    block.list("Would fit:", judgement.advice.iter().map(advised));
    // A single error is already the message above.
    let further = judgement.errors.iter().filter(|error| error.message != judgement.message);
    block.list("Cannot be read:", further.map(|error| vec![error.message.clone()]));
    block.list(&format!("Missing, and the {}:", form.heading()), missing::lines(judgement, form));
    let warnings = judgement.warnings.iter().filter(|warning| !missing::tells(judgement, warning));
    block.list("Warnings:", warnings.map(|warning| vec![warning.clone()]));
    if let Some(words) = &judgement.words {
        block.line(2, &sentences::words(words));
    }
    block.list("Inputs:", inputs(judgement));
}

/// Appends one line about an entry: its name, its verdict and its message.
pub(super) fn summarize(text: &mut String, entry: &Entry, style: Style) {
    let mut block = Block { text, width: style.width, form: Form::of(entry) };
    block.heading(entry, style);
    block.line(2, &entry.judgement.message);
}

/// The text of an explanation, within a width.
struct Block<'a> {
    text: &'a mut String,
    width: Option<usize>,
    form: Form,
}

impl Block<'_> {
    fn heading(&mut self, entry: &Entry, style: Style) {
        let name = style.heading(&printable(entry.name.as_deref().unwrap_or("(no name)")));
        let verdict = table::coloured(entry.judgement.verdict, style);
        let place = entry.place.as_ref().map(|place| format!(", {}", place.file)).unwrap_or_default();
        let namespace = entry.namespace.as_ref().map(|name| format!(" in {name}")).unwrap_or_default();
        let (kind, namespace, place) = (printable(&entry.kind), printable(&namespace), printable(&place));
        // Writing to a string does not fail.
        let _ = writeln!(self.text, "{name} ({kind}{namespace}{place}): {verdict}");
    }

    fn memory(&mut self, memory: &Memory, judgement: &Judgement) {
        let chance = sentences::chance(judgement).map(|chance| format!("; {chance}")).unwrap_or_default();
        self.line(2, &format!("Peak: {}, on {}{chance}", memory.instant, memory.worst_rank));
        let needed = Component { name: "needed", bytes: memory.peak_bytes };
        let rows: Vec<_> = part_rows(&memory.components).chain([part_row(&needed)]).collect();
        columns::align(self.text, 4, &rows, |_, _, cell| cell.to_owned());
        if !memory.phases.is_empty() {
            let phase = |phase: &Component| format!("{} {}", phase.name, phase.bytes);
            let phases = memory.phases.iter().map(phase).collect::<Vec<_>>().join(", ");
            self.line(2, &format!("Phases on each GPU: {phases}; the higher one is needed"));
        }
        self.line(2, &sentences::tools(memory));
    }

    /// A resource besides device memory. Host memory has at least a line, and others only if they may not suffice.
    fn resource(&mut self, name: &str, resource: &Resource) {
        let is_open = resource.verdict == Verdict::Unknown && resource.limit_bytes.is_none();
        let suffices = (resource.verdict == Verdict::Fits || is_open) && resource.warnings.is_empty();
        let is_whole = name == "host memory";
        if suffices && (!is_whole || resource.components.is_empty()) {
            return;
        }
        let mut letters = name.chars();
        let first = letters.next().map(|first| first.to_ascii_uppercase()).into_iter();
        let heading: String = first.chain(letters).collect();
        let message = resource.message.replacen(&format!(" of {name}"), "", 1);
        // The advice is listed below.
        let advised = resource.advice.first().map(|advice| format!("; {advice}")).unwrap_or_default();
        let message = message.strip_suffix(advised.as_str()).unwrap_or(&message);
        self.line(2, &format!("{heading}: {message}"));
        if matches!(resource.verdict, Verdict::OutOfMemory | Verdict::Tight) {
            let rows: Vec<_> = part_rows(&resource.components).collect();
            columns::align(self.text, 4, &rows, |_, _, cell| cell.to_owned());
        }
        for line in &resource.warnings {
            self.line(4, line);
        }
        self.list("Would help:", resource.advice.iter().map(|line| vec![line.clone()]));
    }

    fn list(&mut self, heading: &str, rows: impl Iterator<Item = Vec<String>>) {
        let rows: Vec<_> = rows.collect();
        if rows.is_empty() {
            return;
        }
        self.line(2, heading);
        if rows.iter().all(|row| row.len() == 1) {
            rows.iter().flatten().for_each(|cell| self.line(4, cell));
        } else {
            columns::within(self.text, 4, &rows, self.width);
        }
    }

    fn line(&mut self, indent: usize, content: &str) {
        if !content.is_empty() {
            let told = self.form.told(content);
            self.text.push_str(&width::broken(&printable(&told), indent, 2, self.width));
        }
    }
}

/// The rows of the parts. What would be shown as zero is left out.
fn part_rows(parts: &[Component]) -> impl Iterator<Item = Vec<String>> + '_ {
    parts.iter().filter(|part| part.bytes >= Bytes::from_mib(52)).map(part_row)
}

fn part_row(part: &Component) -> Vec<String> {
    vec![part.name.to_owned(), format!("{:>6.1} GiB", part.bytes.as_gib())]
}

fn advised(advice: &Advice) -> Vec<String> {
    let days = advice.days.map(span);
    [Some(advice.change.clone()), Some(advice.peak_bytes.to_string()), days].into_iter().flatten().collect()
}

fn inputs(judgement: &Judgement) -> impl Iterator<Item = Vec<String>> + '_ {
    judgement
        .inputs
        .iter()
        .map(|input| vec![input.field.to_string(), input.value.clone(), input.source.clone()])
}
