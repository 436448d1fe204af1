//! Weighbridge weighs a training job before it may enter the cluster.
//!
//! The steps of the data, a folder for each:
//!
//! ```text
//! workload → resolve → estimate → verdict → advise ⇒ Judgement ⇒ webhook, controller, report
//! ```
//!
//! 0. [`units`], [`job`] and [`policy`] are the words that every step uses.
//! 1. [`workload`] reads a Kubernetes object: [`kinds`] finds its pods, [`command`] the programs that they start, and
//!    [`frameworks`] the settings of those programs.
//! 2. [`resolve`] makes a [`job::TrainingJob`] from the readings.
//! 3. [`estimate`] computes memory by component, time and cost from a [`model`]'s shape. [`hardware`] gives the memory and
//!    the speed of an accelerator.
//! 4. [`verdict`] compares the two and decides.
//! 5. [`advise`] looks for changed configurations that would fit.
//!
//! [`judge::judge`] is 1 to 5 in one call, from plain data ([`surroundings`]) to plain data ([`judgement`]). These
//! modules are the core: they use no clock, network, file, environment or Kubernetes crate, and compile without the
//! feature `operator`. All I/O is behind that feature. [`admission`] decides over plain data, too: it makes the gate's
//! decision from a judgement.

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
pub mod learn;
pub mod model;
pub mod plan;
pub mod policy;
pub mod printable;
mod python;
pub mod resolve;
pub mod score;
pub mod surroundings;
pub mod units;
pub mod verdict;
pub mod workload;

#[cfg(feature = "operator")]
pub mod api;
#[cfg(feature = "operator")]
mod background;
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
pub mod pages;
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
