//! The dependencies of a workload's judgement besides the workload: documents, and labels of nodes.
//!
//! The answer is read from the object's fields at any depth. In doubt it says yes. So a change around a workload
//! costs nothing if it cannot concern the workload.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::kinds::config_maps::IN_EVERY_NAMESPACE;

/// A workload that names more node labels than this may depend on any label.
const MOST_LABELS: usize = 64;

/// The references of a workload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refers {
    /// Whether it refers to ConfigMaps, runtimes, queues or claims.
    pub documents: bool,
    /// Whether it asks for accelerators, or may get them from an object that it refers to.
    pub accelerators: bool,
    /// The node labels that it names.
    pub labels: Labels,
}

/// Node labels, by their keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Labels {
    /// Exactly these.
    These(Arc<BTreeSet<String>>),
    /// Perhaps any.
    Any,
}

impl Default for Labels {
    fn default() -> Self {
        Self::These(Arc::default())
    }
}

impl Labels {
    /// Whether no label is named.
    pub fn is_none(&self) -> bool {
        matches!(self, Self::These(keys) if keys.is_empty())
    }

    /// Whether one of the changed labels is named.
    pub fn has_one_of(&self, changed: &BTreeSet<Arc<str>>) -> bool {
        match self {
            Self::These(keys) => keys.iter().any(|key| changed.contains(key.as_str())),
            Self::Any => !changed.is_empty(),
        }
    }
}

impl Refers {
    /// The references of an object.
    pub fn of(object: &Value) -> Self {
        let mut found = Found::default();
        found.read(object, false);
        let labels = if found.any_label { Labels::Any } else { Labels::These(Arc::new(found.labels)) };
        Self { documents: found.documents, accelerators: found.accelerators, labels }
    }
}

#[derive(Default)]
struct Found {
    documents: bool,
    accelerators: bool,
    labels: BTreeSet<String>,
    any_label: bool,
}

impl Found {
    /// Reads a value at any depth. Objects have at most 64 levels, so this ends.
    fn read(&mut self, value: &Value, in_terms: bool) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.read(item, in_terms)),
            Value::Object(fields) => {
                for (key, value) in fields {
                    self.read_field(key, value, in_terms);
                    self.read(value, in_terms || key == "nodeSelectorTerms");
                }
            }
            _ => {}
        }
    }

    fn read_field(&mut self, key: &str, value: &Value, in_terms: bool) {
        let fields = value.as_object();
        match key {
            "configMap" | "configMapRef" | "configMapKeyRef" => {
                let name = value.get("name").and_then(Value::as_str);
                self.documents |= !name.is_some_and(|name| IN_EVERY_NAMESPACE.contains(&name));
            }
            "runtimeRef" => {
                (self.documents, self.accelerators, self.any_label) = (true, true, true);
            }
            "resourceClaims" => (self.documents, self.accelerators) = (true, true),
            "persistentVolumeClaim" | "kueue.x-k8s.io/queue-name" => self.documents = true,
            "limits" | "requests" => self.accelerators |= fields.is_some_and(asks_for_more_than_a_machine),
            "annotations" => {
                self.accelerators |= fields.is_some_and(|keys| keys.keys().any(|key| key.contains("gpu")));
            }
            "nodeSelector" => {
                for key in fields.into_iter().flatten().map(|(key, _)| key) {
                    self.label(key);
                }
            }
            "key" if in_terms => {
                if let Some(key) = value.as_str() {
                    self.label(key);
                }
            }
            _ => {}
        }
    }

    fn label(&mut self, key: &str) {
        if self.labels.len() < MOST_LABELS {
            self.labels.insert(key.to_owned());
        } else if !self.labels.contains(key) {
            self.any_label = true;
        }
    }
}

/// Extended resources have a domain in their name; cpu, memory and hugepages have none.
fn asks_for_more_than_a_machine(resources: &Map<String, Value>) -> bool {
    resources.keys().any(|name| name.contains('/'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn keys(labels: &Labels) -> Vec<&str> {
        match labels {
            Labels::These(keys) => keys.iter().map(String::as_str).collect(),
            Labels::Any => vec!["*"],
        }
    }

    #[test]
    fn the_references_of_a_pod_are_found_at_any_depth() {
        let pod = json!({"spec": {"template": {"spec": {
            "volumes": [{"projected": {"sources": [{"configMap": {"name": "kube-root-ca.crt"}}]}}],
            "containers": [{"resources": {"limits": {"nvidia.com/gpu": "8", "cpu": 1}}}],
            "nodeSelector": {"pool": "a"},
            "affinity": {
                "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                    {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}]}},
                "podAffinity": {"labelSelector": {"matchExpressions": [{"key": "app"}]}},
            },
        }}}});
        let refers = Refers::of(&pod);
        assert!(!refers.documents && refers.accelerators);
        assert_eq!(keys(&refers.labels), ["pool", "zone"]);
        let changed = |key: &str| BTreeSet::from([Arc::from(key)]);
        assert!(
            refers.labels.has_one_of(&changed("zone")) && !refers.labels.has_one_of(&changed("heartbeat"))
        );
    }

    #[test]
    fn each_reference_to_a_document_counts() {
        for object in [
            json!({"volumes": [{"configMap": {"name": "code"}}]}),
            json!({"envFrom": [{"configMapRef": {"name": "code"}}]}),
            json!({"env": [{"valueFrom": {"configMapKeyRef": {"name": "code"}}}]}),
            json!({"resourceClaims": [{"name": "gpu"}]}),
            json!({"volumes": [{"persistentVolumeClaim": {"claimName": "checkpoints"}}]}),
            json!({"metadata": {"labels": {"kueue.x-k8s.io/queue-name": "q"}}}),
            json!({"spec": {"runtimeRef": {"name": "torch"}}}),
        ] {
            assert!(Refers::of(&object).documents, "{object}");
        }
        assert!(!Refers::of(&json!({"volumes": [{"secret": {"secretName": "a"}}]})).documents);
    }

    #[test]
    fn a_workload_with_too_many_labels_may_depend_on_any_label() {
        let selector: Map<String, Value> = (0..100).map(|n| (format!("k{n}"), json!("v"))).collect();
        assert_eq!(Refers::of(&json!({"nodeSelector": selector})).labels, Labels::Any);
    }
}
