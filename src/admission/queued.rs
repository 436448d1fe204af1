//! The answer of the admission check about a job to which a queue has assigned accelerators.
//!
//! ```text
//! runs out on what was assigned, and the gate would refuse it     Retry if the queue may assign what does, else Rejected
//! everything else                                                 Ready
//! pauses before it is tried again: 1, 2 and 4 min, then it is Rejected
//! ```
//!
//! A Rejected workload is deactivated for good. On Retry the queue assigns anew after a pause. It takes the first flavor with room,
//! which may be the same one again, and Kueue 0.17 keeps the quota during the pause. So the number of pauses is bounded, and the
//! message names the node selector that leaves only the larger flavor. A queue may also start fewer pods than the job asks for, if
//! the job allows it. If it fits with all of them, it is tried again too.
//!
//! A queue evicts a workload that has started if one of its checks is not Ready, and a check may be added to a queue at any time.
//! A job that has started shows by itself whether it fits. So its check is Ready. So is that of a job that cannot be judged, and
//! the message says so.
//!
//! Pauses and bound are the defaults of Kueue's own check of provisioning requests: sigs.k8s.io/kueue v0.17.0,
//! `apis/kueue/v1beta2/provisioningrequestconfig_types.go`.

use std::collections::BTreeMap;

use super::message::{LINE, one_line, refusal};
use crate::judgement::{Judgement, Verdict};
use crate::printable::printable;

/// The pauses before a workload is tried again, in minutes.
const PAUSES: [u32; 3] = [1, 2, 4];
/// The most labels of a flavor that a message names.
const LABELS: usize = 3;

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
    /// What the queue may assign instead, with which the job is not refused.
    pub elsewhere: Option<&'a Elsewhere>,
    /// How often the workload was tried again. None if the queue does not count this.
    pub retries: Option<u32>,
    /// Whether the workload has started.
    pub started: bool,
    /// Whether the gate would refuse the job: the namespace enforces, and nothing exempts the job.
    pub refuses: bool,
}

/// What was not assigned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Elsewhere {
    /// Another flavor.
    Flavor {
        /// Its name.
        name: String,
        /// The labels of its nodes that the assigned nodes do not have.
        labels: BTreeMap<String, String>,
    },
    /// All pods that the job asks for.
    AllPods,
}

impl Elsewhere {
    /// What may do, and how to get it.
    fn remedy(&self) -> (String, Option<String>) {
        match self {
            Self::Flavor { name, labels } => {
                let name = printable(name, 64);
                let labels = labels.iter().take(LABELS);
                let labels: Vec<String> = labels
                    .map(|(key, value)| format!("{}: {}", printable(key, 64), printable(value, 64)))
                    .collect();
                let selector =
                    || format!("a job with the nodeSelector {{{}}} gets only {name}", labels.join(", "));
                (format!("flavor {name} may do"), (!labels.is_empty()).then(selector))
            }
            Self::AllPods => {
                let remedy = "a higher kueue.x-k8s.io/job-min-parallelism prevents this".to_owned();
                ("all its pods may do".to_owned(), Some(remedy))
            }
        }
    }
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
    /// Whether the job fits on what was assigned. None if it was not judged.
    pub fits: Option<bool>,
}

