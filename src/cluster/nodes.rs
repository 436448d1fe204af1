//! The nodes, reduced to their labels and extended resources.
//!
//! A node without an extended resource is not cached. Of the others all labels are cached, because a workload may
//! name any of them. Equal strings are stored once: ten thousand nodes take some megabytes.
//!
//! Only a change that can change a judgement counts. Labels that tell the accelerator, and the names of the offered
//! resources, concern every workload that depends on the nodes. Any other label concerns the workloads that name it.
//! A heartbeat concerns none.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::Object;
use super::follow::Sink;
use super::refers::Labels as Named;
use crate::config::policy::Policies;
use crate::hardware::Catalogue;
use crate::hardware::labels::is_read;
use crate::surroundings::{Labels, Node};

/// More changed labels than this count as a change of everything.
const MOST_CHANGED: usize = 1_000;

/// The cluster's nodes.
#[derive(Debug)]
pub struct Nodes {
    all: ArcSwap<Arc<[Arc<Node>]>>,
    changed: Mutex<Changed>,
    version: watch::Sender<Version>,
}

impl Default for Nodes {
    fn default() -> Self {
        let version = watch::Sender::new(Version::default());
        Self { all: ArcSwap::default(), changed: Mutex::default(), version }
    }
}

/// Counts the changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Version {
    accelerators: u64,
    labels: u64,
}

/// The changes of the nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// Whether the accelerators of the cluster have changed.
    pub accelerators: bool,
    /// The keys of the other labels that have changed.
    pub labels: BTreeSet<Arc<str>>,
}

impl Changed {
    /// Whether the judgement of a workload that depends on the nodes and names these labels may change.
    pub fn concerns(&self, named: &Named) -> bool {
        self.accelerators || named.has_one_of(&self.labels)
    }

    fn is_none(&self) -> bool {
        !self.accelerators && self.labels.is_empty()
    }

    fn add(&mut self, other: Self) {
        self.accelerators |= other.accelerators;
        self.labels.extend(other.labels);
        if self.labels.len() > MOST_CHANGED {
            *self = Self { accelerators: true, labels: BTreeSet::new() };
        }
    }
}

impl Nodes {
    /// The nodes. A cheap copy of a pointer.
    pub fn all(&self) -> Arc<[Arc<Node>]> {
        Arc::clone(&self.all.load())
    }

    /// The version for a workload that depends on the nodes and names these labels.
    pub fn version(&self, named: &Named) -> Version {
        let version = *self.version.borrow();
        if named.is_none() { Version { labels: 0, ..version } } else { version }
    }

    /// Notifies of changes that may change a judgement.
    pub fn changes(&self) -> watch::Receiver<Version> {
        self.version.subscribe()
    }

