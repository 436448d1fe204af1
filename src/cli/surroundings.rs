//! Surroundings out of a stream: its other documents are what `check` knows of the cluster.

use serde_json::Value;

use crate::surroundings::{Node, Surroundings};
use crate::workload::kinds;

/// What the objects say about each other: nodes, and the workloads that estimates refer to.
pub(super) fn of(objects: &[Value]) -> Surroundings {
    Surroundings {
        nodes: objects.iter().filter(|object| is(object, "v1", "Node")).map(node).collect(),
        workloads: objects.iter().filter(|object| kinds::of(object).is_some()).cloned().collect(),
        ..Surroundings::default()
    }
}

fn is(object: &Value, api_version: &str, kind: &str) -> bool {
    let equals = |key: &str, text: &str| object.get(key).and_then(Value::as_str) == Some(text);
    equals("apiVersion", api_version) && equals("kind", kind)
}

fn node(object: &Value) -> Node {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let labels = object.pointer("/metadata/labels").and_then(Value::as_object).into_iter().flatten();
    let labels = labels.filter_map(|(key, value)| Some((key.clone(), text(value)?))).collect();
    Node::of(object.pointer("/metadata/name").and_then(text).unwrap_or_default(), labels, object)
}
