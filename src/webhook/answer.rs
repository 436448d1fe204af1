//! From a review to its answer: gathers what the decision needs, within the deadline, whatever goes wrong.
//!
//! ```text
//! head ─► namespace's mode ─► a turn ─► envelope ─► unchanged? ─► objects ─► owner, exemptions ─► judge ─► decide
//! ```
//!
//! A review of a [`scale`] shows no object. The object is read first, and the rest of the way is that of an update.
//!
//! What goes wrong admits: a panic, a spent deadline, an object that can't be read, a review for which there was no room or
//! no turn. Each is told in a warning, noted in the audit log, and counted.

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
use crate::kinds::{Kind, Kinds};
use crate::policy::mode::{self, MODE_LABEL, Namespace};
use crate::policy::{Exempt, Mode, Policy, World};
use crate::server::bodies::{Body, Came, Dropped, Taken};
use crate::server::{Caller, Peer};
use crate::surroundings::Surroundings;

/// [`judge`]'s signature: tests put others in its place.
type Judge = fn(&Value, &Surroundings, &World<'_>, &Ask) -> Judgement;

/// What it takes to answer.
pub struct Webhook {
    client: Client,
    cluster: Arc<Cluster>,
    metrics: Metrics,
    turns: Turns,
    background: Background,
    verdicts: Arc<Verdicts>,
    /// Reads of what is scaled.
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
    /// The review has more bytes than are read.
    TooLarge,
    /// There was no room for it, or too many waited for a turn.
    Overloaded,
}

impl Failure {
    /// For the audit log and the metric.
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
            Self::ScaleUnread => "weighbridge could not read what is scaled, and admits the change unjudged",
            Self::TooLarge => "weighbridge does not read an object this large, and admits it unjudged",
            Self::Overloaded => "weighbridge has too much to judge at once, and admits this object unjudged",
        }
    }
}

/// A decision on its way to the wire.
struct Considered {
    counted: Counted,
    decided: Decided,
    status: Option<Status>,
}

