//! What the controller counts.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge};
use prometheus_client::registry::Registry;

use crate::judgement::Verdict;

/// The controller's counters; a clone counts into the same.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    pub(super) leading: Gauge,
    pub(super) created: Counter,
    pub(super) bypassed: Counter,
    written: Family<OfVerdict, Counter>,
    failures: Family<OfReason, Counter>,
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
            "weighbridge_reconcile_failures",
            "Failures to reconcile, by reason",
            self.failures.clone(),
        );
    }

    pub(super) fn written(&self, verdict: Verdict) {
        self.written.get_or_create(&OfVerdict { verdict: verdict.name() }).inc();
    }

    pub(super) fn failed(&self, reason: &'static str) {
        self.failures.get_or_create(&OfReason { reason }).inc();
    }
}
