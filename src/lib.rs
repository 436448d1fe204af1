//! Weighbridge weighs a training job before it may enter the cluster.
//!
//! The way of the data, a folder a step:
//!
//! ```text
//! workload → resolve → estimate → verdict → advise ⇒ Judgement ⇒ webhook, controller, report
//! ```
//!
//! 0. [`units`], [`job`] and [`policy`] are the words that every step uses.
//! 1. [`workload`] reads what was asked out of a Kubernetes object: [`kinds`] finds its pods, [`command`] what they start,
//!    [`frameworks`] what that says.
//! 2. [`resolve`] makes a [`job::TrainingJob`] of it.
//! 3. [`estimate`] says what that takes, over a [`model`]'s shape: memory by component, time, cost. [`hardware`] says what
//!    one accelerator offers.
//! 4. [`verdict`] compares the two and decides.
//! 5. [`advise`] looks for changed configurations that would fit.
//!
//! [`judge::judge`] is 1 to 5 in one call, from plain data ([`surroundings`]) to plain data ([`judgement`]). These
//! modules are the core: they know no clock, network, file, environment or Kubernetes crate, and compile without
//! the feature `operator`, behind which everything that talks to the world is. What the gate makes of a judgement is decided
//! in [`admission`], as plainly.

// Compiled without its edges, the crate is pure: clippy.toml lists what it may not touch, and `make lint` checks it so.
#![cfg_attr(not(feature = "operator"), warn(clippy::disallowed_methods, clippy::disallowed_types))]

pub mod admission;
pub mod advise;
pub mod command;
pub mod estimate;
pub mod frameworks;
pub mod hardware;
pub mod job;
pub mod judge;
pub mod judgement;
pub mod kinds;
pub mod model;
pub mod plan;
pub mod policy;
pub mod printable;
pub mod resolve;
pub mod score;
pub mod surroundings;
pub mod units;
pub mod verdict;
pub mod workload;

#[cfg(feature = "operator")]
pub mod api;
#[cfg(feature = "operator")]
pub mod batch;
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
mod patience;
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
