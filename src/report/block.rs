//! The explanation of a line of the table: the message, the parts of the peak, time and cost, and every input with
//! its source.

use std::fmt::Write as _;

use super::{Entry, Style, columns, figures, printable, table};
use crate::job::keys;
use crate::judgement::{Advice, Cost, Goodput, Judgement, Memory, PriceSource, Time};

/// Appends the explanation of one entry.
pub(super) fn explain(text: &mut String, entry: &Entry, style: Style) {
    let judgement = &entry.judgement;
    let name = style.heading(&printable(entry.name.as_deref().unwrap_or("(no name)")));
    let kind = printable(&entry.kind);
    // Writing to a string does not fail.
    let _ = writeln!(text, "{name} ({kind}): {}", table::coloured(judgement.verdict, style));
    line(text, 2, &judgement.message);

    if let Some(memory) = &judgement.memory {
        explain_memory(text, memory, judgement.oom_probability);
    }
    if let Some(time) = &judgement.time {
        line(text, 2, &time_sentence(time, judgement.summary.accelerators));
    }
    let lasts = judgement.time.as_ref().is_some_and(|time| time.gpu_hours.is_some());
    if let Some(goodput) = judgement.goodput.as_ref().filter(|_| lasts) {
        line(text, 2, &goodput_sentence(goodput));
    }
    if let Some(deadline) = &judgement.deadline {
        line(text, 2, &format!("Deadline: {}", deadline.message));
    }
    if let Some(cost) = &judgement.cost {
        line(text, 2, &cost_sentence(cost));
    }
    list(text, "Would fit:", judgement.advice.iter().map(advised));
    // A single error is already the message above.
    let further = judgement.errors.iter().filter(|error| error.message != judgement.message);
    list(text, "Cannot be read:", further.map(|error| vec![error.message.clone()]));
    list(
        text,
        "Missing:",
        keys::of_fields(&judgement.missing).into_iter().map(|key| missing(judgement, key)),
    );
    list(text, "Warnings:", judgement.warnings.iter().map(|warning| vec![warning.clone()]));
    list(text, "Inputs:", inputs(judgement));
}

fn explain_memory(text: &mut String, memory: &Memory, oom_probability: Option<f64>) {
    let chance = oom_probability
        .map(|probability| format!("; it runs out with a probability of {}", figures::percent(probability)));
    line(
        text,
        2,
        &format!("Peak: {}, on {}{}", memory.instant, memory.worst_rank, chance.unwrap_or_default()),
    );
    let part = |name: &str, bytes: crate::units::Bytes| {
        vec![name.to_owned(), format!("{:>6.1} GiB", bytes.as_gib())]
    };
    let mut rows: Vec<_> =
        memory.components.iter().map(|part_of| part(part_of.name, part_of.bytes)).collect();
    rows.push(part("needed", memory.peak_bytes));
    columns::align(text, 4, &rows, |_, _, cell| cell.to_owned());
    line(
        text,
        2,
        &format!(
            "As torch counts: {} allocated, {} reserved; as nvidia-smi does: {}",
            memory.allocated_bytes, memory.reserved_bytes, memory.process_bytes
        ),
    );
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

fn advised(advice: &Advice) -> Vec<String> {
    let days = advice.days.map(|days| format!("{} days", figures::days(days)));
    [Some(advice.change.clone()), Some(advice.peak_bytes.to_string()), days].into_iter().flatten().collect()
}

/// The key of what is missing, and how much memory depends on it.
fn missing(judgement: &Judgement, key: &str) -> Vec<String> {
    let swing = judgement.swings.iter().find(|swing| keys::of_field(swing.field) == key);
    [Some(key.to_owned()), swing.map(ToString::to_string)].into_iter().flatten().collect()
}

fn inputs(judgement: &Judgement) -> impl Iterator<Item = Vec<String>> + '_ {
    judgement
        .inputs
        .iter()
        .map(|input| vec![input.field.to_string(), input.value.clone(), input.source.clone()])
}

fn list(text: &mut String, heading: &str, rows: impl Iterator<Item = Vec<String>>) {
    let rows: Vec<_> = rows.collect();
    if !rows.is_empty() {
        line(text, 2, heading);
        columns::align(text, 4, &rows, |_, _, cell| cell.to_owned());
    }
}

fn line(text: &mut String, indent: usize, content: &str) {
    if !content.is_empty() {
        text.push_str(&" ".repeat(indent));
        text.push_str(&printable(content));
        text.push('\n');
    }
}
