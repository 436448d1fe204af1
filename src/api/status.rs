//! The status of a `TrainingEstimate`, made from a judgement.
//!
//! Pure: the clock is the caller's, and the same judgement over the same previous status gives the same bytes, so
//! that a status is written only when it differs. Nothing in it grows with the workload: lists and strings are cut at
//! the schema's bounds, and what the inputs take is cut again until the whole is within [`MAX_BYTES`].

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::conditions::{Finding, Holds, merge};
use super::display::display;
use super::v1alpha1::{
    AdviceStatus, ComponentStatus, CostStatus, InputStatus, MemoryStatus, TimeStatus, TrainingEstimateStatus,
};
use crate::judgement::{self, Judgement, Verdict};
use crate::units::{Bytes, Decimal};

/// The whole status, as JSON, at most.
pub const MAX_BYTES: usize = 32 << 10;
const MAX_INPUTS: usize = 96;
const MAX_WARNINGS: usize = 16;
const MAX_ADVICE: usize = 5;
const MAX_COMPONENTS: usize = 24;
const MAX_CHARACTERS: usize = 256;
const SECONDS_A_DAY: f64 = 86_400.0;

/// The condition that says whether there is a judgement.
pub const READY: &str = "Ready";
/// The condition that says whether it fits.
pub const FITS_MEMORY: &str = "FitsMemory";
/// The condition that says whether it will be done in time.
pub const WITHIN_DEADLINE: &str = "WithinDeadline";
/// The condition that says that a workload exists which the webhook would have refused.
pub const BYPASSED_ADMISSION: &str = "BypassedAdmission";

/// What is known besides the judgement.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Circumstances {
    /// The generation of the spec that was judged.
    pub generation: Option<i64>,
    /// When the workload began to run.
    pub start: Option<Timestamp>,
    /// The seconds after which the workload will be ended: `activeDeadlineSeconds`.
    pub deadline_seconds: Option<u64>,
    /// Whether the workload runs out of memory in a namespace that enforces: the webhook never saw it.
    pub bypassed: bool,
}

/// The status after a judgement.
pub fn status(
    judgement: &Judgement,
    previous: &TrainingEstimateStatus,
    circumstances: &Circumstances,
    now: Timestamp,
) -> TrainingEstimateStatus {
    let seconds = judgement.time.as_ref().and_then(|t| t.days).map(seconds);
    let mut status = TrainingEstimateStatus {
        observed_generation: circumstances.generation,
        verdict: Some(judgement.verdict.name().to_owned()),
        reason: Some(judgement.reason.name().to_owned()),
        oom_probability_milli: judgement.oom_probability.map(|p| milli(p.clamp(0.0, 1.0))),
        missing: judgement.missing.iter().take(MAX_INPUTS).map(|m| cut(m)).collect(),
        warnings: warnings(judgement),
        inputs: judgement.inputs.iter().take(MAX_INPUTS).map(input).collect(),
        memory: judgement.memory.as_ref().map(memory),
        time: judgement.time.as_ref().map(time),
        cost: judgement.cost.as_ref().map(cost),
        advice: judgement.advice.iter().take(MAX_ADVICE).map(advice).collect(),
        display: Some(display(judgement)),
        start_time: circumstances.start.map(Time),
        expected_completion_time: completion(circumstances.start, seconds).map(Time),
        conditions: merge(
            &previous.conditions,
            findings(judgement, circumstances, seconds),
            circumstances.generation,
            whole_second(now),
        ),
    };
    shorten(&mut status);
    status
}

/// What a person must know first: what could not be read comes before what is doubtful.
fn warnings(judgement: &Judgement) -> Vec<String> {
    let errors = judgement.errors.iter().map(|e| cut(&format!("{}: {}", e.field, e.message)));
    errors.chain(judgement.warnings.iter().map(|w| cut(w))).take(MAX_WARNINGS).collect()
}

fn input(input: &judgement::Input) -> InputStatus {
    InputStatus { field: cut(&input.field), value: cut(&input.value), source: cut(&input.source) }
}

