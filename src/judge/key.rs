//! A hash of everything in an object that its judgement depends on. Two objects with one key have one judgement in the same
//! surroundings, by the same policy, for the same question.
//!
//! ```text
//! key = SHA-256(the texts beside the object, the object without what no rule reads)
//! ```
//!
//! No rule reads an object's name, the identity that the apiserver gives it, its status, and the labels that a controller
//! derives from these. The order of a map's keys counts, because it counts for the judge. With SHA-256 a collision cannot be
//! made.

use std::io;

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

/// Fields of an object's metadata that no rule reads.
const IDENTITY: &[&str] = &[
    "creationTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "managedFields",
    "name",
    "resourceVersion",
    "selfLink",
    "uid",
];
/// Labels that a Job gives its pods: its uid and its name.
const DERIVED: &[&str] =
    &["batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name", "controller-uid", "job-name"];

/// A hash of everything in an object that its judgement depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct JudgementKey([u8; 32]);

impl JudgementKey {
    /// The key of an object, with the texts that a review has beside it.
    pub fn of(beside: &[&str], object: &Value) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(beside.len().to_le_bytes());
        for text in beside {
            hash_text(text, &mut hasher);
        }
        hash(object, Part::Object, &mut hasher);
        Self(hasher.finalize().into())
    }
}

/// The place of a value in an object.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// The object itself.
    Object,
    /// The object's metadata.
    Metadata,
    /// A map of labels, of the object or of a template or selector in it.
    Labels,
    Other,
}

impl Part {
    /// The place of the value at a key.
    fn below(self, key: &str) -> Self {
        match (self, key) {
            (Self::Object, "metadata") => Self::Metadata,
            (Self::Labels, _) => Self::Other,
            (_, "labels" | "matchLabels") => Self::Labels,
            _ => Self::Other,
        }
    }

    /// Whether no rule reads the value at a key.
    fn leaves_out(self, key: &str) -> bool {
        match self {
            Self::Object => key == "status",
            Self::Metadata => IDENTITY.contains(&key),
            Self::Labels => DERIVED.contains(&key),
            Self::Other => false,
        }
    }
}

fn hash(value: &Value, part: Part, hasher: &mut Sha256) {
    match value {
        Value::Object(fields) => hash_map(fields, part, hasher),
        Value::Array(items) => {
            hasher.update(b"[");
            hasher.update(items.len().to_le_bytes());
            for item in items {
                hash(item, Part::Other, hasher);
            }
        }
        Value::String(text) => {
            hasher.update(b"s");
            hash_text(text, hasher);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {
            // A semicolon ends the value: no number contains one.
            let _ = serde_json::to_writer(Feed(hasher), value);
            hasher.update(b";");
        }
    }
}

fn hash_map(fields: &Map<String, Value>, part: Part, hasher: &mut Sha256) {
    let read = || fields.iter().filter(|(key, _)| !part.leaves_out(key));
    hasher.update(b"{");
    hasher.update(read().count().to_le_bytes());
    for (key, value) in read() {
        hash_text(key, hasher);
        hash(value, part.below(key), hasher);
    }
}

fn hash_text(text: &str, hasher: &mut Sha256) {
    hasher.update(text.len().to_le_bytes());
    hasher.update(text);
}

/// Takes what is written into the hash.
struct Feed<'a>(&'a mut Sha256);

impl io::Write for Feed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn key(object: &Value) -> JudgementKey {
        JudgementKey::of(&["team"], object)
    }

    fn job() -> Value {
        json!({
            "metadata": {
                "name": "a", "namespace": "team", "uid": "1", "resourceVersion": "7", "labels": {"team": "x"},
                "annotations": {"weighbridge.dev/model": "llama-2-7b"},
            },
            "spec": {"template": {
                "metadata": {"labels": {"controller-uid": "1"}},
                "spec": {"containers": [{"args": ["--tp", "4"]}]},
            }},
            "status": {"active": 1},
        })
    }

    #[test]
    fn fields_that_no_rule_reads_do_not_change_the_key() {
        let before = key(&job());
        for (pointer, value) in [
            ("/metadata/name", json!("b")),
            ("/metadata/uid", json!("2")),
            ("/metadata/resourceVersion", json!("8")),
            ("/spec/template/metadata/labels/controller-uid", json!("2")),
            ("/status", json!({})),
        ] {
            let mut job = job();
            *job.pointer_mut(pointer).unwrap() = value;
            assert_eq!(key(&job), before, "{pointer}");
        }
    }

    #[test]
    fn every_field_that_a_rule_reads_changes_the_key() {
        let before = key(&job());
        assert_ne!(JudgementKey::of(&["other"], &job()), before, "a text beside the object");
        assert_ne!(JudgementKey::of(&["team", ""], &job()), before, "one more text");
        for (pointer, value) in [
            ("/metadata/namespace", json!("other")),
            ("/metadata/labels/team", json!("y")),
            ("/metadata/annotations/weighbridge.dev~1model", json!("llama-2-70b")),
            ("/spec/template/spec/containers/0/args", json!(["--tp4"])),
            ("/spec/template/spec/containers/0/args/1", json!(4)),
            ("/spec/template/spec/containers/0", json!({"status": {}, "args": ["--tp", "4"]})),
        ] {
            let mut job = job();
            *job.pointer_mut(pointer).unwrap() = value;
            assert_ne!(key(&job), before, "{pointer}");
        }
    }
}
