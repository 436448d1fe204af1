//! The workloads, each as a digest: who it is, whose child it is, and how it was judged.
//!
//! The objects themselves are not kept. An object is judged again only when what was judged of it changed, or the
//! nodes around it, what it may refer to or the policy did; a change of its status alone costs a hash.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::DynamicObject;
use serde_json::Value;
use tokio::sync::mpsc;

use super::children::Standing;
use super::likeness::Likeness;
use super::{documents::Documents, follow::Sink, metrics::Metrics, nodes::Nodes};
use crate::config::policy::Policies;
use crate::judge::{Ask, Quoting, judge};
use crate::judgement::Verdict;
use crate::units::Bytes;
use crate::workload::kinds::{self, Kind};
use crate::workload::{Progress, progress};

/// What is remembered of a workload.
#[derive(Clone, Debug)]
pub struct Digest {
    /// The workload's uid.
    pub uid: String,
    /// Its kind.
    pub kind: &'static Kind,
    /// The version by which it was read.
    pub api_version: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Whether its owner counts, and not the object.
    pub child: bool,
    /// Whether its owner covers it.
    pub standing: Standing,
    /// What its pods run.
    pub likeness: Likeness,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// A hash of what was judged, the versions of nodes and policy included.
    pub judged: u64,
    /// When it began to run and when it ended, as its status says.
    pub progress: Progress,
    /// The decision.
    pub verdict: Verdict,
    /// What must fit, where that could be estimated.
    pub peak: Option<Bytes>,
}

#[cfg(test)]
impl Digest {
    /// The `PyTorchJob` `team/llama`, which fits.
    pub(crate) fn example(uid: &str) -> Self {
        Self {
            uid: uid.into(),
            kind: kinds::find("kubeflow.org", "PyTorchJob").unwrap(),
            api_version: "kubeflow.org/v1".into(),
            namespace: "team".into(),
            name: "llama".into(),
            child: false,
            standing: Standing::Own,
            likeness: Likeness::default(),
            deleting: false,
            judged: 0,
            progress: Progress::default(),
            verdict: Verdict::Fits,
            peak: None,
        }
    }
}

/// The workloads of all watched kinds, by uid.
#[derive(Debug, Default)]
pub struct Workloads {
    digests: RwLock<BTreeMap<String, Arc<Digest>>>,
    subscribers: Mutex<Vec<mpsc::UnboundedSender<Arc<Digest>>>>,
    /// The slugs of the kinds that the cluster serves; none before that is known.
    pub(super) served: RwLock<Option<BTreeSet<&'static str>>>,
}

impl Workloads {
    /// The workload with this uid.
    pub fn get(&self, uid: &str) -> Option<Arc<Digest>> {
        self.read().get(uid).cloned()
    }

    /// Every workload, in the order of the uids.
    pub fn all(&self) -> Vec<Arc<Digest>> {
        self.read().values().cloned().collect()
    }

