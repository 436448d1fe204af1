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

use serde_json::Value;
use tokio::sync::mpsc;

pub use self::judging::rests_on_nodes;
pub(super) use self::sink::WorkloadSink;
use super::children::{Claim, Standing};
use super::likeness::Likeness;
use super::nodes::Version;
use super::pods::Pods;
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
    /// The owner that it claims, if its owner counts.
    pub claim: Option<Claim>,
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
            claim: None,
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

/// A kind's slug, a namespace and a name.
type Name = (&'static str, String, String);

/// The name under which a workload is found, if labels name its kind.
fn name_of(digest: &Digest) -> Option<Name> {
    digest.kind.named_by?;
    Some((digest.kind.slug, digest.namespace.clone(), digest.name.clone()))
}

/// The workloads of all watched kinds, by uid.
#[derive(Debug, Default)]
pub struct Workloads {
    /// The kinds of workloads.
    pub(super) kinds: Arc<Kinds>,
    digests: RwLock<BTreeMap<String, Arc<Digest>>>,
    /// The uids of the workloads that labels name, by their kind's slug, namespace and name.
    names: RwLock<BTreeMap<Name, String>>,
    pub(super) pods: Pods,
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

    /// The workload of this name, of a kind that labels name.
    pub(super) fn named(&self, group: &str, kind: &str, namespace: &str, name: &str) -> Option<Arc<Digest>> {
        let slug = self.kinds.find(group, kind)?.slug;
        let names = self.names.read().unwrap_or_else(PoisonError::into_inner);
        let uid = names.get(&(slug, namespace.to_owned(), name.to_owned())).cloned();
        drop(names);
        self.get(&uid?)
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
        if let Some(name) = name_of(&digest) {
            self.names.write().unwrap_or_else(PoisonError::into_inner).insert(name, digest.uid.clone());
        }
        self.write().insert(digest.uid.clone(), digest.clone());
        self.notify(&digest);
    }

    fn remove(&self, uid: &str) {
        let removed = self.write().remove(uid);
        if let Some(digest) = removed {
            if let Some(name) = name_of(&digest) {
                let mut names = self.names.write().unwrap_or_else(PoisonError::into_inner);
                // A later workload may have the name by now.
                if names.get(&name) == Some(&digest.uid) {
                    names.remove(&name);
                }
            }
            self.notify(&digest);
        }
    }

    pub(super) fn notify(&self, digest: &Arc<Digest>) {
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

/// The owner that an object claims, if the owner's kind is judged and makes objects of this kind. Then the owner is
/// judged instead of the object.
pub fn claimed_owner(kinds: &Kinds, kind: &Kind, object: &Value) -> Option<(Claim, &'static Kind)> {
    let owners = object.pointer("/metadata/ownerReferences").and_then(Value::as_array)?;
    let owner = owners.iter().find(|owner| owner.get("controller") == Some(&Value::Bool(true)))?;
    let text = |field: &str| owner.get(field).and_then(Value::as_str).unwrap_or_default();
    let (group, version) = text("apiVersion").split_once('/').unwrap_or(("", text("apiVersion")));
    let makes = |owner: &&'static Kind| owner.makes.include(kind);
    if let Some(owner_kind) = kinds.find(group, text("kind")) {
        let (uid, version) = (Some(text("uid").to_owned()), Some(version.to_owned()));
        let claim = Claim { uid, version, ..Claim::of(owner_kind, text("name")) };
        return makes(&owner_kind).then_some((claim, owner_kind));
    }
    // Between the owner and its pods stand StatefulSets.
    if (group, text("kind")) != ("apps", "StatefulSet") {
        return None;
    }
    let labels = object.pointer("/metadata/labels")?;
    kinds.all().filter(makes).find_map(|owner_kind| {
        let name = labels.get(owner_kind.named_by?)?.as_str()?;
        Some((Claim::of(owner_kind, name), owner_kind))
    })
}
