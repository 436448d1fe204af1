//! The node labels that an object requires, anywhere in it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{LIMIT, hash};
use crate::hardware::Catalogue;
use crate::hardware::labels::of_labels;

/// How deep an object is searched for node labels.
const DEEPEST: usize = 24;

/// Node labels, by hashes of key and value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NodeLabels {
    required: BTreeSet<u64>,
    /// Those of `required` that name an accelerator.
    of_accelerators: BTreeSet<u64>,
}

impl NodeLabels {
    /// The labels that an object requires.
    pub(super) fn of(object: &Value, catalogue: &Catalogue) -> Self {
        let mut labels = Self::default();
        labels.add(object, catalogue, 0);
        labels
    }

    /// How many are kept.
    pub(super) fn len(&self) -> usize {
        self.required.len()
    }

    /// Whether every label of the child that names an accelerator is one of these.
    pub(super) fn include_accelerators_of(&self, child: &Self) -> bool {
        child.of_accelerators.is_subset(&self.required)
    }

    /// Adds node selectors and affinity terms at any depth: queues write them into lists of the kind.
    fn add(&mut self, value: &Value, catalogue: &Catalogue, depth: usize) {
        if depth > DEEPEST || self.required.len() >= LIMIT {
            return;
        }
        match value {
            Value::Array(items) => {
                for item in items {
                    self.add(item, catalogue, depth + 1);
                }
            }
            Value::Object(fields) => {
                let selector = fields.get("nodeSelector").and_then(Value::as_object).into_iter().flatten();
                for (key, value) in selector {
                    self.add_label(key, value.as_str(), catalogue);
                }
                if let (Some(key), Some("In")) = (
                    fields.get("key").and_then(Value::as_str),
                    fields.get("operator").and_then(Value::as_str),
                ) {
                    let values = fields.get("values").and_then(Value::as_array).into_iter().flatten();
                    for value in values {
                        self.add_label(key, value.as_str(), catalogue);
                    }
                }
                for field in fields.values() {
                    self.add(field, catalogue, depth + 1);
                }
            }
            _ => {}
        }
    }

    fn add_label(&mut self, key: &str, value: Option<&str>, catalogue: &Catalogue) {
        let Some(value) = value else { return };
        if self.required.len() >= LIMIT {
            return;
        }
        let label = hash(&[Some(&Value::from(key)), Some(&Value::from(value))]);
        self.required.insert(label);
        if of_labels(catalogue, |wanted| (wanted == key).then_some(value)).is_some() {
            self.of_accelerators.insert(label);
        }
    }
}
