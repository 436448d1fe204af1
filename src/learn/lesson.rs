//! A judgement in the light of the same job's history.
//!
//! | judged | it ran | it ran out |
//! | --- | --- | --- |
//! | `Fits` | unchanged | `OutOfMemory` if the policy refuses by history, else `Tight` |
//! | `Tight` | `Fits` if what it used leaves room, else unchanged | the same |
//! | `Unknown` | `Fits`, or `Tight` if it filled the accelerator | `OutOfMemory` if the policy refuses by history, else `Tight` |
//! | `OutOfMemory` | the same, and the estimate was wrong | unchanged |
//!
//! ```text
//! filled   observed peak + margin > capacity      margin: of the policy, 5 % by default
//! ```
//!
//! A process needs no more than the accelerator has in use, because its allocator also keeps memory that it could give back. So
//! what was observed narrows the interval of the need from above ([`narrowed`]), and never from below:
//!
//! ```text
//! upper = min(upper of the estimate, observed peak + margin)      lower = min(lower of the estimate, upper)
//! ```
//!
//! A job that ran is never refused for an [observed](crate::learn::observed) peak, which also holds what its allocator would
//! give back. Without an observed peak, or without a known capacity, it fits.
//!
//! The reason is then `RanBefore` or `RanOutBefore`, and the message tells the evidence and, after it, what the estimate
//! said. A malformed object, one that trains nothing or that is too large stays as it is. The message does not name the
//! earlier workload, because the sender of a request may not be allowed to list workloads.

use crate::judgement::{Judgement, Memory, Reason, Verdict};
use crate::learn::history::Lesson;
use crate::policy::{Observed, Policy};
use crate::units::Bytes;

/// A judgement after its history.
#[derive(Clone, Debug)]
pub struct Learned {
    /// The judgement.
    pub judgement: Judgement,
    /// Whether the history contradicts the estimate: it would have refused a job that ran.
    pub contradicted: bool,
}

/// The judgement of a job with this history, under the policy.
pub fn applied(judgement: Judgement, lesson: &Lesson, policy: &Policy) -> Learned {
    let unchanged = |judgement| Learned { judgement, contradicted: false };
    let is_closed = !judgement.verdict.trains()
        || !judgement.errors.is_empty()
        || matches!(judgement.reason, Reason::Malformed | Reason::TooLarge);
    if is_closed {
        return unchanged(judgement);
    }
    let said = if judgement.message.is_empty() {
        String::new()
    } else {
        format!(" (the estimate: {})", judgement.message)
    };
    match (judgement.verdict, lesson) {
        (Verdict::Unknown | Verdict::OutOfMemory, Lesson::Ran { runs, observed }) => {
            let contradicted = judgement.verdict == Verdict::OutOfMemory;
            let (verdict, used) = by_use(*observed, capacity(&judgement, policy), policy);
            Learned { judgement: ran(judgement, verdict, *runs, &used, &said), contradicted }
        }
        (Verdict::Tight, Lesson::Ran { runs, observed: Some(peak) }) => {
            match by_use(Some(*peak), capacity(&judgement, policy), policy) {
                (Verdict::Fits, used) => unchanged(ran(judgement, Verdict::Fits, *runs, &used, &said)),
                _ => unchanged(judgement),
            }
        }
        (Verdict::Fits | Verdict::Tight | Verdict::Unknown, Lesson::RanOut { at, reason }) => {
            let day = at.split('T').next().unwrap_or_default();
            let evidence = reason.as_deref().unwrap_or("out of memory");
            let verdict = if policy.history.refuses() { Verdict::OutOfMemory } else { Verdict::Tight };
            unchanged(Judgement {
                verdict,
                reason: Reason::RanOutBefore,
                message: format!("the same job ran out of memory on {day}: {evidence}{said}"),
                missing: Vec::new(),
                swings: Vec::new(),
                oom_probability: None,
                ..judgement
            })
        }
        _ => unchanged(judgement),
    }
}

