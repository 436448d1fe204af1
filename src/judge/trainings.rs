//! Several trainings of one object, and the part of the object that we did not read.
//!
//! ```text
//! need of the object = the highest of its trainings: they run one after the other, or each on its own accelerators
//! OutOfMemory > Unknown > Tight > Fits; of the same verdict the one that needs most decides
//! ```
//!
//! A training that a branch may start is never refused, unless all branches run out. If an object has a gap, only a
//! training that surely starts as we read it decides.

use std::cmp::Reverse;

use super::{Judge, shown};
use crate::frameworks::WHICH_BRANCH;
use crate::job::{Ask, Gap, field};
use crate::judgement::{Judgement, Reason, Verdict};
use crate::units::Bytes;
use crate::workload::Reading;

const ORDINALS: &[&str] = &[
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "eleventh",
    "twelfth",
    "thirteenth",
    "fourteenth",
    "fifteenth",
    "sixteenth",
];

/// The judgement of the worst of several trainings. `None` if there are no trainings.
pub(super) fn worst(mut readings: Vec<Reading>, judge: &Judge<'_>) -> Option<Judgement> {
    // Only the training that decides needs advice.
    let brief = Ask { advice: false, ..judge.ask.clone() };
    let briefly = Judge { ask: &brief, ..*judge };
    let alternatives = readings.iter().all(|reading| reading.alternative);
    let runs_out = |reading: &Reading| {
        let taken = Reading { perhaps: false, ..reading.clone() };
        briefly.judge(taken).verdict == Verdict::OutOfMemory
    };
    if alternatives && readings.iter().all(runs_out) {
        for reading in &mut readings {
            reading.perhaps = false;
        }
    }
    if readings.len() < 2 {
        return readings.pop().map(|reading| judge.judge(reading));
    }
    let judged = readings.iter().map(|reading| briefly.judge(reading.clone()));
    let ranks: Vec<_> = judged.map(|judgement| rank(&judgement)).collect();
    let number = readings.len();
    let (at, _) = ranks.iter().enumerate().max_by_key(|(at, rank)| (**rank, Reverse(*at)))?;
    let reading = readings.swap_remove(at);
    let place = shown::place(&reading, judge).map(|place| format!(" ({place})")).unwrap_or_default();
    let mut judgement = judge.judge(reading);
    let which = ORDINALS.get(at).copied().unwrap_or("last");
    // If all branches fit, it does not matter which one the script takes.
    if !(alternatives && judgement.verdict == Verdict::Fits) {
        let may_be = if alternatives { "may be" } else { "are" };
        judgement
            .warnings
            .insert(0, format!("{number} training commands {may_be} started; the {which} decides{place}"));
    }
    Some(judgement)
}

fn rank(judgement: &Judgement) -> (u8, Bytes) {
    let verdict = match judgement.verdict {
        Verdict::NotTraining | Verdict::Unrecognised => 0,
        Verdict::Fits => 1,
        Verdict::Tight => 2,
        Verdict::Unknown => 3,
        Verdict::OutOfMemory => 4,
    };
    (verdict, judgement.memory.as_ref().map_or(Bytes::ZERO, |memory| memory.peak_bytes))
}

/// The judgement of a training that may not be started.
pub(super) fn in_a_branch(judgement: Judgement) -> Judgement {
    if judgement.verdict != Verdict::OutOfMemory {
        return judgement;
    }
    let message = format!("{WHICH_BRANCH}: one of them {}", judgement.message);
    let missing = vec![field::model::NAME.into()];
    Judgement { message, missing, ..undecided(judgement, Reason::Unsupported) }
}

/// The judgement of an object that we did not read to its end.
pub(super) fn with_gap(mut judgement: Judgement, gap: &Gap, told: &str, certain: bool) -> Judgement {
    let decided = !judgement.errors.is_empty() || (certain && judgement.verdict == Verdict::OutOfMemory);
    if decided {
        judgement.warnings.insert(0, told.to_owned());
        return judgement;
    }
    let message = match &judgement.memory {
        Some(_) => format!("{told}; what is read {}", judgement.message),
        None => told.to_owned(),
    };
    Judgement { message, ..undecided(judgement, reason(gap)) }
}

fn undecided(judgement: Judgement, reason: Reason) -> Judgement {
    Judgement { verdict: Verdict::Unknown, reason, oom_probability: None, advice: Vec::new(), ..judgement }
}

/// The reason of an object with a gap.
const fn reason(gap: &Gap) -> Reason {
    match gap {
        Gap::Absent(_) => Reason::ReferenceNotFound,
        _ => Reason::NotReadToEnd,
    }
}
