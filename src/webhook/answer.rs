//! From a review to its answer, within the deadline and in spite of errors.
//!
//! ```text
//! head ─► namespace's mode ─► a turn ─► envelope ─► unchanged? ─► objects ─► owner, exemptions ─► judge ─► decide
//! ```
//!
//! A review of a [`scale`] does not contain the object. The object is read first; the remaining steps are those of an
//! update.
//!
//! An error admits the object: a panic, a spent deadline, an object that cannot be read, a review for which there is
//! no memory or no turn. Each is reported in a warning, in the audit log and in a metric.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use k8s_openapi::api::core::v1::Namespace as NamespaceObject;
use kube::Client;
use kube::api::ApiResource;
use serde_json::Value;
use tokio::sync::Semaphore;

use super::background::Background;
use super::metrics::{Metrics, Review as Counted};
use super::review::{Cause, Details, Head, Operation, Request, Response, Review, Status, Unanswerable};
use super::scale::{self, Scaled};
use super::turns::{Size, Tenant, Turns};
use super::untouched::untouched;
use super::verdicts::{self, Verdicts};
use super::{children, namespaces};
use crate::admission::decide::{Case, Decided, Fault, Ratchet, decide, fault};
use crate::admission::overrides::{self, Override};
use crate::admission::{message, ratchet};
use crate::cluster::{Cluster, Source, Standing, Workloads};
use crate::job::Ask;
use crate::judge::judge;
use crate::judgement::Judgement;
use crate::kinds::object::NotRead;
use crate::kinds::{Kind, Kinds, names};
use crate::policy::mode::{self, MODE_LABEL, Namespace};
use crate::policy::{Exempt, Mode, Policy, World};
use crate::server::bodies::{Body, Came, Dropped, Taken};
use crate::server::{Caller, Peer};
use crate::surroundings::Surroundings;

/// The signature of [`judge`]. Tests pass another function.
type Judge = fn(&Value, &Surroundings, &World<'_>, &Ask) -> Judgement;

/// Answers reviews.
pub struct Webhook {
    client: Client,
    cluster: Arc<Cluster>,
    metrics: Metrics,
    turns: Turns,
    background: Background,
    verdicts: Arc<Verdicts>,
    /// Limits the reads of scaled objects.
    reads: Semaphore,
    judge: Judge,
}

/// Why an object is admitted unjudged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    Unreadable,
    Panicked,
    DeadlineSpent,
    ScaleUnread,
    /// The review is larger than the limit.
    TooLarge,
    /// There was no memory for the review, or the queue was full.
    Overloaded,
}

impl Failure {
    /// The word for the audit log and the metric.
    const fn name(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::Panicked => "panic",
            Self::DeadlineSpent => "deadline",
            Self::ScaleUnread => "scale",
            Self::TooLarge => "too-large",
            Self::Overloaded => "overloaded",
        }
    }

    const fn warning(self) -> &'static str {
        match self {
            Self::Unreadable => "weighbridge could not read this object, and admits it unjudged",
            Self::Panicked => "weighbridge failed to judge this object, and admits it unjudged",
            Self::DeadlineSpent => "weighbridge had no time to judge this object, and admits it unjudged",
            Self::ScaleUnread => {
                "weighbridge could not read the object to scale, and admits the change unjudged"
            }
            Self::TooLarge => "weighbridge does not read such a large object, and admits it unjudged",
            Self::Overloaded => "weighbridge is overloaded, and admits this object unjudged",
        }
    }
}

/// A decision, with what the metrics and the response need.
struct Outcome {
    counted: Counted,
    decided: Decided,
    status: Option<Status>,
}

