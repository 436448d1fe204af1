//! SARIF 2.1.0: a result for each object that does not simply fit, with its place. The verdicts are the rules.
//!
//! Source: OASIS, Static Analysis Results Interchange Format (SARIF) Version 2.1.0.

use serde_json::{Value, json};

use super::{Fails, Level, title};
use crate::judgement::Verdict;
use crate::report::Entry;

/// The entries as a SARIF log.
///
/// # Errors
/// The serializer's error.
pub fn sarif(entries: &[Entry], fails: Fails<'_>) -> serde_json::Result<String> {
    let rules: Vec<_> = [Verdict::Tight, Verdict::OutOfMemory, Verdict::Unknown].map(rule).into();
    let told = entries.iter().filter(|entry| Level::of(entry, fails) != Level::Note);
    let results: Vec<_> = told.map(|entry| result(entry, fails)).collect();
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "weighbridge",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "results": results,
        }],
    });
    Ok(serde_json::to_string_pretty(&log)? + "\n")
}

fn rule(verdict: Verdict) -> Value {
    let text = match verdict {
        Verdict::Tight => "The job may run out of GPU memory.",
        Verdict::OutOfMemory => "The job would run out of GPU memory.",
        _ => "The job cannot be judged: missing fields decide.",
    };
    json!({"id": verdict.name(), "shortDescription": {"text": text}})
}

fn result(entry: &Entry, fails: Fails<'_>) -> Value {
    let level = match Level::of(entry, fails) {
        Level::Error => "error",
        _ => "warning",
    };
    let location = entry.place.as_ref().map(|place| {
        json!({"physicalLocation": {
            "artifactLocation": {"uri": place.file},
            "region": {"startLine": place.line.unwrap_or(1)},
        }})
    });
    json!({
        "ruleId": entry.judgement.verdict.name(),
        "level": level,
        "message": {"text": format!("{}: {}", title(entry), entry.judgement.message)},
        "locations": location.into_iter().collect::<Vec<_>>(),
    })
}
