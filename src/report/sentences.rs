//! The sentences of a report about time, cost, evidence and words: the same on the terminal and on pages.

use super::figures;
use crate::job::keys::PREFIX;
use crate::job::{Understood, field, keys};
use crate::judgement::{Cost, Evidence, Goodput, Judgement, Memory, PriceSource, Room, Time};
use crate::units::{gpus, span, span_within};
use crate::verdict::Distribution;

/// The class of evidence, in words.
pub(crate) fn evidence(evidence: Evidence) -> &'static str {
    match evidence {
        Evidence::Checked => "checked, measurements cover jobs of this mode",
        Evidence::Derived => "derived from the framework's code, no two parties measured jobs of this mode",
        Evidence::Unchecked => "unchecked, so only arithmetic can refuse it",
    }
}

/// The chance of running out, in words. Where the open fields decide it, one reading does, and its share is no measured
/// frequency ([`crate::verdict`]).
pub(crate) fn chance(judgement: &Judgement) -> Option<String> {
    let share = judgement.oom_probability?;
    let is_near = |weight: f64| !judgement.missing.is_empty() && (share - weight).abs() < 0.005;
    let [lean, _, heavy] = Distribution::WEIGHTS;
    Some(if is_near(heavy) {
        format!(
            "it runs out only if all that is open is at its heaviest, counted as {}",
            figures::percent(heavy)
        )
    } else if is_near(1.0 - lean) {
        format!("it fits only if all that is open is at its leanest, counted as {}", figures::percent(lean))
    } else {
        format!("it runs out with a probability of {}", figures::percent(share))
    })
}

/// What the tools of a running job would show, in one line. Only what differs from the need is explained.
pub(crate) fn tools(memory: &Memory) -> String {
    let shown = memory.process_bytes.to_string();
    let differs = shown != memory.peak_bytes.to_string();
    let why = if differs { ", because PyTorch keeps freed memory until it is needed" } else { "" };
    let (allocated, reserved) = (memory.allocated_bytes, memory.reserved_bytes);
    format!(
        "Tools: nvidia-smi would show {shown}{why}; torch would report {allocated} allocated, {reserved} reserved"
    )
}

/// How long the job takes, in one line.
pub(crate) fn time(time: &Time, accelerators: Option<u64>) -> String {
    let days = time.days.map(|days| {
        let on = accelerators.map(|count| format!(" on {}", gpus(count))).unwrap_or_default();
        let span = match (time.days_low, time.days_high) {
            (Some(low), Some(high)) => span_within(low, days, high),
            _ => span(days),
        };
        span + &on
    });
    let hours = time.gpu_hours.map(|hours| {
        let count = figures::count;
        let interval = match (time.gpu_hours_low, time.gpu_hours_high) {
            (Some(low), Some(high)) => format!(" ({}–{})", count(low), count(high)),
            _ => String::new(),
        };
        format!("{} GPU-hours{interval}", count(hours))
    });
    let step = time.step_seconds.map(|seconds| format!("{seconds:.2} s a step"));
    let speed = Some(format!(
        "{} tokens/s a GPU at {:.0} % MFU",
        figures::count(time.tokens_per_second_per_gpu),
        time.mfu * 100.0
    ));
    format!("Time: {}", [days, hours, step, speed].into_iter().flatten().collect::<Vec<_>>().join(", "))
}

/// What a job lacks whose time is known by the step alone, though it says how often it passes its data.
pub(crate) fn no_amount(judgement: &Judgement) -> Option<String> {
    let time = judgement.time.as_ref().filter(|time| time.gpu_hours.is_none())?;
    let epochs = judgement.job.dataset.as_ref()?.epochs.filter(|_| time.days.is_none())?;
    let s = if epochs == 1 { "" } else { "s" };
    let key = keys::of_field(field::dataset::TOKENS);
    Some(format!("Days: the tokens of {epochs} epoch{s} are not known: add {PREFIX}{key} to see the days"))
}

