//! What the webhook counts. Every label's values are few and known beforehand.
//!
//! What any webhook counts has the names that controller-runtime gave it, so that dashboards and alerts for others serve
//! here too.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge};
use prometheus_client::registry::{Registry, Unit};

/// The webhook's counters; a clone counts into the same.
#[derive(Clone, Debug)]
pub struct Metrics {
    reviews: Family<Review, Counter>,
    errors: Family<OfError, Counter>,
    unanswerable: Counter,
    requests: Family<Request, Counter>,
    seconds: Family<OfWebhook, Histogram, fn() -> Histogram>,
    in_flight: Family<OfWebhook, Gauge>,
}

/// The path of the one webhook, as controller-runtime labels it.
const WEBHOOK: OfWebhook = OfWebhook { webhook: "/validate" };

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfWebhook {
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
    /// `allowed`, `warned` or `denied`.
    pub(super) decision: &'static str,
    /// The verdict's word; `NotJudged` where none was needed.
    pub(super) verdict: &'static str,
    /// The mode's word.
    pub(super) mode: &'static str,
    /// `create` or `update`.
    pub(super) operation: &'static str,
    /// The kind's slug.
    pub(super) kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfError {
    error: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            reviews: Family::default(),
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
    /// Makes them readable.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "weighbridge_admission_reviews",
            "Reviews answered, by decision, verdict, mode, operation and kind",
            self.reviews.clone(),
        );
        registry.register(
            "weighbridge_admission_errors",
            "Reviews admitted because judging them failed, by error",
            self.errors.clone(),
        );
        registry.register(
            "weighbridge_admission_unanswerable",
            "Requests without a uid to answer under",
            self.unanswerable.clone(),
        );
        registry.register(
            "controller_runtime_webhook_requests",
            "Requests, by webhook and HTTP code",
            self.requests.clone(),
        );
        registry.register_with_unit(
            "controller_runtime_webhook_latency",
            "From the whole body read to the answer",
            Unit::Seconds,
            self.seconds.clone(),
        );
        registry.register(
            "controller_runtime_webhook_requests_in_flight",
            "Reviews being answered",
            self.in_flight.clone(),
        );
    }

    pub(super) fn answered(&self, review: &Review, took: Duration) {
        self.reviews.get_or_create(review).inc();
        self.seconds.get_or_create(&WEBHOOK).observe(took.as_secs_f64());
    }

    /// A request was answered with this HTTP code.
    pub(super) fn requested(&self, code: u16) {
        self.requests.get_or_create(&Request { webhook: WEBHOOK.webhook, code }).inc();
    }

    /// Another review is being answered, or one less.
    pub(super) fn in_flight(&self, by: i64) {
        self.in_flight.get_or_create(&WEBHOOK).inc_by(by);
    }

    pub(super) fn failed(&self, error: &'static str) {
        self.errors.get_or_create(&OfError { error }).inc();
    }

    pub(super) fn unanswerable(&self) {
        self.unanswerable.inc();
    }
}
