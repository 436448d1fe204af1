//! Whether an UPDATE changes no judged field. Then it is answered before its objects are parsed.
//!
//! Controllers patch labels, finalizers and status of running pods all the time. The two objects are compared as
//! text, field by field. All fields but `metadata` and `status` must be the same. In `metadata`, the fields that no
//! rule reads are skipped. Of the labels and annotations only those count that a rule may read: ours, Kueue's, and
//! those by which pods request accelerators. The apiserver writes both objects in the same way, so equal fields have
//! equal text. If the text differs, the update is judged.

use std::fmt;

use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::job::keys;

/// Fields of the metadata that no rule reads.
const UNREAD: &[&str] = &["finalizers", "generation", "managedFields", "resourceVersion", "selfLink"];
/// A label or annotation is read if its key contains one of these.
const READ: &[&str] =
    &[keys::PREFIX, "kueue.x-k8s.io/", "trainer.kubeflow.org/", "ring-controller.atlas", "gpu"];
/// An object, metadata or labels with more fields than this are judged.
const MAX_FIELDS: usize = 1_024;

/// Whether the judged fields of both objects are the same.
pub(super) fn untouched(old: &RawValue, new: &RawValue) -> bool {
    same(old, new, &|field| match field {
        "status" => Compared::Ignored,
        "metadata" => Compared::By(same_metadata),
        _ => Compared::AsText,
    })
}

fn same_metadata(old: &RawValue, new: &RawValue) -> bool {
    same(old, new, &|field| match field {
        "labels" | "annotations" => Compared::By(same_keys),
        _ if UNREAD.contains(&field) => Compared::Ignored,
        _ => Compared::AsText,
    })
}

fn same_keys(old: &RawValue, new: &RawValue) -> bool {
    same(old, new, &|key| {
        if READ.iter().any(|read| key.contains(read)) { Compared::AsText } else { Compared::Ignored }
    })
}

/// How two fields are compared.
enum Compared {
    Ignored,
    AsText,
    By(fn(&RawValue, &RawValue) -> bool),
}

/// Whether two maps have the same fields in the same order, of those that are compared.
fn same(old: &RawValue, new: &RawValue, compared: &dyn Fn(&str) -> Compared) -> bool {
    let (Some(old), Some(new)) = (Fields::of(old), Fields::of(new)) else { return old.get() == new.get() };
    // An absent map equals an empty one.
    let counts = |(key, value): &&(String, &RawValue)| match compared(key) {
        Compared::Ignored => false,
        Compared::By(by) => !by(value, RawValue::NULL),
        Compared::AsText => true,
    };
    let (old, new): (Vec<_>, Vec<_>) =
        (old.0.iter().filter(counts).collect(), new.0.iter().filter(counts).collect());
    old.len() == new.len()
        && old.iter().zip(&new).all(|((key, old), (other, new))| {
            key == other
                && match compared(key) {
                    Compared::By(by) => by(old, new),
                    Compared::AsText | Compared::Ignored => old.get() == new.get(),
                }
        })
}

/// The fields of a map, with their values as text.
struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Fields<'a> {
    /// `None` if the value is not a map, or has too many fields.
    fn of(value: &'a RawValue) -> Option<Self> {
        if value.get() == "null" {
            return Some(Self(Vec::new()));
        }
        serde_json::Deserializer::from_str(value.get()).deserialize_map(FieldsVisitor).ok()
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry::<String, &RawValue>()? {
            if fields.len() == MAX_FIELDS {
                return Err(A::Error::custom("too many fields"));
            }
            fields.push(field);
        }
        Ok(Fields(fields))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn job() -> Value {
        json!({
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": {
                "name": "a", "labels": {"team": "x", "kueue.x-k8s.io/queue-name": "q"},
                "annotations": {"note": "n", "weighbridge.dev/model": "llama-2-7b", "gpu-fraction": "0.5"},
                "resourceVersion": "1", "managedFields": [{"manager": "kubectl"}],
            },
            "spec": {"suspend": true},
            "status": {"active": 1},
        })
    }

    fn is_untouched(old: &Value, new: &Value) -> bool {
        let raw = |value: &Value| RawValue::from_string(value.to_string()).unwrap();
        untouched(&raw(old), &raw(new))
    }

    #[test]
    fn fields_that_no_rule_reads_may_change() {
        assert!(is_untouched(&job(), &job()));
        for (pointer, value) in [
            ("/metadata/labels/team", json!("y")),
            ("/metadata/annotations/note", json!("m")),
            ("/metadata/resourceVersion", json!("2")),
            ("/metadata/managedFields", json!([])),
            ("/status", json!({"active": 2})),
        ] {
            let mut job = job();
            *job.pointer_mut(pointer).unwrap() = value;
            assert!(is_untouched(&self::job(), &job), "{pointer}");
        }
        let (mut with, without) = (job(), json!({"metadata": {"name": "a"}, "spec": {}}));
        with["metadata"]["finalizers"] = json!(["f"]);
        assert!(is_untouched(&job(), &with));
        let labelled = json!({"metadata": {"name": "a", "labels": {"team": "x"}}, "spec": {}, "status": {}});
        assert!(is_untouched(&without, &labelled));
    }

    #[test]
    fn every_field_that_a_rule_reads_counts() {
        for (pointer, value) in [
            ("/spec", json!({"suspend": false})),
            ("/kind", json!("Pod")),
            ("/metadata/name", json!("b")),
            ("/metadata/labels/kueue.x-k8s.io~1queue-name", json!("r")),
            ("/metadata/labels", json!({"team": "x"})),
            ("/metadata/annotations/weighbridge.dev~1model", json!("llama-2-70b")),
            ("/metadata/annotations/gpu-fraction", json!("1")),
            ("/metadata", json!(null)),
        ] {
            let mut job = job();
            *job.pointer_mut(pointer).unwrap() = value;
            assert!(!is_untouched(&self::job(), &job), "{pointer}");
        }
        for field in ["ownerReferences", "deletionTimestamp"] {
            let mut job = job();
            job["metadata"][field] = json!("new");
            assert!(!is_untouched(&self::job(), &job), "{field}");
        }
        let mut more = job();
        more["roleRef"] = json!({});
        assert!(!is_untouched(&job(), &more));
    }

    #[test]
    fn an_object_with_too_many_fields_is_judged() {
        let many: serde_json::Map<_, _> = (0..2_000).map(|number| (number.to_string(), json!(0))).collect();
        let (mut old, mut new) = (job(), job());
        old["metadata"]["labels"] = Value::Object(many);
        new["metadata"]["labels"] = json!({});
        assert!(!is_untouched(&old, &new));
    }
}
