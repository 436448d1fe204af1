//! Judgements as text for people and programs: a table with its explanations, and JSON. Pure functions.

mod aside;
mod block;
mod ci;
mod columns;
mod fields;
pub(crate) mod figures;
mod form;
mod json;
mod list;
pub(crate) mod missing;
mod plan;
mod printable;
mod score;
pub(crate) mod sentences;
mod table;
mod terms;
#[cfg(test)]
pub(crate) mod tests;
mod width;

pub use aside::aside;
pub use ci::{github, junit, markdown, names, sarif};
pub use fields::description;
pub use form::Form;
pub(crate) use form::label;
pub use json::{json, schema, values, yaml};
pub use list::{list, paragraphs};
pub(crate) use plan::days_need;
pub use plan::{PlanEntry, plan_estimates, plan_table, plan_values};
pub use printable::printable;
pub use score::{score_json, score_table};
pub use table::table;
pub use terms::{TERMS, Term, nearest_term, term};

pub use crate::admission::forecast::Forecast;
use crate::judgement::{Judgement, Verdict};

/// A judged document.
#[derive(Debug)]
pub struct Entry {
    /// The object's name, if it has one.
    pub name: Option<String>,
    /// Its namespace, if it gives one.
    pub namespace: Option<String>,
    /// The object's kind.
    pub kind: String,
    /// Its group and version.
    pub api_version: String,
    /// Where it stands, if it was read from a file.
    pub place: Option<Place>,
    /// What the gate would do with it. None for an object that the gate does not see.
    pub gate: Option<Forecast>,
    /// The judgement.
    pub judgement: Judgement,
}

/// A place in the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file's path, or `standard input`.
    pub file: String,
    /// The number of the document in the file, from one. None for the whole file.
    pub document: Option<usize>,
    /// The number of the line, from one.
    pub line: Option<usize>,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.file)?;
        if let (Some(document), Some(line)) = (self.document, self.line) {
            write!(f, ": document {document}, line {line}")?;
        }
        Ok(())
    }
}

/// How much a report says about each document, beside the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Detail {
    /// Everything about a single document, a line about each of several.
    #[default]
    ByNumber,
    /// Everything.
    Whole,
    /// A line.
    Lines,
}

/// How a text is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Whether it has the terminal's colours for verdicts.
    pub coloured: bool,
    /// The terminal's width in characters. None for a file or a pipe: there nothing is broken or left out.
    pub width: Option<usize>,
}

impl Style {
    /// Text alone, of any width.
    pub const PLAIN: Self = Self { coloured: false, width: None };

    /// The text in the colour of a verdict.
    fn verdict(self, verdict: Verdict, text: &str) -> String {
        let colour = match verdict {
            Verdict::Fits => 32,
            Verdict::Tight | Verdict::Unknown => 33,
            Verdict::OutOfMemory => 31,
            Verdict::NotTraining | Verdict::Unrecognised => 0,
        };
        if self.coloured { format!("\u{1b}[{colour}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    /// The text as a heading.
    fn heading(self, text: &str) -> String {
        if self.coloured { format!("\u{1b}[1m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}
