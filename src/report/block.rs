//! The explanation of a line of the table: the message, the parts of the peak, time and cost, and every input with
//! its source.

use std::fmt::Write as _;

use super::{Entry, Style, columns, figures, missing, printable, table, width};
use crate::job::{Understood, keys};
use crate::judgement::{
    Advice, Component, Cost, Evidence, Goodput, Judgement, Memory, PriceSource, Resource, Time, Verdict,
};

/// Appends the explanation of one entry.
pub(super) fn explain(text: &mut String, entry: &Entry, style: Style) {
    let judgement = &entry.judgement;
    let mut block = Block { text, width: style.width };
    block.heading(entry, style);
    block.line(2, &judgement.message);
    block.line(2, entry.gate.map(super::Forecast::sentence).unwrap_or_default());
    if let Some(memory) = &judgement.memory {
        block.memory(memory, judgement.oom_probability);
    }
    for (name, resource) in judgement.resources() {
        block.resource(name, resource);
    }
    if let Some(evidence) = judgement.evidence {
        block.line(2, &format!("Evidence: {}", meaning(evidence)));
    }
    if let Some(time) = &judgement.time {
        block.line(2, &time_sentence(time, judgement.summary.accelerators));
    }
    let lasts = judgement.time.as_ref().is_some_and(|time| time.gpu_hours.is_some());
    if let Some(goodput) = judgement.goodput.as_ref().filter(|_| lasts) {
        block.line(2, &goodput_sentence(goodput));
    }
    if let Some(deadline) = &judgement.deadline {
        block.line(2, &format!("Deadline: {}", deadline.message));
    }
    if let Some(cost) = &judgement.cost {
        block.line(2, &cost_sentence(cost));
    }
    block.list("Would fit:", judgement.advice.iter().map(advised));
    // A single error is already the message above.
    let further = judgement.errors.iter().filter(|error| error.message != judgement.message);
    block.list("Cannot be read:", further.map(|error| vec![error.message.clone()]));
    block.list("Missing, and the line to add to the annotations:", missing::lines(judgement));
    let warnings = judgement.warnings.iter().filter(|warning| !missing::tells(judgement, warning));
    block.list("Warnings:", warnings.map(|warning| vec![warning.clone()]));
    if let Some(words) = &judgement.words {
        block.line(2, &words_sentence(words));
    }
    block.list("Inputs:", inputs(judgement));
}

/// Appends one line about an entry: its name, its verdict and its message.
pub(super) fn summarize(text: &mut String, entry: &Entry, style: Style) {
    let mut block = Block { text, width: style.width };
    block.heading(entry, style);
    block.line(2, &entry.judgement.message);
}

/// The text of an explanation, within a width.
struct Block<'a> {
    text: &'a mut String,
    width: Option<usize>,
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

    fn memory(&mut self, memory: &Memory, oom_probability: Option<f64>) {
        let chance = oom_probability.map(|probability| {
            format!("; it runs out with a probability of {}", figures::percent(probability))
        });
        let chance = chance.unwrap_or_default();
        self.line(2, &format!("Peak: {}, on {}{chance}", memory.instant, memory.worst_rank));
        let part = |name: &str, bytes: crate::units::Bytes| {
            vec![name.to_owned(), format!("{:>6.1} GiB", bytes.as_gib())]
        };
        let mut rows: Vec<_> =
            memory.components.iter().map(|part_of| part(part_of.name, part_of.bytes)).collect();
        rows.push(part("needed", memory.peak_bytes));
        columns::align(self.text, 4, &rows, |_, _, cell| cell.to_owned());
        if !memory.phases.is_empty() {
            let phase = |phase: &Component| format!("{} {}", phase.name, phase.bytes);
            let phases = memory.phases.iter().map(phase).collect::<Vec<_>>().join(", ");
            self.line(2, &format!("Phases on each GPU: {phases}; the higher one is needed"));
        }
        self.line(
            2,
            &format!(
                "Needed is what must be free. With room to spare PyTorch keeps more: nvidia-smi would show {}, torch {} \
                 allocated and {} reserved",
                memory.process_bytes, memory.allocated_bytes, memory.reserved_bytes
            ),
        );
    }

    /// A resource besides device memory. Host memory has at least a line, and others only if they may not suffice.
    fn resource(&mut self, name: &str, resource: &Resource) {
        let suffices =
            matches!(resource.verdict, Verdict::Fits | Verdict::Unknown) && resource.warnings.is_empty();
        let is_whole = name == "host memory";
        if suffices && (!is_whole || resource.components.is_empty()) {
            return;
        }
        let mut letters = name.chars();
        let first = letters.next().map(|first| first.to_ascii_uppercase()).into_iter();
        let heading: String = first.chain(letters).collect();
        let message = resource.message.replacen(&format!(" of {name}"), "", 1);
        self.line(2, &format!("{heading}: {message}"));
        let part = |part: &Component| vec![part.name.to_owned(), format!("{:>6.1} GiB", part.bytes.as_gib())];
        if matches!(resource.verdict, Verdict::OutOfMemory | Verdict::Tight) {
            let rows: Vec<_> = resource.components.iter().map(part).collect();
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
            self.text.push_str(&width::broken(&printable(content), indent, 2, self.width));
        }
    }
}

