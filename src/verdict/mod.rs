//! 4. The decision: how probable it is that a job runs out of memory, and what is said of it.

mod decide;
mod distribution;
mod message;

pub use decide::{Decision, decide};
pub use distribution::Distribution;
pub use message::{accelerator_with_article, denial, need, refused_need};