/// The judgement of a job that ran so often, with what it used and what the estimate said.
fn ran(judgement: Judgement, verdict: Verdict, runs: usize, used: &str, said: &str) -> Judgement {
    let times = if runs == 1 { "once".to_owned() } else { format!("{runs} times") };
    Judgement {
        verdict,
        reason: Reason::RanBefore,
        message: format!("the same job ran to its end before, {times}{used}{said}"),
        missing: Vec::new(),
        swings: Vec::new(),
        oom_probability: None,
        ..judgement
    }
}

/// The interval of the need of a job that ran with this peak.
pub fn narrowed(memory: &Memory, observed: Bytes, policy: &Policy) -> (Bytes, Bytes) {
    let upper = memory.upper_bytes.min(Observed::with_margin(policy.observed.as_ref(), observed));
    (memory.lower_bytes.min(upper), upper)
}

/// What the accelerator of the job offers. A job that is not understood has no memory, and may have an accelerator.
fn capacity(judgement: &Judgement, policy: &Policy) -> Option<Bytes> {
    judgement.memory.as_ref().and_then(|memory| memory.capacity_bytes).or_else(|| {
        let accelerator = policy.catalogue.find(judgement.summary.accelerator.as_deref()?)?;
        Some(policy.rules.headroom.below(accelerator.usable()))
    })
}

