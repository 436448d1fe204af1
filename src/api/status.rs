//! The status of a `TrainingEstimate`, made from a judgement.
//!
//! Pure: the caller gives the time, and the same judgement over the same previous status gives the same bytes. So a
//! status is written only when it changes. Its size does not grow with the workload: lists and strings are cut at the
//! schema's bounds, and the inputs are cut again until the whole is within [`MAX_BYTES`].

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use super::bounds::{MAX_ADVICE, MAX_CHARACTERS, MAX_COMPONENTS, MAX_INPUTS, MAX_WARNINGS};
use super::conditions::{Finding, Holds, merge};
use super::course::{Course, Moments};
use super::display::display;
use super::observed::{self, Observing};
use super::v1alpha1::{
    AdviceStatus, ComponentStatus, CostStatus, DeadlineStatus, DisplayStatus, GoodputStatus, HistoryStatus,
    InputStatus, MemoryStatus, OutcomeStatus, ResourceStatus, TimeStatus, TrainingEstimateStatus,
};
use crate::job::keys;
use crate::judgement::{self, Judgement, Outlook, Verdict};
use crate::learn::observed::peaks::Peaks;
use crate::learn::outcome::{self, Outcome};
use crate::units::Bytes;

/// The most bytes of the whole status, as JSON.
pub const MAX_BYTES: usize = 32 << 10;
const SECONDS_A_DAY: f64 = 86_400.0;

/// The condition that is true if there is a judgement.
pub const READY: &str = "Ready";
/// The condition that is true if the workload fits.
pub const FITS_MEMORY: &str = "FitsMemory";
/// The condition that is true if the pod's host memory, shared memory and disk suffice.
pub const FITS_HOST: &str = "FitsHost";
/// The condition that is true if the training ends in time.
pub const WITHIN_DEADLINE: &str = "WithinDeadline";
/// The condition of a workload that exists although the webhook would deny it.
pub const BYPASSED_ADMISSION: &str = "BypassedAdmission";

/// The facts besides the judgement.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Circumstances {
    /// The generation of the spec that was judged.
    pub generation: Option<i64>,
    /// The times in the workload's status.
    pub moments: Moments,
    /// How the workload ended.
    pub outcome: Option<Outcome>,
    /// The memory that its pods really used.
    pub observed: Option<Peaks>,
    /// Whether Prometheus answers. None if it is not asked about this estimate.
    pub observing: Option<Observing>,
    /// What earlier runs of the same job taught.
    pub history: Option<HistoryStatus>,
    /// Why the workload exists, if it is predicted to run out of memory.
    pub admitted: Option<Admitted>,
}

/// Why a workload exists that is predicted to run out of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// A user who may override gave a reason.
    Override,
    /// Its namespace does not enforce, or it is exempt.
    Mode,
    /// The webhook would refuse it: it did not answer then, or something has changed since.
    Bypass,
}

impl Admitted {
    const fn name(self) -> &'static str {
        match self {
            Self::Override => "Override",
            Self::Mode => "Mode",
            Self::Bypass => "Bypass",
        }
    }
}

