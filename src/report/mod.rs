//! Judgements as text for people and programs: a table with its explanations, and JSON. Pure functions.

mod aside;
mod block;
mod columns;
pub(crate) mod figures;
mod json;
mod plan;
mod printable;
mod score;
mod table;
#[cfg(test)]
mod tests;

pub use aside::aside;
pub use json::json;
pub use plan::{PlanEntry, plan_json, plan_table};
pub use printable::printable;
pub use score::{score_json, score_table};
pub use table::table;

use crate::judgement::{Judgement, Verdict};

/// A judged document.
#[derive(Debug)]
pub struct Entry {
    /// The object's name, if it has one.
    pub name: Option<String>,
    /// The object's kind.
    pub kind: String,
    /// The judgement.
    pub judgement: Judgement,
}

/// Whether a text may hold colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Text alone.
    Plain,
    /// With the terminal's colours for verdicts.
    Coloured,
}

impl Style {
    /// The text in the colour of a verdict.
    fn verdict(self, verdict: Verdict, text: &str) -> String {
        let colour = match verdict {
            Verdict::Fits => 32,
            Verdict::Tight | Verdict::Unknown => 33,
            Verdict::OutOfMemory => 31,
            Verdict::NotTraining | Verdict::Unrecognised => 0,
        };
        match self {
            Self::Plain => text.to_owned(),
            Self::Coloured => format!("\u{1b}[{colour}m{text}\u{1b}[0m"),
        }
    }

    /// The text as a heading.
    fn heading(self, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Coloured => format!("\u{1b}[1m{text}\u{1b}[0m"),
        }
    }
}
