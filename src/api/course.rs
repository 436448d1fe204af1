//! The course of a workload: how long it has run, its expected end, and after its end the departure from the prediction.
//!
//! ```text
//! running seconds     = Σ over its ended periods of running (end − start)
//! expected completion = start of the present period + predicted time − running seconds   (also for the interval's ends)
//! expected completion = time of the report + remaining seconds                           (if the training reports them)
//! departure           = running seconds / predicted time                                 (after a success)
//! ```
//!
//! A period begins when the pods run, by the workload's status or else when this is first seen, and ends when they are
//! suspended or when the workload ends. The seconds of the present period are not recorded: they change every second,
//! and a status that is written every second is a burden. The prediction is that of the same status. A workload that
//! failed has no departure, and one that does not run has no expected end.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::status::{milli, seconds, whole_second};
use super::v1alpha1::{ProgressStatus, ReportStatus, TrainingEstimateStatus};
use crate::judgement::Judgement;

/// The times in a workload's status.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Moments {
    /// The earliest time at which it may have begun to run.
    pub created: Option<Timestamp>,
    /// If its pods run: since when, as far as its status records it.
    pub running: Option<Option<Timestamp>>,
    /// Since when its pods do not run, as far as its status records it.
    pub stopped: Option<Timestamp>,
    /// How it ended.
    pub end: Option<Ended>,
    /// What the training reports about itself.
    pub report: Option<ReportStatus>,
}

/// The end of a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Whether it succeeded.
    pub succeeded: bool,
    /// The time. None if it is not recorded.
    pub at: Option<Timestamp>,
}

/// The times of a workload, for its estimate's status.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Course {
    pub(super) start: Option<Timestamp>,
    pub(super) running_since: Option<Timestamp>,
    pub(super) running_seconds: Option<i64>,
    pub(super) expected: Option<Timestamp>,
    pub(super) earliest: Option<Timestamp>,
    pub(super) latest: Option<Timestamp>,
    pub(super) report: Option<ReportStatus>,
    pub(super) progress: Option<ProgressStatus>,
}

impl Course {
    pub(super) fn of(
        judgement: &Judgement,
        previous: &TrainingEstimateStatus,
        moments: &Moments,
        now: Timestamp,
    ) -> Self {
        let time = judgement.time.as_ref();
        let runs = Runs::before(previous).next(moments, now);
        let after = |days: Option<f64>| {
            let rest = seconds(days?) - runs.seconds.unwrap_or_default();
            runs.since?.checked_add(SignedDuration::from_secs(rest)).ok()
        };
        let ends = |days: fn(&crate::judgement::Time) -> Option<f64>| after(time.and_then(days));
        let predicted = time.and_then(|time| time.days).map(seconds);
        let reported = runs.since.and(moments.report.as_ref()).and_then(|report| {
            let remaining = SignedDuration::from_secs(report.remaining_seconds?);
            report.at.as_ref()?.0.checked_add(remaining).ok()
        });
        // The training knows better than its prediction, and tells no interval.
        let of_both = |predicted: Option<Timestamp>| reported.or(predicted);
        Self {
            start: runs.first,
            running_since: runs.since,
            running_seconds: runs.seconds,
            expected: of_both(ends(|time| time.days)),
            earliest: of_both(ends(|time| time.days_low)),
            latest: of_both(ends(|time| time.days_high)),
            report: moments.report.clone(),
            progress: progress(moments, runs.seconds, predicted),
        }
    }
}

/// The periods of running.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Runs {
    /// The start of the first period.
    first: Option<Timestamp>,
    /// The start of the present period.
    since: Option<Timestamp>,
    /// The seconds of the ended periods. None before the first has ended.
    seconds: Option<i64>,
}

impl Runs {
    fn before(previous: &TrainingEstimateStatus) -> Self {
        let first = previous.start_time.as_ref().map(|time| time.0);
        let seconds = previous.running_seconds;
        let since = previous.running_since.as_ref().map(|time| time.0);
        // Earlier versions recorded only the start.
        let since = since.or(first.filter(|_| seconds.is_none() && previous.progress.is_none()));
        Self { first, since, seconds }
    }

    fn next(self, moments: &Moments, now: Timestamp) -> Self {
        if let Some(end) = moments.end {
            // A workload that nothing saw running ran at most since its creation.
            let since = self.since.or(moments.created.filter(|_| self.first.is_none()));
            return Self { first: self.first.or(since), since, ..self }.stopped(end.at);
        }
        match moments.running {
            Some(recorded) => {
                // At first sight it may have run for long.
                let unseen = || moments.created.filter(|_| self.first.is_none()).unwrap_or(whole_second(now));
                let since = self.since.or(recorded).unwrap_or_else(unseen);
                Self { first: self.first.or(Some(since)), since: Some(since), ..self }
            }
            None => self.stopped(Some(moments.stopped.unwrap_or(whole_second(now)))),
        }
    }

    /// The present period ends at this time.
    fn stopped(self, at: Option<Timestamp>) -> Self {
        let ran = self.since.zip(at).map(|(since, at)| at.duration_since(since).as_secs().max(0));
        let seconds = ran.map(|ran| ran + self.seconds.unwrap_or_default()).or(self.seconds);
        Self { since: None, seconds, ..self }
    }
}

