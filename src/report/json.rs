//! One array, an element a document that trains or may train: its name and kind, then the whole judgement.

use serde::Serialize;

use super::Entry;
use crate::judgement::{Judgement, Verdict};

/// Every key is always present. A value that is not known is null.
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
/// The serializer's error. A judgement holds nothing that JSON cannot.
pub fn json(entries: &[Entry]) -> serde_json::Result<String> {
    let elements: Vec<_> = entries
        .iter()
        .filter(|entry| entry.judgement.verdict != Verdict::NotTraining)
        .map(|entry| Element { name: entry.name.as_deref(), kind: &entry.kind, judgement: &entry.judgement })
        .collect();
    let mut text = serde_json::to_string_pretty(&elements)?;
    text.push('\n');
    Ok(text)
}
