//! Reviews one request: passes what is exempt or not judged, and sends the rest to its evaluation.

use std::sync::Arc;

use super::evaluation::{Evaluation, Judge};
use super::failure::Failure;
use super::judgements::Judgements;
use super::metrics::Metrics;
use super::namespaces;
use super::outcome::{Outcome, admitted, not_judged};
use super::review::{Operation, Request, Review};
use super::scale::{self, Scaled};
use super::untouched::untouched;
use crate::admission::decide::Ratchet;
use crate::admission::overrides::Override;
use crate::admission::{message, ratchet};
use crate::cluster::{Histories, Workloads};
use crate::judgement::Judgement;
use crate::kinds::object::NotRead;
use crate::kinds::{Kind, Kinds};
use crate::policy::{Exempt, Mode, Policy, mode};
use crate::server::bodies::Taken;
use crate::surroundings::Surroundings;

/// The result of the first step of a review.
pub(super) enum Step {
    Outcome(Box<Outcome>),
    /// The object to scale must be read next.
    Scaled(Box<(Scaled, Request)>),
}

/// Reviews one request, on a thread of its own.
pub(super) struct Reviewer {
    /// The namespace whose mode applies.
    pub(super) namespace: String,
    pub(super) found: mode::Found,
    pub(super) around: Arc<Surroundings>,
    pub(super) policy: Arc<Policy>,
    pub(super) workloads: Arc<Workloads>,
    pub(super) judgements: Arc<Judgements>,
    pub(super) histories: Arc<Histories>,
    pub(super) metrics: Metrics,
    pub(super) judge: Judge,
}

impl Reviewer {
    /// Reviews the request in a body.
    pub(super) fn review(&self, body: Taken) -> Result<Step, Failure> {
        let unreadable = |error: String| {
            tracing::warn!(error, "a review cannot be read and is admitted");
            Failure::Unreadable
        };
        let review = Review::read(body.bytes()).map_err(|error| unreadable(error.to_string()))?;
        // The mode and the turn are those of the namespace in the head.
        if review.namespace != self.namespace {
            return Err(unreadable("it names two namespaces".to_owned()));
        }
        if review.operation == Operation::Update
            && let (Some(old), Some(new)) = (review.old_object, review.object)
            && review.kind.kind != namespaces::KIND
            && untouched(old, new)
        {
            let request = review.without_objects();
            let kind = judged_kind(&request, &self.policy.kinds);
            return Ok(Step::Outcome(Box::new(admitted(&request, kind, None))));
        }
        let request = review.request();
        // The objects no longer borrow from the body, so its memory is free for other reviews.
        drop(body);
        match request {
            Ok(request) => Ok(match scale::of(&request, &self.policy.kinds) {
                Some(scaled) => Step::Scaled(Box::new((scaled, request))),
                None => Step::Outcome(Box::new(self.judged(&request))),
            }),
            Err(unread) => match unread.why {
                NotRead::TooLarge => {
                    Ok(Step::Outcome(Box::new(self.too_large(&unread.request, unread.old_is_read))))
                }
                NotRead::Malformed(error) => Err(unreadable(error)),
            },
        }
    }

    fn judged(&self, request: &Request) -> Outcome {
        if namespaces::is_one(request) {
            return self.namespace_outcome(request);
        }
        match judged_kind(request, &self.policy.kinds) {
            Some(kind) => self.evaluate(kind, request),
            None => admitted(request, None, None),
        }
    }

    /// Reviews an object of a kind that is judged.
    pub(super) fn evaluate(&self, kind: &'static Kind, request: &Request) -> Outcome {
        if request.operation == Operation::Update && ratchet::is_being_deleted(&request.old_object) {
            return admitted(request, Some(kind), None);
        }
        if let Some(outcome) = self.passed_by_policy(kind, request) {
            return outcome;
        }
        let mut outcome = self.evaluation(kind, request).evaluate(request);
        if let Some(problem) = self.found.problem.clone().filter(|_| !outcome.decided.notes.is_empty()) {
            outcome.decided.warnings.push(message::warning(&problem));
            outcome.decided.notes.insert("mode-problem", problem);
        }
        outcome
    }

    /// Admits a request that is exempt, or whose namespace is off.
    fn passed_by_policy(&self, kind: &'static Kind, request: &Request) -> Option<Outcome> {
        if let Some(exempt) = exempt(&self.policy, &self.around, request, kind) {
            let mut admitted = admitted(request, Some(kind), None);
            admitted.counted.decision = "exempt";
            admitted.decided.notes.insert("exempt", exempt.name().to_owned());
            return Some(admitted);
        }
        let mode = self.found.mode;
        (mode == Mode::Off).then(|| admitted(request, Some(kind), Some(mode)))
    }

    fn evaluation(&self, kind: &'static Kind, request: &Request) -> Evaluation<'_> {
        let user = &request.user_info;
        Evaluation {
            by: self,
            kind,
            mode: self.found.mode,
            may_override: self.policy.overrides.allow(&user.username, &user.groups),
            may_place: self.policy.placement.allows(&user.username, &user.groups),
        }
    }

    /// Reviews an object that exceeds the limits of the reader. Its verdict is `Unknown`.
    fn too_large(&self, request: &Request, old_is_read: bool) -> Outcome {
        let Some(kind) = judged_kind(request, &self.policy.kinds) else {
            return admitted(request, None, None);
        };
        if let Some(outcome) = self.passed_by_policy(kind, request) {
            return outcome;
        }
        self.metrics.failed(Failure::TooLarge.name());
        let judgement = Judgement::too_large();
        let evaluation = self.evaluation(kind, request);
        // An object that would be refused before the update must stay editable.
        let was_refused = || evaluation.fault(&evaluation.judged(&request.old_object, request)).is_some();
        let already = request.operation == Operation::Update && (!old_is_read || was_refused());
        let ratchet = already.then_some(Ratchet::AlreadySo);
        let mut outcome = evaluation.decided(request, &judgement, Override::None, ratchet, None);
        outcome.decided.notes.insert("error", Failure::TooLarge.name().to_owned());
        outcome
    }

    /// Reviews a change of a namespace. It is never refused.
    fn namespace_outcome(&self, request: &Request) -> Outcome {
        let mut outcome = not_judged(request.operation, None, None);
        outcome.decided.warnings = namespaces::warnings(request, self.policy.mode, &self.workloads);
        outcome.counted.kind = "namespace";
        if !outcome.decided.warnings.is_empty() {
            outcome.counted.decision = "warned";
        }
        outcome
    }
}

/// The exemption of a request. The cheapest check comes first.
fn exempt(policy: &Policy, around: &Surroundings, request: &Request, kind: &Kind) -> Option<Exempt> {
    let (exemptions, user) = (&policy.exemptions, &request.user_info);
    exemptions
        .namespace(&request.namespace)
        .or_else(|| exemptions.user(&user.username, &user.groups))
        .or_else(|| exemptions.pods(kind, &request.object, around, &policy.catalogue))
}

/// The kind, if the request is about a whole object of a kind that is judged.
fn judged_kind(request: &Request, kinds: &Kinds) -> Option<&'static Kind> {
    let whole = request.sub_resource.is_empty() && request.operation != Operation::Other;
    kinds.find(&request.kind.group, &request.kind.kind).filter(|_| whole)
}
