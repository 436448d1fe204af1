//! An object of the cluster: its JSON without what no rule reads, and the fields of its metadata by name.
//!
//! The fields are read as plain text. A typed reading fails on a time that the apiserver keeps and a client refuses, and
//! one such object would then hide all others of its list.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;

use crate::kinds::object::{NotRead, read};

/// An object as the apiserver has it.
#[derive(Debug)]
pub struct Object {
    value: Value,
    /// Held while a large object is in memory.
    _turn: Option<OwnedSemaphorePermit>,
}

impl Object {
    /// The whole object.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The whole object, to be changed.
    pub(super) fn value_mut(&mut self) -> &mut Value {
        &mut self.value
    }

    /// Lets another large object have its turn. For an object that keeps little of a long JSON.
    #[must_use]
    pub fn give_up_turn(self) -> Self {
        Self { _turn: None, ..self }
    }

    /// The object's identity, which lasts as long as the object.
    pub fn uid(&self) -> Option<&str> {
        self.text("/metadata/uid")
    }

    /// The namespace; none for an object of the cluster.
    pub fn namespace(&self) -> Option<&str> {
        self.text("/metadata/namespace")
    }

    /// The name.
    pub fn name(&self) -> Option<&str> {
        self.text("/metadata/name")
    }

    /// The generation of the spec.
    pub fn generation(&self) -> Option<i64> {
        self.value.pointer("/metadata/generation")?.as_i64()
    }

    /// The version of the object.
    pub fn resource_version(&self) -> Option<&str> {
        self.text("/metadata/resourceVersion")
    }

    /// Whether the object is being deleted.
    pub fn is_being_deleted(&self) -> bool {
        self.value.pointer("/metadata/deletionTimestamp").is_some_and(|time| !time.is_null())
    }

    /// The value of a label.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.value.pointer("/metadata/labels")?.get(key)?.as_str()
    }

    /// The labels.
    pub fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        let labels = self.value.pointer("/metadata/labels").and_then(Value::as_object);
        labels.into_iter().flatten().filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
    }

    /// The references to owners, without those that are none.
    pub fn owners(&self) -> Vec<OwnerReference> {
        let owners = self.value.pointer("/metadata/ownerReferences").and_then(Value::as_array);
        let owners = owners.into_iter().flatten();
        owners.filter_map(|owner| OwnerReference::deserialize(owner).ok()).collect()
    }

    /// The reference to the owner that controls the object.
    pub fn controller(&self) -> Option<OwnerReference> {
        self.owners().into_iter().find(|owner| owner.controller == Some(true))
    }

    fn text(&self, pointer: &str) -> Option<&str> {
        self.value.pointer(pointer)?.as_str()
    }
}

#[cfg(test)]
impl From<Value> for Object {
    fn from(value: Value) -> Self {
        Self { value, _turn: None }
    }
}

/// The JSON of one object, unread.
pub(super) struct Json {
    bytes: Vec<u8>,
    turn: Option<OwnedSemaphorePermit>,
}

impl Json {
    pub(super) fn new(bytes: Vec<u8>, turn: Option<OwnedSemaphorePermit>) -> Self {
        Self { bytes, turn }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The object, which keeps the turn of its JSON.
    pub(super) fn into_object(self) -> Result<Object, Unread> {
        match read(&self.bytes) {
            Ok(value) => Ok(Object { value, _turn: self.turn }),
            Err(cause) => Err(Unread {
                who: Box::new(Who::of(&self.bytes)),
                too_large: cause == NotRead::TooLarge,
                cause: cause.to_string(),
            }),
        }
    }
}

/// An object that could not be read: who it is, as far as that can be told, and why.
#[derive(Debug)]
pub(super) struct Unread {
    pub(super) who: Box<Who>,
    /// Whether it has more than is read.
    pub(super) too_large: bool,
    /// Repeats nothing of the object.
    pub(super) cause: String,
}

/// Which object it is.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Who {
    /// Empty for the items of some lists.
    #[serde(skip)]
    pub(super) api_version: String,
    pub(super) uid: String,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) resource_version: String,
}

impl Who {
    /// Of an object's JSON; empty where that says nothing. All other fields are skipped unread, at any depth.
    pub(super) fn of(json: &[u8]) -> Self {
        #[derive(Default, Deserialize)]
        #[serde(default, rename_all = "camelCase")]
        struct Head {
            api_version: String,
            metadata: Who,
        }
        let Head { api_version, metadata } = serde_json::from_slice(json).unwrap_or_default();
        Self { api_version, ..metadata }
    }
}

/// An object with its identity alone.
impl From<Who> for Object {
    fn from(Who { api_version, uid, namespace, name, resource_version }: Who) -> Self {
        let api_version = Some(api_version).filter(|api_version| !api_version.is_empty());
        let namespace = Some(namespace).filter(|namespace| !namespace.is_empty());
        let metadata =
            json!({"uid": uid, "namespace": namespace, "name": name, "resourceVersion": resource_version});
        Self { value: json!({"apiVersion": api_version, "metadata": metadata}), _turn: None }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.namespace.as_str(), self.name.as_str()) {
            ("", "") => write!(f, "an object without a name"),
            ("", name) => write!(f, "{name}"),
            (namespace, name) => write!(f, "{namespace}/{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(json: &str) -> Result<Object, Unread> {
        Json::new(json.as_bytes().to_vec(), None).into_object()
    }

    #[test]
    fn times_and_depths_that_a_typed_reading_refuses_are_read() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let json = format!(
            r#"{{"metadata": {{"name": "a", "uid": "u", "creationTimestamp": "10000-01-01T00:00:00Z",
                 "deletionTimestamp": "-0001-01-01T00:00:00Z", "labels": {{"a": "b"}},
                 "managedFields": [{{"time": "10000-01-01T00:00:00Z", "fieldsV1": {deep}}}]}}}}"#
        );
        let read = object(&json).unwrap();
        assert_eq!((read.name(), read.uid(), read.label("a")), (Some("a"), Some("u"), Some("b")));
        assert!(read.is_being_deleted());
        assert_eq!(Who::of(json.as_bytes()).name, "a");
    }

    #[test]
    fn what_cannot_be_read_is_named_and_its_content_is_not_repeated() {
        let values = format!("[{}0]", format!("[{}0],", "0,".repeat(1_000)).repeat(200));
        let json = format!(
            r#"{{"apiVersion": "batch/v1", "metadata": {{"namespace": "team", "name": "a"}}, "secret": {values}}}"#
        );
        let unread = object(&json).unwrap_err();
        assert_eq!((unread.who.to_string().as_str(), unread.too_large), ("team/a", true));
        assert_eq!(unread.who.api_version, "batch/v1");
        assert!(unread.cause.contains("more than"), "{}", unread.cause);
        let broken = object(r#"{"metadata": {"name": "a"}, "password": hunter2}"#).unwrap_err();
        assert!(!broken.cause.contains("hunter2") && !broken.too_large, "{}", broken.cause);
    }
}
