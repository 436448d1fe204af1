//! 4. The decision: the probability that a job runs out of memory, and the message about it.

mod decide;
mod distribution;
mod message;

pub use decide::{Decision, decide};
pub use distribution::Distribution;
pub use message::{Ends, Offer, accelerator_with_article, denial, need, open_need, refused_need};
