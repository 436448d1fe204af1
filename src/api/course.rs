//! The course of a workload: when it should be done while it runs, and how far reality departed once it has ended.
//!
//! ```text
//! expected completion = start + predicted time        the interval's ends alike
//! departure           = (end − start) / predicted time
//! ```
//!
//! How long it has been running is never told: that changes every second, and a status that is written every second is
//! a burden. What was predicted is what this very status says. A workload that failed has no departure, and nothing is
//! expected of it any more.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::status::{Circumstances, milli, seconds};
use super::v1alpha1::ProgressStatus;
use crate::judgement::Judgement;

/// The moments of a workload.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Course {
    pub(super) expected: Option<Timestamp>,
    pub(super) earliest: Option<Timestamp>,
    pub(super) latest: Option<Timestamp>,
    pub(super) progress: Option<ProgressStatus>,
}

impl Course {
    pub(super) fn of(judgement: &Judgement, circumstances: &Circumstances) -> Self {
        let time = judgement.time.as_ref();
        let start = circumstances.start;
        let failed = circumstances.end.is_some_and(|end| !end.succeeded);
        let after = |days: Option<f64>| {
            let whole = seconds(days?);
            start.filter(|_| !failed)?.checked_add(SignedDuration::from_secs(whole)).ok()
        };
        let predicted = time.and_then(|time| time.days).map(seconds);
        Self {
            expected: after(time.and_then(|time| time.days)),
            earliest: after(time.and_then(|time| time.days_low)),
            latest: after(time.and_then(|time| time.days_high)),
            progress: progress(circumstances, predicted),
        }
    }
}

fn progress(circumstances: &Circumstances, predicted: Option<i64>) -> Option<ProgressStatus> {
    let end = circumstances.end?;
    let actual = circumstances.start.zip(end.at).map(|(start, end)| end.duration_since(start).as_secs());
    let actual = actual.filter(|seconds| end.succeeded && *seconds >= 0);
    let departure = actual.zip(predicted.filter(|seconds| *seconds > 0));
    Some(ProgressStatus {
        outcome: if end.succeeded { "Succeeded" } else { "Failed" }.to_owned(),
        completion_time: end.at.map(Time),
        actual_seconds: actual,
        departure_milli: departure.map(|(actual, predicted)| milli(actual as f64 / predicted as f64)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::status::Ended;
    use crate::judgement::{self, Reason, Verdict};

    const DAY: i64 = 86_400;

    fn course(end: Option<(bool, i64)>) -> Course {
        let time = judgement::Time {
            days: Some(10.0),
            days_low: Some(8.0),
            days_high: Some(13.0),
            ..judgement::Time::default()
        };
        let judgement = Judgement {
            time: Some(time),
            ..Judgement::without_figures(Verdict::Fits, Reason::BelowCapacity)
        };
        let at = |second| Timestamp::from_second(second).ok();
        let end = end.map(|(succeeded, second)| Ended { succeeded, at: at(second) });
        Course::of(&judgement, &Circumstances { start: at(0), end, ..Circumstances::default() })
    }

    #[test]
    fn what_runs_should_be_done_at_the_predicted_moment() {
        let course = course(None);
        let moments = [course.earliest, course.expected, course.latest];
        assert_eq!(moments.map(|at| at.unwrap().as_second()), [8 * DAY, 10 * DAY, 13 * DAY]);
        assert_eq!(course.progress, None);
    }

    #[test]
    fn what_has_ended_is_compared_with_what_was_predicted() {
        let progress = course(Some((true, 12 * DAY))).progress.unwrap();
        assert_eq!((progress.actual_seconds, progress.departure_milli), (Some(12 * DAY), Some(1200)));
        assert_eq!(progress.outcome, "Succeeded");
    }

    #[test]
    fn of_what_failed_nothing_is_expected_or_compared() {
        let course = course(Some((false, DAY)));
        assert_eq!(course.expected, None);
        let progress = course.progress.unwrap();
        assert_eq!((progress.outcome.as_str(), progress.departure_milli), ("Failed", None));
    }

    #[test]
    fn an_end_before_the_start_is_no_time() {
        assert_eq!(course(Some((true, -5))).progress.unwrap().actual_seconds, None);
    }
}
