//! The nodes, reduced to what tells which accelerators there are.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use tokio::sync::watch;

use super::follow::Sink;
use crate::surroundings::{Node, Surroundings};

/// The cluster's nodes, as surroundings that a judgement takes as they are.
#[derive(Debug)]
pub struct Nodes {
    surroundings: ArcSwap<Surroundings>,
    version: watch::Sender<u64>,
}

impl Default for Nodes {
    fn default() -> Self {
        Self { surroundings: ArcSwap::default(), version: watch::Sender::new(0) }
    }
}

impl Nodes {
    /// The surroundings; cheap.
    pub fn surroundings(&self) -> Arc<Surroundings> {
        self.surroundings.load_full()
    }

    /// Counts the changes.
    pub fn version(&self) -> u64 {
        *self.version.borrow()
    }

    /// Tells of changes.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    fn publish(&self, nodes: &BTreeMap<String, Node>) {
        let nodes: Arc<[Node]> = nodes.values().cloned().collect();
        if self.surroundings.load().nodes != nodes {
            self.surroundings.store(Arc::new(Surroundings { nodes, ..Surroundings::default() }));
            self.version.send_modify(|version| *version += 1);
        }
    }
}

/// Fills [`Nodes`] from a watch.
pub(super) struct NodeSink {
    nodes: Arc<Nodes>,
    known: BTreeMap<String, Node>,
    listing: bool,
}

impl NodeSink {
    pub(super) fn new(nodes: Arc<Nodes>) -> Self {
        Self { nodes, known: BTreeMap::new(), listing: true }
    }
}

impl Sink for NodeSink {
    fn restarted(&mut self) {
        self.known.clear();
        self.listing = true;
    }

    fn apply(&mut self, object: DynamicObject) {
        let node = Node::of(object.name_any(), object.labels().clone(), &object.data);
        // Kubelets report every few seconds; hardly ever does a report change what matters here.
        if self.known.get(&node.name) != Some(&node) {
            self.known.insert(node.name.clone(), node);
            if !self.listing {
                self.nodes.publish(&self.known);
            }
        }
    }

    fn delete(&mut self, object: DynamicObject) {
        self.known.remove(&object.name_any());
        self.nodes.publish(&self.known);
    }

    fn listed(&mut self) {
        self.listing = false;
        self.nodes.publish(&self.known);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(heartbeat: &str) -> DynamicObject {
        serde_json::from_value(serde_json::json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": "a", "labels": {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}},
            "spec": {},
            "status": {
                "allocatable": {"cpu": "64", "memory": "1Ti", "nvidia.com/gpu": "8", "odd/one": "many"},
                "conditions": [{"type": "Ready", "lastHeartbeatTime": heartbeat}],
            },
        }))
        .unwrap()
    }

    #[test]
    fn a_heartbeat_is_no_change() {
        let nodes = Arc::new(Nodes::default());
        let mut sink = NodeSink::new(nodes.clone());
        sink.restarted();
        sink.apply(node("2026-01-01T00:00:00Z"));
        assert_eq!(nodes.version(), 0, "nothing is published before all nodes are known");
        sink.listed();
        sink.apply(node("2026-01-01T00:00:10Z"));
        assert_eq!(nodes.version(), 1);
        let surroundings = nodes.surroundings();
        assert_eq!(surroundings.nodes[0].allocatable, BTreeMap::from([("nvidia.com/gpu".to_owned(), 8)]));
        assert!(surroundings.nodes[0].schedulable);
    }

    #[test]
    fn a_node_that_went_while_the_watch_was_down_is_gone() {
        let nodes = Arc::new(Nodes::default());
        let mut sink = NodeSink::new(nodes.clone());
        sink.apply(node(""));
        sink.listed();
        sink.restarted();
        sink.listed();
        assert!(nodes.surroundings().nodes.is_empty());
    }
}
