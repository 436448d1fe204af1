//! The estimates that exist, each as what is needed to find it: its name, its owner, and the workload it refers to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use kube::api::DynamicObject;
use serde_json::Value;

use super::queue::{Key, Requests};
use crate::cluster::{Digest, follow::Sink};

/// A namespace and a name.
type Id = (String, String);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    /// The controlling owner's uid.
    owner: Option<String>,
    /// The group, kind and name of the workload.
    workload: Option<(String, String, String)>,
}

/// The estimates of the watched namespaces.
#[derive(Debug, Default)]
pub(super) struct Estimates {
    known: Mutex<BTreeMap<Id, Known>>,
}

impl Estimates {
    /// Every estimate.
    pub(super) fn all(&self) -> Vec<Key> {
        self.lock().keys().map(key).collect()
    }

    /// The estimates that refer to a workload.
    pub(super) fn referring_to(&self, workload: &Digest) -> Vec<Key> {
        let refers = |known: &Known| {
            known.workload.as_ref().is_some_and(|(group, kind, name)| {
                (group.as_str(), kind.as_str(), name)
                    == (workload.kind.group, workload.kind.kind, &workload.name)
            })
        };
        let known = self.lock();
        let of_namespace = known.iter().filter(|((namespace, _), _)| *namespace == workload.namespace);
        of_namespace.filter(|(_, known)| refers(known)).map(|(id, _)| key(id)).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Id, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key((namespace, name): &Id) -> Key {
    Key::Estimate { namespace: namespace.clone(), name: name.clone() }
}

/// Fills [`Estimates`] from a watch, and asks for what changed to be reconciled.
pub(super) struct EstimateSink {
    estimates: Arc<Estimates>,
    requests: Requests,
    seen: BTreeSet<Id>,
    /// Those that this watch has put there.
    mine: BTreeSet<Id>,
}

impl EstimateSink {
    pub(super) fn new(estimates: Arc<Estimates>, requests: Requests) -> Self {
        Self { estimates, requests, seen: BTreeSet::new(), mine: BTreeSet::new() }
    }

    fn gone(&mut self, id: &Id) {
        self.mine.remove(id);
        let known = self.estimates.lock().remove(id);
        // A person may delete an estimate whose workload is still there: then it is made again.
        if let Some(uid) = known.and_then(|known| known.owner) {
            self.requests.now(Key::Workload { uid });
        }
    }
}

impl Sink for EstimateSink {
    fn restarted(&mut self) {
        self.seen.clear();
    }

    fn apply(&mut self, object: DynamicObject) {
        let Some(id) = id(&object) else { return };
        self.seen.insert(id.clone());
        self.mine.insert(id.clone());
        self.requests.now(key(&id));
        self.estimates.lock().insert(id, known(&object));
    }

    fn delete(&mut self, object: DynamicObject) {
        if let Some(id) = id(&object) {
            self.gone(&id);
        }
    }

    fn listed(&mut self) {
        let gone: Vec<Id> = self.mine.difference(&self.seen).cloned().collect();
        for id in &gone {
            self.gone(id);
        }
    }
}

fn id(object: &DynamicObject) -> Option<Id> {
    Some((object.metadata.namespace.clone()?, object.metadata.name.clone()?))
}

fn known(object: &DynamicObject) -> Known {
    let owners = object.metadata.owner_references.iter().flatten();
    let text = |field: &str| {
        let value = object.data.pointer(&format!("/spec/workloadRef/{field}"));
        value.and_then(Value::as_str).map(str::to_owned)
    };
    let group =
        text("apiVersion").map(|v| v.split_once('/').map_or_else(String::new, |(group, _)| group.into()));
    Known {
        owner: owners.into_iter().find(|owner| owner.controller == Some(true)).map(|owner| owner.uid.clone()),
        workload: group.zip(text("kind")).zip(text("name")).map(|((group, kind), name)| (group, kind, name)),
    }
}
