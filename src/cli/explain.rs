//! `weighbridge explain`: what a word of a report means, and what a field takes.
//!
//! A word is a [term](crate::report::TERMS), the key of an annotation, a path of the spec, or a value like `zero3`. The description of a field is
//! the one of the CRD. Without a word, all terms are listed. Exit status: 1 for a word that is not known, else 0.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;

use super::output::{print, print_error, style};
use crate::job::grammar::Grammar;
use crate::job::keys::{KEYS, Key, PREFIX};
use crate::job::{field, nearest_key};
use crate::report::{self, TERMS, Term};

/// The arguments of `explain`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  weighbridge explain Tight\n  weighbridge explain needed FREE\n  weighbridge explain \
                        tensor-parallel\n  weighbridge explain batch.microBatchSize"
)]
pub(super) struct Arguments {
    /// Verdicts, words of a report, keys of annotations or fields of the spec
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
    // Several words are one term, like "worst rank", or one each.
    let words = if meaning(&word).is_some() { vec![word] } else { arguments.term.clone() };
    let (mut texts, mut status) = (Vec::new(), ExitCode::SUCCESS);
    for word in &words {
        if let Some(text) = meaning(word) {
            texts.push(text);
        } else {
            print_error(&format!("weighbridge: {}", unknown(word)))?;
            status = ExitCode::from(1);
        }
    }
    print(&report::paragraphs(&texts.join("\n\n"), style()))?;
    Ok(status)
}

/// What a word means. It may be a term and a key, like mfu.
fn meaning(word: &str) -> Option<String> {
    let term = report::term(word).map(|term| format!("{}: {}", term.name, term.meaning));
    let meanings: Vec<String> = term.into_iter().chain(key(word).map(of_key)).collect();
    if meanings.is_empty() { value(word) } else { Some(meanings.join("\n\n")) }
}

/// The line about a word that is not known.
fn unknown(word: &str) -> String {
    let terms = report::nearest_term(word).into_iter();
    let keys = nearest_key::nearest(word);
    let nearest = terms.chain(keys).take(2).collect::<Vec<_>>().join(" or ");
    let or = if nearest.is_empty() { ";".to_owned() } else { format!("; did you mean {nearest}?") };
    format!("{word} is not a known term{or} `weighbridge explain` lists all")
}

fn first_sentence(term: &Term) -> String {
    term.meaning.split_once(". ").map_or(term.meaning, |(first, _)| first).trim_end_matches('.').to_owned()
}

fn key(word: &str) -> Option<&'static Key> {
    let name = word.strip_prefix(PREFIX).unwrap_or(word);
    let by_path = || field::find(name).and_then(|member| KEYS.iter().find(|key| key.sets == member));
    KEYS.iter().find(|key| key.name == name).or_else(by_path)
}

/// What a value is a value of, like `zero3`.
fn value(word: &str) -> Option<String> {
    let takes = |key: &&Key| match key.grammar {
        Grammar::Word { words, .. } => words.iter().any(|known| known.eq_ignore_ascii_case(word)),
        _ => false,
    };
    let keys: Vec<_> = KEYS.iter().filter(takes).collect();
    let told = keys.iter().map(|key| format!("{word} is a value of {}.\n{}", key.name, of_key(key)));
    (!keys.is_empty()).then(|| told.collect::<Vec<_>>().join("\n\n"))
}

fn of_key(key: &Key) -> String {
    let mut text = format!("{PREFIX}{}", key.name);
    if let Some(description) = report::description(key.path()) {
        // Writing to a string does not fail.
        let _ = write!(text, ": {description}");
    }
    let _ = write!(text, "\nField of the spec: {}", key.path());
    let _ = write!(text, "\nValue: {}", key.takes());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_term_has_its_nearest_one() {
        assert!(unknown("Tigth").contains("did you mean Tight?"), "{}", unknown("Tigth"));
        assert!(unknown("tensor-paralel").contains("did you mean tensor-parallel?"));
        assert_eq!(unknown("xyzzy"), "xyzzy is not a known term; `weighbridge explain` lists all");
    }

    #[test]
    fn every_column_and_part_of_a_report_has_a_meaning() {
        for word in
            ["FREE", "LAYOUT", "Time", "fragmentation", "context and libraries", "denyAt", "tokens", "epochs"]
        {
            assert!(meaning(word).is_some(), "{word}");
        }
    }
}
