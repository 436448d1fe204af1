//! Events on a workload: one for each new verdict.

use kube::runtime::events::{Event, EventType};

use crate::api::{status, v1alpha1::TrainingEstimateStatus};
use crate::job::keys;
use crate::judgement::{Judgement, Reason, Verdict};
use crate::learn::outcome;

/// An event's note has at most a kilobyte.
const MAX_NOTE: usize = 1000;

/// The events for the changes between two statuses.
pub(super) fn notices(
    judgement: &Judgement,
    previous: &TrainingEstimateStatus,
    next: &TrainingEstimateStatus,
) -> Vec<Event> {
    let mut events = Vec::new();
    if previous.verdict != next.verdict {
        match judgement.verdict {
            Verdict::OutOfMemory => {
                events.push(event(EventType::Warning, "EstimateExceedsMemory", judgement.message.clone()));
            }
            Verdict::Unknown => {
                let missing = keys::of_fields(&judgement.missing).join(", ");
                let note = if missing.is_empty() {
                    judgement.message.clone()
                } else {
                    format!("{} Missing: {missing}", judgement.message)
                };
                events.push(event(EventType::Normal, "EstimateUnknown", note));
            }
            Verdict::Fits | Verdict::Tight | Verdict::NotTraining | Verdict::Unrecognised => {}
        }
    }
    if bypassed(next) && !bypassed(previous) {
        let note = format!("Exists although the webhook would deny it: {}", judgement.message);
        events.push(event(EventType::Warning, status::BYPASSED_ADMISSION, note));
    }
    if contradicted(next) && !contradicted(previous) {
        let note = format!("The estimate was wrong: {}", judgement.message);
        events.push(event(EventType::Normal, "EstimateContradicted", note));
    }
    events.extend(ran_out(previous, next));
    events.extend(ended(previous, next));
    events
}

/// Whether the estimate says that the job runs out, and it ran before.
pub(super) fn contradicted(status: &TrainingEstimateStatus) -> bool {
    status.reason.as_deref() == Some(Reason::RanBefore.name())
        && status
            .history
            .as_ref()
            .is_some_and(|history| history.estimated_verdict == Verdict::OutOfMemory.name())
}

/// The event about a workload that ran out of memory.
fn ran_out(previous: &TrainingEstimateStatus, next: &TrainingEstimateStatus) -> Option<Event> {
    let kind = |status: &TrainingEstimateStatus| status.outcome.as_ref().map(|outcome| outcome.kind.clone());
    let outcome = next.outcome.as_ref().filter(|_| kind(previous) != kind(next))?;
    let (what, reason) = match outcome::Kind::parse(&outcome.kind)? {
        outcome::Kind::OutOfMemory => ("the memory of an accelerator", "RanOutOfMemory"),
        outcome::Kind::HostOutOfMemory => ("its memory limit", "RanOutOfHostMemory"),
        _ => return None,
    };
    let container = outcome.container.as_deref().unwrap_or("a container");
    let evidence = outcome.reason.as_deref().unwrap_or_default();
    let verdict =
        next.history.as_ref().map(|history| history.estimated_verdict.clone()).or(next.verdict.clone());
    let verdict = verdict.unwrap_or_default();
    let note = format!("{container} used up {what} ({evidence}); the estimate's verdict was {verdict}");
    Some(event(EventType::Warning, reason, note))
}

/// The event at the end of a workload whose time was predicted.
fn ended(previous: &TrainingEstimateStatus, next: &TrainingEstimateStatus) -> Option<Event> {
    let progress = next.progress.as_ref().filter(|_| previous.progress.is_none())?;
    let (actual, milli) = (progress.actual_seconds?, progress.departure_milli?);
    let predicted = next.time.as_ref()?.seconds?;
    let days = |seconds: i64| seconds as f64 / 86_400.0;
    let note = format!(
        "It took {:.2} days; {:.2} were predicted ({:.2} times as long)",
        days(actual),
        days(predicted),
        milli as f64 / 1000.0
    );
    Some(event(EventType::Normal, "EstimateCompared", note))
}

/// Whether the status says that the workload bypassed admission.
pub(super) fn bypassed(status: &TrainingEstimateStatus) -> bool {
    status.conditions.iter().any(|c| c.type_ == status::BYPASSED_ADMISSION && c.status == "True")
}

pub(super) fn event(type_: EventType, reason: &str, note: String) -> Event {
    let mut note = note;
    if note.len() > MAX_NOTE {
        note = note.chars().take(MAX_NOTE / 4).collect();
    }
    Event {
        type_,
        reason: reason.to_owned(),
        note: Some(note),
        action: "Estimate".to_owned(),
        secondary: None,
    }
}
