//! One element a document that trains or may train: what it is and where it stands, what the gate would do, then the whole judgement.
//!
//! docs/check-output.schema.json is the schema, made from these types. A change that a reader of the old form would not
//! survive raises [`SCHEMA_VERSION`].

use schemars::{JsonSchema, schema_for};
use serde::Serialize;
use serde_json::{Value, json as value};

use super::{Entry, missing};
use crate::judgement::{Judgement, Verdict};
use crate::units::Bytes;

/// The version of the form of all JSON and YAML that the commands print.
pub(super) const SCHEMA_VERSION: u32 = 1;

/// Every key is always present. A value that is not known is null.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Element<'a> {
    /// The version of this form.
    schema_version: u32,
    /// The object's name.
    name: Option<&'a str>,
    /// Its namespace, if the document gives one.
    namespace: Option<&'a str>,
    /// Its kind.
    kind: &'a str,
    /// Its group and version.
    api_version: &'a str,
    /// The file that it was read from.
    file: Option<&'a str>,
    /// The number of the document in the file, from 1.
    document: Option<usize>,
    /// The line on which the document begins, from 1.
    line: Option<usize>,
    /// The model, by its name or size.
    model: Option<&'a str>,
    /// The number of accelerators.
    gpus: Option<u64>,
    /// The accelerator.
    accelerator: Option<&'a str>,
    /// What the gate would do with the object.
    gate: Option<&'static str>,
    /// The missing fields, with the memory that depends on each and the line to add.
    missing_fields: Vec<MissingField>,
    #[serde(flatten)]
    judgement: &'a Judgement,
}

/// A missing field.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct MissingField {
    /// The annotation's key, without its prefix.
    key: &'static str,
    /// The field of the spec, or its group.
    field: &'static str,
    /// How much less memory the job may need. Null if that is not known.
    less_bytes: Option<Bytes>,
    /// How much more it may need.
    more_bytes: Option<Bytes>,
    /// The line to add to the annotations, with the assumed value or with a blank: `none|full`, `NUMBER`.
    line: String,
    /// What may be written, in words.
    takes: String,
}

/// The entries as JSON values.
///
/// # Errors
/// The serializer's error. A judgement holds nothing that JSON cannot.
pub fn values(entries: &[Entry]) -> serde_json::Result<Vec<Value>> {
    let element = |entry: &Entry| {
        let summary = &entry.judgement.summary;
        serde_json::to_value(Element {
            schema_version: SCHEMA_VERSION,
            name: entry.name.as_deref(),
            namespace: entry.namespace.as_deref(),
            kind: &entry.kind,
            api_version: &entry.api_version,
            file: entry.place.as_ref().map(|place| place.file.as_str()),
            document: entry.place.as_ref().and_then(|place| place.document),
            line: entry.place.as_ref().and_then(|place| place.line),
            model: summary.model.as_deref(),
            gpus: summary.accelerators,
            accelerator: summary.accelerator_name.as_deref(),
            gate: entry.gate.map(super::Forecast::name),
            missing_fields: missing::of(&entry.judgement, super::Form::Annotation)
                .into_iter()
                .map(missing_field)
                .collect(),
            judgement: &entry.judgement,
        })
    };
    let told = entries.iter().filter(|entry| entry.judgement.verdict != Verdict::NotTraining);
    told.map(element).collect()
}

fn missing_field(missing: missing::Missing) -> MissingField {
    let missing::Missing { key, field, less, more, line, takes, .. } = missing;
    MissingField { key, field, less_bytes: less, more_bytes: more, line, takes }
}

/// The schema of what `check -o json` prints: an array of elements.
pub fn schema() -> Value {
    let mut element = schema_for!(Element<'_>).to_value();
    let take =
        |element: &mut Value, key: &str| element.as_object_mut().and_then(|element| element.remove(key));
    let (definitions, schema) = (take(&mut element, "$defs"), take(&mut element, "$schema"));
    take(&mut element, "title");
    value!({
        "$schema": schema,
        "title": "The output of `weighbridge check -o json`",
        "type": "array",
        "items": element,
        "$defs": definitions,
    })
}

/// Values as one JSON array, with a newline at the end.
///
/// # Errors
/// The serializer's error.
pub fn json(values: &[Value]) -> serde_json::Result<String> {
    let mut text = serde_json::to_string_pretty(values)?;
    text.push('\n');
    Ok(text)
}

/// Values as YAML documents.
///
/// # Errors
/// The serializer's error.
pub fn yaml(values: &[Value]) -> anyhow::Result<String> {
    let documents: Vec<String> = values.iter().map(serde_saphyr::to_string).collect::<Result<_, _>>()?;
    let mut text = String::new();
    for document in documents {
        text.push_str("---\n");
        text.push_str(document.trim_end());
        text.push('\n');
    }
    Ok(text)
}
