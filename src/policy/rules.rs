//! Thresholds and defaults.

use super::{Headroom, Prices};
use crate::units::Decimal;

/// What an administrator decides: thresholds and defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// Deny at this probability of running out of memory, and over, where the lower bound is above the capacity.
    pub deny_at: f64,
    /// Warn at this probability, and over.
    pub warn_at: f64,
    /// What is kept free of every accelerator.
    pub headroom: Headroom,
    /// Model FLOPs utilization in percent, where a job gives none.
    pub mfu_percent: Option<Decimal>,
    /// What accelerators cost, where a job does not say.
    pub prices: Prices,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            deny_at: 0.9,
            warn_at: 0.2,
            headroom: Headroom::default(),
            mfu_percent: None,
            prices: Prices::default(),
        }
    }
}
