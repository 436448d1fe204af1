//! A judgement in the light of the same job's history.
//!
//! | judged | it ran | it ran out |
//! | --- | --- | --- |
//! | `Fits`, `Tight` | unchanged | `OutOfMemory` if the policy refuses by history, else `Tight` |
//! | `Unknown` | `Fits` | `OutOfMemory` if the policy refuses by history, else `Tight` |
//! | `OutOfMemory` | `Fits`, and the estimate was wrong | unchanged |
//!
//! The reason is then `RanBefore` or `RanOutBefore`, and the message tells the evidence and, after it, what the estimate
//! said. A malformed object, one that trains nothing or that is too large stays as it is. The message does not name the
//! earlier workload, because the sender of a request may not be allowed to list workloads.

use crate::judgement::{Judgement, Reason, Verdict};
use crate::learn::history::Lesson;

/// A judgement after its history.
#[derive(Clone, Debug)]
pub struct Learned {
    /// The judgement.
    pub judgement: Judgement,
    /// Whether the history contradicts the estimate: it would have refused a job that ran.
    pub contradicted: bool,
}

/// The judgement of a job with this history. `refuses` says whether the policy refuses by history.
pub fn applied(judgement: Judgement, lesson: &Lesson, refuses: bool) -> Learned {
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
        (Verdict::Unknown | Verdict::OutOfMemory, Lesson::Ran { runs }) => {
            let times = if *runs == 1 { "once".to_owned() } else { format!("{runs} times") };
            let contradicted = judgement.verdict == Verdict::OutOfMemory;
            let judgement = Judgement {
                verdict: Verdict::Fits,
                reason: Reason::RanBefore,
                message: format!("the same job ran to its end before, {times}{said}"),
                missing: Vec::new(),
                swings: Vec::new(),
                oom_probability: None,
                ..judgement
            };
            Learned { judgement, contradicted }
        }
        (Verdict::Fits | Verdict::Tight | Verdict::Unknown, Lesson::RanOut { at, reason }) => {
            let day = at.split('T').next().unwrap_or_default();
            let evidence = reason.as_deref().unwrap_or("out of memory");
            let verdict = if refuses { Verdict::OutOfMemory } else { Verdict::Tight };
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

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(verdict: Verdict, lesson: &Lesson, refuses: bool) -> Learned {
        let judgement = Judgement {
            message: "needs 97.4 GiB".into(),
            ..Judgement::without_figures(verdict, Reason::AboveCapacity)
        };
        applied(judgement, lesson, refuses)
    }

    #[test]
    fn the_history_decides_where_the_estimate_does_not_or_was_wrong() {
        use Verdict::{Fits, NotTraining, OutOfMemory, Tight, Unknown};
        let ran = Lesson::Ran { runs: 3 };
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
    fn a_malformed_object_is_not_saved_by_its_history() {
        let malformed = Judgement::without_figures(Verdict::Unknown, Reason::Malformed);
        let learned = applied(malformed, &Lesson::Ran { runs: 1 }, true);
        assert_eq!(learned.judgement.reason, Reason::Malformed);
    }
}
