//! `/scale`: one number of an object changes, and the review shows nothing but that number.
//!
//! `kubectl scale` and autoscalers write a `Scale` of autoscaling/v1. It holds the new number and the object's name and uid.
//! So the object is read from the apiserver, and what is judged is an UPDATE of it: as stored, and with the new number
//! where the definition's `specReplicasPath` puts it ([`Kind::scale`]). The rules of updates hold: what makes a job run out
//! of memory is refused, and what would be refused already is not refused again.
//!
//! - The read takes at most half of the request's time, and only a few run at once. Such reviews are rare.
//! - What cannot be read is admitted with a warning and a note, like everything that goes wrong.
//! - The uid must be that of the review. The apiserver tells it in each `Scale`, and nobody can guess it: without it, a
//!   caller on the network would learn of objects that he may not read.
//! - Who may scale an object may perhaps not read it. So the answer quotes no value of it. It names the two numbers, which
//!   are the request's own.

use std::time::Duration;

use kube::Client;
use serde_json::{Map, Value, json};

use super::review::{GroupVersionKind, Operation, Request, Status};
use crate::admission::decide::Decided;
use crate::admission::message;
use crate::judgement::Verdict;
use crate::kinds::{Kind, Kinds, object};

/// Reads that run at once. More wait, as long as their requests have time.
pub(super) const READS: usize = 4;

/// A change of a scale.
#[derive(Clone, Debug)]
pub(super) struct Scaled {
    /// The kind of the object.
    pub(super) kind: &'static Kind,
    /// Where the object is.
    path: String,
    /// The object's uid.
    uid: String,
    /// The version of the object that had `from` replicas.
    version: Option<String>,
    from: i64,
    to: i64,
}

/// The change of a scale that a request is about, if it is about one.
pub(super) fn of(request: &Request, kinds: &Kinds) -> Option<Scaled> {
    let is_scale = (request.kind.group.as_str(), request.kind.kind.as_str()) == ("autoscaling", "Scale")
        && request.sub_resource == "scale"
        && request.operation == Operation::Update;
    if !is_scale || !is_name(&request.namespace) || !is_name(&request.name) {
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

/// Whether it can be a part of a URL: the letters of a DNS name, and nothing that leads elsewhere.
fn is_name(text: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    (1..=253).contains(&text.len()) && text.bytes().all(letter) && !text.starts_with('.')
}

/// A number of replicas; the apiserver takes what is absent for none.
fn number(value: Option<&Value>) -> i64 {
    value.and_then(Value::as_i64).unwrap_or(0)
}

impl Scaled {
    /// The stored object; none where it cannot be read in time, or is not the one of the review.
    pub(super) async fn read(&self, client: &Client, within: Duration) -> Option<Value> {
        let request = axum::http::Request::get(&self.path).body(Vec::new()).ok()?;
        let text = match tokio::time::timeout(within, client.request_text(request)).await {
            Ok(Ok(text)) => text,
            Ok(Err(error)) => {
                tracing::warn!(path = self.path, %error, "what is scaled could not be read; it is admitted");
                return None;
            }
            Err(_elapsed) => {
                tracing::warn!(path = self.path, "what is scaled was not read in time; it is admitted");
                return None;
            }
        };
        let object = object::read(text.as_bytes());
        object.ok().filter(|object| self.is_of(object))
    }

    /// Whether it is the object of the review, and its number is where it is looked for.
    fn is_of(&self, object: &Value) -> bool {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        if text("/metadata/uid") != Some(self.uid.as_str()) {
            return false;
        }
        // Another version may have another number.
        let same_version = text("/metadata/resourceVersion") == self.version.as_deref();
        let now = self.kind.scale.and_then(|pointer| object.pointer(pointer));
        !same_version || number(now) == self.from
    }

    /// The request as if the whole object were updated.
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

    /// Says what was decided in words that quote nothing of the stored object.
    pub(super) fn tell(&self, verdict: &str, decided: &mut Decided, status: &mut Option<Status>) {
        let Self { kind, from, to, .. } = self;
        let outcome = match verdict {
            word if word == Verdict::OutOfMemory.name() => "runs out of GPU memory",
            word if word == Verdict::Tight.name() => "may run out of GPU memory",
            _ => "cannot be judged",
        };
        let line = format!(
            "scaled from {from} to {to}, this {} {outcome}; its TrainingEstimate says more",
            kind.kind
        );
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

/// Puts a value where the pointer says, as the apiserver does: what is missing on the way is made.
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
    fn only_the_object_of_the_review_is_judged() {
        let scaled = of(&review("pytorchjobs", "llama"), Kinds::built_in()).unwrap();
        assert!(scaled.is_of(&stored("u", "7", 31)));
        assert!(scaled.is_of(&stored("u", "8", 30)), "it has changed since");
        assert!(!scaled.is_of(&stored("other", "7", 31)));
        assert!(!scaled.is_of(&stored("u", "7", 30)), "the number is somewhere else");
    }

    #[test]
    fn the_new_number_stands_where_the_definition_puts_it() {
        let request = review("pytorchjobs", "llama");
        let whole = of(&request, Kinds::built_in()).unwrap().whole(&request, stored("u", "7", 31));
        assert_eq!(whole.object, stored("u", "7", 1));
        assert_eq!((whole.old_object, whole.kind.kind.as_str()), (stored("u", "7", 31), "PyTorchJob"));
        let mut object = json!({"spec": {"pytorchReplicaSpecs": {"Master": {}}}});
        set(&mut object, "/spec/pytorchReplicaSpecs/Worker/replicas", json!(2));
        assert_eq!(object["spec"]["pytorchReplicaSpecs"], json!({"Master": {}, "Worker": {"replicas": 2}}));
    }
}
