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
pub use scaling::{Scaled, scaled};

use crate::judgement::Memory;
use crate::report::Entry;

/// What a page shows of one document.
#[derive(Debug)]
pub struct Sheet<'a> {
    /// The judged document.
    pub entry: &'a Entry,
    /// The memory of each pipeline stage, the first stage first. Empty without a pipeline.
    pub stages: Vec<Memory>,
    /// The same training on fewer and on more accelerators. Empty if its time is not known.
    pub scaled: Vec<Scaled>,
}
