//! Whether an estimate is as the controller left it: two hashes, of its status and of all else that matters.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde_json::Value;

/// An estimate as it was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    rest: u64,
    status: u64,
}

impl Seen {
    pub(super) fn of(estimate: &Value) -> Self {
        let mut hasher = DefaultHasher::new();
        for (field, value) in estimate.as_object().into_iter().flatten() {
            if field != "status" {
                field.hash(&mut hasher);
                hash(value, field == "metadata", &mut hasher);
            }
        }
        Self { rest: hasher.finish(), status: hash_of(estimate.get("status").unwrap_or(&Value::Null)) }
    }

    /// The same estimate with another status.
    pub(super) fn with_status(self, status: &Value) -> Self {
        Self { status: hash_of(status), ..self }
    }
}

fn hash_of(value: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    hash(value, false, &mut hasher);
    hasher.finish()
}

/// Hashes a value. The order of a map's keys does not count, and neither does a null. Every write changes the version.
fn hash(value: &Value, is_metadata: bool, hasher: &mut DefaultHasher) {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields
                .iter()
                .filter(|(key, value)| !(value.is_null() || is_metadata && *key == "resourceVersion"))
                .collect();
            fields.sort_by_key(|(key, _)| *key);
            fields.len().hash(hasher);
            for (key, value) in fields {
                key.hash(hasher);
                hash(value, false, hasher);
            }
        }
        Value::Array(items) => {
            items.len().hash(hasher);
            for item in items {
                hash(item, false, hasher);
            }
        }
        other => other.to_string().hash(hasher),
    }
}
