//! The generated definitions are those of the code.

use std::fs;

use weighbridge::api::definition;

const FILE: &str = "crds/weighbridge.dev_trainingestimates.yaml";

#[test]
fn the_definition_under_crds_is_that_of_the_types() {
    let path = format!("{}/{FILE}", env!("CARGO_MANIFEST_DIR"));
    let kept = fs::read_to_string(path).unwrap_or_default();
    let made = definition::yaml().expect("the definition can be made");
    assert!(kept == made, "{FILE} is stale: run `cargo run -- crds > {FILE}`");
}

#[test]
fn a_list_or_string_of_the_definition_has_a_bound() {
    let definition = serde_json::to_value(definition::definition().expect("it can be made")).expect("JSON");
    let schema = definition.pointer("/spec/versions/0/schema/openAPIV3Schema").expect("a schema");
    let mut unbounded = Vec::new();
    find_unbounded(schema, "", &mut unbounded);
    assert!(unbounded.is_empty(), "without a bound: {unbounded:?}");
}

fn find_unbounded(schema: &serde_json::Value, path: &str, unbounded: &mut Vec<String>) {
    let has = |key| schema.get(key).is_some();
    let bounded = match schema.get("type").and_then(|t| t.as_str()) {
        Some("string") => has("maxLength") || has("enum") || has("format"),
        Some("array") => has("maxItems"),
        Some("number") => false,
        _ => true,
    };
    if !bounded {
        unbounded.push(path.to_owned());
    }
    for (name, field) in schema.get("properties").and_then(|p| p.as_object()).into_iter().flatten() {
        find_unbounded(field, &format!("{path}.{name}"), unbounded);
    }
    if let Some(items) = schema.get("items") {
        find_unbounded(items, &format!("{path}[]"), unbounded);
    }
}
