//! What else is known besides the workload, as plain data.
//!
//! In a cluster the surroundings are filled from caches; `check` fills them from the other documents of its stream.
//! The core never looks anything up by itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

/// What else is known besides the workload.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// The cluster's nodes, as far as they tell which accelerators there are; thousands, and so never copied.
    pub nodes: Arc<[Node]>,
    /// Workloads that a `TrainingEstimate` may refer to by `workloadRef`.
    pub workloads: Vec<Value>,
    /// `ConfigMaps` whose keys may be files or variables of containers.
    pub config_maps: Arc<ConfigMaps>,
}

/// `ConfigMaps` by namespace and name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigMaps {
    maps: BTreeMap<(String, String), BTreeMap<String, Arc<str>>>,
}

impl ConfigMaps {
    /// Adds a `ConfigMap`'s data.
    pub fn add(&mut self, namespace: &str, name: &str, data: BTreeMap<String, Arc<str>>) {
        self.maps.insert((namespace.to_owned(), name.to_owned()), data);
    }

    /// A `ConfigMap`'s data. An empty namespace stands for one that is not told.
    pub fn get(&self, namespace: &str, name: &str) -> Option<&BTreeMap<String, Arc<str>>> {
        self.maps.get(&(namespace.to_owned(), name.to_owned()))
    }
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

impl Node {
    /// Out of a node's name, its labels, and the object with the rest of it.
    pub fn of(name: String, labels: BTreeMap<String, String>, object: &Value) -> Self {
        let count = |value: &Value| value.as_u64().or_else(|| value.as_str()?.parse().ok());
        let allocatable = object.pointer("/status/allocatable").and_then(Value::as_object);
        Self {
            name,
            labels,
            // Extended resources have a domain in their name; cpu, memory and hugepages have none.
            allocatable: allocatable
                .into_iter()
                .flatten()
                .filter(|(name, _)| name.contains('/'))
                .filter_map(|(name, value)| Some((name.clone(), count(value)?)))
                .collect(),
            schedulable: object.pointer("/spec/unschedulable").and_then(Value::as_bool) != Some(true),
        }
    }
}
