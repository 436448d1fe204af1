//! The webhook's metrics. Every label has few values, and all of them are known beforehand.
//!
//! Metrics that every webhook has use the names of controller-runtime, so that existing dashboards and alerts work.

use std::time::Instant;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge};
use prometheus_client::registry::{Registry, Unit};

use super::failure::Failure;
use crate::job::Cause;

/// The webhook's counters. Clones share them.
#[derive(Clone, Debug)]
pub struct Metrics {
    reviews: Family<Review, Counter>,
    without_estimate: Family<OfCause, Counter>,
    short: Family<OfResource, Counter>,
    errors: Family<ErrorLabels, Counter>,
    unanswerable: Counter,
    requests: Family<Request, Counter>,
    seconds: Family<WebhookLabels, Histogram, fn() -> Histogram>,
    in_flight: Family<WebhookLabels, Gauge>,
}

/// The path of the webhook, as controller-runtime labels it.
const WEBHOOK: WebhookLabels = WebhookLabels { webhook: "/validate" };

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WebhookLabels {
    webhook: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    webhook: &'static str,
    code: u16,
}

/// A review that was answered.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Review {
    /// `allowed`, `warned`, `denied`, `exempt` or `abandoned`.
    pub(super) decision: &'static str,
    /// The verdict's word; `NotJudged` if the object was not judged.
    pub(super) verdict: &'static str,
    /// The mode's word.
    pub(super) mode: &'static str,
    /// `create` or `update`.
    pub(super) operation: &'static str,
    /// The kind's slug.
    pub(super) kind: &'static str,
}

/// A reviewed object that asks for accelerators and has no estimate.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfCause {
    /// The cause's slug.
    cause: &'static str,
    /// The kind's slug.
    kind: &'static str,
}

/// A reviewed job whose pod may run out of a resource besides accelerator memory.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfResource {
    /// `host-memory`, `shared-memory` or `storage`.
    resource: &'static str,
    /// The kind's slug.
    kind: &'static str,
}

impl Review {
    /// A review whose sender gave up before the answer.
    const ABANDONED: Self =
        Self { decision: "abandoned", verdict: "NotJudged", mode: "none", operation: "other", kind: "other" };
}

/// A review that is being answered. If it is dropped without an answer, it counts as abandoned.
pub(super) struct Answering {
    metrics: Metrics,
    since: Instant,
    is_counted: bool,
}

impl Answering {
    /// Counts the resources besides accelerator memory that may not suffice for the pod.
    pub(super) fn short_of(&self, resources: impl Iterator<Item = &'static str>, kind: &'static str) {
        for resource in resources {
            self.metrics.short.get_or_create(&OfResource { resource, kind }).inc();
        }
    }

    /// Counts the answer, and why the object has no estimate.
    pub(super) fn answered(mut self, review: &Review, cause: Option<Cause>) {
        if let Some(cause) = cause {
            let labels = OfCause { cause: cause.slug(), kind: review.kind };
            self.metrics.without_estimate.get_or_create(&labels).inc();
        }
        self.metrics.reviews.get_or_create(review).inc();
        self.metrics.seconds.get_or_create(&WEBHOOK).observe(self.since.elapsed().as_secs_f64());
        self.is_counted = true;
    }

    /// Counts a request without a uid.
    pub(super) fn unanswerable(mut self) {
        self.metrics.unanswerable.inc();
        self.is_counted = true;
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.metrics.in_flight.get_or_create(&WEBHOOK).dec();
        if !self.is_counted {
            self.metrics.reviews.get_or_create(&Review::ABANDONED).inc();
        }
    }
}

/// Nginx's code for a request whose client closed the connection.
const GIVEN_UP: u16 = 499;

/// A request whose answer is not sent yet.
pub(super) struct Requested {
    metrics: Metrics,
    code: u16,
}

impl Requested {
    /// Sets the HTTP code of the answer.
    pub(super) fn answered(mut self, code: u16) {
        self.code = code;
    }
}

impl Drop for Requested {
    fn drop(&mut self) {
        let labels = Request { webhook: WEBHOOK.webhook, code: self.code };
        self.metrics.requests.get_or_create(&labels).inc();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ErrorLabels {
    error: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            reviews: Family::default(),
            without_estimate: Family::default(),
            short: Family::default(),
            errors: Family::default(),
            unanswerable: Counter::default(),
            requests: Family::default(),
            // From a quarter of a millisecond to eight seconds.
            seconds: Family::new_with_constructor(|| Histogram::new(exponential_buckets(25e-5, 2.0, 16))),
            in_flight: Family::default(),
        }
    }
}

impl Metrics {
    /// Registers the metrics. The counters that alerts watch exist from the beginning: a counter that appears with its
    /// first event has no increase.
    pub fn register(&self, registry: &mut Registry) {
        for failure in Failure::ALL {
            drop(self.errors.get_or_create(&ErrorLabels { error: failure.name() }));
        }
        registry.register(
            "weighbridge_admission_reviews",
            "Reviews answered, by decision, verdict, mode, operation and kind",
            self.reviews.clone(),
        );
        registry.register(
            "weighbridge_admission_without_estimate",
            "Reviewed objects that ask for accelerators and have no estimate, by cause and kind",
            self.without_estimate.clone(),
        );
        registry.register(
            "weighbridge_admission_resources_short",
            "Reviewed jobs whose pod may run out of host memory, shared memory or disk, by resource and kind",
            self.short.clone(),
        );
        registry.register(
            "weighbridge_admission_errors",
            "Reviews admitted because judging them failed, by error",
            self.errors.clone(),
        );
        registry.register(
            "weighbridge_admission_unanswerable",
            "Requests without a review's uid, answered with an HTTP error",
            self.unanswerable.clone(),
        );
        registry.register(
            "controller_runtime_webhook_requests",
            "Requests, by webhook and HTTP code",
            self.requests.clone(),
        );
        registry.register_with_unit(
            "controller_runtime_webhook_latency",
            "Time from the body of a review to its answer",
            Unit::Seconds,
            self.seconds.clone(),
        );
        registry.register(
            "controller_runtime_webhook_requests_in_flight",
            "Reviews being answered",
            self.in_flight.clone(),
        );
    }

    /// Counts a review as in flight until the result is answered or dropped.
    pub(super) fn answering(&self) -> Answering {
        self.in_flight.get_or_create(&WEBHOOK).inc();
        Answering { metrics: self.clone(), since: Instant::now(), is_counted: false }
    }

    /// Counts a request when the result is dropped, with the code of its answer.
    pub(super) fn requested(&self) -> Requested {
        Requested { metrics: self.clone(), code: GIVEN_UP }
    }

    pub(super) fn failed(&self, error: &'static str) {
        self.errors.get_or_create(&ErrorLabels { error }).inc();
    }

    pub(super) fn unanswerable(&self) {
        self.unanswerable.inc();
    }
}
