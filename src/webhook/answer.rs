//! From a review to its answer: gathers what the decision needs, within the deadline, whatever goes wrong.
//!
//! What goes wrong admits: a panic, a spent deadline, an object that can't be read. Each is told in a warning, noted in
//! the audit log, and counted.
//!
//! A review of a [`scale`] shows no object. The object is read first, and the rest of the way is that of an update.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use futures::FutureExt as _;
use k8s_openapi::api::core::v1::Namespace as NamespaceObject;
use kube::{Api, Client, ResourceExt as _};
use serde_json::Value;
use tokio::sync::Semaphore;

use super::children;
use super::decide::{Case, Decided, Fault, Ratchet, decide, fault};
use super::metrics::{Metrics, Review as Counted};
use super::mode::{self, Mode, Namespace};
use super::overrides::{self, Override};
use super::review::{Cause, Details, Operation, Request, Response, Review, Status, Unanswerable};
use super::scale::{self, Scaled};
use super::{message, namespaces, ratchet};
use crate::cluster::{Cluster, MODE_LABEL, Standing, Workloads};
use crate::config::policy::{Exempt, Policy};
use crate::hardware::Catalogue;
use crate::judge::{Ask, Rules, judge};
use crate::judgement::Judgement;
use crate::surroundings::Surroundings;
use crate::workload::kinds::{self, Kind};

/// [`judge`]'s signature: tests put others in its place.
type Judge = fn(&Value, &Surroundings, &Catalogue, &Rules, &Ask) -> Judgement;

/// What it takes to answer.
pub struct Webhook {
    client: Client,
    cluster: Arc<Cluster>,
    metrics: Metrics,
    /// As many judgements at a time as there are processors: more would only take longer each.
    at_once: Arc<Semaphore>,
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
}

