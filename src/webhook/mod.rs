//! The admission webhook: what the apiserver asks about an object, and what it is told.
//!
//! ```text
//! AdmissionReview ─► review ─► turns ─► mode, children, overrides, ratchet ─► judge ─► decide ─► review ─► AdmissionReview
//! ```
//!
//! [`router`] is the edge, [`answer`] gathers what a decision needs, and [`decide`] decides over plain data. Nothing is
//! written here: the side effects are none, and the controller audits what slipped by. There are two network calls: the
//! namespace that no cache knows yet ([`mode`]), and the object that a review of its [`scale`] does not show.

mod answer;
mod background;
mod children;
pub mod configuration;
mod deadline;
mod metrics;
mod namespaces;
mod review;
mod router;
mod scale;
#[cfg(test)]
mod tests;
mod turns;
mod untouched;
mod verdicts;

pub use answer::Webhook;
pub use metrics::Metrics;
pub use router::router;
