//! A training job as a list of values, field by field, and back.

use serde_json::{Map, Value};

use super::field::{self, TrainingJob};
use super::handle::{AnyField, Group, Member};

impl TrainingJob {
    /// Every value that it gives, in the order of the spec.
    pub(crate) fn values(&self) -> Vec<(AnyField, Value)> {
        let mut values = Vec::new();
        walk(field::SPEC, serde_json::to_value(self).unwrap_or_default(), &mut values);
        values
    }

    /// The job of these values. Each was read as its field's type.
    pub(crate) fn of_values<'v>(values: impl Iterator<Item = (AnyField, &'v Value)>) -> Self {
        let mut spec = Map::new();
        for (field, value) in values {
            put(&mut spec, field.path(), value.clone());
        }
        serde_json::from_value(Value::Object(spec)).unwrap_or_default()
    }
}

/// Takes the values of a group. A null is no value.
fn walk(group: Group, value: Value, values: &mut Vec<(AnyField, Value)>) {
    let Value::Object(mut given) = value else { return };
    for member in group.members() {
        match (*member, given.get_mut(member.name()).map(Value::take)) {
            (_, None | Some(Value::Null)) => {}
            (Member::Field(field), Some(value)) => values.push((field, value)),
            (Member::Group(group), Some(value)) => walk(group, value, values),
        }
    }
}

/// Puts a value at a path of fields.
fn put(object: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            object.insert(path.to_owned(), value);
        }
        Some((group, rest)) => {
            let group = object.entry(group).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(group) = group {
                put(group, rest, value);
            }
        }
    }
}