impl Webhook {
    /// A webhook over these caches. What it reads of reviews takes at most so many bytes.
    pub fn new(client: Client, cluster: Arc<Cluster>, metrics: Metrics, memory: usize) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let turns = Turns::new(processors, memory);
        let reads = Semaphore::new(scale::READS);
        let background = Background::new(processors);
        Self { client, cluster, metrics, turns, background, verdicts: Arc::default(), reads, judge }
    }

    /// With another judge.
    #[cfg(test)]
    pub(super) fn judging_by(self, judge: Judge) -> Self {
        Self { judge, ..self }
    }

    /// The workloads that it knows.
    #[cfg(test)]
    pub(super) fn workloads(&self) -> &Workloads {
        &self.cluster.workloads
    }

    /// What it counts.
    pub(super) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Answers within the allowance, if there is a uid to answer under.
    pub(super) async fn answer(
        &self,
        came: Came,
        caller: &Caller,
        allowance: Duration,
    ) -> Result<Value, Unanswerable> {
        let answering = self.metrics.answering();
        let mut head = Head::default();
        let considering =
            tokio::time::timeout(allowance, self.consider(came, caller.peer, allowance, &mut head));
        let considered = match AssertUnwindSafe(considering).catch_unwind().await {
            Ok(Ok(Ok(considered))) => Ok(considered),
            Ok(Ok(Err(Trouble::Failed(failure)))) => Err((failure, Unanswerable::Unread)),
            Ok(Ok(Err(Trouble::Unanswerable(why)))) => Err((Failure::Unreadable, why)),
            Ok(Err(_elapsed)) => Err((Failure::DeadlineSpent, Unanswerable::Unread)),
            Err(_panic) => Err((Failure::Panicked, Unanswerable::Unread)),
        };
        let Some(uid) = head.uid().map(str::to_owned) else {
            answering.unanswerable();
            return Err(considered.err().map_or(Unanswerable::NoUid, |(_, why)| why));
        };
        let considered = considered.unwrap_or_else(|(failure, _)| self.unjudged(failure, &head));
        answering.answered(&considered.counted);
        let Considered { decided, status, .. } = considered;
        let response = Response {
            uid,
            allowed: status.is_none(),
            status,
            warnings: decided.warnings,
            audit_annotations: decided.notes,
        };
        Ok(response.to_json())
    }

    /// Considers what came. The head is there as soon as it is known.
    async fn consider(
        &self,
        came: Came,
        peer: Peer,
        allowance: Duration,
        head: &mut Head,
    ) -> Result<Considered, Trouble> {
        let body = match came {
            Came::Whole(body) => body,
            Came::Head(bytes, why) => {
                *head = Head::read(&bytes);
                return Err(Trouble::Failed(match why {
                    Dropped::TooLarge => Failure::TooLarge,
                    Dropped::NoRoom => Failure::Overloaded,
                    Dropped::Late => Failure::DeadlineSpent,
                }));
            }
            Came::Broken => return Err(Trouble::Failed(Failure::Unreadable)),
        };
        *head = Head::read(body.head());
        let size = Size { bytes: body.length(), objects: 1 };
        let mut coming = Coming::Held(body);
        if !head.is_complete() {
            // Not as the apiserver writes it: its fields are all over the body.
            let tenant = Tenant::new(peer, "");
            let read = move || coming.take().map(|taken| (whole_head(&taken), taken));
            let (whole, taken) = self.blocking(tenant, size, read).await??;
            *head = whole?;
            coming = Coming::Taken(taken);
        }
        let name = head.namespace.clone().unwrap_or_default();
        let policy = self.cluster.policies.current();
        let namespace = self.namespace(&name, allowance / 2).await;
        let considering = Arc::new(Considering {
            namespace: name.clone(),
            found: mode::of(&namespace, policy.mode),
            around: self.cluster.surroundings(),
            policy,
            workloads: self.cluster.workloads.clone(),
            verdicts: self.verdicts.clone(),
            metrics: self.metrics.clone(),
            judge: self.judge,
        });
        // Of an update the old object is read too, and both are compared.
        let objects = if head.operation == Some(Operation::Update) { 3 } else { 1 };
        let (tenant, first) = (Tenant::new(peer, &name), considering.clone());
        let consider = move || first.consider(coming.take()?);
        match self.blocking(tenant.clone(), Size { objects, ..size }, consider).await?? {
            Step::Considered(considered) => Ok(*considered),
            Step::Scaled(scaled) => Ok(self.scaled(*scaled, tenant, considering, allowance).await?),
        }
    }

    /// A change of a scale, judged as an update of the object.
    async fn scaled(
        &self,
        (scaled, request): (Scaled, Request),
        tenant: Tenant,
        considering: Arc<Considering>,
        allowance: Duration,
    ) -> Result<Considered, Failure> {
        let permit = self.reads.acquire().await.map_err(|_| Failure::ScaleUnread)?;
        let stored = scaled.read(&self.client, allowance / 2).await.ok_or(Failure::ScaleUnread)?;
        drop(permit);
        let consider = move || {
            let mut considered = considering.weigh(scaled.kind, &scaled.whole(&request, stored));
            let verdict = considered.counted.verdict;
            scaled.tell(verdict, &mut considered.decided, &mut considered.status);
            considered
        };
        self.blocking(tenant, STORED, consider).await
    }

    /// Work for a thread of its own, when its turn has come. A panic in it is its own.
    async fn blocking<T: Send + 'static>(
        &self,
        tenant: Tenant,
        size: Size,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let turn = self.turns.turn(tenant, size).await.map_err(|_| Failure::Overloaded)?;
        let is_dear = turn.is_dear();
        let work = move || {
            // The turn stays with the work when its caller has gone.
            let _turn = turn;
            work()
        };
        let working = if is_dear { self.background.spawn(work) } else { tokio::task::spawn_blocking(work) };
        working.await.map_err(|_| Failure::Panicked)
    }

    /// What is known of a namespace; asked of the apiserver once where no cache knows it.
    async fn namespace(&self, name: &str, within: Duration) -> Namespace {
        if let Some(label) = self.cluster.namespaces.mode_label(name) {
            return Namespace::Known(label);
        }
        // A review may come from anybody, and the name becomes part of a path.
        if !is_label(name) {
            return Namespace::Unreadable;
        }
        let (resource, room) = (ApiResource::erase::<NamespaceObject>(&()), self.cluster.room.clone());
        let namespaces = Source::new(self.client.clone(), resource, None, room).metadata_only();
        match tokio::time::timeout(within, namespaces.get(name)).await {
            Ok(Ok(Some(namespace))) => Namespace::Known(namespace.label(MODE_LABEL).map(str::to_owned)),
            Ok(Ok(None)) => {
                self.metrics.failed("namespace");
                tracing::warn!(namespace = name, "the namespace is not there: it only warns");
                Namespace::Unreadable
            }
            Ok(Err(error)) => {
                self.metrics.failed("namespace");
                tracing::warn!(namespace = name, %error, "the namespace could not be read: it only warns");
                Namespace::Unreadable
            }
            Err(_elapsed) => {
                self.metrics.failed("namespace");
                tracing::warn!(namespace = name, "the namespace was not read in time: it only warns");
                Namespace::Unreadable
            }
        }
    }

    fn unjudged(&self, failure: Failure, head: &Head) -> Considered {
        self.metrics.failed(failure.name());
        tracing::error!(error = failure.name(), uid = head.uid(), "an object is admitted unjudged");
        let kind =
            head.object_kind.as_ref().and_then(|kind| self.cluster.kinds().find(&kind.group, &kind.kind));
        let mut considered = not_judged(head.operation.unwrap_or(Operation::Other), kind, None);
        considered.counted.decision = "warned";
        considered.decided.warnings.push(failure.warning().to_owned());
        considered.decided.notes.insert("error", failure.name().to_owned());
        considered
    }
}

