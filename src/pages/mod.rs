//! Pages for a browser, made of judgements: a report that is one file, and the calculator.
//!
//! ```text
//! entries ─► report ─► one file of HTML: bars are SVG, style is inside, nothing is loaded
//! settings ─► calculator ─► the same bars, live, with layouts and the lines to take away
//! ```
//!
//! [`markup`] escapes texts, [`bars`] draws. No page loads anything from elsewhere, and none needs a script to be read.

mod bars;
pub mod calculator;
mod markup;
mod parts;
mod report;

pub use report::report;

use crate::judgement::Memory;
use crate::report::Entry;

/// What a page shows of one document.
#[derive(Debug)]
pub struct Sheet<'a> {
    /// The judged document.
    pub entry: &'a Entry,
    /// The memory of each pipeline stage, the first stage first. Empty without a pipeline.
    pub stages: Vec<Memory>,
}
