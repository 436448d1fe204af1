//! The metrics of what is observed.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::client::Failure;
use crate::api::v1alpha1::TrainingEstimateStatus;

const ANSWERED: &str = "answered";
const EVIDENCE: [&str; 3] = ["Checked", "Derived", "Unchecked"];

/// The metrics. Clones share them.
#[derive(Clone, Debug)]
pub(in crate::controller) struct Metrics {
    questions: Family<OfResult, Counter>,
    /// Observed memory over the prediction.
    ratios: Family<OfEvidence, Histogram, fn() -> Histogram>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfResult {
    /// `answered`, or why not.
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfEvidence {
    evidence: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            questions: Family::default(),
            // Fine steps around one, where the ratio should be.
            ratios: Family::new_with_constructor(|| {
                Histogram::new([0.25, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.2, 1.4, 2.0, 4.0])
            }),
        }
    }
}

impl Metrics {
    /// Registers them. A counter that appears with its first event has no increase, so all exist from the beginning.
    pub(in crate::controller) fn register(&self, registry: &mut Registry) {
        for result in Failure::WORDS.into_iter().chain([ANSWERED]) {
            drop(self.questions.get_or_create(&OfResult { result }));
        }
        registry.register(
            "weighbridge_prometheus_questions",
            "Questions to Prometheus about the memory of pods, by result",
            self.questions.clone(),
        );
        registry.register(
            "weighbridge_memory_ratio",
            "Observed memory of ended workloads over the predicted figure of the process, by the estimate's evidence",
            self.ratios.clone(),
        );
    }

    pub(super) fn answered(&self) {
        self.questions.get_or_create(&OfResult { result: ANSWERED }).inc();
    }

    pub(super) fn failed(&self, failure: &Failure) {
        self.questions.get_or_create(&OfResult { result: failure.word() }).inc();
    }

    /// Counts the ratio of a workload once, when it has ended and is observed.
    pub(in crate::controller) fn compared(
        &self,
        previous: &TrainingEstimateStatus,
        next: &TrainingEstimateStatus,
    ) {
        let ratio = |status: &TrainingEstimateStatus| {
            let ended = status.progress.is_some();
            status.observed.as_ref().filter(|_| ended).and_then(|observed| observed.ratio_milli)
        };
        let evidence = EVIDENCE.into_iter().find(|word| next.evidence.as_deref() == Some(word));
        if let (None, Some(milli), Some(evidence)) = (ratio(previous), ratio(next), evidence) {
            self.ratios.get_or_create(&OfEvidence { evidence }).observe(milli as f64 / 1000.0);
        }
    }
}
