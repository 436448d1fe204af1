//! The estimates that exist, each with the keys to find it by: its name, its owner, and the workload that it refers
//! to.
//!
//! The controller's own writes come back through the watch. An estimate that is exactly as the controller left it is
//! not reconciled again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use super::queue::{Key, Lane, Requests};
use super::seen::Seen;
use crate::cluster::follow::Sink;
use crate::cluster::listing::Listing;
use crate::cluster::{Changed, Digest, Id, Labels, Object};

/// The namespace, group, kind and name of a workload.
type WorkloadId = (String, String, String, String);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    /// The controlling owner's uid.
    owner: Option<String>,
    /// The workload that it refers to.
    workload: Option<WorkloadId>,
    /// The labels of nodes that its workload names, if its judgement depends on the nodes. Until it is judged, it
    /// may.
    nodes: Option<Labels>,
    /// How the controller left it.
    left: Option<Seen>,
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
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    known: BTreeMap<Id, Known>,
    /// The estimates of each workload.
    of_workloads: BTreeMap<WorkloadId, BTreeSet<Id>>,
}

impl Table {
    fn insert(&mut self, id: &Id, known: Known) {
        self.remove(id);
        if let Some(workload) = known.workload.clone() {
            self.of_workloads.entry(workload).or_default().insert(id.clone());
        }
        self.known.insert(id.clone(), known);
    }

    fn remove(&mut self, id: &Id) -> Option<Known> {
        let known = self.known.remove(id)?;
        if let Some(workload) = &known.workload
            && let Some(estimates) = self.of_workloads.get_mut(workload)
        {
            estimates.remove(id);
            if estimates.is_empty() {
                self.of_workloads.remove(workload);
            }
        }
        Some(known)
    }
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

    /// What a change of a workload asks for: its estimates, and itself if it has none of its own.
    pub(super) fn after_change_of(&self, workload: &Digest) -> Vec<Request> {
        let id = (
            workload.namespace.clone(),
            workload.kind.group.to_owned(),
            workload.kind.kind.to_owned(),
            workload.name.clone(),
        );
        let table = self.lock();
        let ids = table.of_workloads.get(&id).into_iter().flatten();
        let estimates: Vec<_> = ids.filter_map(|id| Some((id, table.known.get(id)?))).collect();
        let has_its_own = estimates.iter().any(|(_, known)| known.owner.as_ref() == Some(&workload.uid));
        let mut wanted: Vec<_> = estimates.into_iter().map(|(id, known)| (key(id), known.lane())).collect();
        if !has_its_own {
            let (namespace, uid) = (workload.namespace.clone(), workload.uid.clone());
            wanted.push((Key::Workload { namespace, uid }, Lane::Workloads));
        }
        wanted
    }

    /// Notes whether an estimate's judgement depends on the nodes, and the labels of nodes that its workload names.
    pub(super) fn judged(&self, namespace: &str, name: &str, nodes: Option<Labels>) {
        if let Some(known) = self.lock().known.get_mut(&(namespace.to_owned(), name.to_owned())) {
            known.nodes = nodes;
        }
    }

    /// Notes how the controller leaves an estimate.
    pub(super) fn left(&self, namespace: &str, name: &str, left: Seen) {
        if let Some(known) = self.lock().known.get_mut(&(namespace.to_owned(), name.to_owned())) {
            known.left = Some(left);
        }
    }

