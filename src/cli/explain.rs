//! `weighbridge explain`: what a word of a report means, and what a field takes.
//!
//! A word is a [term](crate::report::TERMS), the key of an annotation, or a path of the spec. The description of a field is
//! the one of the CRD. Without a word, all terms are listed. Exit status: 1 for a word that is not known, else 0.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use schemars::schema_for;
use serde_json::Value;

use super::output::{print, print_error, style};
use crate::job::keys::{KEYS, Key, PREFIX};
use crate::job::{TrainingJob, field, nearest_key};
use crate::report::{self, TERMS, Term};

/// The arguments of `explain`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  weighbridge explain Tight\n  weighbridge explain needed\n  weighbridge explain \
                        tensor-parallel\n  weighbridge explain batch.microBatchSize"
)]
pub(super) struct Arguments {
    /// A verdict, a word of a report, the key of an annotation or a field of the spec
    #[arg(value_name = "TERM")]
    term: Vec<String>,
}

/// Explains the words.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let word = arguments.term.join(" ");
    if word.is_empty() {
        let lines = TERMS.iter().map(|term| vec![term.name.to_owned(), first_sentence(term)]).collect();
        print(&report::list(&["TERM", "MEANING"], lines, style()))?;
        print("\nThe keys of annotations are terms too: weighbridge annotations lists them.\n")?;
        return Ok(ExitCode::SUCCESS);
    }
    let text = report::term(&word).map(|term| format!("{}: {}", term.name, term.meaning));
    let Some(text) = text.or_else(|| key(&word).map(of_key)) else {
        let nearest = nearest_key::nearest(&word).join(" or ");
        let or = if nearest.is_empty() { String::new() } else { format!("; did you mean {nearest}?") };
        print_error(&format!("weighbridge: {word} is not a known term{or} `weighbridge explain` lists all"))?;
        return Ok(ExitCode::from(1));
    };
    print(&report::paragraphs(&text, style()))?;
    Ok(ExitCode::SUCCESS)
}

fn first_sentence(term: &Term) -> String {
    term.meaning.split_once(". ").map_or(term.meaning, |(first, _)| first).trim_end_matches('.').to_owned()
}

fn key(word: &str) -> Option<&'static Key> {
    let name = word.strip_prefix(PREFIX).unwrap_or(word);
    let by_path = || field::find(name).and_then(|member| KEYS.iter().find(|key| key.sets == member));
    KEYS.iter().find(|key| key.name == name).or_else(by_path)
}

fn of_key(key: &Key) -> String {
    let mut text = format!("{PREFIX}{}", key.name);
    if let Some(description) = description(key.path()) {
        // Writing to a string does not fail.
        let _ = write!(text, ": {description}");
    }
    let _ = write!(text, "\nField of the spec: {}", key.path());
    let _ = write!(text, "\nValue: {}", key.grammar.takes());
    text
}

/// The description of a field in the schema of the spec.
fn description(path: &str) -> Option<String> {
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

    #[test]
    fn every_key_has_a_description() {
        for key in KEYS.iter() {
            assert!(description(key.path()).is_some_and(|text| !text.is_empty()), "{}", key.path());
        }
    }
}