/// The status for a judgement.
pub fn status(
    judgement: &Judgement,
    previous: &TrainingEstimateStatus,
    circumstances: &Circumstances,
    now: Timestamp,
) -> TrainingEstimateStatus {
    let time = judgement.time.as_ref();
    let goodput = judgement.goodput.as_ref().filter(|_| time.is_some_and(|time| time.gpu_hours.is_some()));
    let course = Course::of(judgement, previous, &circumstances.moments, now);
    let mut status = TrainingEstimateStatus {
        observed_generation: circumstances.generation,
        verdict: Some(judgement.verdict.name().to_owned()),
        reason: Some(judgement.reason.name().to_owned()),
        message: Some(cut(&judgement.message)).filter(|message| !message.is_empty()),
        oom_probability_milli: judgement.oom_probability.map(|p| milli(p).clamp(1, 999)),
        evidence: judgement.evidence.map(|evidence| evidence.name().to_owned()),
        missing: keys::of_fields(&judgement.missing).into_iter().take(MAX_INPUTS).map(cut).collect(),
        warnings: warnings(judgement),
        inputs: judgement.inputs.iter().take(MAX_INPUTS).map(input).collect(),
        memory: judgement.memory.as_ref().map(memory),
        host: judgement.host.as_ref().map(resource),
        shared_memory: judgement.shared_memory.as_ref().map(resource),
        storage: judgement.storage.as_ref().map(resource),
        time: time.map(time_status),
        goodput: goodput.map(goodput_status),
        deadline: judgement.deadline.as_ref().and_then(deadline_status),
        cost: judgement.cost.as_ref().map(cost),
        advice: judgement.advice.iter().take(MAX_ADVICE).map(advice).collect(),
        // Absent if empty. Server-side apply turns an empty object with removed fields into null.
        display: Some(display(judgement)).filter(|display| *display != DisplayStatus::default()),
        start_time: course.start.map(Time),
        running_since: course.running_since.map(Time),
        running_seconds: course.running_seconds,
        report: course.report,
        expected_completion_time: course.expected.map(Time),
        earliest_completion_time: course.earliest.map(Time),
        latest_completion_time: course.latest.map(Time),
        outcome: circumstances.outcome.as_ref().map(outcome_status),
        admitted_by: circumstances.admitted.map(|admitted| admitted.name().to_owned()),
        observed: circumstances.observed.as_ref().and_then(|peaks| observed::status(peaks, judgement)),
        history: circumstances.history.clone(),
        progress: course.progress,
        conditions: merge(
            &previous.conditions,
            findings(judgement, circumstances),
            circumstances.generation,
            whole_second(now),
        ),
    };
    shorten(&mut status);
    status
}

/// The most important first: errors come before doubts.
fn warnings(judgement: &Judgement) -> Vec<String> {
    let errors = judgement.errors.iter().map(|e| cut(&format!("{}: {}", e.field, e.message)));
    errors.chain(judgement.warnings.iter().map(|w| cut(w))).take(MAX_WARNINGS).collect()
}

fn input(input: &crate::job::Input) -> InputStatus {
    InputStatus { field: cut(input.field.path()), value: cut(&input.value), source: cut(&input.source) }
}

fn component(component: &judgement::Component) -> ComponentStatus {
    ComponentStatus { name: cut(component.name), bytes: bytes(component.bytes) }
}

fn resource(resource: &judgement::Resource) -> ResourceStatus {
    ResourceStatus {
        verdict: resource.verdict.name().to_owned(),
        message: cut(&resource.message),
        peak_bytes: bytes(resource.peak_bytes),
        lower_bytes: bytes(resource.lower_bytes),
        upper_bytes: bytes(resource.upper_bytes),
        limit_bytes: resource.limit_bytes.map(bytes),
        components: resource.components.iter().take(MAX_COMPONENTS).map(component).collect(),
        advice: resource.advice.iter().take(MAX_ADVICE).map(|line| cut(line)).collect(),
    }
}

fn memory(memory: &judgement::Memory) -> MemoryStatus {
    MemoryStatus {
        peak_bytes: bytes(memory.peak_bytes),
        least_bytes: bytes(memory.least_bytes),
        lower_bytes: bytes(memory.lower_bytes),
        upper_bytes: bytes(memory.upper_bytes),
        allocated_bytes: bytes(memory.allocated_bytes),
        reserved_bytes: bytes(memory.reserved_bytes),
        process_bytes: bytes(memory.process_bytes),
        capacity_bytes: memory.capacity_bytes.map(bytes),
        worst_rank: cut(&memory.worst_rank),
        instant: cut(&memory.instant),
        components: memory.components.iter().take(MAX_COMPONENTS).map(component).collect(),
    }
}

fn time_status(time: &judgement::Time) -> TimeStatus {
    TimeStatus {
        seconds: time.days.map(seconds),
        low_seconds: time.days_low.map(seconds),
        high_seconds: time.days_high.map(seconds),
        gpu_milli_hours: time.gpu_hours.map(milli),
        low_gpu_milli_hours: time.gpu_hours_low.map(milli),
        high_gpu_milli_hours: time.gpu_hours_high.map(milli),
        mfu_milli: milli(time.mfu),
        flops: time.flops.map(|f| f.to_string()),
    }
}

fn goodput_status(goodput: &judgement::Goodput) -> GoodputStatus {
    let whole = |seconds: f64| seconds.round() as i64;
    GoodputStatus {
        milli: milli(goodput.share),
        low_milli: milli(goodput.share_low),
        high_milli: milli(goodput.share_high),
        seconds_between_failures: goodput.hours_between_failures.map(|hours| whole(hours * 3600.0)),
        startup_seconds: whole(goodput.startup_seconds),
    }
}

