//! `/scale`: the number of replicas changes, and the review shows only that number.
//!
//! `kubectl scale` and autoscalers write a `Scale` of autoscaling/v1. It contains the new number and the object's
//! name and uid. So the webhook reads the object from the apiserver and judges an UPDATE of it: the object as stored,
//! and the object with the new number in the field of the definition's `specReplicasPath` ([`Kind::scale`]). The
//! rules of updates apply: a change that makes a job run out of memory is refused, and a job that would have been
//! refused before is not refused again.
//!
//! - The read takes at most half of the request's time, and few reads run at once. Such reviews are rare.
//! - If the object cannot be read, the change is admitted with a warning and a note, as for every error.
//! - The uid must be the review's. The apiserver writes it into each `Scale`, and it cannot be guessed. Without this
//!   check, a caller on the network could learn about objects that they may not read.
//! - A user who may scale an object may lack the permission to read it. So the answer quotes no value of the object,
//!   only the two numbers of the request.

use std::time::Duration;

use kube::Client;
use serde_json::{Map, Value, json};

use super::review::{GroupVersionKind, Operation, Request, Status};
use crate::admission::decide::Decided;
use crate::admission::message;
use crate::judgement::Verdict;
use crate::kinds::{Kind, Kinds, names, object};

/// How many reads run at once. Others wait while their requests have time.
pub(super) const READS: usize = 4;

/// A change of a scale.
#[derive(Clone, Debug)]
pub(super) struct Scaled {
    /// The kind of the object.
    pub(super) kind: &'static Kind,
    /// The path of the object.
    path: String,
    /// The object's uid.
    uid: String,
    /// The version of the object that has `from` replicas.
    version: Option<String>,
    from: i64,
    to: i64,
}

/// The change of a scale in a request, if it is one.
pub(super) fn of(request: &Request, kinds: &Kinds) -> Option<Scaled> {
    let is_scale = (request.kind.group.as_str(), request.kind.kind.as_str()) == ("autoscaling", "Scale")
        && request.sub_resource == "scale"
        && request.operation == Operation::Update;
    if !is_scale || !names::is_label(&request.namespace) || !names::is_subdomain(&request.name) {
        return None;
    }
    let resource = &request.resource;
    let kind = kinds.all().find(|kind| kind.group == resource.group && kind.plural == resource.resource)?;
    let version = kind.versions.iter().find(|version| **version == resource.version)?;
    let (namespace, name) = (&request.namespace, &request.name);
    let text = |pointer: &str| request.old_object.pointer(pointer).and_then(Value::as_str);
    Some(Scaled {
        kind,
        path: format!("/apis/{}/{version}/namespaces/{namespace}/{}/{name}", kind.group, kind.plural),
        uid: text("/metadata/uid").filter(|uid| !uid.is_empty())?.to_owned(),
        version: text("/metadata/resourceVersion").map(str::to_owned),
        from: number(request.old_object.pointer("/spec/replicas")),
        to: number(request.object.pointer("/spec/replicas")),
    })
}

/// A number of replicas. The apiserver counts an absent number as 0.
fn number(value: Option<&Value>) -> i64 {
    value.and_then(Value::as_i64).unwrap_or(0)
}

impl Scaled {
    /// Reads the stored object. `None` if it cannot be read in time, or is not the object of the review.
    pub(super) async fn read(&self, client: &Client, within: Duration) -> Option<Value> {
        let request = axum::http::Request::get(&self.path).body(Vec::new()).ok()?;
        let text = match tokio::time::timeout(within, client.request_text(request)).await {
            Ok(Ok(text)) => text,
            Ok(Err(error)) => {
                tracing::warn!(path = self.path, %error, "the object to scale could not be read; the change is admitted");
                return None;
            }
            Err(_elapsed) => {
                tracing::warn!(
                    path = self.path,
                    "the object to scale was not read in time; the change is admitted"
                );
                return None;
            }
        };
        let object = object::read(text.as_bytes());
        object.ok().filter(|object| self.is_of(object))
    }

    /// Whether the object has the review's uid, and the review's number at the path of its kind.
    fn is_of(&self, object: &Value) -> bool {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        if text("/metadata/uid") != Some(self.uid.as_str()) {
            return false;
        }
        // Another version of the object may have another number.
        let same_version = text("/metadata/resourceVersion") == self.version.as_deref();
        let now = self.kind.scale.and_then(|pointer| object.pointer(pointer));
        !same_version || number(now) == self.from
    }

