//! The admission webhook: it answers the apiserver's reviews.
//!
//! ```text
//! AdmissionReview ─► review ─► turns ─► mode, children, overrides, ratchet ─► judge ─► decide ─► review ─► AdmissionReview
//! ```
//!
//! [`router`] receives requests, and [`answer`] runs each review within its deadline. [`reviewer`] and [`evaluation`]
//! gather the input of a decision, and [`decide`](crate::admission::decide) decides over plain data. The webhook writes
//! nothing; the controller audits workloads that were admitted unjudged. It makes two kinds of network calls: it reads a
//! namespace that is not in the cache ([`mode`](crate::policy::mode)), and the object of a [`scale`] review, which shows
//! only the number of replicas.

mod answer;
mod children;
pub mod configuration;
mod deadline;
mod evaluation;
mod failure;
mod first;
mod judgements;
mod metrics;
mod namespaces;
mod outcome;
mod review;
mod reviewer;
mod router;
mod scale;
#[cfg(test)]
mod tests;
mod turns;
mod untouched;

pub use answer::Webhook;
pub use metrics::Metrics;
pub use router::router;
