//! The definitions of `TrainingEstimate` and `TrainingHistory`, in the form that the apiserver accepts.
//!
//! kube's derive makes it from the Rust types. Three things are added: a structural schema has no unsigned formats;
//! the apiserver refuses rules over unbounded lists and strings, for it cannot estimate their cost; and a rule over
//! several fields belongs to no type. [`Structural`] does the first two, the table in
//! [`validations`](super::validations) the third.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;
use schemars::{
    Schema,
    transform::{Transform, transform_subschemas},
};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::bounds::{MAX_CHARACTERS, MAX_INPUTS};
use super::history::TrainingHistory;
use super::v1alpha1::TrainingEstimate;
use super::{roles, validations};

/// The columns of `kubectl get trainingestimates`: heading, field, and whether only `-o wide` shows it. A column
/// cannot compute, so they show the fields of the status that are made for them.
const COLUMNS: &[(&str, &str, bool)] = &[
    ("Model", ".status.display.model", false),
    ("GPUs", ".status.display.gpus", false),
    ("Accelerator", ".status.display.accelerator", false),
    ("Peak", ".status.display.peak", false),
    ("Of", ".status.display.of", false),
    ("Verdict", ".status.verdict", false),
    ("Days", ".status.display.days", false),
    ("GPU-Hours", ".status.display.gpuHours", false),
    ("Age", ".metadata.creationTimestamp", false),
    ("Probability", ".status.display.oomProbability", true),
    ("Interval", ".status.display.interval", true),
    ("Cost", ".status.display.cost", true),
    ("Reason", ".status.reason", true),
    ("Missing", ".status.display.missing", true),
    ("Message", ".status.message", true),
];

/// The columns of `kubectl get traininghistories`: the newest run.
const HISTORY_COLUMNS: &[(&str, &str, bool)] = &[
    ("Workload", ".spec.runs[0].workload", false),
    ("Verdict", ".spec.runs[0].verdict", false),
    ("Outcome", ".spec.runs[0].outcome", false),
    ("Reason", ".spec.runs[0].reason", false),
    ("Age", ".metadata.creationTimestamp", false),
];

/// The fields that `kubectl get trainingestimates --field-selector` takes, from Kubernetes 1.31 on.
const SELECTABLE: &[&str] = &[".status.verdict", ".status.reason"];