impl Failure {
    /// For the audit log and the metric.
    const fn name(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::Panicked => "panic",
            Self::DeadlineSpent => "deadline",
            Self::ScaleUnread => "scale",
        }
    }

    const fn warning(self) -> &'static str {
        match self {
            Self::Unreadable => "weighbridge could not read this object, and admits it unjudged",
            Self::Panicked => "weighbridge failed to judge this object, and admits it unjudged",
            Self::DeadlineSpent => "weighbridge had no time to judge this object, and admits it unjudged",
            Self::ScaleUnread => "weighbridge could not read what is scaled, and admits the change unjudged",
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
    /// A webhook over these caches.
    pub fn new(client: Client, cluster: Arc<Cluster>, metrics: Metrics) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let at_once = Arc::new(Semaphore::new(processors));
        Self { client, cluster, metrics, at_once, reads: Semaphore::new(scale::READS), judge }
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
    pub(super) async fn answer(&self, body: Bytes, allowance: Duration) -> Result<Value, Unanswerable> {
        let started = Instant::now();
        let uid = match Review::read(&body) {
            Ok(review) => review.uid,
            Err(unanswerable) => {
                self.metrics.unanswerable();
                return Err(unanswerable);
            }
        };
        self.metrics.in_flight(1);
        let considering = tokio::time::timeout(allowance, self.consider(body, allowance));
        let considered = match AssertUnwindSafe(considering).catch_unwind().await {
            Ok(Ok(Ok(considered))) => considered,
            Ok(Ok(Err(failure))) => self.unjudged(failure),
            Ok(Err(_elapsed)) => self.unjudged(Failure::DeadlineSpent),
            Err(_panic) => self.unjudged(Failure::Panicked),
        };
        self.metrics.in_flight(-1);
        self.metrics.answered(&considered.counted, started.elapsed());
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

    async fn consider(&self, body: Bytes, allowance: Duration) -> Result<Considered, Failure> {
        let read = move || {
            let review = Review::read(&body).map_err(|_| Failure::Unreadable)?;
            review.request().map_err(|error| {
                tracing::warn!(%error, uid = review.uid, "a review can't be read; it is admitted");
                Failure::Unreadable
            })
        };
        let request = self.blocking(read).await??;
        if namespaces::is_one(&request) {
            return Ok(self.relabelled(&request));
        }
        if let Some(scaled) = scale::of(&request) {
            return self.scaled(&scaled, &request, allowance).await;
        }
        let Some(kind) = weighed(&request) else { return Ok(passed(&request, None, None)) };
        self.weigh(kind, request, allowance).await
    }

    /// A change of a scale, judged as an update of the object.
    async fn scaled(
        &self,
        scaled: &Scaled,
        request: &Request,
        allowance: Duration,
    ) -> Result<Considered, Failure> {
        let permit = self.reads.acquire().await.map_err(|_| Failure::ScaleUnread)?;
        let stored = scaled.read(&self.client, allowance / 2).await.ok_or(Failure::ScaleUnread)?;
        drop(permit);
        let mut considered = self.weigh(scaled.kind, scaled.whole(request, stored), allowance).await?;
        let verdict = considered.counted.verdict;
        scaled.tell(verdict, &mut considered.decided, &mut considered.status);
        Ok(considered)
    }

    /// An object of a kind that is weighed.
    async fn weigh(
        &self,
        kind: &'static Kind,
        request: Request,
        allowance: Duration,
    ) -> Result<Considered, Failure> {
        if request.operation == Operation::Update && ratchet::is_being_deleted(&request.old_object) {
            return Ok(passed(&request, Some(kind), None));
        }

        let policy = self.cluster.policies.current();
        let around = self.cluster.surroundings();
        if let Some(exempt) = exempt(&policy, &around, &request, kind) {
            let mut passed = passed(&request, Some(kind), None);
            passed.counted.decision = "exempt";
            passed.decided.notes.insert("exempt", exempt.name().to_owned());
            return Ok(passed);
        }
        let namespace = self.namespace(&request.namespace, allowance / 2).await;
        let mode::Found { mode, problem } = mode::of(&namespace, policy.mode);
        if mode == Mode::Off {
            return Ok(passed(&request, Some(kind), Some(mode)));
        }
        let user = &request.user_info;
        let weighing = Weighing {
            workloads: self.cluster.workloads.clone(),
            kind,
            mode,
            may_override: policy.overrides.allow(&user.username, &user.groups),
            may_place: policy.placement.allows(&user.username, &user.groups),
            around,
            policy,
            judge: self.judge,
        };
        let mut considered = self.blocking(move || weighing.weigh(request)).await?;
        if let Some(problem) = problem.filter(|_| !considered.decided.notes.is_empty()) {
            considered.decided.warnings.push(message::warning(&problem));
            considered.decided.notes.insert("mode-problem", problem);
        }
        Ok(considered)
    }

    /// Somebody changes a namespace: never refused.
    fn relabelled(&self, request: &Request) -> Considered {
        let default = self.cluster.policies.current().mode;
        let mut considered = not_judged(request.operation, None, None);
        considered.decided.warnings = namespaces::warnings(request, default, &self.cluster.workloads);
        considered.counted.kind = "namespace";
        if !considered.decided.warnings.is_empty() {
            considered.counted.decision = "warned";
        }
        considered
    }

    /// Work for a thread that nobody else waits on. A panic in it is its own.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        // It is never closed.
        let permit = self.at_once.clone().acquire_owned().await.map_err(|_| Failure::DeadlineSpent)?;
        let work = move || {
            // The permit stays with the work when nobody waits for it any more.
            let _permit = permit;
            work()
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| Failure::Panicked)
    }

    /// What is known of a namespace; asked of the apiserver once where no cache knows it.
    async fn namespace(&self, name: &str, within: Duration) -> Namespace {
        if let Some(label) = self.cluster.namespaces.mode_label(name) {
            return Namespace::Known(label);
        }
        let namespaces: Api<NamespaceObject> = Api::all(self.client.clone());
        match tokio::time::timeout(within, namespaces.get_metadata(name)).await {
            Ok(Ok(namespace)) => Namespace::Known(namespace.labels().get(MODE_LABEL).cloned()),
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

    fn unjudged(&self, failure: Failure) -> Considered {
        self.metrics.failed(failure.name());
        tracing::error!(error = failure.name(), "an object is admitted unjudged");
        let mut considered = not_judged(Operation::Other, None, None);
        considered.counted.decision = "warned";
        considered.decided.warnings.push(failure.warning().to_owned());
        considered.decided.notes.insert("error", failure.name().to_owned());
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
    judge: Judge,
}

impl Weighing {
    fn weigh(&self, request: Request) -> Considered {
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
            let mut passed = passed(&request, Some(self.kind), Some(self.mode));
            passed.decided.notes.extend(owner.map(|note| ("owner", note.to_owned())));
            return passed;
        }
        let new = self.judged(&request.object, &request);
        let old = self.old(&new, &request);
        let ratchet = match &old {
            _ if request.operation != Operation::Update || self.fault(&new).is_none() => None,
            None => Some(Ratchet::SameJob),
            Some(old) if self.fault(old).is_some() => Some(Ratchet::AlreadySo),
            Some(_) => (self.may_place && self.only_placement_ruins(&request)).then_some(Ratchet::SameJob),
        };
        // Of an unchanged job the reason was weighed before, and nothing is refused anyway.
        let given = match ratchet {
            Some(Ratchet::SameJob) => Override::None,
            _ => overrides::of(&new, old.as_ref(), self.may_override),
        };
        let spared = standing == Standing::Differs { spared: true } && self.fault(&new).is_some();
        let ratchet = ratchet.or(spared.then_some(Ratchet::Owner));
        let mut decided =
            decide(&Case { judgement: &new, mode: self.mode, unknown: self.policy.unknown, given, ratchet });
        if !decided.notes.is_empty() {
            decided.notes.extend(owner.map(|note| ("owner", note.to_owned())));
        }
        self.tell(&request, &new, &decided);
        let decision = match (&decided.denied, decided.warnings.is_empty()) {
            (Some(_), _) => "denied",
            (None, false) => "warned",
            (None, true) => "allowed",
        };
        let counted = Counted {
            decision,
            verdict: new.verdict.name(),
            mode: self.mode.name(),
            operation: request.operation.name(),
            kind: self.kind.slug,
        };
        let status = decided.denied.map(|fault| status(fault, &new, self.kind, request.name));
        Considered { counted, decided, status }
    }

    fn fault(&self, judgement: &Judgement) -> Option<Fault> {
        fault(judgement, self.policy.unknown)
    }

    /// The old object's judgement, where the decision hangs on it.
    fn old(&self, new: &Judgement, request: &Request) -> Option<Judgement> {
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

    fn judged(&self, object: &Value, request: &Request) -> Judgement {
        let ask = Ask::default();
        let judge = |object: &Value| {
            let policy = &self.policy;
            (self.judge)(object, &self.around, &policy.catalogue, &policy.rules, &ask)
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
fn weighed(request: &Request) -> Option<&'static Kind> {
    let whole = request.sub_resource.is_empty() && request.operation != Operation::Other;
    kinds::find(&request.kind.group, &request.kind.kind).filter(|_| whole)
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