/// Why there is no decision.
enum Trouble {
    Failed(Failure),
    /// It is no review.
    Unanswerable(Unanswerable),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Unanswerable> for Trouble {
    fn from(why: Unanswerable) -> Self {
        Self::Unanswerable(why)
    }
}

/// A body on its way to its reader.
enum Coming {
    /// It may still be dropped.
    Held(Body),
    Taken(Taken),
}

impl Coming {
    fn take(self) -> Result<Taken, Failure> {
        match self {
            Self::Held(body) => body.take().ok_or(Failure::Overloaded),
            Self::Taken(taken) => Ok(taken),
        }
    }
}

/// The head, by reading the whole body.
fn whole_head(taken: &Taken) -> Result<Head, Unanswerable> {
    Review::read(taken.bytes()).map(|review| review.head())
}

/// Whether it is a DNS label, as a namespace's name must be.
fn is_label(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=63).contains(&name.len())
        && name.chars().all(inner)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// A stored object. Its size is not known before it is read.
const STORED: Size = Size { bytes: 1 << 20, objects: 3 };

/// How far a review is considered.
enum Step {
    Considered(Box<Considered>),
    /// What is scaled must be read first.
    Scaled(Box<(Scaled, Request)>),
}

/// What considers a review, for a thread of its own.
struct Considering {
    /// The namespace that the mode is of.
    namespace: String,
    found: mode::Found,
    around: Arc<Surroundings>,
    policy: Arc<Policy>,
    workloads: Arc<Workloads>,
    verdicts: Arc<Verdicts>,
    metrics: Metrics,
    judge: Judge,
}

impl Considering {
    fn consider(&self, body: Taken) -> Result<Step, Failure> {
        let unreadable = |error: String| {
            tracing::warn!(error, "a review can't be read; it is admitted");
            Failure::Unreadable
        };
        let review = Review::read(body.bytes()).map_err(|error| unreadable(error.to_string()))?;
        // The mode and the turn were those of the namespace in the head.
        if review.namespace != self.namespace {
            return Err(unreadable("it names two namespaces".to_owned()));
        }
        if review.operation == Operation::Update
            && let (Some(old), Some(new)) = (review.old_object, review.object)
            && review.kind.kind != namespaces::KIND
            && untouched(old, new)
        {
            let request = review.without_objects();
            let kind = weighed(&request, &self.policy.kinds);
            return Ok(Step::Considered(Box::new(passed(&request, kind, None))));
        }
        let request = review.request();
        // Its objects are on their own now, and others have a use for the room.
        drop(body);
        match request {
            Ok(request) => Ok(match scale::of(&request, &self.policy.kinds) {
                Some(scaled) => Step::Scaled(Box::new((scaled, request))),
                None => Step::Considered(Box::new(self.judged(&request))),
            }),
            Err(unread) => match unread.why {
                NotRead::TooLarge => {
                    Ok(Step::Considered(Box::new(self.too_large(&unread.request, unread.old_is_read))))
                }
                NotRead::Malformed(error) => Err(unreadable(error)),
            },
        }
    }