/// Why there is no definition: the types and the rules contradict each other. The tests rule this out.
#[derive(Debug, thiserror::Error)]
pub enum DefinitionError {
    /// A rule is for a field that the types do not have.
    #[error("a validation is for {0}, which is not a field of the schema")]
    NoSuchField(&'static str),
    /// The definition cannot be written as JSON or YAML.
    #[error("the definition cannot be serialized: {0}")]
    Serialize(String),
}

/// The definition, with bounds and rules.
///
/// # Errors
/// A rule names a field that does not exist. A test rules this out.
pub fn definition() -> Result<CustomResourceDefinition, DefinitionError> {
    let failed = |error: serde_json::Error| DefinitionError::Serialize(error.to_string());
    let mut value = structural(TrainingEstimate::crd(), COLUMNS).map_err(failed)?;
    if let Some(schema) = value.pointer_mut("/spec/versions/0/schema/openAPIV3Schema") {
        validations::add_to(schema).map_err(DefinitionError::NoSuchField)?;
    }
    if let Some(version) = value.pointer_mut("/spec/versions/0").and_then(Value::as_object_mut) {
        let selectable = SELECTABLE.iter().map(|field| json!({"jsonPath": field}));
        version.insert("selectableFields".into(), selectable.collect());
    }
    serde_json::from_value(value).map_err(failed)
}

/// The definition of the histories, with bounds.
///
/// # Errors
/// It cannot be serialized. A test rules this out.
pub fn of_histories() -> Result<CustomResourceDefinition, DefinitionError> {
    let failed = |error: serde_json::Error| DefinitionError::Serialize(error.to_string());
    let value = structural(TrainingHistory::crd(), HISTORY_COLUMNS).map_err(failed)?;
    serde_json::from_value(value).map_err(failed)
}

/// A definition with a structural schema and these columns.
fn structural(
    definition: CustomResourceDefinition,
    columns: &[(&str, &str, bool)],
) -> Result<Value, serde_json::Error> {
    let mut value = serde_json::to_value(definition)?;
    if let Some(schema) = value.pointer_mut("/spec/versions/0/schema/openAPIV3Schema") {
        let mut structural: Schema = schema.take().try_into()?;
        Structural.transform(&mut structural);
        *schema = structural.to_value();
    }
    if let Some(version) = value.pointer_mut("/spec/versions/0").and_then(Value::as_object_mut) {
        version.insert("additionalPrinterColumns".into(), columns.iter().map(column).collect());
    }
    Ok(value)
}

fn column((name, field, wide): &(&str, &str, bool)) -> Value {
    let kind = if field.ends_with("Timestamp") { "date" } else { "string" };
    let mut column = json!({"name": name, "jsonPath": field, "type": kind});
    if let (true, Some(column)) = (*wide, column.as_object_mut()) {
        column.insert("priority".into(), json!(1));
    }
    column
}

/// The definitions, and the roles of their users, as in the file under `crds/`.
///
/// # Errors
/// The errors of [`definition`].
pub fn yaml() -> Result<String, DefinitionError> {
    let mut yaml = HEADER.to_owned();
    yaml.push_str(&document(definition()?)?);
    yaml.push_str(&document(of_histories()?)?);
    for role in roles::roles() {
        yaml.push_str(&document(role)?);
    }
    Ok(yaml)
}

fn document(object: impl Serialize) -> Result<String, DefinitionError> {
    let failed = |error: &dyn std::fmt::Display| DefinitionError::Serialize(error.to_string());
    let mut value = serde_json::to_value(object).map_err(|e| failed(&e))?;
    whole_numbers(&mut value);
    let body = serde_saphyr::to_string(&value).map_err(|e| failed(&e))?;
    Ok(format!("---\n{}\n", body.trim_end()))
}

/// The API's type holds every bound as a float, and a person would not write `maximum: 65536.0`.
fn whole_numbers(value: &mut Value) {
    match value {
        Value::Number(number) => {
            if let Some(float) = number.as_f64().filter(|f| number.is_f64() && f.fract() == 0.0) {
                *number = (float as i64).into();
            }
        }
        Value::Array(values) => values.iter_mut().for_each(whole_numbers),
        Value::Object(fields) => fields.values_mut().for_each(whole_numbers),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

const HEADER: &str = "\
# Generated from the types in src/api/ and src/job/field.rs. Do not edit; run
#
#     cargo run -- crds > crds/weighbridge.dev_trainingestimates.yaml
#
";

/// Rewrites a schema for a `CustomResourceDefinition`: unsigned formats become int32 and int64, every string and list
/// is bounded, and null is not allowed.
#[derive(Clone, Debug)]
struct Structural;

impl Transform for Structural {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        if let Some(schema) = schema.as_object_mut() {
            // An absent field and a null one would need a rule each. Absent is enough.
            schema.remove("nullable");
            if let Some(Value::Array(values)) = schema.get_mut("enum") {
                values.retain(|value| !value.is_null());
            }
            // Defaults are for reading an object of an older version. The apiserver should not write them.
            schema.remove("default");
            signed(schema);
            bounded(schema);
            one_line(schema);
        }
    }
}

fn signed(schema: &mut Map<String, Value>) {
    if schema.get("type") != Some(&json!("integer")) {
        return;
    }
    let fits_int32 = schema.get("maximum").and_then(Value::as_f64).is_some_and(|m| m <= f64::from(i32::MAX));
    schema.insert("format".into(), json!(if fits_int32 { "int32" } else { "int64" }));
    schema.entry("minimum").or_insert(json!(0));
}

fn bounded(schema: &mut Map<String, Value>) {
    match schema.get("type").and_then(Value::as_str) {
        Some("string") if !schema.contains_key("enum") && !schema.contains_key("format") => {
            schema.entry("maxLength").or_insert(json!(MAX_CHARACTERS));
        }
        Some("array") => {
            schema.entry("maxItems").or_insert(json!(MAX_INPUTS));
            // Replaced as a whole: this has fewer managed fields, and does not merge lists whose order matters.
            schema.entry("x-kubernetes-list-type").or_insert(json!("atomic"));
        }
        _ => {}
    }
}

/// The line breaks of a doc comment are for the source, not for the reader.
fn one_line(schema: &mut Map<String, Value>) {
    if let Some(Value::String(text)) = schema.get_mut("description") {
        *text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    }
}
