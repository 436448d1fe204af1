//! Weighbridge weighs a training job before it may enter the cluster.

#[cfg(feature = "operator")]
pub mod api;
#[cfg(feature = "operator")]
pub mod cli;
pub mod hardware;
pub mod judge;
pub mod judgement;
pub mod surroundings;
pub mod units;
pub mod workload;
