//! Where a person writes a value, and how the texts of a judgement speak of it there.
//!
//! | form | a line to add | `weighbridge.dev/gpu-type` in a text |
//! | --- | --- | --- |
//! | annotation | `weighbridge.dev/gpu-type: NAME` | as it is |
//! | setting of the command line | `--set gpu-type=NAME` | `--set gpu-type=NAME` |
//! | spec of an estimate | `spec.accelerator.type: NAME` | `spec.accelerator.type` |
//! | page of the calculator | `gpu type: NAME` | “gpu type” |
//!
//! The core writes its texts for annotations, and the planner for the command line. A page has neither: `--set parameters=70B` is
//! “parameters” 70B there, and a hint at another command (`` `weighbridge accelerators` lists all ``) is left out.

use std::fmt::Write as _;

use super::Entry;
use crate::job::grammar::Grammar;
use crate::job::keys::{KEYS, Key, PREFIX};

/// A field with at most so many words shows all of them.
pub(super) const FEW_WORDS: usize = 5;
/// How an option of the command line begins.
const OPTION: &str = "--set ";

/// Where a person writes the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// In the annotations: `weighbridge.dev/attention: flash`.
    Annotation,
    /// On the command line: `--set attention=flash`.
    Setting,
    /// In the spec of an estimate: `spec.attention: Flash`.
    Spec,
    /// In a field of a page: `attention: flash`.
    Page,
}

impl Form {
    /// The form for an entry. A question on the command line has no annotations.
    pub fn of(entry: &Entry) -> Self {
        match entry.place {
            None => Self::Setting,
            Some(_) if entry.kind == "TrainingEstimate" => Self::Spec,
            Some(_) => Self::Annotation,
        }
    }

    /// What its lines are.
    pub(crate) fn heading(self) -> &'static str {
        match self {
            Self::Annotation => "line to add to the annotations",
            Self::Setting => "option to add to the command",
            Self::Spec => "field to set",
            Self::Page => "field to fill in",
        }
    }

    /// The line with a value, or with a blank.
    pub(super) fn line(self, key: &Key, value: Option<&str>) -> String {
        let text = value.map_or_else(|| blank(key.grammar), str::to_owned);
        match self {
            Self::Setting if text.contains([' ', '|']) => format!("{OPTION}{}=\"{text}\"", key.name),
            Self::Setting => format!("{OPTION}{}={text}", key.name),
            Self::Spec => {
                let canonical = |word: &str| match key.grammar {
                    Grammar::Word { read, .. } => read(word).unwrap_or(word).to_owned(),
                    _ => word.to_owned(),
                };
                let text = text.split('|').map(canonical).collect::<Vec<_>>().join("|");
                format!("spec.{}: {text}", key.path())
            }
            Self::Page => format!("{}: {text}", label(key)),
            // YAML reads the other values as a number or a boolean, and an annotation is a string.
            Self::Annotation if value.is_some() && !is_text(key.grammar) => {
                format!("{PREFIX}{}: \"{text}\"", key.name)
            }
            Self::Annotation => format!("{PREFIX}{}: {text}", key.name),
        }
    }

    /// A text of a judgement or of a plan, with the names that the fields have here.
    pub(crate) fn told(self, text: &str) -> String {
        if self == Self::Annotation {
            return text.to_owned();
        }
        // A key before it is one that is written.
        let (before, advice) = text.split_at(text.find("add ").unwrap_or(text.len()));
        let named = with_names(advice, PREFIX, |key, _| match self {
            Self::Annotation => format!("{PREFIX}{}", key.name),
            Self::Setting => self.line(key, None),
            Self::Spec => format!("spec.{}", key.path()),
            Self::Page => format!("“{}”", label(key)),
        });
        let named = format!("{before}{named}");
        if self != Self::Page {
            return named;
        }
        let named = with_names(&named, OPTION, |key, value| format!("“{}” {value}", label(key)));
        let is_command = |clause: &&str| clause.trim_start().starts_with("`weighbridge ");
        let kept: Vec<_> = named.split(';').filter(|clause| !is_command(clause)).collect();
        let kept = kept.join(";");
        // A hint may also stand behind a question.
        kept.split_once("? `weighbridge ").map_or(kept.clone(), |(question, _)| format!("{question}?"))
    }
}

