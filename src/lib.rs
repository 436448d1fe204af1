//! Weighbridge weighs a training job before it may enter the cluster.
//!
//! The way of the data, a folder a step:
//!
//! ```text
//! workload → estimate → hardware → verdict → advise ⇒ Judgement ⇒ webhook, controller, report
//! ```
//!
//! 1. [`workload`] reads what was asked out of a Kubernetes object: a [`workload::TrainingJob`].
//! 2. [`estimate`] says what that takes, over a [`model`]'s shape: memory by component, time, cost.
//! 3. [`hardware`] says what is there: what one accelerator offers a process.
//! 4. [`verdict`] compares the two and decides.
//! 5. [`advise`] looks for changed configurations that would fit.
//!
//! [`judge::judge`] is 1 to 5 in one call, from plain data ([`surroundings`]) to plain data ([`judgement`]). These
//! modules are the core: they know no clock, network, file, environment or Kubernetes crate, and compile without
//! the feature `operator`, behind which everything that talks to the world is.

// Compiled without its edges, the crate is pure: clippy.toml lists what it may not touch, and `make lint` checks it so.
#![cfg_attr(not(feature = "operator"), warn(clippy::disallowed_methods, clippy::disallowed_types))]

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
pub mod config;
#[cfg(feature = "operator")]
pub mod controller;
#[cfg(feature = "operator")]
pub mod endpoint;
#[cfg(feature = "operator")]
pub mod report;
#[cfg(feature = "operator")]
pub mod server;
#[cfg(feature = "operator")]
pub mod telemetry;
#[cfg(feature = "operator")]
pub mod tls;
#[cfg(feature = "operator")]
pub mod webhook;