fn deadline_status(deadline: &judgement::Deadline) -> Option<DeadlineStatus> {
    let seconds = i64::try_from(deadline.seconds?).unwrap_or(i64::MAX);
    Some(DeadlineStatus { seconds, source: cut(&deadline.source) })
}

fn cost(cost: &judgement::Cost) -> CostStatus {
    CostStatus {
        total: cost.total.to_string(),
        total_low: cost.total_low.to_string(),
        total_high: cost.total_high.to_string(),
        source: cost.source.name().to_owned(),
        per_gpu_hour: cost.per_gpu_hour.to_string(),
        currency: cost.currency.chars().take(16).collect(),
        as_of: cost.as_of.as_ref().map(|date| date.chars().take(32).collect()),
    }
}

fn outcome_status(outcome: &Outcome) -> OutcomeStatus {
    OutcomeStatus {
        kind: outcome.kind.name().to_owned(),
        container: outcome.container.as_deref().map(cut),
        reason: outcome.reason.as_deref().map(cut),
        at: outcome.at.as_ref().and_then(|at| at.parse().ok()).map(Time),
    }
}

/// The outcome in a status. None for a word of a later version.
pub fn outcome(status: &TrainingEstimateStatus) -> Option<Outcome> {
    let told = status.outcome.as_ref()?;
    Some(Outcome {
        kind: outcome::Kind::parse(&told.kind)?,
        container: told.container.clone(),
        reason: told.reason.clone(),
        at: told.at.as_ref().map(|at| at.0.to_string()),
    })
}

fn advice(advice: &judgement::Advice) -> AdviceStatus {
    AdviceStatus {
        change: cut(&advice.change),
        peak_bytes: bytes(advice.peak_bytes),
        seconds: advice.days.map(seconds),
    }
}

fn findings(judgement: &Judgement, circumstances: &Circumstances) -> Vec<Finding> {
    let mut findings = vec![
        Finding {
            kind: READY,
            holds: Holds::True,
            reason: "Judged",
            message: format!("The verdict is {}.", judgement.verdict.name()),
        },
        fits_memory(judgement),
        fits_host(judgement),
        within_deadline(judgement),
    ];
    if circumstances.admitted == Some(Admitted::Bypass) {
        findings.push(Finding {
            kind: BYPASSED_ADMISSION,
            holds: Holds::True,
            reason: "NotRefused",
            message: "The webhook would deny it now. It was created while the webhook could not answer, or before the \
                      namespace enforced, or its placement or the nodes have changed since."
                .into(),
        });
    }
    let peaks = circumstances.observed.as_ref();
    findings.extend(circumstances.observing.as_ref().map(|observing| observed::finding(peaks, observing)));
    findings
}

fn fits_memory(judgement: &Judgement) -> Finding {
    let holds = match judgement.verdict {
        Verdict::Fits | Verdict::Tight => Holds::True,
        Verdict::OutOfMemory => Holds::False,
        Verdict::Unknown | Verdict::NotTraining | Verdict::Unrecognised => Holds::Unknown,
    };
    let reason = match judgement.verdict {
        Verdict::Fits | Verdict::Tight | Verdict::OutOfMemory => judgement.verdict.name(),
        Verdict::Unknown | Verdict::NotTraining | Verdict::Unrecognised => judgement.reason.name(),
    };
    Finding { kind: FITS_MEMORY, holds, reason, message: cut(&judgement.message) }
}

/// The worst of the resources besides device memory.
fn fits_host(judgement: &Judgement) -> Finding {
    let rank = |verdict: Verdict| match verdict {
        Verdict::OutOfMemory => 3,
        Verdict::Tight => 2,
        Verdict::Fits => 1,
        Verdict::Unknown | Verdict::NotTraining | Verdict::Unrecognised => 0,
    };
    let worst = judgement.resources().max_by_key(|(_, resource)| rank(resource.verdict));
    let Some((_, worst)) = worst.filter(|(_, resource)| rank(resource.verdict) > 0) else {
        let message = "No limit of the pod is known, or what is missing decides.".into();
        return Finding { kind: FITS_HOST, holds: Holds::Unknown, reason: "NoLimit", message };
    };
    let holds = if worst.verdict == Verdict::OutOfMemory { Holds::False } else { Holds::True };
    Finding { kind: FITS_HOST, holds, reason: worst.verdict.name(), message: cut(&worst.message) }
}

