//! What the webhook counts. Every label's values are few and known beforehand.
//!
//! What any webhook counts has the names that controller-runtime gave it, so that dashboards and alerts for others serve
//! here too.

use std::time::Instant;

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
    /// `allowed`, `warned`, `denied`, `exempt` or `abandoned`.
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

impl Review {
    /// A review whose sender gave up before there was an answer.
    const ABANDONED: Self =
        Self { decision: "abandoned", verdict: "NotJudged", mode: "none", operation: "other", kind: "other" };
}

/// A review that is being answered. One that is dropped without an answer is counted as abandoned.
pub(super) struct Answering {
    metrics: Metrics,
    since: Instant,
    told: bool,
}

impl Answering {
    /// It is answered.
    pub(super) fn answered(mut self, review: &Review) {
        self.metrics.reviews.get_or_create(review).inc();
        self.metrics.seconds.get_or_create(&WEBHOOK).observe(self.since.elapsed().as_secs_f64());
        self.told = true;
    }

    /// There was no uid to answer under.
    pub(super) fn unanswerable(mut self) {
        self.metrics.unanswerable.inc();
        self.told = true;
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.metrics.in_flight.get_or_create(&WEBHOOK).dec();
        if !self.told {
            self.metrics.reviews.get_or_create(&Review::ABANDONED).inc();
        }
    }
}

/// Nginx's code for a request whose client went away.
const GIVEN_UP: u16 = 499;

/// A request that has come.
pub(super) struct Requested {
    metrics: Metrics,
    code: u16,
}

impl Requested {
    /// It is answered with this HTTP code.
    pub(super) fn answered(mut self, code: u16) {
        self.code = code;
    }
}

impl Drop for Requested {
    fn drop(&mut self) {
        let of = Request { webhook: WEBHOOK.webhook, code: self.code };
        self.metrics.requests.get_or_create(&of).inc();
    }
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

    /// A review is being answered from now on, until what is returned is told how, or dropped.
    pub(super) fn answering(&self) -> Answering {
        self.in_flight.get_or_create(&WEBHOOK).inc();
        Answering { metrics: self.clone(), since: Instant::now(), told: false }
    }

    /// A request has come, and has this HTTP code when what is returned is told one, or dropped.
    pub(super) fn requested(&self) -> Requested {
        Requested { metrics: self.clone(), code: GIVEN_UP }
    }

    pub(super) fn failed(&self, error: &'static str) {
        self.errors.get_or_create(&OfError { error }).inc();
    }

    pub(super) fn unanswerable(&self) {
        self.unanswerable.inc();
    }
}
