//! The course of a workload: its expected end while it runs, and after its end the departure from the prediction.
//!
//! ```text
//! expected completion = start + predicted time        (the same for both ends of the interval)
//! departure           = (end − start) / predicted time
//! ```
//!
//! The time that it has run so far is not recorded: it changes every second, and a status that is written every
//! second is a burden. The prediction is that of the same status. A workload that failed has no departure and no
//! expected end.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::status::{Circumstances, milli, seconds};
use super::v1alpha1::ProgressStatus;
use crate::judgement::Judgement;

/// The times of a workload.
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
    fn a_running_workload_has_an_expected_end() {
        let course = course(None);
        let moments = [course.earliest, course.expected, course.latest];
        assert_eq!(moments.map(|at| at.unwrap().as_second()), [8 * DAY, 10 * DAY, 13 * DAY]);
        assert_eq!(course.progress, None);
    }

    #[test]
    fn a_finished_workload_is_compared_with_its_prediction() {
        let progress = course(Some((true, 12 * DAY))).progress.unwrap();
        assert_eq!((progress.actual_seconds, progress.departure_milli), (Some(12 * DAY), Some(1200)));
        assert_eq!(progress.outcome, "Succeeded");
    }

    #[test]
    fn a_failed_workload_has_no_expected_end_and_no_departure() {
        let course = course(Some((false, DAY)));
        assert_eq!(course.expected, None);
        let progress = course.progress.unwrap();
        assert_eq!((progress.outcome.as_str(), progress.departure_milli), ("Failed", None));
    }

    #[test]
    fn an_end_before_the_start_gives_no_time() {
        assert_eq!(course(Some((true, -5))).progress.unwrap().actual_seconds, None);
    }
}
