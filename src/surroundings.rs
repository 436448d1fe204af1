//! What else is known besides the workload, as plain data.
//!
//! In a cluster the surroundings are filled from caches; `check` fills them from the other documents of its stream.
//! The core never looks anything up by itself.

use std::collections::BTreeMap;

use serde_json::Value;

/// What else is known besides the workload.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// The cluster's nodes, as far as they tell which accelerators there are.
    pub nodes: Vec<Node>,
    /// Workloads that a `TrainingEstimate` may refer to by `workloadRef`.
    pub workloads: Vec<Value>,
}

/// A node, as far as it tells which accelerators it has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// The node's name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its allocatable extended resources: name and count.
    pub allocatable: BTreeMap<String, u64>,
    /// Whether pods may be placed on it.
    pub schedulable: bool,
}