impl Answer {
    /// The answer about a job.
    pub fn of(case: &Case<'_>) -> Self {
        let Case { subject, judgement, elsewhere, refuses, started, .. } = *case;
        match judgement.verdict {
            Verdict::OutOfMemory if started => {
                Self::new(State::Ready, case, "; admitted, because it has started")
            }
            Verdict::OutOfMemory if refuses => match elsewhere {
                Some(elsewhere) => Self::again(case, elsewhere),
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
        Self { state: State::Ready, message: one_line(why, LINE), requeue_after: None, fits: None }
    }

    /// The answer if the queue may assign what does.
    fn again(case: &Case<'_>, elsewhere: &Elsewhere) -> Self {
        let (other, remedy) = elsewhere.remedy();
        let remedy = remedy.map(|remedy| format!("; {remedy}")).unwrap_or_default();
        let pause = case.retries.and_then(|retries| PAUSES.get(usize::try_from(retries).ok()?));
        let Some(minutes) = pause else {
            return Self::new(State::Rejected, case, &format!("; {other}, and was not assigned{remedy}"));
        };
        let plural = if *minutes == 1 { "" } else { "s" };
        let why = format!("; {other}, and the queue chooses again in {minutes} minute{plural}{remedy}");
        Self { requeue_after: Some(minutes * 60), ..Self::new(State::Retry, case, &why) }
    }

    fn new(state: State, case: &Case<'_>, end: &str) -> Self {
        let flavors: Vec<String> = case.flavors.iter().map(|flavor| printable(flavor, 64)).collect();
        let on = match flavors.as_slice() {
            [] => String::new(),
            [one] => format!(" (flavor {one})"),
            several => format!(" (flavors {})", several.join(", ")),
        };
        let message = format!("{}{on}{end}", refusal(case.subject, case.judgement));
        let fits = Some(case.judgement.verdict != Verdict::OutOfMemory);
        Self { state, message: one_line(&message, 2 * LINE), requeue_after: None, fits }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judgement::Reason;

    fn h100() -> Elsewhere {
        let labels =
            BTreeMap::from([("nvidia.com/gpu.product".to_owned(), "NVIDIA-H100-80GB-HBM3".to_owned())]);
        Elsewhere::Flavor { name: "h100".into(), labels }
    }

    const NO_CHANGE: fn(&mut Case<'_>) = |_| {};

    fn answer(
        verdict: Verdict,
        elsewhere: Option<&Elsewhere>,
        retries: Option<u32>,
        change: fn(&mut Case<'_>),
    ) -> String {
        let judgement = Judgement {
            message: "needs 97.4 GiB per GPU, a T4-16GB offers 14.6 GiB".into(),
            ..Judgement::without_figures(verdict, Reason::AboveCapacity)
        };
        let mut case = Case {
            subject: "job/a",
            judgement: &judgement,
            flavors: &["t4"],
            elsewhere,
            retries,
            started: false,
            refuses: true,
        };
        change(&mut case);
        let answer = Answer::of(&case);
        let pause = answer.requeue_after.map(|seconds| format!(", after {seconds} s")).unwrap_or_default();
        format!("{}{pause}: {}", answer.state.name(), answer.message)
    }

    #[test]
    fn only_a_job_that_would_run_out_where_the_gate_refuses_is_not_ready() {
        let out = Verdict::OutOfMemory;
        let of = |verdict| answer(verdict, None, Some(0), NO_CHANGE);
        let mut lines = vec![of(out), answer(out, None, Some(0), |case| case.refuses = false)];
        let others =
            [Verdict::Fits, Verdict::Tight, Verdict::Unknown, Verdict::NotTraining, Verdict::Unrecognised];
        lines.extend(others.map(of));
        insta::assert_snapshot!(lines.join("\n"), @r"
        Rejected: job/a needs 97.4 GiB per GPU, a T4-16GB offers 14.6 GiB (flavor t4)
        Ready: job/a needs 97.4 GiB per GPU, a T4-16GB offers 14.6 GiB (flavor t4); admitted, because its namespace does not enforce or it is exempt
        Ready: job/a needs 97.4 GiB per GPU, a T4-16GB offers 14.6 GiB (flavor t4)
        Ready: job/a needs 97.4 GiB per GPU, a T4-16GB offers 14.6 GiB (flavor t4)
        Ready: job/a cannot be judged, so it is not refused: needs 97.4 GiB per GPU, a T4-16GB offers 14.6 GiB
        Ready: job/a: no training is recognised, so it is not judged
        Ready: job/a: no training is recognised, so it is not judged
        ");
    }

    #[test]
    fn a_job_that_another_flavor_may_hold_is_tried_again_and_the_message_says_how_to_get_that_flavor() {
        let labelled = h100();
        let bare = Elsewhere::Flavor { name: "h100".into(), labels: BTreeMap::new() };
        let out = Verdict::OutOfMemory;
        let mut lines: Vec<String> = [&bare, &Elsewhere::AllPods]
            .map(|elsewhere| answer(out, Some(elsewhere), Some(0), NO_CHANGE))
            .into();
        lines.extend(
            [Some(0), Some(2), Some(3), Some(u32::MAX), None]
                .map(|retries| answer(out, Some(&labelled), retries, NO_CHANGE)),
        );
        lines.push(answer(out, Some(&labelled), Some(0), |case| case.refuses = false));
        insta::assert_snapshot!(lines.join("\n"), @r"
        Retry, after 60 s: job/a needs 97.4 GiB per GPU, a T4-16GB offers 14.6 GiB (flavor t4); flavor h100 may do, and the queue chooses again in 1 minute
        Retry, after 60 s: job/a needs 97.4 GiB per GPU, a T4-16GB offers 14.6 GiB (flavor t4); all its pods may do, and the queue chooses again in 1 minute; a higher kueue.x-k8s.io/job-min-parallelism prevents this
        Retry, after 60 s: job/a needs 97.4 GiB per GPU, a T4-16GB offers 14.6 GiB (flavor t4); flavor h100 may do, and the queue chooses again in 1 minute; a job with the nodeSelector {nvidia.com/gpu.product: NVIDIA-H100-80GB-HBM3} gets only h100
        Retry, after 240 s: job/a needs 97.4 GiB per GPU, a T4-16GB offers 14.6 GiB (flavor t4); flavor h100 may do, and the queue chooses again in 4 minutes; a job with the nodeSelector {nvidia.com/gpu.product: NVIDIA-H100-80GB-HBM3} gets only h100
        Rejected: job/a needs 97.4 GiB per GPU, a T4-16GB offers 14.6 GiB (flavor t4); flavor h100 may do, and was not assigned; a job with the nodeSelector {nvidia.com/gpu.product: NVIDIA-H100-80GB-HBM3} gets only h100
        Rejected: job/a needs 97.4 GiB per GPU, a T4-16GB offers 14.6 GiB (flavor t4); flavor h100 may do, and was not assigned; a job with the nodeSelector {nvidia.com/gpu.product: NVIDIA-H100-80GB-HBM3} gets only h100
        Rejected: job/a needs 97.4 GiB per GPU, a T4-16GB offers 14.6 GiB (flavor t4); flavor h100 may do, and was not assigned; a job with the nodeSelector {nvidia.com/gpu.product: NVIDIA-H100-80GB-HBM3} gets only h100
        Ready: job/a needs 97.4 GiB per GPU, a T4-16GB offers 14.6 GiB (flavor t4); admitted, because its namespace does not enforce or it is exempt
        ");
    }

    #[test]
    fn a_job_that_has_started_is_never_stopped() {
        let labelled = h100();
        let lines = [None, Some(&labelled)]
            .map(|elsewhere| answer(Verdict::OutOfMemory, elsewhere, Some(0), |case| case.started = true));
        insta::assert_snapshot!(lines.join("\n"), @r"
        Ready: job/a needs 97.4 GiB per GPU, a T4-16GB offers 14.6 GiB (flavor t4); admitted, because it has started
        Ready: job/a needs 97.4 GiB per GPU, a T4-16GB offers 14.6 GiB (flavor t4); admitted, because it has started
        ");
    }

    #[test]
    fn a_message_is_one_line_without_control_characters() {
        let answer = Answer::not_judged("a\nb\u{1b}[31m");
        assert_eq!((answer.message.as_str(), answer.fits), ("a b [31m", None));
    }
}
