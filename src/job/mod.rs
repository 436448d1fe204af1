//! The vocabulary under everything: what a training job is, and where each of its values came from.
//!
//! A [`TrainingJob`] is what was asked. [`Provenance`] holds it value by value, each with its [`Source`]. [`keys`] are the
//! annotations that set its fields, [`ranges`] the numbers that each field takes.

mod ask;
mod gap;
pub mod grammar;
mod input;
pub mod keys;
pub mod provenance;
pub(crate) mod ranges;
pub mod source;
mod training_job;
mod value;

pub use ask::{Ask, Quoting, Rank};
pub use gap::Gap;
pub use input::{Input, InputError};
pub use provenance::Provenance;
pub(crate) use provenance::{Hidden, for_each_leaf};
pub use source::Source;
pub use training_job::*;
pub(crate) use value::{is_known, read_field};