    fn judged(&self, request: &Request) -> Considered {
        if namespaces::is_one(request) {
            return self.relabelled(request);
        }
        match weighed(request, &self.policy.kinds) {
            Some(kind) => self.weigh(kind, request),
            None => passed(request, None, None),
        }
    }

    /// An object of a kind that is weighed.
    fn weigh(&self, kind: &'static Kind, request: &Request) -> Considered {
        if request.operation == Operation::Update && ratchet::is_being_deleted(&request.old_object) {
            return passed(request, Some(kind), None);
        }
        if let Some(spared) = self.spared(kind, request) {
            return spared;
        }
        let mut considered = self.weighing(kind, request).weigh(request);
        if let Some(problem) = self.found.problem.clone().filter(|_| !considered.decided.notes.is_empty()) {
            considered.decided.warnings.push(message::warning(&problem));
            considered.decided.notes.insert("mode-problem", problem);
        }
        considered
    }

    /// What is exempt, or in a namespace that is off.
    fn spared(&self, kind: &'static Kind, request: &Request) -> Option<Considered> {
        if let Some(exempt) = exempt(&self.policy, &self.around, request, kind) {
            let mut passed = passed(request, Some(kind), None);
            passed.counted.decision = "exempt";
            passed.decided.notes.insert("exempt", exempt.name().to_owned());
            return Some(passed);
        }
        let mode = self.found.mode;
        (mode == Mode::Off).then(|| passed(request, Some(kind), Some(mode)))
    }

