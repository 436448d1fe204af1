//! Annotation values that are not strings.
//!
//! In YAML, `weighbridge.dev/tensor-parallel: 4` is a number. The apiserver accepts only strings, and kubectl's error
//! names a Go type. This check searches the object and every template in it.

use serde_json::Value;

use crate::job::InputError;

/// One error for each annotation value that is not a string.
pub(super) fn errors(object: &Value) -> Vec<InputError> {
    let mut errors = Vec::new();
    search(object, &mut Vec::new(), &mut errors);
    errors
}

fn search<'a>(value: &'a Value, path: &mut Vec<&'a str>, errors: &mut Vec<InputError>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                path.push(key);
                if let ["metadata", "annotations"] | [.., "metadata", "annotations"] = path.as_slice() {
                    check(value, &path.join("."), errors);
                } else {
                    search(value, path, errors);
                }
                path.pop();
            }
        }
        Value::Array(items) => items.iter().for_each(|item| search(item, path, errors)),
        _ => {}
    }
}

fn check(annotations: &Value, path: &str, errors: &mut Vec<InputError>) {
    let annotations = match annotations {
        Value::Object(annotations) => annotations,
        Value::Null => return,
        _ => {
            let message = format!("{path} is {}; write a mapping of keys to strings", describe(annotations));
            return errors.push(InputError { field: path.to_owned(), message });
        }
    };
    for (key, value) in annotations {
        if !value.is_string() {
            let advice = match value {
                Value::Bool(_) | Value::Number(_) => format!("quote it, {key}: \"{value}\""),
                _ => format!("write a quoted string, {key}: \"…\""),
            };
            let message = format!("{key} is {}, and annotations are strings: {advice}", describe(value));
            errors.push(InputError { field: format!("{path}[{key}]"), message });
        }
    }
}

fn describe(value: &Value) -> String {
    match value {
        Value::Null => "empty".to_owned(),
        Value::Bool(value) => format!("the boolean {value} (as yes, no, on and off are too)"),
        Value::Number(value) => format!("the number {value}"),
        Value::String(_) => "a string".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a mapping".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_that_are_not_strings_are_found_in_every_template() {
        let object = json!({
            "metadata": {"annotations": {"weighbridge.dev/tensor-parallel": 4, "note": "fine"}},
            "spec": {"groups": [{"template": {"metadata": {"annotations": {"on": true}}}}]},
        });
        let found = errors(&object);
        let fields: Vec<_> = found.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(
            fields,
            [
                "metadata.annotations[weighbridge.dev/tensor-parallel]",
                "spec.groups.template.metadata.annotations[on]"
            ]
        );
        assert_eq!(
            found.first().map(|error| error.message.as_str()),
            Some(
                "weighbridge.dev/tensor-parallel is the number 4, and annotations are strings: \
                 quote it, weighbridge.dev/tensor-parallel: \"4\""
            )
        );
    }
}
