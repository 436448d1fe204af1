//! The estimates that exist, each with the keys to find it by: its name, its owner, and the workload that it refers
//! to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use super::queue::{Key, Lane, Requests};
use crate::cluster::{Changed, Digest, Labels, Object, follow::Sink};

/// A namespace and a name.
type Id = (String, String);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    /// The controlling owner's uid.
    owner: Option<String>,
    /// The group, kind and name of the workload.
    workload: Option<(String, String, String)>,
    /// The labels of nodes that its workload names, if its judgement depends on the nodes. Until it is judged, it
    /// may.
    nodes: Option<Labels>,
}

impl Known {
    fn lane(&self) -> Lane {
        if self.owner.is_some() { Lane::Workloads } else { Lane::WhatIfs }
    }
}

/// A request: an estimate, and its lane.
pub(super) type Request = (Key, Lane);

/// The estimates of the watched namespaces.
#[derive(Debug, Default)]
pub(super) struct Estimates {
    known: Mutex<BTreeMap<Id, Known>>,
}

impl Estimates {
    /// Every estimate.
    pub(super) fn all(&self) -> Vec<Request> {
        self.those(|_, _| true)
    }

    /// The estimates of these namespaces. The empty name means all.
    pub(super) fn of_namespaces(&self, namespaces: &BTreeSet<String>) -> Vec<Request> {
        self.those(|namespace, _| namespaces.contains("") || namespaces.contains(namespace))
    }

    /// The estimates that a change of the nodes may change.
    pub(super) fn depending_on_nodes(&self, changed: &Changed) -> Vec<Request> {
        self.those(|_, known| known.nodes.as_ref().is_some_and(|named| changed.concerns(named)))
    }

    /// The estimates that refer to a workload.
    pub(super) fn referring_to(&self, workload: &Digest) -> Vec<Request> {
        self.those(|namespace, known| {
            *namespace == workload.namespace
                && known.workload.as_ref().is_some_and(|(group, kind, name)| {
                    (group.as_str(), kind.as_str(), name)
                        == (workload.kind.group, workload.kind.kind, &workload.name)
                })
        })
    }

    /// Notes whether an estimate's judgement depends on the nodes, and the labels of nodes that its workload names.
    pub(super) fn judged(&self, namespace: &str, name: &str, nodes: Option<Labels>) {
        if let Some(known) = self.lock().get_mut(&(namespace.to_owned(), name.to_owned())) {
            known.nodes = nodes;
        }
    }

    fn those(&self, wanted: impl Fn(&String, &Known) -> bool) -> Vec<Request> {
        let known = self.lock();
        let wanted = known.iter().filter(|((namespace, _), known)| wanted(namespace, known));
        wanted.map(|(id, known)| (key(id), known.lane())).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Id, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key((namespace, name): &Id) -> Key {
    Key::Estimate { namespace: namespace.clone(), name: name.clone() }
}

/// Fills [`Estimates`] from a watch, and requests a run for each change.
pub(super) struct EstimateSink {
    estimates: Arc<Estimates>,
    requests: Requests,
    seen: BTreeSet<Id>,
    /// The estimates from this watch.
    mine: BTreeSet<Id>,
}

impl EstimateSink {
    pub(super) fn new(estimates: Arc<Estimates>, requests: Requests) -> Self {
        Self { estimates, requests, seen: BTreeSet::new(), mine: BTreeSet::new() }
    }

    fn gone(&mut self, id: &Id) {
        self.mine.remove(id);
        let known = self.estimates.lock().remove(id);
        // A person may delete the estimate of a workload that exists. Then it is created again.
        if let Some(uid) = known.and_then(|known| known.owner) {
            self.requests.now(Key::Workload { namespace: id.0.clone(), uid }, Lane::Workloads);
        }
    }
}

impl Sink for EstimateSink {
    fn restarted(&mut self) {
        self.seen.clear();
    }

    fn apply(&mut self, object: Object) {
        let Some(id) = id(&object) else { return };
        self.seen.insert(id.clone());
        self.mine.insert(id.clone());
        let mut known = known(&object);
        let lane = known.lane();
        {
            let mut all = self.estimates.lock();
            if let Some(before) = all.get(&id) {
                known.nodes.clone_from(&before.nodes);
            }
            all.insert(id.clone(), known);
        }
        self.requests.now(key(&id), lane);
    }

    fn delete(&mut self, object: Object) {
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

fn id(object: &Object) -> Option<Id> {
    Some((object.namespace()?.to_owned(), object.name()?.to_owned()))
}

fn known(object: &Object) -> Known {
    let text = |field: &str| {
        let value = object.value().pointer(&format!("/spec/workloadRef/{field}"));
        value.and_then(Value::as_str).map(str::to_owned)
    };
    let group =
        text("apiVersion").map(|v| v.split_once('/').map_or_else(String::new, |(group, _)| group.into()));
    Known {
        owner: object.controller().map(|owner| owner.uid),
        workload: group.zip(text("kind")).zip(text("name")).map(|((group, kind), name)| (group, kind, name)),
        nodes: Some(Labels::Any),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::controller::queue;

    #[test]
    fn a_change_of_nodes_concerns_only_the_estimates_that_depend_on_it() {
        let estimates = Arc::new(Estimates::default());
        let queue = queue::queue();
        let mut sink = EstimateSink::new(estimates.clone(), queue.requests());
        for name in ["stated", "by-nodes", "by-pool", "new"] {
            sink.apply(json!({"metadata": {"namespace": "team", "name": name}}).into());
        }
        let labels =
            |keys: &[&str]| Labels::These(Arc::new(keys.iter().map(|key| (*key).to_owned()).collect()));
        estimates.judged("team", "stated", None);
        estimates.judged("team", "by-nodes", Some(labels(&[])));
        estimates.judged("team", "by-pool", Some(labels(&["pool"])));
        // The label stays known when the status is written.
        sink.apply(json!({"metadata": {"namespace": "team", "name": "stated"}, "status": {}}).into());
        let concerned = |changed: &Changed| {
            let names = estimates.depending_on_nodes(changed).into_iter().map(|(key, _)| match key {
                Key::Estimate { name, .. } => name,
                Key::Workload { uid, .. } => uid,
            });
            names.collect::<Vec<_>>()
        };
        let label = |key: &str| Changed { accelerators: false, labels: [Arc::from(key)].into() };
        assert_eq!(concerned(&label("heartbeat")), ["new"], "not judged yet");
        assert_eq!(concerned(&label("pool")), ["by-pool", "new"]);
        let accelerators = Changed { accelerators: true, labels: BTreeSet::new() };
        assert_eq!(concerned(&accelerators), ["by-nodes", "by-pool", "new"]);
    }
}
