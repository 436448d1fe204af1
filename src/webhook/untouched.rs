//! Whether an UPDATE changes nothing that is judged: then it is answered before its objects are read.
//!
//! Controllers patch labels, finalizers and status of running pods all the time. The two objects are compared as text,
//! field by field: everything but `metadata` and `status` must be the same, and in `metadata` everything but what
//! nothing here reads. Of labels and annotations those count that a rule may read: ours, Kueue's, and those by which pods
//! ask for accelerators. The apiserver writes both objects in the same way, so the same field is the same text; where it
//! is not, the update is judged.

use std::fmt;

use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Fields of the metadata that nothing here reads.
const UNREAD: &[&str] = &["finalizers", "generation", "managedFields", "resourceVersion", "selfLink"];
/// Labels and annotations that have one of these in their key are read.
const READ: &[&str] =
    &["weighbridge.dev/", "kueue.x-k8s.io/", "trainer.kubeflow.org/", "ring-controller.atlas", "gpu"];
/// An object, its metadata or its labels with more fields than this is judged.
const MOST_FIELDS: usize = 1_024;

/// Whether what is judged is the same in both objects.
pub(super) fn untouched(old: &RawValue, new: &RawValue) -> bool {
    same(old, new, &|field| match field {
        "status" => Compared::Not,
        "metadata" => Compared::By(same_metadata),
        _ => Compared::AsText,
    })
}

fn same_metadata(old: &RawValue, new: &RawValue) -> bool {
    same(old, new, &|field| match field {
        "labels" | "annotations" => Compared::By(same_keys),
        _ if UNREAD.contains(&field) => Compared::Not,
        _ => Compared::AsText,
    })
}

fn same_keys(old: &RawValue, new: &RawValue) -> bool {
    same(old, new, &|key| {
        if READ.iter().any(|read| key.contains(read)) { Compared::AsText } else { Compared::Not }
    })
}

/// How a field is compared.
enum Compared {
    Not,
    AsText,
    By(fn(&RawValue, &RawValue) -> bool),
}

/// Whether the fields that are compared are the same, one after the other.
fn same(old: &RawValue, new: &RawValue, compared: &dyn Fn(&str) -> Compared) -> bool {
    let (Some(old), Some(new)) = (Fields::of(old), Fields::of(new)) else { return old.get() == new.get() };
    // An absent map is an empty one.
    let counts = |(key, value): &&(String, &RawValue)| match compared(key) {
        Compared::Not => false,
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
                    Compared::AsText | Compared::Not => old.get() == new.get(),
                }
        })
}

/// The fields of a map, as text.
struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Fields<'a> {
    /// None of what is no map, or has too many.
    fn of(value: &'a RawValue) -> Option<Self> {
        if value.get() == "null" {
            return Some(Self(Vec::new()));
        }
        serde_json::Deserializer::from_str(value.get()).deserialize_map(Few).ok()
    }
}

struct Few;

impl<'de> Visitor<'de> for Few {
    type Value = Fields<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry::<String, &RawValue>()? {
            if fields.len() == MOST_FIELDS {
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
    fn what_nothing_reads_may_change() {
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
    fn whatever_is_read_counts() {
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
    fn what_has_too_many_fields_is_judged() {
        let many: serde_json::Map<_, _> = (0..2_000).map(|number| (number.to_string(), json!(0))).collect();
        let (mut old, mut new) = (job(), job());
        old["metadata"]["labels"] = Value::Object(many);
        new["metadata"]["labels"] = json!({});
        assert!(!is_untouched(&old, &new));
    }
}