    /// The request as an update of the whole object.
    pub(super) fn whole(&self, request: &Request, stored: Value) -> Request {
        let kind = GroupVersionKind {
            group: self.kind.group.to_owned(),
            version: request.resource.version.clone(),
            kind: self.kind.kind.to_owned(),
        };
        let mut object = stored.clone();
        if let Some(pointer) = self.kind.scale {
            set(&mut object, pointer, json!(self.to));
        }
        Request { kind, sub_resource: String::new(), object, old_object: stored, ..request.clone() }
    }

    /// Replaces the texts of a decision by texts that quote nothing of the stored object.
    pub(super) fn hide_values(&self, verdict: &str, decided: &mut Decided, status: &mut Option<Status>) {
        let Self { kind, from, to, .. } = self;
        let outcome = match verdict {
            word if word == Verdict::OutOfMemory.name() => "runs out of GPU memory",
            word if word == Verdict::Tight.name() => "may run out of GPU memory",
            _ => "cannot be judged",
        };
        let line =
            format!("scaled from {from} to {to}, this {} {outcome}; see its TrainingEstimate", kind.kind);
        if let Some(status) = status {
            status.message.clone_from(&line);
            status.details.causes.clear();
        }
        if !decided.warnings.is_empty() {
            decided.warnings = vec![message::warning(&line)];
        }
        decided.notes.retain(|key, _| ["verdict", "mode", "update", "would-deny", "owner"].contains(key));
        if !decided.notes.is_empty() {
            decided.notes.insert("scale", format!("{from} to {to}"));
        }
    }
}

/// Sets the value at a pointer. Like the apiserver, it creates the missing objects on the way.
fn set(object: &mut Value, pointer: &str, value: Value) {
    let mut place = object;
    for field in pointer.split('/').skip(1) {
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        let Some(fields) = place.as_object_mut() else { return };
        place = fields.entry(field).or_insert(Value::Null);
    }
    *place = value;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn review(resource: &str, name: &str) -> Request {
        let scale = |replicas: u64| json!({"metadata": {"name": name, "uid": "u", "resourceVersion": "7"}, "spec": {"replicas": replicas}});
        let request = json!({
            "kind": {"group": "autoscaling", "version": "v1", "kind": "Scale"}, "subResource": "scale",
            "resource": {"group": "kubeflow.org", "version": "v1", "resource": resource}, "name": name,
            "namespace": "team", "operation": "UPDATE", "object": scale(1), "oldObject": scale(31),
        });
        serde_json::from_value(request).unwrap()
    }

    fn stored(uid: &str, version: &str, replicas: u64) -> Value {
        json!({"metadata": {"uid": uid, "resourceVersion": version},
            "spec": {"pytorchReplicaSpecs": {"Worker": {"replicas": replicas, "template": {}}}}})
    }

    #[test]
    fn a_review_of_a_scale_names_its_object() {
        let scaled = of(&review("pytorchjobs", "llama"), Kinds::built_in()).unwrap();
        assert_eq!(scaled.path, "/apis/kubeflow.org/v1/namespaces/team/pytorchjobs/llama");
        assert_eq!((scaled.from, scaled.to, scaled.uid.as_str()), (31, 1, "u"));
        assert!(
            of(&review("experiments", "llama"), Kinds::built_in()).is_none(),
            "a kind that is not judged"
        );
        for name in ["../../secrets/a", "a/b", "a?watch=true", "a%2fb", "..", ""] {
            assert!(of(&review("pytorchjobs", name), Kinds::built_in()).is_none(), "{name}");
        }
    }

    #[test]
    fn only_the_object_with_the_uid_of_the_review_is_judged() {
        let scaled = of(&review("pytorchjobs", "llama"), Kinds::built_in()).unwrap();
        assert!(scaled.is_of(&stored("u", "7", 31)));
        assert!(scaled.is_of(&stored("u", "8", 30)), "the object has changed since");
        assert!(!scaled.is_of(&stored("other", "7", 31)));
        assert!(!scaled.is_of(&stored("u", "7", 30)), "the number is in another field");
    }

    #[test]
    fn the_new_number_is_set_at_the_path_of_the_kind() {
        let request = review("pytorchjobs", "llama");
        let whole = of(&request, Kinds::built_in()).unwrap().whole(&request, stored("u", "7", 31));
        assert_eq!(whole.object, stored("u", "7", 1));
        assert_eq!((whole.old_object, whole.kind.kind.as_str()), (stored("u", "7", 31), "PyTorchJob"));
        let mut object = json!({"spec": {"pytorchReplicaSpecs": {"Master": {}}}});
        set(&mut object, "/spec/pytorchReplicaSpecs/Worker/replicas", json!(2));
        assert_eq!(object["spec"]["pytorchReplicaSpecs"], json!({"Master": {}, "Worker": {"replicas": 2}}));
    }
}
