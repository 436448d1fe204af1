//! What the controller counts. What any controller counts has the names that controller-runtime gave it.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge};
use prometheus_client::registry::{Registry, Unit};

use super::queue::Outcome;
use crate::judgement::Verdict;

/// The controller's counters; a clone counts into the same.
#[derive(Clone, Debug)]
pub struct Metrics {
    leading: Family<OfLease, Gauge>,
    pub(super) created: Counter,
    pub(super) bypassed: Counter,
    written: Family<OfVerdict, Counter>,
    failures: Family<OfReason, Counter>,
    reconciled: Family<Reconciled, Counter>,
    errors: Family<OfController, Counter>,
    seconds: Family<OfController, Histogram, fn() -> Histogram>,
    active: Family<OfController, Gauge>,
}

const CONTROLLER: OfController = OfController { controller: "trainingestimate" };

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfController {
    controller: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reconciled {
    controller: &'static str,
    /// `success`, `error` or `requeue_after`.
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfLease {
    name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfVerdict {
    verdict: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfReason {
    reason: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            leading: Family::default(),
            created: Counter::default(),
            bypassed: Counter::default(),
            written: Family::default(),
            failures: Family::default(),
            reconciled: Family::default(),
            errors: Family::default(),
            // From a millisecond to half a minute.
            seconds: Family::new_with_constructor(|| Histogram::new(exponential_buckets(1e-3, 2.0, 16))),
            active: Family::default(),
        }
    }
}

impl Metrics {
    /// Makes them readable.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "leader_election_master_status",
            "Whether this process leads and writes estimates, by the lease's name",
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
        registry.register(
            "controller_runtime_reconcile",
            "Reconciliations, by controller and result",
            self.reconciled.clone(),
        );
        registry.register(
            "controller_runtime_reconcile_errors",
            "Reconciliations that failed, by controller",
            self.errors.clone(),
        );
        registry.register_with_unit(
            "controller_runtime_reconcile_time",
            "How long a reconciliation takes, by controller",
            Unit::Seconds,
            self.seconds.clone(),
        );
        registry.register(
            "controller_runtime_active_workers",
            "Reconciliations under way, by controller",
            self.active.clone(),
        );
    }

    pub(super) fn written(&self, verdict: Verdict) {
        self.written.get_or_create(&OfVerdict { verdict: verdict.name() }).inc();
    }

    /// Whether this process leads.
    pub(super) fn leads(&self, lease: &str, leads: bool) {
        self.leading.get_or_create(&OfLease { name: lease.to_owned() }).set(leads.into());
    }

    /// Something begins to be reconciled.
    pub(super) fn begins(&self) {
        self.active.get_or_create(&CONTROLLER).inc();
    }

    /// Something was reconciled.
    pub(super) fn ended(&self, outcome: Outcome, took: Duration) {
        self.active.get_or_create(&CONTROLLER).dec();
        self.seconds.get_or_create(&CONTROLLER).observe(took.as_secs_f64());
        let result = match outcome {
            Outcome::Done => "success",
            Outcome::Waiting => "requeue_after",
            Outcome::Failed => "error",
        };
        self.reconciled.get_or_create(&Reconciled { controller: CONTROLLER.controller, result }).inc();
        if outcome == Outcome::Failed {
            self.errors.get_or_create(&CONTROLLER).inc();
        }
    }

    pub(super) fn failed(&self, reason: &'static str) {
        self.failures.get_or_create(&OfReason { reason }).inc();
    }
}