/// The verdict for a job that ran, and what it used, in words.
fn by_use(observed: Option<Bytes>, capacity: Option<Bytes>, policy: &Policy) -> (Verdict, String) {
    match (observed, capacity) {
        (None, _) => (Verdict::Fits, String::new()),
        (Some(peak), None) => (Verdict::Fits, format!(", with {peak} per GPU in use")),
        (Some(peak), Some(capacity)) => {
            let fills = Observed::with_margin(policy.observed.as_ref(), peak) > capacity;
            let verdict = if fills { Verdict::Tight } else { Verdict::Fits };
            (verdict, format!(", with {peak} of {capacity} per GPU in use"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judgement::Memory;
    use crate::policy::History;

    fn policy(refuses: bool) -> Policy {
        let history = if refuses { History::Refuse } else { History::Admit };
        Policy { history, ..Policy::default() }
    }

    fn judged(verdict: Verdict, lesson: &Lesson, refuses: bool) -> Learned {
        let judgement = Judgement {
            message: "needs 97.4 GiB".into(),
            ..Judgement::without_figures(verdict, Reason::AboveCapacity)
        };
        applied(judgement, lesson, &policy(refuses))
    }

    #[test]
    fn the_history_decides_where_the_estimate_does_not_or_was_wrong() {
        use Verdict::{Fits, NotTraining, OutOfMemory, Tight, Unknown};
        let ran = Lesson::Ran { runs: 3, observed: None };
        let ran_out =
            Lesson::RanOut { at: "2026-01-02T03:04:05Z".into(), reason: Some("CUDA out of memory".into()) };
        for (verdict, lesson, refuses, expected, contradicted) in [
            (Fits, &ran, true, Fits, false),
            (Tight, &ran, true, Tight, false),
            (Unknown, &ran, true, Fits, false),
            (OutOfMemory, &ran, false, Fits, true),
            (NotTraining, &ran, true, NotTraining, false),
            (Fits, &ran_out, false, Tight, false),
            (Fits, &ran_out, true, OutOfMemory, false),
            (Unknown, &ran_out, false, Tight, false),
            (Unknown, &ran_out, true, OutOfMemory, false),
            (OutOfMemory, &ran_out, false, OutOfMemory, false),
            (NotTraining, &ran_out, true, NotTraining, false),
        ] {
            let learned = judged(verdict, lesson, refuses);
            let case = format!("{verdict:?} {lesson:?} {refuses}");
            assert_eq!((learned.judgement.verdict, learned.contradicted), (expected, contradicted), "{case}");
        }
        assert_eq!(
            judged(Fits, &ran_out, true).judgement.message,
            "the same job ran out of memory on 2026-01-02: CUDA out of memory (the estimate: needs 97.4 GiB)"
        );
        assert_eq!(
            judged(OutOfMemory, &ran, true).judgement.message,
            "the same job ran to its end before, 3 times (the estimate: needs 97.4 GiB)"
        );
    }

    #[test]
    fn a_job_that_ran_and_filled_the_accelerator_is_warned_about_and_never_refused() {
        let gib = Bytes::from_gib;
        let judged = |observed: Option<f64>, capacity: Option<f64>| {
            let memory = Memory { capacity_bytes: capacity.map(gib), ..Memory::default() };
            let judgement = Judgement {
                memory: Some(memory),
                ..Judgement::without_figures(Verdict::OutOfMemory, Reason::AboveCapacity)
            };
            let lesson = Lesson::Ran { runs: 1, observed: observed.map(gib) };
            let learned = applied(judgement, &lesson, &policy(true)).judgement;
            (learned.verdict, learned.message)
        };
        let ran = "the same job ran to its end before, once";
        for (observed, capacity, verdict, used) in [
            (None, Some(79.1), Verdict::Fits, ""),
            (Some(60.0), None, Verdict::Fits, ", with 60.0 GiB per GPU in use"),
            (Some(75.0), Some(79.1), Verdict::Fits, ", with 75.0 GiB of 79.1 GiB per GPU in use"),
            (Some(75.5), Some(79.1), Verdict::Tight, ", with 75.5 GiB of 79.1 GiB per GPU in use"),
            // On a smaller accelerator than before.
            (Some(75.5), Some(39.5), Verdict::Tight, ", with 75.5 GiB of 39.5 GiB per GPU in use"),
        ] {
            assert_eq!(judged(observed, capacity), (verdict, format!("{ran}{used}")));
        }
    }

    #[test]
    fn a_doubtful_job_fits_if_what_it_used_before_leaves_room() {
        let gib = Bytes::from_gib;
        for (observed, verdict) in [
            (Some(60.0), Verdict::Fits),
            (Some(75.0), Verdict::Fits),
            (Some(75.5), Verdict::Tight),
            (None, Verdict::Tight),
        ] {
            let memory = Memory { capacity_bytes: Some(gib(79.1)), ..Memory::default() };
            let judgement = Judgement {
                memory: Some(memory),
                ..Judgement::without_figures(Verdict::Tight, Reason::AboveCapacity)
            };
            let lesson = Lesson::Ran { runs: 2, observed: observed.map(gib) };
            let learned = applied(judgement, &lesson, &policy(true));
            assert_eq!((learned.judgement.verdict, learned.contradicted), (verdict, false), "{observed:?}");
        }
    }

    #[test]
    fn what_was_observed_narrows_the_interval_from_above_alone() {
        let gib = Bytes::from_gib;
        let memory = Memory { lower_bytes: gib(40.0), upper_bytes: gib(80.0), ..Memory::default() };
        let narrowed = |observed: f64| narrowed(&memory, gib(observed), &policy(true));
        assert_eq!(narrowed(60.0), (gib(40.0), gib(63.0)));
        assert_eq!(narrowed(90.0), (gib(40.0), gib(80.0)), "the allocator kept more than it needed");
        assert_eq!(narrowed(20.0), (gib(21.0), gib(21.0)), "the estimate was too high");
    }

    #[test]
    fn a_malformed_object_is_not_saved_by_its_history() {
        let malformed = Judgement::without_figures(Verdict::Unknown, Reason::Malformed);
        let learned = applied(malformed, &Lesson::Ran { runs: 1, observed: None }, &policy(true));
        assert_eq!(learned.judgement.reason, Reason::Malformed);
    }
}