    fn weighing(&self, kind: &'static Kind, request: &Request) -> Weighing {
        let user = &request.user_info;
        Weighing {
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

    /// An object of more values than are read: unknown, and decided like everything unknown.
    fn too_large(&self, request: &Request, old_is_read: bool) -> Considered {
        let Some(kind) = weighed(request, &self.policy.kinds) else { return passed(request, None, None) };
        if let Some(spared) = self.spared(kind, request) {
            return spared;
        }
        self.metrics.failed(Failure::TooLarge.name());
        let judgement = Judgement::too_large();
        let weighing = self.weighing(kind, request);
        // What would be refused already must stay editable.
        let was_refused = || weighing.fault(&weighing.judged(&request.old_object, request)).is_some();
        let already = request.operation == Operation::Update && (!old_is_read || was_refused());
        let ratchet = already.then_some(Ratchet::AlreadySo);
        let mut considered = weighing.decided(request, &judgement, Override::None, ratchet, None);
        considered.decided.notes.insert("error", Failure::TooLarge.name().to_owned());
        considered
    }

    /// Somebody changes a namespace: never refused.
    fn relabelled(&self, request: &Request) -> Considered {
        let mut considered = not_judged(request.operation, None, None);
        considered.decided.warnings = namespaces::warnings(request, self.policy.mode, &self.workloads);
        considered.counted.kind = "namespace";
        if !considered.decided.warnings.is_empty() {
            considered.counted.decision = "warned";
        }
        considered
    }
}

/// What judges, for a thread of its own.
struct Weighing {
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

impl Weighing {
    fn weigh(&self, request: &Request) -> Considered {
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
            let mut passed = passed(request, Some(self.kind), Some(self.mode));
            passed.decided.notes.extend(owner.map(|note| ("owner", note.to_owned())));
            return passed;
        }
        let new = self.judged(&request.object, request);
        let old = self.old(&new, request);
        let ratchet = match &old {
            _ if request.operation != Operation::Update || self.fault(&new).is_none() => None,
            None => Some(Ratchet::SameJob),
            Some(old) if self.fault(old).is_some() => Some(Ratchet::AlreadySo),
            Some(_) => (self.may_place && self.only_placement_ruins(request)).then_some(Ratchet::SameJob),
        };
        // Of an unchanged job the reason was weighed before, and nothing is refused anyway.
        let given = match ratchet {
            Some(Ratchet::SameJob) => Override::None,
            _ => overrides::of(&new, old.as_deref(), self.may_override),
        };
        let spared = standing == Standing::Differs { spared: true } && self.fault(&new).is_some();
        let ratchet = ratchet.or(spared.then_some(Ratchet::Owner));
        self.decided(request, &new, given, ratchet, owner)
    }

    /// What follows from a judgement.
    fn decided(
        &self,
        request: &Request,
        judgement: &Judgement,
        given: Override,
        ratchet: Option<Ratchet>,
        owner: Option<&str>,
    ) -> Considered {
        let mut decided =
            decide(&Case { judgement, mode: self.mode, unknown: self.policy.unknown, given, ratchet });
        if !decided.notes.is_empty() {
            decided.notes.extend(owner.map(|note| ("owner", note.to_owned())));
        }
        self.tell(request, judgement, &decided);
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
        Considered { counted, decided, status }
    }

    fn fault(&self, judgement: &Judgement) -> Option<Fault> {
        fault(judgement, self.policy.unknown)
    }

    /// The old object's judgement, where the decision hangs on it.
    fn old(&self, new: &Judgement, request: &Request) -> Option<Arc<Judgement>> {
        let hangs = request.operation == Operation::Update
            && self.fault(new).is_some()
            && !ratchet::same_job(self.kind, &request.old_object, &request.object, self.may_place);
        hangs.then(|| self.judged(&request.old_object, request))
    }

    /// Whether the object would not be refused if its pods were placed as before.
    fn only_placement_ruins(&self, request: &Request) -> bool {
        let placed = ratchet::placed_as_before(&request.old_object, &request.object);
        placed != request.object && self.fault(&self.judged(&placed, request)).is_none()
    }

    fn judged(&self, object: &Value, request: &Request) -> Arc<Judgement> {
        let key = verdicts::key(&request.namespace, &request.kind, object);
        self.verdicts.of(key, &self.around, &self.policy, || self.judged_anew(object, request))
    }

    fn judged_anew(&self, object: &Value, request: &Request) -> Judgement {
        let ask = Ask::default();
        let judge = |object: &Value| {
            let policy = &self.policy;
            (self.judge)(object, &self.around, &policy.world(), &ask)
        };
        if object.get("kind").is_some() && object.get("apiVersion").is_some() {
            return judge(object);
        }
        // Only the judge goes by what the object says of itself.
        let mut named = object.clone();
        if let Some(fields) = named.as_object_mut() {
            fields.insert("apiVersion".into(), request.kind.api_version().into());
            fields.insert("kind".into(), request.kind.kind.clone().into());
        }
        judge(&named)
    }

    fn tell(&self, request: &Request, judgement: &Judgement, decided: &Decided) {
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
                "admitted, though it would be refused"
            );
        } else {
            tracing::debug!(uid, kind, namespace, name, verdict, mode, "admitted");
        }
    }
}

/// What exempts a request, the cheapest reason first.
fn exempt(policy: &Policy, around: &Surroundings, request: &Request, kind: &Kind) -> Option<Exempt> {
    let (exemptions, user) = (&policy.exemptions, &request.user_info);
    exemptions
        .namespace(&request.namespace)
        .or_else(|| exemptions.user(&user.username, &user.groups))
        .or_else(|| exemptions.pods(kind, &request.object, around, &policy.catalogue))
}

/// The kind, if the request is about an object of a kind that is weighed, and not about a part of it.
fn weighed(request: &Request, kinds: &Kinds) -> Option<&'static Kind> {
    let whole = request.sub_resource.is_empty() && request.operation != Operation::Other;
    kinds.find(&request.kind.group, &request.kind.kind).filter(|_| whole)
}

/// Admitted without being judged, and without a word.
fn passed(request: &Request, kind: Option<&'static Kind>, mode: Option<Mode>) -> Considered {
    not_judged(request.operation, kind, mode)
}

fn not_judged(operation: Operation, kind: Option<&'static Kind>, mode: Option<Mode>) -> Considered {
    let counted = Counted {
        decision: "allowed",
        verdict: "NotJudged",
        mode: mode.map_or("none", Mode::name),
        operation: operation.name(),
        kind: kind.map_or("other", |kind| kind.slug),
    };
    Considered { counted, decided: Decided::default(), status: None }
}

/// What a refusal says: 403 as any policy does, 422 as any validation does.
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