impl Webhook {
    /// A webhook over these caches. `memory` bounds the bytes that the reviews take.
    pub fn new(client: Client, cluster: Arc<Cluster>, metrics: Metrics, memory: usize) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let turns = Turns::new(processors, memory);
        let reads = Semaphore::new(scale::READS);
        let background = Background::new(processors);
        Self { client, cluster, metrics, turns, background, verdicts: Arc::default(), reads, judge }
    }

    /// The webhook with another judge.
    #[cfg(test)]
    pub(super) fn judging_by(self, judge: Judge) -> Self {
        Self { judge, ..self }
    }

    /// The cached workloads.
    #[cfg(test)]
    pub(super) fn workloads(&self) -> &Workloads {
        &self.cluster.workloads
    }

    /// The webhook's metrics.
    pub(super) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Answers within the allowance. Without a uid there is no answer.
    pub(super) async fn answer(
        &self,
        received: Came,
        caller: &Caller,
        allowance: Duration,
    ) -> Result<Value, Unanswerable> {
        let answering = self.metrics.answering();
        let mut head = Head::default();
        let reviewing =
            tokio::time::timeout(allowance, self.review(received, caller.peer, allowance, &mut head));
        let outcome = match AssertUnwindSafe(reviewing).catch_unwind().await {
            Ok(Ok(Ok(outcome))) => Ok(outcome),
            Ok(Ok(Err(NoDecision::Failed(failure)))) => Err((failure, Unanswerable::Unread)),
            Ok(Ok(Err(NoDecision::Unanswerable(why)))) => Err((Failure::Unreadable, why)),
            Ok(Err(_elapsed)) => Err((Failure::DeadlineSpent, Unanswerable::Unread)),
            Err(_panic) => Err((Failure::Panicked, Unanswerable::Unread)),
        };
        let Some(uid) = head.uid().map(str::to_owned) else {
            answering.unanswerable();
            return Err(outcome.err().map_or(Unanswerable::NoUid, |(_, why)| why));
        };
        let outcome = outcome.unwrap_or_else(|(failure, _)| self.unjudged(failure, &head));
        answering.answered(&outcome.counted);
        let Outcome { decided, status, .. } = outcome;
        let response = Response {
            uid,
            allowed: status.is_none(),
            status,
            warnings: decided.warnings,
            audit_annotations: decided.notes,
        };
        Ok(response.to_json())
    }

    /// Reviews a request. Fills the head as soon as it is known, for the answer to an error.
    async fn review(
        &self,
        received: Came,
        peer: Peer,
        allowance: Duration,
        head: &mut Head,
    ) -> Result<Outcome, NoDecision> {
        let body = match received {
            Came::Whole(body) => body,
            Came::Head(bytes, why) => {
                *head = Head::read(&bytes);
                return Err(NoDecision::Failed(match why {
                    Dropped::TooLarge => Failure::TooLarge,
                    Dropped::NoRoom => Failure::Overloaded,
                    Dropped::Late => Failure::DeadlineSpent,
                }));
            }
            Came::Broken => return Err(NoDecision::Failed(Failure::Unreadable)),
        };
        *head = Head::read(body.head());
        let size = Size { bytes: body.length(), objects: 1 };
        let mut body = PendingBody::Held(body);
        if !head.is_complete() {
            // The apiserver never writes a review like this: a field of the head comes after the objects.
            let tenant = Tenant::new(peer, "");
            let read = move || body.take().map(|taken| (whole_head(&taken), taken));
            let (whole, taken) = self.blocking(tenant, size, read).await??;
            *head = whole?;
            body = PendingBody::Taken(taken);
        }
        let name = head.namespace.clone().unwrap_or_default();
        let policy = self.cluster.policies.current();
        let namespace = self.namespace(&name, allowance / 2).await;
        let reviewer = Arc::new(Reviewer {
            namespace: name.clone(),
            found: mode::of(&namespace, policy.mode),
            around: self.cluster.surroundings(),
            policy,
            workloads: self.cluster.workloads.clone(),
            verdicts: self.verdicts.clone(),
            metrics: self.metrics.clone(),
            judge: self.judge,
        });
        // An update has an old object too, and the comparison needs a third one.
        let objects = if head.operation == Some(Operation::Update) { 3 } else { 1 };
        let (tenant, first) = (Tenant::new(peer, &name), reviewer.clone());
        let review = move || first.review(body.take()?);
        match self.blocking(tenant.clone(), Size { objects, ..size }, review).await?? {
            Step::Outcome(outcome) => Ok(*outcome),
            Step::Scaled(scaled) => Ok(self.scaled(*scaled, tenant, reviewer, allowance).await?),
        }
    }

    /// Reviews the change of a scale as an update of the object.
    async fn scaled(
        &self,
        (scaled, request): (Scaled, Request),
        tenant: Tenant,
        reviewer: Arc<Reviewer>,
        allowance: Duration,
    ) -> Result<Outcome, Failure> {
        let permit = self.reads.acquire().await.map_err(|_| Failure::ScaleUnread)?;
        let stored = scaled.read(&self.client, allowance / 2).await.ok_or(Failure::ScaleUnread)?;
        drop(permit);
        let review = move || {
            let mut outcome = reviewer.evaluate(scaled.kind, &scaled.whole(&request, stored));
            let verdict = outcome.counted.verdict;
            scaled.hide_values(verdict, &mut outcome.decided, &mut outcome.status);
            outcome
        };
        self.blocking(tenant, STORED, review).await
    }

    /// Runs work on a thread of its own when its turn comes. A panic there is reported as a failure.
    async fn blocking<T: Send + 'static>(
        &self,
        tenant: Tenant,
        size: Size,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let turn = self.turns.turn(tenant, size).await.map_err(|_| Failure::Overloaded)?;
        let is_expensive = turn.is_expensive();
        let work = move || {
            // The work keeps its turn even if the caller goes away.
            let _turn = turn;
            work()
        };
        let working =
            if is_expensive { self.background.spawn(work) } else { tokio::task::spawn_blocking(work) };
        working.await.map_err(|_| Failure::Panicked)
    }

    /// A namespace and its mode label. The apiserver is asked if the namespace is not in the cache.
    async fn namespace(&self, name: &str, within: Duration) -> Namespace {
        if let Some(label) = self.cluster.namespaces.mode_label(name) {
            return Namespace::Known(label);
        }
        // Anyone may send a review, and the name becomes part of a path.
        if !names::is_label(name) {
            return Namespace::Unreadable;
        }
        let (resource, room) = (ApiResource::erase::<NamespaceObject>(&()), self.cluster.room.clone());
        let namespaces = Source::new(self.client.clone(), resource, None, room).metadata_only();
        match tokio::time::timeout(within, namespaces.get(name)).await {
            Ok(Ok(Some(namespace))) => Namespace::Known(namespace.label(MODE_LABEL).map(str::to_owned)),
            Ok(Ok(None)) => {
                self.metrics.failed("namespace");
                tracing::warn!(namespace = name, "the namespace does not exist; the mode is at most warn");
                Namespace::Unreadable
            }
            Ok(Err(error)) => {
                self.metrics.failed("namespace");
                tracing::warn!(namespace = name, %error, "the namespace could not be read; the mode is at most warn");
                Namespace::Unreadable
            }
            Err(_elapsed) => {
                self.metrics.failed("namespace");
                tracing::warn!(
                    namespace = name,
                    "the namespace was not read in time; the mode is at most warn"
                );
                Namespace::Unreadable
            }
        }
    }

    fn unjudged(&self, failure: Failure, head: &Head) -> Outcome {
        self.metrics.failed(failure.name());
        tracing::error!(error = failure.name(), uid = head.uid(), "an object is admitted unjudged");
        let kind =
            head.object_kind.as_ref().and_then(|kind| self.cluster.kinds().find(&kind.group, &kind.kind));
        let mut outcome = not_judged(head.operation.unwrap_or(Operation::Other), kind, None);
        outcome.counted.decision = "warned";
        outcome.decided.warnings.push(failure.warning().to_owned());
        outcome.decided.notes.insert("error", failure.name().to_owned());
        outcome
    }
}