/// The text with every known key behind a prefix replaced, and its value if one follows.
fn with_names(text: &str, prefix: &str, name: impl Fn(&Key, &str) -> String) -> String {
    let mut told = String::with_capacity(text.len());
    let mut parts = text.split(prefix);
    told.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let (key, rest) = part.split_at(end_of(part, |c| c.is_ascii_alphanumeric() || c == '-'));
        let Some(known) = KEYS.iter().find(|known| known.name == key) else {
            // Writing to a string does not fail.
            let _ = write!(told, "{prefix}{part}");
            continue;
        };
        let value = rest.strip_prefix('=').filter(|_| prefix == OPTION);
        let (value, rest) =
            value.map_or(("", rest), |rest| rest.split_at(end_of(rest, |c| !" ,;:".contains(c))));
        told.push_str(name(known, value).trim_end());
        told.push_str(rest);
    }
    told
}

/// How a page names a field.
pub(crate) fn label(key: &Key) -> String {
    key.name.replace('-', " ")
}

/// Where the first letters that belong to a word end.
fn end_of(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    text.find(|letter| !belongs(letter)).unwrap_or(text.len())
}

/// What stands for a value that is to be written. Read as a value, it is none, except as a name.
fn blank(grammar: Grammar) -> String {
    let word = match grammar {
        Grammar::Word { words, .. } if words.len() <= FEW_WORDS => return words.join("|"),
        Grammar::Boolean => "true|false",
        Grammar::Word { .. } => "WORD",
        Grammar::Name(_) => "NAME",
        Grammar::List { .. } | Grammar::Layers { .. } | Grammar::Offload => "LIST",
        Grammar::Kinds => "PATTERN",
        Grammar::Quantity => "SIZE",
        Grammar::Whole { .. }
        | Grammar::Count
        | Grammar::Decimal
        | Grammar::Percent { .. }
        | Grammar::Price => "NUMBER",
    };
    word.to_owned()
}

fn is_text(grammar: Grammar) -> bool {
    matches!(grammar, Grammar::Word { .. } | Grammar::Name(_) | Grammar::List { .. } | Grammar::Quantity)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blank_that_is_pasted_gives_no_value_but_a_name() {
        for key in KEYS.iter().filter(|key| !matches!(key.grammar, Grammar::Name(_) | Grammar::List { .. })) {
            let line = Form::Setting.line(key, None);
            let blank = line.split_once('=').map(|(_, blank)| blank.trim_matches('"')).unwrap();
            assert!(key.grammar.read(key.sets, blank).is_none(), "{line}");
        }
    }

    #[test]
    fn a_text_names_a_field_as_its_place_does() {
        let text = "the accelerator is not known: add weighbridge.dev/gpu-type";
        for (form, told) in [
            (Form::Annotation, text),
            (Form::Setting, "the accelerator is not known: add --set gpu-type=NAME"),
            (Form::Spec, "the accelerator is not known: add spec.accelerator.type"),
            (Form::Page, "the accelerator is not known: add “gpu type”"),
        ] {
            assert_eq!(form.told(text), told);
        }
        for (text, told) in [
            ("add weighbridge.dev/model or weighbridge.dev/parameters", "add “model” or “parameters”"),
            (
                "weighbridge.dev/model is \"\": add weighbridge.dev/modle",
                "weighbridge.dev/model is \"\": add weighbridge.dev/modle",
            ),
            (
                "is unknown: add --set model=llama-3-8b, or --set parameters=8B",
                "is unknown: add “model” llama-3-8b, or “parameters” 8B",
            ),
            (
                "not known; did you mean model? `weighbridge annotations` lists all",
                "not known; did you mean model?",
            ),
            ("unknown accelerator x; `weighbridge accelerators` lists all", "unknown accelerator x"),
        ] {
            assert_eq!(Form::Page.told(text), told);
        }
    }
}
