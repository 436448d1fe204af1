//! The metric of the admission checks.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use crate::admission::queued::{Answer, State};

const NOT_JUDGED: &str = "not-judged";

/// The metrics. Clones share them.
#[derive(Clone, Debug, Default)]
pub(in crate::controller) struct Metrics {
    answers: Family<OfAnswer, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfAnswer {
    answer: &'static str,
}

/// The label of an answer. One without a judgement is Ready, and is told apart.
const fn label(state: State, judged: bool) -> &'static str {
    match state {
        State::Ready if judged => "ready",
        State::Ready => NOT_JUDGED,
        State::Retry => "retry",
        State::Rejected => "rejected",
    }
}

impl Metrics {
    /// Registers them. A counter that appears with its first event has no increase, so all exist from the beginning.
    pub(in crate::controller) fn register(&self, registry: &mut Registry) {
        for (state, judged) in
            [(State::Ready, true), (State::Ready, false), (State::Retry, true), (State::Rejected, true)]
        {
            drop(self.answers.get_or_create(&OfAnswer { answer: label(state, judged) }));
        }
        registry.register(
            "weighbridge_kueue_checks",
            "Answers to AdmissionChecks of Kueue, by answer",
            self.answers.clone(),
        );
    }

    pub(super) fn answered(&self, answer: &Answer) {
        self.answers.get_or_create(&OfAnswer { answer: label(answer.state, answer.fits.is_some()) }).inc();
    }
}
