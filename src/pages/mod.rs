//! Pages for a browser, made of judgements: a report that is one file, the calculator, and the estimates of a cluster.
//!
//! ```text
//! entries ─► report ─► one file of HTML: bars are SVG, style is inside, nothing is loaded
//! settings ─► calculator ─► the same bars, live, with layouts and the lines to take away
//! TrainingEstimates ─► estimates ─► a table by namespace, and a page for each
//! ```
//!
//! [`markup`] escapes texts, [`bars`] draws. No page loads anything from elsewhere, and none needs a script to be read.

mod bars;
pub mod calculator;
pub mod estimates;
pub mod guard;
mod markup;
mod parts;
mod report;
mod scaling;

pub use report::report;
pub use scaling::Scaled;
use scaling::scaled;

use crate::judgement::Memory;
use crate::policy::Policy;
use crate::report::{Entry, Form};

/// What a page shows of one document.
#[derive(Debug)]
pub struct Sheet<'a> {
    /// The judged document.
    pub entry: &'a Entry,
    /// Where a person writes the values that the page asks for.
    pub form: Form,
    /// The memory of each pipeline stage, the first stage first. Empty without a pipeline.
    pub stages: Vec<Memory>,
    /// The same training on fewer and on more accelerators. Empty if its time is not known.
    pub scaled: Vec<Scaled>,
}

impl<'a> Sheet<'a> {
    /// The sheet of a document, with the memory of its stages.
    pub fn of(entry: &'a Entry, stages: Vec<Memory>, policy: &Policy) -> Self {
        Self { entry, form: Form::of(entry), stages, scaled: scaled(&entry.judgement.job, policy) }
    }
}