fn progress(moments: &Moments, ran: Option<i64>, predicted: Option<i64>) -> Option<ProgressStatus> {
    let end = moments.end?;
    let actual = ran.filter(|_| end.succeeded);
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
    use crate::judgement::{self, Reason, Verdict};

    const DAY: i64 = 86_400;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn judgement() -> Judgement {
        let time = judgement::Time {
            days: Some(10.0),
            days_low: Some(8.0),
            days_high: Some(13.0),
            ..judgement::Time::default()
        };
        Judgement { time: Some(time), ..Judgement::without_figures(Verdict::Fits, Reason::BelowCapacity) }
    }

    /// The course after these observations, each at its second.
    fn course(observed: &[(i64, Moments)]) -> Course {
        let mut status = TrainingEstimateStatus::default();
        let mut last = Course::default();
        for (second, moments) in observed {
            last = Course::of(&judgement(), &status, moments, at(*second));
            status.start_time = last.start.map(Time);
            status.running_since = last.running_since.map(Time);
            status.running_seconds = last.running_seconds;
            status.progress = last.progress.clone();
        }
        last
    }

    fn created() -> Moments {
        Moments { created: Some(at(0)), ..Moments::default() }
    }

    fn running(since: Option<i64>) -> Moments {
        Moments { running: Some(since.map(at)), ..created() }
    }

    fn ended(succeeded: bool, second: i64) -> Moments {
        Moments { end: Some(Ended { succeeded, at: Some(at(second)) }), ..created() }
    }

    #[test]
    fn a_workload_whose_pods_wait_has_no_start_and_no_expected_end() {
        let course = course(&[(5 * DAY, created())]);
        assert_eq!((course.start, course.expected, course.running_seconds), (None, None, None));
    }

    #[test]
    fn a_running_workload_has_an_expected_end_from_when_its_pods_ran() {
        let course = course(&[(DAY, created()), (DAY, running(Some(2 * DAY))), (5 * DAY, running(None))]);
        let moments = [course.earliest, course.expected, course.latest];
        assert_eq!(moments.map(|at| at.unwrap().as_second()), [10 * DAY, 12 * DAY, 15 * DAY]);
        assert_eq!((course.start, course.progress), (Some(at(2 * DAY)), None));
    }

    #[test]
    fn a_start_that_no_status_records_is_when_it_was_seen_or_created() {
        assert_eq!(course(&[(DAY, created()), (3 * DAY, running(None))]).start, Some(at(0)));
        let unrecorded = Moments { running: Some(None), ..Moments::default() };
        assert_eq!(course(&[(3 * DAY, unrecorded)]).start, Some(at(3 * DAY)));
    }

    #[test]
    fn the_periods_between_suspensions_add_up() {
        let suspended = |second| Moments { stopped: Some(at(second)), ..created() };
        let mut observed = vec![(0, running(Some(0))), (4 * DAY, suspended(3 * DAY))];
        let held = course(&observed);
        assert_eq!((held.expected, held.running_seconds), (None, Some(3 * DAY)));
        observed.push((20 * DAY, running(Some(20 * DAY))));
        let resumed = course(&observed);
        assert_eq!((resumed.start, resumed.expected), (Some(at(0)), Some(at(27 * DAY))));
        observed.push((28 * DAY, ended(true, 28 * DAY)));
        let progress = course(&observed).progress.unwrap();
        assert_eq!((progress.actual_seconds, progress.departure_milli), (Some(11 * DAY), Some(1100)));
    }

    #[test]
    fn a_training_that_reports_its_remaining_time_is_believed() {
        let report =
            ReportStatus { percent: Some(50), remaining_seconds: Some(DAY), at: Some(Time(at(4 * DAY))) };
        let moments = Moments { report: Some(report), ..running(Some(0)) };
        assert_eq!(course(&[(4 * DAY, moments)]).expected, Some(at(5 * DAY)));
    }

    #[test]
    fn a_finished_workload_is_compared_with_its_prediction() {
        let progress = course(&[(0, running(Some(0))), (12 * DAY, ended(true, 12 * DAY))]).progress.unwrap();
        assert_eq!((progress.actual_seconds, progress.departure_milli), (Some(12 * DAY), Some(1200)));
        assert_eq!(progress.outcome, "Succeeded");
        let unseen = course(&[(12 * DAY, ended(true, 12 * DAY))]).progress.unwrap();
        assert_eq!(unseen.actual_seconds, Some(12 * DAY), "no watch saw it running");
    }

    #[test]
    fn the_second_look_at_an_ended_workload_changes_nothing() {
        let once = course(&[(0, running(Some(0))), (12 * DAY, ended(true, 12 * DAY))]);
        let twice = course(&[
            (0, running(Some(0))),
            (12 * DAY, ended(true, 12 * DAY)),
            (30 * DAY, ended(true, 12 * DAY)),
        ]);
        assert_eq!(once, twice);
    }

    #[test]
    fn a_failed_workload_has_no_expected_end_and_no_departure() {
        let course = course(&[(0, running(Some(0))), (DAY, ended(false, DAY))]);
        assert_eq!((course.expected, course.running_seconds), (None, Some(DAY)));
        let progress = course.progress.unwrap();
        assert_eq!((progress.outcome.as_str(), progress.departure_milli), ("Failed", None));
    }

    #[test]
    fn an_end_before_the_start_counts_no_time() {
        let course = course(&[(0, running(Some(0))), (5, ended(true, -5))]);
        assert_eq!(course.progress.unwrap().actual_seconds, Some(0));
    }
}
