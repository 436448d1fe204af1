//! Thresholds and defaults of a judgement.

use super::{Headroom, HostMemory, ObservedSpeed, Prices};
use crate::units::Decimal;

/// Thresholds and defaults of a judgement.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// Deny at this probability of running out of memory or above, if the lower bound is above the capacity.
    pub deny_at: f64,
    /// Warn at this probability or above.
    pub warn_at: f64,
    /// The memory to keep free on every accelerator.
    pub headroom: Headroom,
    /// What the gate does with a pod whose host memory does not suffice.
    pub host_memory: HostMemory,
    /// Model FLOPs utilization in percent, for jobs that give none.
    pub mfu_percent: Option<Decimal>,
    /// Prices of accelerators, for jobs that give none.
    pub prices: Prices,
    /// The speeds of the cluster's own runs, with the catalogue's keys of accelerators.
    pub observed_speeds: Vec<ObservedSpeed>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            deny_at: 0.9,
            warn_at: 0.2,
            headroom: Headroom::default(),
            host_memory: HostMemory::default(),
            mfu_percent: None,
            prices: Prices::default(),
            observed_speeds: Vec::new(),
        }
    }
}
