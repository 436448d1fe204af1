//! The answer of the admission check about a job to which a queue has assigned accelerators.
//!
//! ```text
//! runs out on what was assigned, and the gate would refuse it     Rejected, or Retry if another flavor may do
//! everything else                                                 Ready
//! ```
//!
//! A Rejected workload is deactivated for good, so a job is rejected only if every flavor that the queue has for it is too
//! small. On Retry the queue takes the quota back, and assigns anew after a pause: the larger flavor may be free then. A job
//! that cannot be judged is Ready, and the message says so.

use super::message::{LINE, one_line, refusal};
use crate::judgement::{Judgement, Verdict};
use crate::printable::printable;

/// The pause before a workload is tried again, in seconds.
const PAUSE: u32 = 300;

/// The state of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The workload may start.
    Ready,
    /// The queue assigns anew after a pause.
    Retry,
    /// The workload never starts.
    Rejected,
}

impl State {
    /// Kueue's word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Retry => "Retry",
            Self::Rejected => "Rejected",
        }
    }
}

/// The input of an answer.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// The job as messages name it: `pytorchjob/llama2-70b`.
    pub subject: &'a str,
    /// The judgement on the assigned nodes.
    pub judgement: &'a Judgement,
    /// The assigned flavors of accelerators.
    pub flavors: &'a [&'a str],
    /// Another flavor of the queue on which the job is not refused.
    pub elsewhere: Option<&'a str>,
    /// Whether the gate would refuse the job: the namespace enforces, and nothing exempts the job.
    pub refuses: bool,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The state.
    pub state: State,
    /// Why, in one line.
    pub message: String,
    /// When to try again, in seconds.
    pub requeue_after: Option<u32>,
    /// Whether the job was judged.
    pub judged: bool,
}

impl Answer {
    /// The answer about a job.
    pub fn of(case: &Case<'_>) -> Self {
        let Case { subject, judgement, elsewhere, refuses, .. } = *case;
        match judgement.verdict {
            Verdict::OutOfMemory if refuses => match elsewhere {
                Some(flavor) => {
                    let flavor = printable(flavor, 64);
                    let minutes = PAUSE / 60;
                    let why = format!("; flavor {flavor} may do, so it is tried again in {minutes} minutes");
                    Self { requeue_after: Some(PAUSE), ..Self::new(State::Retry, case, &why) }
                }
                None => Self::new(State::Rejected, case, ""),
            },
            Verdict::OutOfMemory => Self::new(
                State::Ready,
                case,
                "; admitted, because its namespace does not enforce or it is exempt",
            ),
            Verdict::Fits | Verdict::Tight => Self::new(State::Ready, case, ""),
            Verdict::Unknown => {
                let why = format!("{subject} cannot be judged, so it is not refused: {}", judgement.message);
                Self::not_judged(&why)
            }
            Verdict::NotTraining | Verdict::Unrecognised => {
                Self::not_judged(&format!("{subject}: no training is recognised, so it is not judged"))
            }
        }
    }

    /// The answer about a job that could not be judged.
    pub fn not_judged(why: &str) -> Self {
        Self { state: State::Ready, message: one_line(why, LINE), requeue_after: None, judged: false }
    }

    fn new(state: State, case: &Case<'_>, end: &str) -> Self {
        let flavors: Vec<String> = case.flavors.iter().map(|flavor| printable(flavor, 64)).collect();
        let on = match flavors.as_slice() {
            [] => String::new(),
            [one] => format!(" (flavor {one})"),
            several => format!(" (flavors {})", several.join(", ")),
        };
        let message = format!("{}{on}{end}", refusal(case.subject, case.judgement));
        Self { state, message: one_line(&message, 2 * LINE), requeue_after: None, judged: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judgement::Reason;

    fn answer(verdict: Verdict, elsewhere: Option<&str>, refuses: bool) -> String {
        let judgement = Judgement {
            message: "needs 97.4 GiB per GPU, a T4-16GB offers 14.6 GiB".into(),
            ..Judgement::without_figures(verdict, Reason::AboveCapacity)
        };
        let case = Case { subject: "job/a", judgement: &judgement, flavors: &["t4"], elsewhere, refuses };
        let answer = Answer::of(&case);
        let pause = answer.requeue_after.map(|seconds| format!(", after {seconds} s")).unwrap_or_default();
        format!("{}{pause}: {}", answer.state.name(), answer.message)
    }

    #[test]
    fn only_a_job_that_would_run_out_where_the_gate_refuses_is_not_ready() {
        let out = Verdict::OutOfMemory;
        let mut lines = vec![answer(out, None, true), answer(out, Some("a100"), true)];
        lines.extend([answer(out, None, false), answer(out, Some("a100"), false)]);
        let others =
            [Verdict::Fits, Verdict::Tight, Verdict::Unknown, Verdict::NotTraining, Verdict::Unrecognised];
        lines.extend(others.map(|verdict| answer(verdict, None, true)));
        insta::assert_snapshot!(lines.join("\n"), @r"
        Rejected: job/a needs 97.4 GiB per GPU, a T4-16GB offers 14.6 GiB (flavor t4)
        Retry, after 300 s: job/a needs 97.4 GiB per GPU, a T4-16GB offers 14.6 GiB (flavor t4); flavor a100 may do, so it is tried again in 5 minutes
        Ready: job/a needs 97.4 GiB per GPU, a T4-16GB offers 14.6 GiB (flavor t4); admitted, because its namespace does not enforce or it is exempt
        Ready: job/a needs 97.4 GiB per GPU, a T4-16GB offers 14.6 GiB (flavor t4); admitted, because its namespace does not enforce or it is exempt
        Ready: job/a needs 97.4 GiB per GPU, a T4-16GB offers 14.6 GiB (flavor t4)
        Ready: job/a needs 97.4 GiB per GPU, a T4-16GB offers 14.6 GiB (flavor t4)
        Ready: job/a cannot be judged, so it is not refused: needs 97.4 GiB per GPU, a T4-16GB offers 14.6 GiB
        Ready: job/a: no training is recognised, so it is not judged
        Ready: job/a: no training is recognised, so it is not judged
        ");
    }

    #[test]
    fn a_message_is_one_line_without_control_characters() {
        let answer = Answer::not_judged("a\nb\u{1b}[31m");
        assert_eq!((answer.message.as_str(), answer.judged), ("a b [31m", false));
    }
}
