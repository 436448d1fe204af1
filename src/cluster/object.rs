//! An object of the cluster: its JSON without the fields that no rule reads, and its metadata by name.
//!
//! The metadata is read as plain strings. A typed reader fails on a time that the apiserver stores and a client
//! refuses, and one such object would then hide all others of its list.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;

use crate::kinds::object::{NotRead, read};

/// A namespace, and the name of an object in it.
pub(crate) type Id = (String, String);

/// An object as the apiserver stores it.
#[derive(Debug)]
pub struct Object {
    value: Value,
    /// Held while a large object is in memory.
    _permit: Option<OwnedSemaphorePermit>,
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

    /// Releases the permit, for an object that keeps little of a long JSON.
    #[must_use]
    pub fn give_up_turn(self) -> Self {
        Self { _permit: None, ..self }
    }

    /// The uid.
    pub fn uid(&self) -> Option<&str> {
        self.text("/metadata/uid")
    }

    /// The namespace. `None` for an object of the cluster.
    pub fn namespace(&self) -> Option<&str> {
        self.text("/metadata/namespace")
    }

    /// The name.
    pub fn name(&self) -> Option<&str> {
        self.text("/metadata/name")
    }

    /// The namespace and the name. `None` for an object of the cluster.
    pub(crate) fn id(&self) -> Option<Id> {
        Some((self.namespace()?.to_owned(), self.name()?.to_owned()))
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

    /// The references to owners. Malformed ones are left out.
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
        Self { value, _permit: None }
    }
}

/// The JSON of one object, not parsed yet.
pub(super) struct Json {
    bytes: Vec<u8>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Json {
    pub(super) fn new(bytes: Vec<u8>, permit: Option<OwnedSemaphorePermit>) -> Self {
        Self { bytes, permit }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Parses the object, which keeps the permit of its JSON.
    pub(super) fn into_object(self) -> Result<Object, Unread> {
        match read(&self.bytes) {
            Ok(value) => Ok(Object { value, _permit: self.permit }),
            Err(cause) => Err(Unread {
                identity: Box::new(Identity::of(&self.bytes)),
                too_large: cause == NotRead::TooLarge,
                cause: cause.to_string(),
            }),
        }
    }
}

/// An object that could not be read: its identity as far as it is known, and the cause.
#[derive(Debug)]
pub(super) struct Unread {
    pub(super) identity: Box<Identity>,
    /// Whether it exceeds the limits of the reader.
    pub(super) too_large: bool,
    /// The cause, without any value of the object.
    pub(super) cause: String,
}

/// The identity of an object.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Identity {
    /// Empty for the items of some lists.
    #[serde(skip)]
    pub(super) api_version: String,
    pub(super) uid: String,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) resource_version: String,
}

impl Identity {
    /// The identity in an object's JSON, or empty strings. All other fields are skipped, at any depth.
    pub(super) fn of(json: &[u8]) -> Self {
        #[derive(Default, Deserialize)]
        #[serde(default, rename_all = "camelCase")]
        struct Head {
            api_version: String,
            metadata: Identity,
        }
        let Head { api_version, metadata } = serde_json::from_slice(json).unwrap_or_default();
        Self { api_version, ..metadata }
    }
}

/// An object with nothing but its identity.
impl From<Identity> for Object {
    fn from(Identity { api_version, uid, namespace, name, resource_version }: Identity) -> Self {
        let api_version = Some(api_version).filter(|api_version| !api_version.is_empty());
        let namespace = Some(namespace).filter(|namespace| !namespace.is_empty());
        let metadata =
            json!({"uid": uid, "namespace": namespace, "name": name, "resourceVersion": resource_version});
        Self { value: json!({"apiVersion": api_version, "metadata": metadata}), _permit: None }
    }
}

impl fmt::Display for Identity {
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
    fn times_and_depths_that_a_typed_reader_refuses_are_read() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let json = format!(
            r#"{{"metadata": {{"name": "a", "uid": "u", "creationTimestamp": "10000-01-01T00:00:00Z",
                 "deletionTimestamp": "-0001-01-01T00:00:00Z", "labels": {{"a": "b"}},
                 "managedFields": [{{"time": "10000-01-01T00:00:00Z", "fieldsV1": {deep}}}]}}}}"#
        );
        let read = object(&json).unwrap();
        assert_eq!((read.name(), read.uid(), read.label("a")), (Some("a"), Some("u"), Some("b")));
        assert!(read.is_being_deleted());
        assert_eq!(Identity::of(json.as_bytes()).name, "a");
    }

    #[test]
    fn an_unreadable_object_is_named_and_its_content_is_not_repeated() {
        let values = format!("[{}0]", format!("[{}0],", "0,".repeat(1_000)).repeat(200));
        let json = format!(
            r#"{{"apiVersion": "batch/v1", "metadata": {{"namespace": "team", "name": "a"}}, "secret": {values}}}"#
        );
        let unread = object(&json).unwrap_err();
        assert_eq!((unread.identity.to_string().as_str(), unread.too_large), ("team/a", true));
        assert_eq!(unread.identity.api_version, "batch/v1");
        assert!(unread.cause.contains("more than"), "{}", unread.cause);
        let broken = object(r#"{"metadata": {"name": "a"}, "password": hunter2}"#).unwrap_err();
        assert!(!broken.cause.contains("hunter2") && !broken.too_large, "{}", broken.cause);
    }
}