    fn those(&self, wanted: impl Fn(&String, &Known) -> bool) -> Vec<Request> {
        let table = self.lock();
        let wanted = table.known.iter().filter(|((namespace, _), known)| wanted(namespace, known));
        wanted.map(|(id, known)| (key(id), known.lane())).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key((namespace, name): &Id) -> Key {
    Key::Estimate { namespace: namespace.clone(), name: name.clone() }
}

/// Fills [`Estimates`] from a watch, and requests a run for each change.
pub(super) struct EstimateSink {
    estimates: Arc<Estimates>,
    requests: Requests,
    listing: Listing<Id>,
}

impl EstimateSink {
    pub(super) fn new(estimates: Arc<Estimates>, requests: Requests) -> Self {
        Self { estimates, requests, listing: Listing::new() }
    }

    fn gone(&mut self, id: &Id) {
        let known = self.estimates.lock().remove(id);
        // A person may delete the estimate of a workload that exists. Then it is created again.
        if let Some(uid) = known.and_then(|known| known.owner) {
            self.requests.now(Key::Workload { namespace: id.0.clone(), uid }, Lane::Workloads);
        }
    }
}

impl Sink for EstimateSink {
    fn restarted(&mut self) {
        self.listing.restarted();
    }

    fn apply(&mut self, object: Object) {
        let Some(id) = object.id() else { return };
        self.listing.applied(&id);
        let mut known = known(&object);
        let lane = known.lane();
        let is_as_left = {
            let mut table = self.estimates.lock();
            if let Some(before) = table.known.get(&id) {
                known.nodes.clone_from(&before.nodes);
                known.left = before.left;
            }
            let is_as_left = known.left.is_some_and(|left| left == Seen::of(object.value()));
            table.insert(&id, known);
            is_as_left
        };
        if !is_as_left {
            self.requests.now(key(&id), lane);
        }
    }

    fn delete(&mut self, object: Object) {
        if let Some(id) = object.id() {
            self.listing.deleted(&id);
            self.gone(&id);
        }
    }

    fn listed(&mut self) {
        for id in self.listing.complete() {
            self.gone(&id);
        }
    }
}

fn known(object: &Object) -> Known {
    let text = |field: &str| {
        let value = object.value().pointer(&format!("/spec/workloadRef/{field}"));
        value.and_then(Value::as_str).map(str::to_owned)
    };
    let group =
        text("apiVersion").map(|v| v.split_once('/').map_or_else(String::new, |(group, _)| group.into()));
    let namespace = object.namespace().map(str::to_owned);
    Known {
        owner: object.controller().map(|owner| owner.uid),
        workload: namespace
            .zip(group)
            .zip(text("kind").zip(text("name")))
            .map(|((namespace, group), (kind, name))| (namespace, group, kind, name)),
        nodes: Some(Labels::Any),
        left: None,
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
                other => panic!("{other:?}"),
            });
            names.collect::<Vec<_>>()
        };
        let label = |key: &str| Changed { accelerators: false, labels: [Arc::from(key)].into() };
        assert_eq!(concerned(&label("heartbeat")), ["new"], "not judged yet");
        assert_eq!(concerned(&label("pool")), ["by-pool", "new"]);
        let accelerators = Changed { accelerators: true, labels: BTreeSet::new() };
        assert_eq!(concerned(&accelerators), ["by-nodes", "by-pool", "new"]);
    }
    /// The requests that the sink has made since the last call.
    fn requested(queue: &mut queue::Queue) -> usize {
        queue.requested().len()
    }

    #[test]
    fn an_estimate_that_is_as_the_controller_left_it_is_not_reconciled_again() {
        let estimates = Arc::new(Estimates::default());
        let mut queue = queue::queue();
        let mut sink = EstimateSink::new(estimates.clone(), queue.requests());
        let estimate = |version: &str, layers: u64, status: Value| -> Object {
            json!({
                "metadata": {"namespace": "team", "name": "a", "resourceVersion": version},
                "spec": {"model": {"layers": layers}},
                "status": status,
            })
            .into()
        };
        sink.apply(estimate("1", 32, Value::Null));
        assert_eq!(requested(&mut queue), 1, "it is new");
        let (judged, fits) = (estimate("1", 32, Value::Null), json!({"verdict": "Fits", "reason": null}));
        estimates.left("team", "a", Seen::of(judged.value()).with_status(&fits));
        sink.apply(estimate("2", 32, json!({"verdict": "Fits"})));
        assert_eq!(requested(&mut queue), 0, "the controller wrote its status");
        sink.apply(estimate("3", 32, json!({"verdict": "OutOfMemory"})));
        assert_eq!(requested(&mut queue), 1, "its status was changed");
        sink.apply(estimate("4", 64, json!({"verdict": "Fits"})));
        assert_eq!(requested(&mut queue), 1, "its spec was changed");
    }
}