/// Why a review has no decision.
enum NoDecision {
    Failed(Failure),
    /// The body is not a review.
    Unanswerable(Unanswerable),
}

impl From<Failure> for NoDecision {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Unanswerable> for NoDecision {
    fn from(why: Unanswerable) -> Self {
        Self::Unanswerable(why)
    }
}

/// A body, before or after it is taken for reading.
enum PendingBody {
    /// It may still be dropped to make room.
    Held(Body),
    Taken(Taken),
}

impl PendingBody {
    fn take(self) -> Result<Taken, Failure> {
        match self {
            Self::Held(body) => body.take().ok_or(Failure::Overloaded),
            Self::Taken(taken) => Ok(taken),
        }
    }
}

/// Reads the head from the whole body.
fn whole_head(taken: &Taken) -> Result<Head, Unanswerable> {
    Review::read(taken.bytes()).map(|review| review.head())
}

/// The size of a stored object, assumed because it is not known before the object is read.
const STORED: Size = Size { bytes: 1 << 20, objects: 3 };

/// The result of the first step of a review.
enum Step {
    Outcome(Box<Outcome>),
    /// The object to scale must be read next.
    Scaled(Box<(Scaled, Request)>),
}

/// Reviews one request, on a thread of its own.
struct Reviewer {
    /// The namespace whose mode applies.
    namespace: String,
    found: mode::Found,
    around: Arc<Surroundings>,
    policy: Arc<Policy>,
    workloads: Arc<Workloads>,
    verdicts: Arc<Verdicts>,
    metrics: Metrics,
    judge: Judge,
}

impl Reviewer {
    fn review(&self, body: Taken) -> Result<Step, Failure> {
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
    fn evaluate(&self, kind: &'static Kind, request: &Request) -> Outcome {
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

    fn evaluation(&self, kind: &'static Kind, request: &Request) -> Evaluation {
        let user = &request.user_info;
        Evaluation {
            workloads: self.workloads.clone(),
            kind,
            mode: self.found.mode,
            may_override: self.policy.overrides.allow(&user.username, &user.groups),
            may_place: self.policy.placement.allows(&user.username, &user.groups),
            around: self.around.clone(),
            policy: self.policy.clone(),
            verdicts: self.verdicts.clone(),
            judge: self.judge,
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

/// Judges the object of a request and decides, on a thread of its own.
struct Evaluation {
    workloads: Arc<Workloads>,
    kind: &'static Kind,
    mode: Mode,
    may_override: bool,
    may_place: bool,
    around: Arc<Surroundings>,
    policy: Arc<Policy>,
    verdicts: Arc<Verdicts>,
    judge: Judge,
}

impl Evaluation {
    fn evaluate(&self, request: &Request) -> Outcome {
        let standing = children::standing(
            self.kind,
            &request.namespace,
            &request.object,
            &self.workloads,
            &self.around,
            &self.policy,
        );
        let owner = children::note(&standing);
        if matches!(standing, Standing::Covered | Standing::Waiting(_)) {
            let mut admitted = admitted(request, Some(self.kind), Some(self.mode));
            admitted.decided.notes.extend(owner.map(|note| ("owner", note.to_owned())));
            return admitted;
        }
        let new = self.judged(&request.object, request);
        let old = self.old(&new, request);
        let ratchet = match &old {
            _ if request.operation != Operation::Update || self.fault(&new).is_none() => None,
            None => Some(Ratchet::SameJob),
            Some(old) if self.fault(old).is_some() => Some(Ratchet::AlreadySo),
            Some(_) => (self.may_place && self.only_placement_ruins(request)).then_some(Ratchet::SameJob),
        };
        // The same job keeps its earlier decision, so its override does not matter.
        let override_given = match ratchet {
            Some(Ratchet::SameJob) => Override::None,
            _ => overrides::of(&new, old.as_deref(), self.may_override),
        };
        let command_only = standing == Standing::Differs { command_only: true } && self.fault(&new).is_some();
        let ratchet = ratchet.or(command_only.then_some(Ratchet::Owner));
        self.decided(request, &new, override_given, ratchet, owner)
    }

    /// Decides by a judgement.
    fn decided(
        &self,
        request: &Request,
        judgement: &Judgement,
        override_given: Override,
        ratchet: Option<Ratchet>,
        owner: Option<&str>,
    ) -> Outcome {
        let mut decided = decide(&Case {
            judgement,
            mode: self.mode,
            unknown: self.policy.unknown,
            override_given,
            ratchet,
        });
        if !decided.notes.is_empty() {
            decided.notes.extend(owner.map(|note| ("owner", note.to_owned())));
        }
        self.log(request, judgement, &decided);
        let decision = match (&decided.denied, decided.warnings.is_empty()) {
            (Some(_), _) => "denied",
            (None, false) => "warned",
            (None, true) => "allowed",
        };
        let counted = Counted {
            decision,
            verdict: judgement.verdict.name(),
            mode: self.mode.name(),
            operation: request.operation.name(),
            kind: self.kind.slug,
        };
        let status = decided.denied.map(|fault| status(fault, judgement, self.kind, request.name.clone()));
        Outcome { counted, decided, status }
    }

    fn fault(&self, judgement: &Judgement) -> Option<Fault> {
        fault(judgement, self.policy.unknown)
    }

    /// The judgement of the old object, if the decision depends on it.
    fn old(&self, new: &Judgement, request: &Request) -> Option<Arc<Judgement>> {
        let decisive = request.operation == Operation::Update
            && self.fault(new).is_some()
            && !ratchet::same_job(self.kind, &request.old_object, &request.object, self.may_place);
        decisive.then(|| self.judged(&request.old_object, request))
    }

    /// Whether the object would be admitted if its pods were placed as before.
    fn only_placement_ruins(&self, request: &Request) -> bool {
        let placed = ratchet::placed_as_before(&request.old_object, &request.object);
        placed != request.object && self.fault(&self.judged(&placed, request)).is_none()
    }

    fn judged(&self, object: &Value, request: &Request) -> Arc<Judgement> {
        let key = verdicts::key(&request.namespace, &request.kind, object);
        self.verdicts.get_or_judge(key, &self.around, &self.policy, || self.judge_now(object, request))
    }

    fn judge_now(&self, object: &Value, request: &Request) -> Judgement {
        let ask = Ask::default();
        let judge = |object: &Value| {
            let policy = &self.policy;
            (self.judge)(object, &self.around, &policy.world(), &ask)
        };
        if object.get("kind").is_some() && object.get("apiVersion").is_some() {
            return judge(object);
        }
        // Reviews carry the kind outside of the object, but the judge reads it from the object.
        let mut named = object.clone();
        if let Some(fields) = named.as_object_mut() {
            fields.insert("apiVersion".into(), request.kind.api_version().into());
            fields.insert("kind".into(), request.kind.kind.clone().into());
        }
        judge(&named)
    }

    fn log(&self, request: &Request, judgement: &Judgement, decided: &Decided) {
        let Request { uid, namespace, name, user_info, .. } = request;
        let user = user_info.username.as_str();
        let (kind, verdict, mode) = (self.kind.kind, judgement.verdict.name(), self.mode.name());
        if decided.denied.is_some() {
            tracing::info!(uid, kind, namespace, name, user, verdict, mode, "refused");
        } else if decided.notes.contains_key("would-deny") {
            tracing::info!(
                uid,
                kind,
                namespace,
                name,
                user,
                verdict,
                mode,
                "admitted, but enforce would refuse it"
            );
        } else {
            tracing::debug!(uid, kind, namespace, name, verdict, mode, "admitted");
        }
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

/// An admission without a judgement, a warning or a note.
fn admitted(request: &Request, kind: Option<&'static Kind>, mode: Option<Mode>) -> Outcome {
    not_judged(request.operation, kind, mode)
}

fn not_judged(operation: Operation, kind: Option<&'static Kind>, mode: Option<Mode>) -> Outcome {
    let counted = Counted {
        decision: "allowed",
        verdict: "NotJudged",
        mode: mode.map_or("none", Mode::name),
        operation: operation.name(),
        kind: kind.map_or("other", |kind| kind.slug),
    };
    Outcome { counted, decided: Decided::default(), status: None }
}

/// The status of a refusal: 403 as for any policy, 422 as for any validation.
fn status(fault: Fault, judgement: &Judgement, kind: &Kind, name: String) -> Status {
    let details =
        Details { name, group: kind.group.to_owned(), kind: kind.kind.to_owned(), causes: Vec::new() };
    match fault {
        Fault::OutOfMemory | Fault::Unknown => Status {
            outcome: "Failure",
            code: 403,
            reason: "Forbidden",
            message: message::refusal(judgement),
            details,
        },
        Fault::Malformed => {
            let cause = |(field, message)| Cause { reason: "FieldValueInvalid", message, field };
            let causes = message::causes(&judgement.errors).map(cause).collect();
            Status {
                outcome: "Failure",
                code: 422,
                reason: "Invalid",
                message: message::malformed(&judgement.errors),
                details: Details { causes, ..details },
            }
        }
    }
}
