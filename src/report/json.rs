//! One array, an element a judged document: its name and kind, then the judgement as it is.

use serde::Serialize;

use super::Entry;
use crate::judgement::Judgement;

/// Every key is always there, null where its value is not known.
#[derive(Serialize)]
struct Element<'a> {
    name: Option<&'a str>,
    kind: &'a str,
    #[serde(flatten)]
    judgement: &'a Judgement,
}

/// The entries as JSON, with a newline at the end.
///
/// # Errors
/// What the serializer says; judgements hold nothing that JSON cannot.
pub fn json(entries: &[Entry]) -> serde_json::Result<String> {
    let elements: Vec<_> = entries
        .iter()
        .map(|entry| Element { name: entry.name.as_deref(), kind: &entry.kind, judgement: &entry.judgement })
        .collect();
    let mut text = serde_json::to_string_pretty(&elements)?;
    text.push('\n');
    Ok(text)
}
