//! The times in a workload's own status, as timestamps.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use crate::api::course::{Ended, Moments};
use crate::api::v1alpha1::ReportStatus;
use crate::kinds::progress::{Progress, Report};

/// When it ran, and how it ended.
pub(super) fn moments(progress: &Progress) -> Moments {
    let ended = progress.ended.as_ref();
    Moments {
        created: moment(progress.created.as_ref()),
        running: progress.running.as_ref().map(|running| moment(running.since.as_ref())),
        stopped: moment(progress.stopped.as_ref()),
        end: ended.map(|end| Ended { succeeded: end.succeeded, at: moment(end.at.as_ref()) }),
        report: progress.report.as_ref().map(report),
    }
}

fn moment(text: Option<&String>) -> Option<Timestamp> {
    text?.parse().ok()
}

fn report(report: &Report) -> ReportStatus {
    let signed = |count: Option<u64>| count.and_then(|count| i64::try_from(count).ok());
    ReportStatus {
        percent: signed(report.percent),
        remaining_seconds: signed(report.remaining_seconds),
        at: moment(report.at.as_ref()).map(Time),
    }
}
