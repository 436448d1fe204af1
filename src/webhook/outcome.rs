//! The outcome of a review: the decision, what the metrics count, and the status of a refusal.

use super::failure::Failure;
use super::metrics::Review as Counted;
use super::review::{Cause, Details, Head, Operation, Request, Status};
use crate::admission::decide::{Decided, Fault};
use crate::admission::message;
use crate::judgement::Judgement;
use crate::kinds::Kind;
use crate::policy::Mode;

/// The outcome of a review.
pub(super) struct Outcome {
    /// What the metrics count.
    pub(super) counted: Counted,
    /// Why the object has no estimate, if that is known.
    pub(super) cause: Option<crate::job::Cause>,
    /// The decision.
    pub(super) decided: Decided,
    /// The status of a refusal.
    pub(super) status: Option<Status>,
}

/// An admission without a judgement, a warning or a note.
pub(super) fn admitted(request: &Request, kind: Option<&'static Kind>, mode: Option<Mode>) -> Outcome {
    not_judged(request.operation, kind, mode)
}

/// An admission without a judgement, after a failure.
pub(super) fn failed(failure: Failure, head: &Head, kind: Option<&'static Kind>) -> Outcome {
    let mut outcome = not_judged(head.operation.unwrap_or(Operation::Other), kind, None);
    outcome.counted.decision = "warned";
    outcome.decided.warnings.push(failure.warning().to_owned());
    outcome.decided.notes.insert("error", failure.name().to_owned());
    outcome
}

/// An admission without a judgement.
pub(super) fn not_judged(operation: Operation, kind: Option<&'static Kind>, mode: Option<Mode>) -> Outcome {
    let counted = Counted {
        decision: "allowed",
        verdict: "NotJudged",
        mode: mode.map_or("none", Mode::name),
        operation: operation.name(),
        kind: kind.map_or("other", |kind| kind.slug),
    };
    Outcome { counted, cause: None, decided: Decided::default(), status: None }
}

/// The status of a refusal: 403 as for any policy, 422 as for any validation.
pub(super) fn status(
    fault: Fault,
    subject: &str,
    judgement: &Judgement,
    kind: &Kind,
    name: String,
) -> Status {
    let details =
        Details { name, group: kind.group.to_owned(), kind: kind.kind.to_owned(), causes: Vec::new() };
    match fault {
        Fault::OutOfMemory | Fault::Host | Fault::Unknown => Status {
            outcome: "Failure",
            code: 403,
            reason: "Forbidden",
            message: match fault {
                Fault::Host => message::resource_refusal(subject, judgement),
                _ => message::refusal(subject, judgement),
            },
            details,
        },
        Fault::Malformed => {
            let cause = |(field, message)| Cause { reason: "FieldValueInvalid", message, field };
            let causes = message::causes(&judgement.errors).map(cause).collect();
            Status {
                outcome: "Failure",
                code: 422,
                reason: "Invalid",
                message: message::malformed(subject, &judgement.errors),
                details: Details { causes, ..details },
            }
        }
    }
}
