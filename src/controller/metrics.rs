//! The controller's metrics. Those that every controller has are named as in controller-runtime.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge};
use prometheus_client::registry::{Registry, Unit};

use super::kueue;
use super::observe;
use super::queue::RunEnd;
use super::reconcile::Error;
use crate::api::status;
use crate::api::v1alpha1::{ProgressStatus, TimeStatus, TrainingEstimateStatus};
use crate::judgement::Verdict;
use crate::learn::outcome::Kind;

/// The metrics. Clones share them.
#[derive(Clone, Debug)]
pub struct Metrics {
    leading: Family<OfLease, Gauge>,
    pub(super) created: Counter,
    pub(super) bypassed: Counter,
    pub(super) contradicted: Counter,
    pub(super) remembered: Counter,
    pub(super) observed: observe::Metrics,
    pub(super) kueue: kueue::Metrics,
    outcomes: Family<OfOutcome, Counter>,
    written: Family<OfVerdict, Counter>,
    failures: Family<OfReason, Counter>,
    /// The measured times of workloads over the predicted ones.
    ratios: Family<OfInterval, Histogram, fn() -> Histogram>,
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

/// Whether a workload's measured time was within the predicted interval.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfInterval {
    /// `below`, `within` or `above`.
    interval: &'static str,
}

/// The verdicts of workloads that train.
const VERDICTS: [Verdict; 4] = [Verdict::Fits, Verdict::Tight, Verdict::OutOfMemory, Verdict::Unknown];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfOutcome {
    verdict: &'static str,
    outcome: &'static str,
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
            contradicted: Counter::default(),
            remembered: Counter::default(),
            observed: observe::Metrics::default(),
            kueue: kueue::Metrics::default(),
            outcomes: Family::default(),
            written: Family::default(),
            failures: Family::default(),
            // Fine steps around one, where the ratio should be.
            ratios: Family::new_with_constructor(|| {
                Histogram::new([0.25, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.2, 1.4, 2.0, 4.0])
            }),
            reconciled: Family::default(),
            errors: Family::default(),
            // From a millisecond to half a minute.
            seconds: Family::new_with_constructor(|| Histogram::new(exponential_buckets(1e-3, 2.0, 16))),
            active: Family::default(),
        }
    }
}

impl Metrics {
    /// Registers them. The counters that alerts watch exist from the beginning: a counter that appears with its first
    /// event has no increase.
    pub fn register(&self, registry: &mut Registry) {
        for verdict in VERDICTS {
            for outcome in Kind::ALL {
                let labels = OfOutcome { verdict: verdict.name(), outcome: outcome.name() };
                drop(self.outcomes.get_or_create(&labels));
            }
        }
        for reason in Error::REASONS {
            drop(self.failures.get_or_create(&OfReason { reason }));
        }
        self.observed.register(registry);
        self.kueue.register(registry);
        self.register_workloads(registry);
        self.register_reconciliations(registry);
    }

    /// What the controller wrote and saw of workloads.
    fn register_workloads(&self, registry: &mut Registry) {
        registry.register(
            "leader_election_master_status",
            "Whether this process leads and writes estimates, by the lease's name",
            self.leading.clone(),
        );
        registry.register("weighbridge_estimates_created", "Estimates created", self.created.clone());
        registry.register(
            "weighbridge_bypassed_admissions",
            "Workloads that exist although the webhook would deny them for memory",
            self.bypassed.clone(),
        );
        registry.register(
            "weighbridge_contradicted_estimates",
            "Workloads that the estimate would refuse, and the same job ran before",
            self.contradicted.clone(),
        );
        registry.register(
            "weighbridge_runs_remembered",
            "Runs added to the history of their job",
            self.remembered.clone(),
        );
        registry.register(
            "weighbridge_outcomes",
            "Workloads that ended, by the estimate's verdict and by outcome",
            self.outcomes.clone(),
        );
        registry.register(
            "weighbridge_statuses_written",
            "Statuses written, by verdict",
            self.written.clone(),
        );
        registry.register(
            "weighbridge_time_ratio",
            "Measured time of workloads over the predicted time, by its place in the predicted interval",
            self.ratios.clone(),
        );
    }

    /// How the controller itself works.
    fn register_reconciliations(&self, registry: &mut Registry) {
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

    /// Counts the end of a workload.
    pub(super) fn ended_workload(&self, status: &TrainingEstimateStatus) {
        let estimated = status.history.as_ref().map(|history| history.estimated_verdict.as_str());
        let verdict = estimated.or(status.verdict.as_deref()).unwrap_or_default();
        let Some(verdict) = VERDICTS.into_iter().find(|known| known.name() == verdict) else { return };
        let Some(outcome) = status::outcome(status) else { return };
        let labels = OfOutcome { verdict: verdict.name(), outcome: outcome.kind.name() };
        self.outcomes.get_or_create(&labels).inc();
    }

    pub(super) fn written(&self, verdict: Verdict) {
        self.written.get_or_create(&OfVerdict { verdict: verdict.name() }).inc();
    }

    /// Counts the end of a workload, if its time was predicted.
    pub(super) fn departed(&self, progress: &ProgressStatus, time: Option<&TimeStatus>) {
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

    /// Whether this process leads.
    pub(super) fn leads(&self, lease: &str, leads: bool) {
        self.leading.get_or_create(&OfLease { name: lease.to_owned() }).set(leads.into());
    }

    /// Counts a reconciliation as under way until the guard is dropped.
    pub(super) fn begins(&self) -> UnderWay {
        let active = self.active.get_or_create_owned(&CONTROLLER);
        active.inc();
        UnderWay(active)
    }

    /// Counts a finished reconciliation.
    pub(super) fn ended(&self, outcome: RunEnd, took: Duration) {
        self.seconds.get_or_create(&CONTROLLER).observe(took.as_secs_f64());
        let result = match outcome {
            RunEnd::Done => "success",
            RunEnd::Waiting => "requeue_after",
            RunEnd::Failed => "error",
        };
        self.reconciled.get_or_create(&Reconciled { controller: CONTROLLER.controller, result }).inc();
        if outcome == RunEnd::Failed {
            self.errors.get_or_create(&CONTROLLER).inc();
        }
    }

    pub(super) fn failed(&self, reason: &'static str) {
        self.failures.get_or_create(&OfReason { reason }).inc();
    }
}

/// A reconciliation under way. It ends when this is dropped.
pub(super) struct UnderWay(Gauge);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_dropped_reconciliation_is_no_longer_under_way() {
        let metrics = Metrics::default();
        let under_way = || metrics.active.get_or_create(&CONTROLLER).get();
        let reconciling = async {
            let _under_way = metrics.begins();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            () = reconciling => {}
            () = async { assert_eq!(under_way(), 1) } => {}
        }
        assert_eq!(under_way(), 0);
    }
}
