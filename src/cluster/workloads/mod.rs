//! The workloads, each as a digest: its identity, its owner and its judgement.
//!
//! The objects themselves are not cached. [`sink`] makes the digests from the watches: it judges an object again when
//! something that its judgement depends on has changed.

mod again;
mod budget;
mod judging;
mod sink;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use tokio::sync::mpsc;

pub use self::judging::rests_on_nodes;
pub(super) use self::sink::WorkloadSink;
use super::children::Standing;
use super::likeness::Likeness;
use super::nodes::Version;
use crate::judgement::Verdict;
use crate::kinds::progress::Progress;
use crate::kinds::{Kind, Kinds};
use crate::units::Bytes;

/// The cached facts of a workload.
#[derive(Clone, Debug)]
pub struct Digest {
    /// The workload's uid.
    pub uid: String,
    /// Its kind.
    pub kind: &'static Kind,
    /// The API version with which it was read.
    pub api_version: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Whether the object is left to its owner, and has no estimate of its own.
    pub child: bool,
    /// Whether its owner covers it.
    pub standing: Standing,
    /// Hashes of its pods' commands, variables and mounts.
    pub likeness: Likeness,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// A hash of the judged fields and the policy.
    pub judged: u64,
    /// The version of the documents when it was judged, if it refers to any.
    pub documents: Option<u64>,
    /// The version of the nodes when it was judged, if the judgement depends on them.
    pub nodes: Option<Version>,
    /// When it started and ended, by its status.
    pub progress: Progress,
    /// Its verdict.
    pub verdict: Verdict,
    /// The memory that must fit, if it could be estimated.
    pub peak: Option<Bytes>,
}

#[cfg(test)]
impl Digest {
    /// The `PyTorchJob` `team/llama`, which fits.
    pub(crate) fn example(uid: &str) -> Self {
        Self {
            uid: uid.into(),
            kind: Kinds::built_in().find("kubeflow.org", "PyTorchJob").unwrap(),
            api_version: "kubeflow.org/v1".into(),
            namespace: "team".into(),
            name: "llama".into(),
            child: false,
            standing: Standing::Own,
            likeness: Likeness::default(),
            deleting: false,
            judged: 0,
            documents: None,
            nodes: None,
            progress: Progress::default(),
            verdict: Verdict::Fits,
            peak: None,
        }
    }
}

/// The workloads of all watched kinds, by uid.
#[derive(Debug, Default)]
pub struct Workloads {
    /// The kinds of workloads.
    pub(super) kinds: Arc<Kinds>,
    digests: RwLock<BTreeMap<String, Arc<Digest>>>,
    subscribers: Mutex<Vec<mpsc::UnboundedSender<Arc<Digest>>>>,
    /// The slugs of the kinds that the cluster serves. `None` until discovery has answered.
    pub(super) served: RwLock<Option<BTreeSet<&'static str>>>,
}

impl Workloads {
    /// An empty cache for these kinds.
    pub(super) fn of(kinds: Arc<Kinds>) -> Self {
        Self { kinds, ..Self::default() }
    }

    /// The workload with this uid.
    pub fn get(&self, uid: &str) -> Option<Arc<Digest>> {
        self.read().get(uid).cloned()
    }

    /// Every workload, in the order of the uids.
    pub fn all(&self) -> Vec<Arc<Digest>> {
        self.read().values().cloned().collect()
    }

    /// Every change from now on: a new or changed workload, or the last digest of a deleted one.
    pub fn changes(&self) -> mpsc::UnboundedReceiver<Arc<Digest>> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
        receiver
    }

    /// Records that a child without an owner was judged by itself. A digest that has changed meanwhile stays as it
    /// is.
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
        self.notify(&digest);
    }

    fn remove(&self, uid: &str) {
        let removed = self.write().remove(uid);
        if let Some(digest) = removed {
            self.notify(&digest);
        }
    }

    fn notify(&self, digest: &Arc<Digest>) {
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

/// The controlling owner of an object, if the owner's kind is judged and makes objects of this kind. Then the owner
/// is judged instead of the object.
pub fn judged_owner<'a>(
    kinds: &Kinds,
    kind: &Kind,
    owners: &'a [OwnerReference],
) -> Option<(&'a OwnerReference, &'static Kind)> {
    let owner = owners.iter().find(|owner| owner.controller == Some(true))?;
    let group = owner.api_version.split_once('/').map_or("", |(group, _)| group);
    let owner_kind = kinds.find(group, &owner.kind)?;
    owner_kind.makes.include(kind).then_some((owner, owner_kind))
}
