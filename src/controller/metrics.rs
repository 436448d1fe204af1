//! What the controller counts.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram};
use prometheus_client::registry::Registry;

use crate::api::v1alpha1::{ProgressStatus, TimeStatus};
use crate::judgement::Verdict;

/// The controller's counters; a clone counts into the same.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub(super) leading: Gauge,
    pub(super) created: Counter,
    pub(super) bypassed: Counter,
    written: Family<OfVerdict, Counter>,
    failures: Family<OfReason, Counter>,
    /// The time that workloads took over the time that was predicted.
    ratios: Family<OfInterval, Histogram, fn() -> Histogram>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            leading: Gauge::default(),
            created: Counter::default(),
            bypassed: Counter::default(),
            written: Family::default(),
            failures: Family::default(),
            ratios: Family::new_with_constructor(ratios),
        }
    }
}

/// Fine around one, where predictions should be.
fn ratios() -> Histogram {
    Histogram::new([0.25, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.2, 1.4, 2.0, 4.0])
}

/// Whether the time that a workload took was within the predicted interval: `below`, `within` or `above`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfInterval {
    interval: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfVerdict {
    verdict: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfReason {
    reason: &'static str,
}

impl Metrics {
    /// Makes them readable.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "weighbridge_leading",
            "Whether this process writes estimates",
            self.leading.clone(),
        );
        registry.register("weighbridge_estimates_created", "Estimates created", self.created.clone());
        registry.register(
            "weighbridge_bypassed_admissions",
            "Workloads found that run out of memory where that is refused",
            self.bypassed.clone(),
        );
        registry.register(
            "weighbridge_statuses_written",
            "Statuses written, by verdict",
            self.written.clone(),
        );
        registry.register(
            "weighbridge_time_ratio",
            "Time that workloads took over the time predicted, by whether it was within the interval",
            self.ratios.clone(),
        );
        registry.register(
            "weighbridge_reconcile_failures",
            "Failures to reconcile, by reason",
            self.failures.clone(),
        );
    }

    pub(super) fn written(&self, verdict: Verdict) {
        self.written.get_or_create(&OfVerdict { verdict: verdict.name() }).inc();
    }

    /// Counts a workload that has ended, where its time was predicted.
    pub(super) fn ended(&self, progress: &ProgressStatus, time: Option<&TimeStatus>) {
        let (Some(actual), Some(milli), Some(time)) =
            (progress.actual_seconds, progress.departure_milli, time)
        else {
            return;
        };
        let interval = if time.low_seconds.is_some_and(|low| actual < low) {
            "below"
        } else if time.high_seconds.is_some_and(|high| actual > high) {
            "above"
        } else {
            "within"
        };
        self.ratios.get_or_create(&OfInterval { interval }).observe(milli as f64 / 1000.0);
    }

    pub(super) fn failed(&self, reason: &'static str) {
        self.failures.get_or_create(&OfReason { reason }).inc();
    }
}
