//! What the fields of the spec are, in the words of the CRD.

use schemars::schema_for;
use serde_json::Value;

use crate::job::TrainingJob;

/// The description of a field in the schema of the spec.
pub fn description(path: &str) -> Option<String> {
    let schema = schema_for!(TrainingJob).to_value();
    let definitions = schema.get("$defs").cloned().unwrap_or_default();
    let resolved = |schema: &Value| -> Value {
        let any = schema.get("anyOf").and_then(Value::as_array).and_then(|any| any.first());
        let reference = schema.get("$ref").or_else(|| any.and_then(|any| any.get("$ref")));
        let name = reference.and_then(Value::as_str).and_then(|path| path.rsplit('/').next());
        name.and_then(|name| definitions.get(name)).cloned().unwrap_or_else(|| schema.clone())
    };
    let mut at = schema;
    let mut description = None;
    for name in path.split('.') {
        let member = at.get("properties")?.get(name)?.clone();
        description = member.get("description").and_then(Value::as_str).map(str::to_owned);
        at = resolved(&member);
    }
    description
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::keys::KEYS;

    #[test]
    fn every_key_has_a_description() {
        for key in KEYS.iter() {
            assert!(description(key.path()).is_some_and(|text| !text.is_empty()), "{}", key.path());
        }
    }
}
