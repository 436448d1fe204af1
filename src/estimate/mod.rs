//! 2. What it takes: memory per accelerator by component, time, accelerator-hours, cost, each with its interval.
//!
//! A training job that leaves things open becomes three complete [`plan::Plan`]s ([`assume`]): the leanest that the
//! words allow, the likeliest, and the heaviest. [`memory`] computes the peak of each, [`time`] how long the likeliest
//! takes.

pub mod assume;
pub mod calibration;
pub mod cost;
pub mod memory;
pub mod plan;
pub mod schedule;
pub mod states;
pub mod time;
