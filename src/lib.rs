//! Weighbridge weighs a training job before it may enter the cluster.

pub mod advise;
pub mod estimate;
pub mod hardware;
pub mod judge;
pub mod judgement;
pub mod model;
pub mod surroundings;
pub mod units;
pub mod verdict;
pub mod workload;

#[cfg(feature = "operator")]
pub mod api;
#[cfg(feature = "operator")]
pub mod cli;
#[cfg(feature = "operator")]
pub mod cluster;
#[cfg(feature = "operator")]
pub mod controller;
