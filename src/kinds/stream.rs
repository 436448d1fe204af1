//! The [`Surroundings`] that a stream of objects gives to each of them.
//!
//! A document without a namespace counts as a neighbour of the others without one. So does a document of the
//! namespace `default`, for the others would be applied there.

use std::sync::Arc;

use serde_json::Value;

use crate::kinds::Kinds;
use crate::surroundings::{CONFIG_MAP, ConfigMaps, Document, Documents, Node, Reads, Surroundings};

impl Surroundings {
    /// The surroundings in a stream: its nodes, ConfigMaps, runtimes, queues, claims, and the workloads that
    /// estimates refer to.
    pub fn of(objects: &[Value], kinds: &Kinds) -> Self {
        let (mut config_maps, mut documents) = (ConfigMaps::default(), Documents::default());
        for object in objects {
            let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
            let name = text("/metadata/name").unwrap_or_default();
            let namespaces = namespaces(text("/metadata/namespace"));
            match Document::of(object) {
                Some(document) if document.kind == CONFIG_MAP => {
                    for namespace in namespaces {
                        config_maps.add(namespace, name, ConfigMaps::data(object));
                    }
                }
                Some(document) => {
                    let object = Arc::new(object.clone());
                    let namespaces = if document.namespaced { namespaces } else { vec![""] };
                    for namespace in namespaces {
                        documents.add(document.kind, namespace, name, object.clone());
                    }
                }
                None => {}
            }
        }
        Self {
            nodes: objects.iter().filter(|object| is(object, "v1", "Node")).map(node).map(Arc::new).collect(),
            workloads: objects.iter().filter(|object| kinds.of(object).is_some()).cloned().collect(),
            config_maps: Arc::new(config_maps),
            documents: Arc::new(documents),
            files: Arc::default(),
            // The stream is complete: an object that is not in it is absent.
            reads: Reads { config_maps: true, claims: true },
            assigned: Arc::default(),
        }
    }

    /// The same surroundings, with the ConfigMaps and documents of these objects in place of its own, if there are any.
    #[must_use]
    pub fn with(&self, objects: &[Value], kinds: &Kinds) -> Self {
        if objects.is_empty() {
            return self.shared();
        }
        let Self { config_maps, documents, .. } = Self::of(objects, kinds);
        Self { config_maps, documents, ..self.shared() }
    }
}

/// The namespaces under which other objects of the stream find this one.
fn namespaces(own: Option<&str>) -> Vec<&str> {
    match own {
        None | Some("" | "default") => vec!["", "default"],
        Some(namespace) => vec![namespace],
    }
}

fn is(object: &Value, api_version: &str, kind: &str) -> bool {
    let equals = |key: &str, text: &str| object.get(key).and_then(Value::as_str) == Some(text);
    equals("apiVersion", api_version) && equals("kind", kind)
}

fn node(object: &Value) -> Node {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let labels = object.pointer("/metadata/labels").and_then(Value::as_object).into_iter().flatten();
    let labels = labels.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?))).collect();
    Node::of(object.pointer("/metadata/name").and_then(text).unwrap_or_default(), labels, object)
}