    /// Every workload that is new, changed or gone from now on; of one that is gone, the last digest.
    pub fn changes(&self) -> mpsc::UnboundedReceiver<Arc<Digest>> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
        receiver
    }

    /// Takes note that a child without an owner was judged by itself. What has changed meanwhile is left as it is.
    pub fn judged_by_itself(&self, child: &Digest, verdict: Verdict, peak: Option<Bytes>) {
        if self
            .get(&child.uid)
            .is_some_and(|now| now.judged == child.judged && now.standing == child.standing)
        {
            self.insert(Digest { child: false, standing: Standing::Own, verdict, peak, ..child.clone() });
        }
    }

    pub(crate) fn insert(&self, digest: Digest) {
        let digest = Arc::new(digest);
        self.write().insert(digest.uid.clone(), digest.clone());
        self.tell(&digest);
    }

    fn remove(&self, uid: &str) {
        let removed = self.write().remove(uid);
        if let Some(digest) = removed {
            self.tell(&digest);
        }
    }

    fn tell(&self, digest: &Arc<Digest>) {
        let mut subscribers = self.subscribers.lock().unwrap_or_else(PoisonError::into_inner);
        subscribers.retain(|subscriber| subscriber.send(digest.clone()).is_ok());
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<String, Arc<Digest>>> {
        self.digests.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, BTreeMap<String, Arc<Digest>>> {
        self.digests.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The controlling owner of an object of this kind, if the owner's kind is judged itself and makes such objects. Then
/// the owner counts, and not the object.
pub fn judged_owner<'a>(
    kind: &Kind,
    owners: &'a [OwnerReference],
) -> Option<(&'a OwnerReference, &'static Kind)> {
    let owner = owners.iter().find(|owner| owner.controller == Some(true))?;
    let group = owner.api_version.split_once('/').map_or("", |(group, _)| group);
    let owner_kind = kinds::find(group, &owner.kind)?;
    owner_kind.makes.contains(&(kind.group, kind.kind)).then_some((owner, owner_kind))
}

/// Fills [`Workloads`] from the watch of one kind, in one namespace or in all.
pub(super) struct WorkloadSink {
    pub(super) kind: &'static Kind,
    pub(super) workloads: Arc<Workloads>,
    pub(super) nodes: Arc<Nodes>,
    pub(super) documents: Arc<Documents>,
    pub(super) policies: Arc<Policies>,
    pub(super) metrics: Metrics,
    /// The uids that this watch has put there.
    pub(super) known: BTreeSet<String>,
    /// Those of them that were seen since the list began.
    pub(super) seen: BTreeSet<String>,
}

impl Sink for WorkloadSink {
    fn restarted(&mut self) {
        self.seen.clear();
    }

    fn apply(&mut self, object: DynamicObject) {
        let Some(digest) = self.digest(object) else { return };
        if !worth_keeping(&digest) {
            if self.known.remove(&digest.uid) {
                self.workloads.remove(&digest.uid);
            }
            return;
        }
        self.seen.insert(digest.uid.clone());
        self.known.insert(digest.uid.clone());
        let same = |before: &Digest| {
            (before.judged, before.deleting, &before.progress, &before.standing)
                == (digest.judged, digest.deleting, &digest.progress, &digest.standing)
        };
        if !self.workloads.get(&digest.uid).is_some_and(|before| same(&before)) {
            self.workloads.insert(digest);
        }
    }

    fn delete(&mut self, object: DynamicObject) {
        let uid = object.metadata.uid.unwrap_or_default();
        self.known.remove(&uid);
        self.workloads.remove(&uid);
    }

    fn listed(&mut self) {
        let gone: Vec<String> = self.known.difference(&self.seen).cloned().collect();
        for uid in gone {
            self.known.remove(&uid);
            self.workloads.remove(&uid);
        }
    }
}

/// A watch that ends takes what it knew with it: its kind is no longer served.
impl Drop for WorkloadSink {
    fn drop(&mut self) {
        for uid in &self.known {
            self.workloads.remove(uid);
        }
    }
}

impl WorkloadSink {
    fn digest(&self, object: DynamicObject) -> Option<Digest> {
        let owners = object.metadata.owner_references.as_deref().unwrap_or_default();
        let owners = owners.to_vec();
        let uid = object.metadata.uid.clone()?;
        let identity = (object.metadata.namespace.clone()?, object.metadata.name.clone()?);
        let deleting = object.metadata.deletion_timestamp.is_some();
        let mut object = serde_json::to_value(object).ok()?;
        // Lists leave the items' type out.
        let api_version = api_version(self.kind, &object);
        if let Some(fields) = object.as_object_mut() {
            fields.insert("apiVersion".into(), Value::from(api_version.clone()));
            fields.insert("kind".into(), Value::from(self.kind.kind));
        }
        let judged = self.hash(&object);
        let before = self.workloads.get(&uid).filter(|before| before.judged == judged);
        let likeness = match &before {
            Some(before) => before.likeness.clone(),
            None => self.likeness(&object, &owners),
        };
        let standing = self.workloads.standing(self.kind, &identity.0, &owners, || likeness.clone());
        // An owner that was found missing is still missing until a cache knows it.
        let standing = match (&before, standing) {
            (Some(before), Standing::Waiting(_)) if before.standing == Standing::Own => Standing::Own,
            (_, standing) => standing,
        };
        let (child, verdict, peak) = match (before, &standing) {
            (Some(before), standing) if before.standing == *standing => {
                (before.child, before.verdict, before.peak)
            }
            (_, Standing::Covered | Standing::Waiting(_)) => (true, Verdict::NotTraining, None),
            (_, Standing::Own | Standing::Idle) => {
                let (verdict, peak) = self.judge(&object)?;
                (false, verdict, peak)
            }
            // Operators make such children too. Only what would be refused is told of.
            (_, Standing::Differs { .. }) => match self.judge(&object)? {
                (Verdict::OutOfMemory, peak) => (false, Verdict::OutOfMemory, peak),
                _ => (true, Verdict::NotTraining, None),
            },
        };
        let progress = progress(self.kind, &object);
        let (namespace, name) = identity;
        Some(Digest {
            uid,
            kind: self.kind,
            api_version,
            namespace,
            name,
            child,
            standing,
            likeness,
            deleting,
            judged,
            progress,
            verdict,
            peak,
        })
    }

    /// What its pods run; not looked for where nothing is held against it.
    fn likeness(&self, object: &Value, owners: &[OwnerReference]) -> Likeness {
        if self.kind.makes.is_empty() && judged_owner(self.kind, owners).is_none() {
            return Likeness::default();
        }
        let around = super::surroundings(&self.nodes, &self.documents);
        let likeness = || Likeness::of(self.kind, object, &around, &self.policies.current().catalogue);
        catch_unwind(AssertUnwindSafe(likeness)).unwrap_or_default()
    }

    fn judge(&self, object: &Value) -> Option<(Verdict, Option<Bytes>)> {
        let around = super::surroundings(&self.nodes, &self.documents);
        // Of the judgement nothing is kept but the verdict and the peak.
        let ask = Ask { advice: false, quoting: Quoting::Everything, ..Ask::default() };
        let policy = self.policies.current();
        let judged = catch_unwind(AssertUnwindSafe(|| {
            let judgement = judge(object, &around, &policy.catalogue, &policy.rules, &ask);
            (judgement.verdict, judgement.memory.map(|m| m.peak_bytes))
        }));
        if judged.is_err() {
            self.metrics.unreadable(self.kind.plural);
            let name = object.pointer("/metadata/name").and_then(Value::as_str);
            let namespace = object.pointer("/metadata/namespace").and_then(Value::as_str);
            tracing::error!(kind = self.kind.kind, namespace, name, "judging failed; the object is skipped");
        }
        judged.ok()
    }

    fn hash(&self, object: &Value) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.nodes.version().hash(&mut hasher);
        let namespace = object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
        self.documents.version(namespace).hash(&mut hasher);
        self.policies.current().version.hash(&mut hasher);
        for pointer in ["/metadata/annotations", "/metadata/labels", "/metadata/ownerReferences", "/spec"] {
            object.pointer(pointer).map(Value::to_string).hash(&mut hasher);
        }
        hasher.finish()
    }
}

/// A pod that doesn't train has nothing to say: it has no child and no estimate. One whose owner is not known yet is kept
/// until it is, if it asks for accelerators.
fn worth_keeping(digest: &Digest) -> bool {
    let waits = matches!(digest.standing, Standing::Waiting(_)) && digest.likeness.asks_for_accelerators();
    !digest.kind.makes.is_empty() || waits || (digest.verdict != Verdict::NotTraining && !digest.child)
}

fn api_version(kind: &Kind, object: &Value) -> String {
    if let Some(api_version) = object.get("apiVersion").and_then(Value::as_str) {
        return api_version.to_owned();
    }
    let version = kind.versions.first().copied().unwrap_or("v1");
    if kind.group.is_empty() { version.to_owned() } else { format!("{}/{version}", kind.group) }
}
