//! Judging the objects of one kind: one object at a time, and a panic leaves the object out.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::super::documents::Documents;
use super::super::likeness::Likeness;
use super::super::metrics::Metrics;
use super::super::nodes::Nodes;
use super::super::{Cluster, surroundings};
use super::Digest;
use crate::config::policy::Policies;
use crate::job::{Ask, Quoting, field, source};
use crate::judge::judge;
use crate::judgement::{Judgement, Verdict};
use crate::kinds::Kind;
use crate::units::Bytes;

/// The result of a judgement.
#[derive(Clone, Copy)]
pub(super) struct Judged {
    pub(super) verdict: Verdict,
    pub(super) peak: Option<Bytes>,
    pub(super) rests_on_nodes: bool,
}

impl Judged {
    pub(super) const NOT_TRAINING: Self =
        Self { verdict: Verdict::NotTraining, peak: None, rests_on_nodes: false };

    /// The result that a digest keeps.
    pub(super) const fn of(digest: &Digest) -> Self {
        Self { verdict: digest.verdict, peak: digest.peak, rests_on_nodes: digest.nodes.is_some() }
    }
}

/// Whether the judgement depends on the nodes.
pub fn rests_on_nodes(judgement: &Judgement) -> bool {
    let accelerator = judgement.inputs.iter().find(|input| input.field == field::accelerator::KIND);
    judgement.verdict.trains() && accelerator.is_none_or(|input| input.source.starts_with(source::NODES))
}

/// Judges the objects of one kind.
pub(super) struct Judging {
    kind: &'static Kind,
    pub(super) nodes: Arc<Nodes>,
    pub(super) documents: Arc<Documents>,
    policies: Arc<Policies>,
    metrics: Metrics,
    one_at_a_time: Arc<Mutex<()>>,
}

impl Judging {
    pub(super) fn new(cluster: &Cluster, kind: &'static Kind) -> Self {
        Self {
            kind,
            nodes: cluster.nodes.clone(),
            documents: cluster.documents.clone(),
            policies: cluster.policies.clone(),
            metrics: cluster.metrics.clone(),
            one_at_a_time: cluster.judging.clone(),
        }
    }

    /// The likeness of an object.
    pub(super) fn likeness(&self, object: &Value) -> Likeness {
        let around = surroundings(&self.nodes, &self.documents);
        let likeness = || Likeness::of(self.kind, object, &around, &self.policies.current().catalogue);
        catch_unwind(AssertUnwindSafe(likeness)).unwrap_or_default()
    }

    /// Judges an object. Returns how long that took, too.
    pub(super) fn judge(&self, object: &Value) -> (Option<Judged>, Duration) {
        let _turn = self.one_at_a_time.lock().unwrap_or_else(PoisonError::into_inner);
        let started = Instant::now();
        let around = surroundings(&self.nodes, &self.documents);
        // Only the verdict and the peak are kept.
        let ask = Ask { advice: false, quoting: Quoting::Everything, ..Ask::default() };
        let policy = self.policies.current();
        let judged = catch_unwind(AssertUnwindSafe(|| {
            let judgement = judge(object, &around, &policy.world(), &ask);
            Judged {
                verdict: judgement.verdict,
                peak: judgement.memory.as_ref().map(|memory| memory.peak_bytes),
                rests_on_nodes: rests_on_nodes(&judgement),
            }
        }));
        if judged.is_err() {
            self.metrics.unreadable(self.kind.plural);
            let name = object.pointer("/metadata/name").and_then(Value::as_str);
            let namespace = crate::kinds::namespace(object);
            tracing::error!(
                kind = self.kind.kind,
                namespace,
                name,
                "judging panicked; the object is left out"
            );
        }
        (judged.ok(), started.elapsed())
    }

    /// A hash of the judged fields and the policy.
    pub(super) fn hash(&self, object: &Value) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.policies.current().version.hash(&mut hasher);
        for pointer in ["/metadata/annotations", "/metadata/labels", "/metadata/ownerReferences", "/spec"] {
            object.pointer(pointer).map(Value::to_string).hash(&mut hasher);
        }
        hasher.finish()
    }
}