fn meaning(evidence: Evidence) -> &'static str {
    match evidence {
        Evidence::Checked => "checked, measurements cover jobs of this mode",
        Evidence::Derived => "derived from the framework's code, no two parties measured jobs of this mode",
        Evidence::Unchecked => "unchecked, so only its weights and optimizer states can refuse it",
    }
}

fn time_sentence(time: &Time, accelerators: Option<u64>) -> String {
    let interval = |low: Option<f64>, high: Option<f64>, show: fn(f64) -> String| match (low, high) {
        (Some(low), Some(high)) => format!(" ({}–{})", show(low), show(high)),
        _ => String::new(),
    };
    let days = time.days.map(|days| {
        let on = accelerators.map(|count| format!(" on {count} GPUs")).unwrap_or_default();
        format!("{} days{}{on}", figures::days(days), interval(time.days_low, time.days_high, figures::days))
    });
    let hours = time.gpu_hours.map(|hours| {
        let interval = interval(time.gpu_hours_low, time.gpu_hours_high, figures::count);
        format!("{} GPU-hours{interval}", figures::count(hours))
    });
    let step = time.step_seconds.map(|seconds| format!("{seconds:.2} s a step"));
    let speed = Some(format!(
        "{} tokens/s a GPU at {:.0} % MFU",
        figures::count(time.tokens_per_second_per_gpu),
        time.mfu * 100.0
    ));
    format!("Time: {}", [days, hours, step, speed].into_iter().flatten().collect::<Vec<_>>().join(", "))
}

fn goodput_sentence(goodput: &Goodput) -> String {
    let given = format!("Goodput: {} of the time is spent training", figures::share(goodput.share));
    let (Some(hours), Some(seconds)) = (goodput.hours_between_failures, goodput.checkpoint_interval_seconds)
    else {
        return given;
    };
    format!(
        "{given} ({}–{}, assumed): a failure every {}, a checkpoint every {}, and {} to load and save once",
        figures::share(goodput.share_low),
        figures::share(goodput.share_high),
        figures::span(hours * 3600.0),
        figures::span(seconds),
        figures::span(goodput.startup_seconds),
    )
}

fn cost_sentence(cost: &Cost) -> String {
    let whose = match cost.source {
        PriceSource::Given => "given",
        PriceSource::Policy => "the policy's price",
        PriceSource::Catalogue => "list price",
    };
    let as_of = cost.as_of.as_ref().map(|date| format!(" of {date}")).unwrap_or_default();
    let [total, low, high] =
        [cost.total, cost.total_low, cost.total_high].map(|total| figures::count(total.as_f64()));
    format!(
        "Cost: {total} {} ({low}–{high}) at {} a GPU-hour, {whose}{as_of}",
        cost.currency, cost.per_gpu_hour
    )
}

/// `Words: 31 read, 12 inert, 1 open (load_in_3bit → method, optimizer), 1 not known (color)`.
fn words_sentence(words: &Understood) -> String {
    let named = |names: Vec<String>, between: &str| match names.as_slice() {
        [] => String::new(),
        names => format!(" ({})", names.join(between)),
    };
    let opened = words.open.iter().map(|open| {
        let keys = keys::of_fields(&open.fields);
        format!("{} → {}", open.word, keys.join(", "))
    });
    let unknown = match words.unknown.as_slice() {
        [] => String::new(),
        unknown => format!(", {} not known{}", unknown.len(), named(unknown.to_vec(), ", ")),
    };
    let (read, inert, open) = (words.read, words.inert, words.open.len());
    format!("Words: {read} read, {inert} inert, {open} open{}{unknown}", named(opened.collect(), "; "))
}

fn advised(advice: &Advice) -> Vec<String> {
    let days = advice.days.map(|days| format!("{} days", figures::days(days)));
    [Some(advice.change.clone()), Some(advice.peak_bytes.to_string()), days].into_iter().flatten().collect()
}

fn inputs(judgement: &Judgement) -> impl Iterator<Item = Vec<String>> + '_ {
    judgement
        .inputs
        .iter()
        .map(|input| vec![input.field.to_string(), input.value.clone(), input.source.clone()])
}