fn memory(memory: &judgement::Memory) -> MemoryStatus {
    let component = |c: &judgement::Component| ComponentStatus { name: cut(c.name), bytes: bytes(c.bytes) };
    MemoryStatus {
        peak_bytes: bytes(memory.peak_bytes),
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

fn time(time: &judgement::Time) -> TimeStatus {
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

fn cost(cost: &judgement::Cost) -> CostStatus {
    CostStatus {
        total: cost.total.to_string(),
        per_gpu_hour: cost.per_gpu_hour.to_string(),
        currency: cost.currency.chars().take(16).collect(),
        as_of: cost.as_of.as_ref().map(|date| date.chars().take(32).collect()),
    }
}

fn advice(advice: &judgement::Advice) -> AdviceStatus {
    AdviceStatus {
        change: cut(&advice.change),
        peak_bytes: bytes(advice.peak_bytes),
        seconds: advice.days.map(seconds),
    }
}

fn findings(judgement: &Judgement, circumstances: &Circumstances, seconds: Option<i64>) -> Vec<Finding> {
    let mut findings = vec![
        Finding {
            kind: READY,
            holds: Holds::True,
            reason: "Judged",
            message: format!("The verdict is {}.", judgement.verdict.name()),
        },
        fits_memory(judgement),
        within_deadline(judgement, circumstances, seconds),
    ];
    if circumstances.bypassed {
        findings.push(Finding {
            kind: BYPASSED_ADMISSION,
            holds: Holds::True,
            reason: "NotRefused",
            message: "It would be refused if it were created now: it came while the webhook could not answer, or before \
                      the namespace enforced, or what is not refused has changed since (its placement, the nodes)."
                .into(),
        });
    }
    findings
}

fn fits_memory(judgement: &Judgement) -> Finding {
    let holds = match judgement.verdict {
        Verdict::Fits | Verdict::Tight => Holds::True,
        Verdict::OutOfMemory => Holds::False,
        Verdict::Unknown | Verdict::NotTraining => Holds::Unknown,
    };
    let reason = match judgement.verdict {
        Verdict::Fits | Verdict::Tight | Verdict::OutOfMemory => judgement.verdict.name(),
        Verdict::Unknown | Verdict::NotTraining => judgement.reason.name(),
    };
    Finding { kind: FITS_MEMORY, holds, reason, message: cut(&judgement.message) }
}

fn within_deadline(judgement: &Judgement, circumstances: &Circumstances, seconds: Option<i64>) -> Finding {
    let target = judgement.job.target.as_ref().and_then(|t| t.days).map(Decimal::as_f64);
    // The wish is a person's; the deadline ends the workload whatever was wished.
    let deadline = circumstances.deadline_seconds.map(|s| s as f64 / SECONDS_A_DAY);
    let (limit, name) = match (target, deadline) {
        (Some(target), Some(deadline)) if target <= deadline => (target, "target.days"),
        (_, Some(deadline)) => (deadline, "activeDeadlineSeconds"),
        (Some(target), None) => (target, "target.days"),
        (None, None) => {
            let message = "Neither target.days nor activeDeadlineSeconds is given.".into();
            return Finding { kind: WITHIN_DEADLINE, holds: Holds::Unknown, reason: "NoDeadline", message };
        }
    };
    let Some(days) = seconds.map(|s| s as f64 / SECONDS_A_DAY) else {
        let message = format!("How long it takes is not known; {name} gives {limit:.1} days.");
        return Finding { kind: WITHIN_DEADLINE, holds: Holds::Unknown, reason: "TimeUnknown", message };
    };
    let message = format!("It takes about {days:.1} days; {name} gives {limit:.1}.");
    if days <= limit {
        Finding { kind: WITHIN_DEADLINE, holds: Holds::True, reason: "InTime", message }
    } else {
        Finding { kind: WITHIN_DEADLINE, holds: Holds::False, reason: "TooSlow", message }
    }
}

fn completion(start: Option<Timestamp>, seconds: Option<i64>) -> Option<Timestamp> {
    start?.checked_add(SignedDuration::from_secs(seconds?)).ok()
}

/// Drops inputs, then warnings, until the status is small enough; the figures and conditions always remain.
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

fn cut(text: &str) -> String {
    if text.chars().count() <= MAX_CHARACTERS {
        return text.to_owned();
    }
    text.chars().take(MAX_CHARACTERS - 1).chain(['…']).collect()
}

fn bytes(bytes: Bytes) -> i64 {
    i64::try_from(bytes.0).unwrap_or(i64::MAX)
}

fn milli(value: f64) -> i64 {
    (value * 1000.0).round() as i64
}

fn seconds(days: f64) -> i64 {
    (days * SECONDS_A_DAY).round() as i64
}

/// The API keeps whole seconds; a status that was read back must compare equal.
fn whole_second(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}
