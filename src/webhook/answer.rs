//! From a review to its answer, within the deadline and in spite of errors.
//!
//! ```text
//! head ─► namespace's mode ─► a turn ─► envelope ─► unchanged? ─► objects ─► owner, exemptions ─► judge ─► decide
//! ```
//!
//! A review of a [`scale`] does not contain the object. The object is read first; the remaining steps are those of an
//! update.
//!
//! A [`Failure`] admits the object: a panic, a spent deadline, an object that cannot be read, a review for which there
//! is no memory or no turn.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use k8s_openapi::api::core::v1::Namespace as NamespaceObject;
use kube::Client;
use kube::api::ApiResource;
use serde_json::Value;
use tokio::sync::Semaphore;

use super::evaluation::Judge;
use super::failure::Failure;
use super::first::judge_first;
use super::judgements::Judgements;
use super::metrics::Metrics;
use super::outcome::{Outcome, failed};
use super::review::{Head, Operation, Request, Response, Review, Unanswerable};
use super::reviewer::{Reviewer, Step};
use super::scale::{self, Scaled};
use super::turns::{Size, Tenant, Turns};
use crate::admission::message;
use crate::background::Background;
use crate::cluster::{Cluster, Source};
use crate::judge::judge;
use crate::kinds::names;
use crate::policy::mode::{self, MODE_LABEL, Namespace};
use crate::server::bodies::{Body, Came, Dropped, Taken};
use crate::server::{Caller, Peer};

/// Answers reviews.
pub struct Webhook {
    client: Client,
    cluster: Arc<Cluster>,
    metrics: Metrics,
    turns: Turns,
    background: Background,
    judgements: Arc<Judgements>,
    /// Limits the reads of scaled objects.
    reads: Semaphore,
    judge: Judge,
}

impl Webhook {
    /// A webhook over these caches. `memory` bounds the bytes that the reviews take.
    pub fn new(client: Client, cluster: Arc<Cluster>, metrics: Metrics, memory: usize) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let turns = Turns::new(processors, memory);
        let reads = Semaphore::new(scale::READS);
        let background = Background::new(processors);
        let policy = cluster.policies.current();
        drop(background.spawn(move || judge_first(judge, &policy)));
        Self { client, cluster, metrics, turns, background, judgements: Arc::default(), reads, judge }
    }

    /// The webhook with another judge.
    #[cfg(test)]
    pub(super) fn judging_by(self, judge: Judge) -> Self {
        Self { judge, ..self }
    }

    /// The cached workloads.
    #[cfg(test)]
    pub(super) fn workloads(&self) -> &crate::cluster::Workloads {
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
        let short = message::RESOURCES.iter().copied().filter(|key| outcome.decided.notes.contains_key(key));
        answering.short_of(short, outcome.counted.kind);
        answering.answered(&outcome.counted, outcome.cause);
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
            judgements: self.judgements.clone(),
            histories: self.cluster.histories.clone(),
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

    /// Runs work when its turn comes, on a thread of its own unless it is quick. A panic is reported as a failure.
    async fn blocking<T: Send + 'static>(
        &self,
        tenant: Tenant,
        size: Size,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let mut turn = self.turns.turn(tenant, size).await.map_err(|_| Failure::Overloaded)?;
        let (is_quick, may_take_long) = (turn.is_quick(), turn.may_take_long());
        let work = move || {
            // The work keeps its turn even if the caller goes away.
            turn.begin();
            work()
        };
        if is_quick {
            return std::panic::catch_unwind(AssertUnwindSafe(work)).map_err(|_| Failure::Panicked);
        }
        let working =
            if may_take_long { self.background.spawn(work) } else { tokio::task::spawn_blocking(work) };
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
        failed(failure, head, kind)
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