/// The share of the time that is spent training, in one line.
pub(crate) fn goodput(goodput: &Goodput) -> String {
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

/// The cost, in one line.
pub(crate) fn cost(cost: &Cost) -> String {
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

/// How far the job can grow, in one line. None if it cannot, or if that was not asked for.
pub(crate) fn room(room: &[Room]) -> Option<String> {
    let parts = room.iter().map(|room| format!("{} {} ({})", room.key, room.at_most, room.peak_bytes));
    let parts: Vec<_> = parts.collect();
    (!parts.is_empty()).then(|| format!("Room: it would also fit with {}", parts.join(", or with ")))
}

/// `Options: 31 read, 12 without effect on memory, 1 that leaves fields open (load_in_3bit → method, optimizer), 1 not known (color)`.
/// What there is none of is left out.
pub(crate) fn words(words: &Understood) -> String {
    let named = |names: Vec<String>, between: &str| match names.as_slice() {
        [] => String::new(),
        names => format!(" ({})", names.join(between)),
    };
    let opened = words.open.iter().map(|open| {
        let keys = keys::of_fields(&open.fields);
        format!("{} → {}", open.word, keys.join(", "))
    });
    let leaving = if words.open.len() == 1 { "that leaves" } else { "that leave" };
    let parts = [
        (words.read, "read".to_owned()),
        (words.inert, "without effect on memory".to_owned()),
        (words.open.len(), format!("{leaving} fields open{}", named(opened.collect(), "; "))),
        (words.unknown.len(), format!("not known{}", named(words.unknown.clone(), ", "))),
    ];
    let parts =
        parts.iter().filter(|(number, _)| *number > 0).map(|(number, what)| format!("{number} {what}"));
    format!("Options: {}", parts.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::entries;
    use crate::units::Bytes;

    #[test]
    fn a_chance_that_rests_on_one_reading_says_so() {
        let mut judgement = entries().swap_remove(0).judgement;
        let missing = vec![field::RECOMPUTE.into()];
        for (share, missing, expected) in [
            (
                0.15,
                missing.clone(),
                "it runs out only if all that is open is at its heaviest, counted as 15 %",
            ),
            (0.75, missing.clone(), "it fits only if all that is open is at its leanest, counted as 25 %"),
            (0.75, Vec::new(), "it runs out with a probability of 75 %"),
            (0.4, missing, "it runs out with a probability of 40 %"),
        ] {
            (judgement.oom_probability, judgement.missing) = (Some(share), missing);
            assert_eq!(chance(&judgement).as_deref(), Some(expected));
        }
    }

    #[test]
    fn only_a_figure_that_differs_from_the_need_is_explained() {
        let mut memory = entries().swap_remove(0).judgement.memory.unwrap();
        assert_eq!(
            tools(&memory),
            "Tools: nvidia-smi would show 101.2 GiB, because PyTorch keeps freed memory until it is needed; \
             torch would report 94.0 GiB allocated, 99.0 GiB reserved"
        );
        memory.process_bytes = memory.peak_bytes;
        assert!(
            tools(&memory).starts_with("Tools: nvidia-smi would show 96.4 GiB; torch"),
            "{}",
            tools(&memory)
        );
    }

    #[test]
    fn epochs_alone_give_no_days_and_the_line_says_what_does() {
        let mut judgement = entries().swap_remove(0).judgement;
        assert_eq!(no_amount(&judgement), None);
        judgement.job.dataset.get_or_insert_default().epochs = Some(3);
        judgement.time = judgement.time.map(|time| Time { days: None, gpu_hours: None, ..time });
        assert_eq!(
            no_amount(&judgement).as_deref(),
            Some("Days: the tokens of 3 epochs are not known: add weighbridge.dev/tokens to see the days")
        );
    }

    #[test]
    fn a_job_that_cannot_grow_has_no_line_about_it() {
        let grown = |key, at_most| Room { key, at_most, peak_bytes: Bytes::from_gib(61.0) };
        assert_eq!(room(&[]), None);
        assert_eq!(
            room(&[grown("micro-batch-size", 4), grown("sequence-length", 8192)]).as_deref(),
            Some(
                "Room: it would also fit with micro-batch-size 4 (61.0 GiB), or with sequence-length 8192 (61.0 GiB)"
            )
        );
    }
}