fn within_deadline(judgement: &Judgement) -> Finding {
    let Some(deadline) = &judgement.deadline else {
        let message = "Neither target.days nor a time limit of the workload is set.".into();
        return Finding { kind: WITHIN_DEADLINE, holds: Holds::Unknown, reason: "NoDeadline", message };
    };
    let holds = match deadline.outlook {
        Outlook::InTime | Outlook::MayBeLate => Holds::True,
        Outlook::TooSlow | Outlook::TooSlowAtBest => Holds::False,
        Outlook::Unknown => Holds::Unknown,
    };
    let message = cut(&deadline.message);
    Finding { kind: WITHIN_DEADLINE, holds, reason: deadline.outlook.name(), message }
}

/// Drops inputs, then missing fields, then warnings, until the status is small enough. Figures and conditions always
/// stay.
fn shorten(status: &mut TrainingEstimateStatus) {
    while serde_json::to_vec(status).map_or(0, |json| json.len()) > MAX_BYTES {
        let halved = |length: usize| length / 2;
        if !status.inputs.is_empty() {
            status.inputs.truncate(halved(status.inputs.len()));
        } else if !status.missing.is_empty() {
            status.missing.truncate(halved(status.missing.len()));
        } else if !status.warnings.is_empty() {
            status.warnings.truncate(halved(status.warnings.len()));
        } else {
            return;
        }
    }
}

pub(super) fn cut(text: &str) -> String {
    if text.chars().count() <= MAX_CHARACTERS {
        return text.to_owned();
    }
    text.chars().take(MAX_CHARACTERS - 1).chain(['…']).collect()
}

fn bytes(bytes: Bytes) -> i64 {
    i64::try_from(bytes.0).unwrap_or(i64::MAX)
}

pub(super) fn milli(value: f64) -> i64 {
    (value * 1000.0).round() as i64
}

pub(super) fn seconds(days: f64) -> i64 {
    (days * SECONDS_A_DAY).round() as i64
}

/// The API keeps whole seconds, and a status that was read back must compare equal.
pub(super) fn whole_second(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::judgement::Reason;

    /// The paths of empty values: an empty object or list, or null.
    fn empty_parts(path: &str, value: &Value) -> Vec<String> {
        match value {
            Value::Null => vec![path.to_owned()],
            Value::Object(fields) if fields.is_empty() => vec![path.to_owned()],
            Value::Array(items) if items.is_empty() => vec![path.to_owned()],
            Value::Object(fields) => fields
                .iter()
                .flat_map(|(name, value)| empty_parts(&format!("{path}.{name}"), value))
                .collect(),
            Value::Array(items) => items.iter().flat_map(|item| empty_parts(path, item)).collect(),
            _ => Vec::new(),
        }
    }

    #[test]
    fn no_status_holds_an_empty_part() {
        for (verdict, reason) in
            [(Verdict::Unknown, Reason::UnknownModel), (Verdict::NotTraining, Reason::NotTraining)]
        {
            let judgement = Judgement::without_figures(verdict, reason);
            let none = TrainingEstimateStatus::default();
            let status = status(&judgement, &none, &Circumstances::default(), Timestamp::UNIX_EPOCH);
            let status = serde_json::to_value(status).unwrap();
            assert_eq!(empty_parts("status", &status), [] as [&str; 0], "{status}");
        }
    }

    /// A part with optional fields alone can become empty. Only `display` is such a part, and it is left out then.
    #[test]
    fn every_part_of_a_status_but_the_display_always_holds_something() {
        let parts = [
            json!(InputStatus::default()),
            json!(MemoryStatus::default()),
            json!(ComponentStatus::default()),
            json!(ResourceStatus::default()),
            json!(TimeStatus::default()),
            json!(GoodputStatus::default()),
            json!(DeadlineStatus::default()),
            json!(CostStatus::default()),
            json!(AdviceStatus::default()),
            json!(OutcomeStatus::default()),
            json!(HistoryStatus::default()),
            json!(crate::api::v1alpha1::ObservedStatus::default()),
            json!(crate::api::v1alpha1::PodPeak::default()),
            json!(crate::api::v1alpha1::ProgressStatus::default()),
        ];
        for part in parts {
            assert!(part.as_object().is_some_and(|fields| !fields.is_empty()), "{part}");
        }
        assert_eq!(json!(DisplayStatus::default()), json!({}));
    }
}