    /// The changes since the last call.
    pub fn take_changed(&self) -> Changed {
        std::mem::take(&mut self.changed.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The facts of a node that tell its accelerators.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Shape {
    labels: Vec<(Arc<str>, Arc<str>)>,
    resources: Vec<String>,
}

/// Fills [`Nodes`] from a watch.
pub(super) struct NodeSink {
    nodes: Arc<Nodes>,
    policies: Arc<Policies>,
    /// The version of the policy with which the shapes were made.
    policy: u64,
    known: BTreeMap<String, Arc<Node>>,
    seen: BTreeSet<String>,
    /// How many nodes have each shape.
    shapes: BTreeMap<Shape, usize>,
    /// Each string of a label, once.
    texts: BTreeSet<Arc<str>>,
    /// Whether a list is in progress. A list is published as a whole.
    listing: bool,
    changed: Changed,
}

impl NodeSink {
    pub(super) fn new(nodes: Arc<Nodes>, policies: Arc<Policies>) -> Self {
        let policy = policies.current().version;
        Self {
            nodes,
            policies,
            policy,
            known: BTreeMap::new(),
            seen: BTreeSet::new(),
            shapes: BTreeMap::new(),
            texts: BTreeSet::new(),
            listing: true,
            changed: Changed::default(),
        }
    }

    fn text(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.texts.get(text) {
            return known.clone();
        }
        let text: Arc<str> = text.into();
        self.texts.insert(text.clone());
        text
    }

    fn node(&mut self, object: &Object) -> Option<Node> {
        let mut node = Node::of(object.name()?.to_owned(), Labels::default(), object.value());
        node.allocatable.retain(|_, count| *count > 0);
        if node.allocatable.is_empty() {
            return None;
        }
        node.labels = object.labels().map(|(key, value)| (self.text(key), self.text(value))).collect();
        Some(node)
    }

    fn shape(node: &Node, catalogue: &Catalogue) -> Shape {
        let labels = node.labels.shared().filter(|(key, _)| is_read(catalogue, key));
        Shape { labels: labels.collect(), resources: node.allocatable.keys().cloned().collect() }
    }

    /// Another policy may read other labels. It has all workloads judged again, so no change is noted here.
    fn follow_policy(&mut self) {
        let policy = self.policies.current();
        if self.policy != policy.version {
            self.policy = policy.version;
            self.shapes.clear();
            for node in self.known.values() {
                *self.shapes.entry(Self::shape(node, &policy.catalogue)).or_default() += 1;
            }
        }
    }

    /// Replaces a node, and notes what has changed.
    fn put(&mut self, name: &str, node: Option<Node>) {
        self.follow_policy();
        let catalogue = self.policies.current().catalogue.clone();
        let node = node.map(Arc::new);
        let before = match &node {
            Some(node) => self.known.insert(name.to_owned(), node.clone()),
            None => self.known.remove(name),
        };
        let labels = |node: &Option<Arc<Node>>| -> BTreeSet<(Arc<str>, Arc<str>)> {
            node.iter().flat_map(|node| node.labels.shared()).collect()
        };
        let differing = labels(&before).symmetric_difference(&labels(&node)).cloned().collect::<Vec<_>>();
        let differing = differing.into_iter().map(|(key, _)| key).filter(|key| !is_read(&catalogue, key));
        self.changed.add(Changed { accelerators: false, labels: differing.collect() });

        let shape = |node: Option<Arc<Node>>| node.map(|node| Self::shape(&node, &catalogue));
        let (before, after) = (shape(before), shape(node));
        if before == after {
            return;
        }
        if let Some(shape) = after {
            let count = self.shapes.entry(shape).or_default();
            *count += 1;
            self.changed.accelerators |= *count == 1;
        }
        if let Some(shape) = before
            && let Some(count) = self.shapes.get_mut(&shape)
        {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.shapes.remove(&shape);
                self.changed.accelerators = true;
            }
        }
    }

    fn publish(&mut self) {
        let changed = std::mem::take(&mut self.changed);
        self.nodes.all.store(Arc::new(self.known.values().cloned().collect()));
        if changed.is_none() {
            return;
        }
        let accelerators = changed.accelerators;
        self.nodes.changed.lock().unwrap_or_else(PoisonError::into_inner).add(changed);
        self.nodes.version.send_modify(|version| {
            version.labels += 1;
            version.accelerators += u64::from(accelerators);
        });
    }
}

impl Sink for NodeSink {
    fn restarted(&mut self) {
        self.seen.clear();
        self.listing = true;
    }

    fn apply(&mut self, object: Object) {
        let Some(name) = object.name() else { return };
        let node = self.node(&object);
        if self.listing {
            self.seen.insert(name.to_owned());
        }
        // Kubelets report every few seconds, and a report rarely changes these facts.
        if self.known.get(name).map(|known| &**known) != node.as_ref() {
            self.put(name, node);
            if !self.listing {
                self.publish();
            }
        }
    }

    fn delete(&mut self, object: Object) {
        if let Some(name) = object.name().filter(|name| self.known.contains_key(*name)) {
            self.put(name, None);
            self.publish();
        }
    }

    fn listed(&mut self) {
        let gone: Vec<String> =
            self.known.keys().filter(|name| !self.seen.contains(*name)).cloned().collect();
        for name in gone {
            self.put(&name, None);
        }
        self.seen.clear();
        self.listing = false;
        self.texts.retain(|text| Arc::strong_count(text) > 1);
        self.publish();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::policy::Policy;

    fn sink() -> (Arc<Nodes>, NodeSink) {
        let nodes = Arc::new(Nodes::default());
        let policies = Policies::new(Policy::default());
        (nodes.clone(), NodeSink::new(nodes, policies))
    }

    fn node(name: &str, gpus: &str, heartbeat: &str, labels: &[(&str, &str)]) -> Object {
        let mut all =
            json!({"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3", "kubernetes.io/hostname": name});
        for (key, value) in labels {
            all[*key] = json!(value);
        }
        json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": name, "labels": all},
            "spec": {},
            "status": {
                "allocatable": {"cpu": "64", "memory": "1Ti", "nvidia.com/gpu": gpus, "odd/one": "many"},
                "conditions": [{"type": "Ready", "lastHeartbeatTime": heartbeat}],
            },
        })
        .into()
    }

    fn plain(name: &str) -> Object {
        node(name, "8", "", &[])
    }

    fn keys(changed: &Changed) -> Vec<&str> {
        changed.labels.iter().map(|key| &**key).collect()
    }

    #[test]
    fn a_heartbeat_is_no_change() {
        let (nodes, mut sink) = sink();
        sink.restarted();
        sink.apply(node("a", "8", "2026-01-01T00:00:00Z", &[]));
        assert!(nodes.all().is_empty(), "nothing is published before all nodes are known");
        sink.listed();
        assert!(nodes.take_changed().accelerators);
        sink.apply(node("a", "8", "2026-01-01T00:00:10Z", &[]));
        sink.apply(node("a", "7", "2026-01-01T00:00:20Z", &[]));
        assert_eq!(nodes.take_changed(), Changed::default());
        let all = nodes.all();
        assert_eq!(all[0].allocatable, BTreeMap::from([("nvidia.com/gpu".to_owned(), 7)]));
        assert!(all[0].schedulable);
    }

    #[test]
    fn a_label_concerns_only_the_workloads_that_name_it() {
        let (nodes, mut sink) = sink();
        sink.apply(plain("a"));
        sink.listed();
        nodes.take_changed();
        let named = Named::These(Arc::new(["pool".to_owned()].into()));
        let version = |named: &Named| nodes.version(named);
        let before = (version(&Named::default()), version(&named));

        sink.apply(node("a", "8", "", &[("pool", "x")]));
        let changed = nodes.take_changed();
        assert_eq!((changed.accelerators, keys(&changed)), (false, vec!["pool"]));
        assert!(changed.concerns(&named) && !changed.concerns(&Named::default()));
        assert!(version(&Named::default()) == before.0 && version(&named) != before.1);
        assert_eq!(nodes.all()[0].labels.get("pool"), Some("x"), "the label is cached");

        sink.apply(node("a", "8", "", &[("pool", "x"), ("nvidia.com/gpu.product", "Tesla-T4")]));
        assert!(nodes.take_changed().concerns(&Named::default()));
    }

    #[test]
    fn a_second_node_of_the_same_shape_changes_no_accelerator() {
        let (nodes, mut sink) = sink();
        sink.apply(plain("a"));
        sink.listed();
        nodes.take_changed();
        sink.apply(plain("b"));
        let changed = nodes.take_changed();
        assert_eq!((changed.accelerators, keys(&changed)), (false, vec!["kubernetes.io/hostname"]));
        sink.delete(plain("b"));
        assert!(!nodes.take_changed().accelerators);
        sink.delete(plain("a"));
        assert!(nodes.take_changed().accelerators, "it was the last one of its kind");
    }

    #[test]
    fn a_node_without_accelerators_is_not_kept() {
        let (nodes, mut sink) = sink();
        sink.apply(plain("a"));
        sink.apply(node("b", "0", "", &[]));
        sink.listed();
        assert_eq!(nodes.all().len(), 1);
        sink.apply(node("a", "0", "", &[]));
        assert!(nodes.all().is_empty() && nodes.take_changed().accelerators);
    }

    #[test]
    fn a_node_that_is_deleted_while_the_watch_is_down_is_removed() {
        let (nodes, mut sink) = sink();
        sink.apply(plain("a"));
        sink.listed();
        sink.restarted();
        sink.listed();
        assert!(nodes.all().is_empty());
    }

    #[test]
    fn equal_strings_of_many_nodes_are_stored_once() {
        let (nodes, mut sink) = sink();
        for number in 0..1_000 {
            sink.apply(plain(&format!("node-{number}")));
        }
        sink.listed();
        assert_eq!(nodes.all().len(), 1_000);
        assert_eq!(sink.texts.len(), 1_003, "two keys, one product, and a thousand names");
        assert_eq!(sink.shapes.len(), 1);
    }
}
