//! Surroundings out of a stream: its other documents are what `check` knows of the cluster.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::surroundings::{Node, Surroundings};
use crate::workload::kinds;

/// What the objects say about each other: nodes, and the workloads that estimates refer to.
pub(super) fn of(objects: &[Value]) -> Surroundings {
    Surroundings {
        nodes: objects.iter().filter(|object| is(object, "v1", "Node")).map(node).collect(),
        workloads: objects.iter().filter(|object| kinds::of(object).is_some()).cloned().collect(),
    }
}

fn is(object: &Value, api_version: &str, kind: &str) -> bool {
    let equals = |key: &str, text: &str| object.get(key).and_then(Value::as_str) == Some(text);
    equals("apiVersion", api_version) && equals("kind", kind)
}

fn node(object: &Value) -> Node {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let entries = |pointer: &str| {
        object.pointer(pointer).and_then(Value::as_object).into_iter().flatten().collect::<Vec<_>>()
    };
    Node {
        name: object.pointer("/metadata/name").and_then(text).unwrap_or_default(),
        labels: entries("/metadata/labels")
            .into_iter()
            .filter_map(|(key, value)| Some((key.clone(), text(value)?)))
            .collect(),
        allocatable: extended_resources(&entries("/status/allocatable")),
        schedulable: object.pointer("/spec/unschedulable").and_then(Value::as_bool) != Some(true),
    }
}

/// Extended resources have a domain in their name, and are counted in whole numbers.
fn extended_resources(allocatable: &[(&String, &Value)]) -> BTreeMap<String, u64> {
    let count = |value: &Value| value.as_u64().or_else(|| value.as_str()?.parse().ok());
    allocatable
        .iter()
        .filter(|(name, _)| name.contains('/'))
        .filter_map(|(name, value)| Some(((*name).clone(), count(value)?)))
        .collect()
}
