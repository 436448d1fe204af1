//! The gate's decisions, over plain data, without a clock, a network or a Kubernetes client.

pub mod conditions;
pub mod decide;
pub mod elastic;
pub mod forecast;
pub mod message;
pub mod overrides;
pub mod queued;
pub mod ratchet;
pub mod unread;

/// A judgement with the verdict `Fits`.
#[cfg(test)]
pub(crate) fn judgement() -> crate::judgement::Judgement {
    use crate::judgement::{Judgement, Reason, Verdict};
    Judgement::without_figures(Verdict::Fits, Reason::BelowCapacity)
}
