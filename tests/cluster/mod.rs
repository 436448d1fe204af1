//! Weighbridge on a real control plane, one subject in each file.
//!
//! failurePolicy is Fail, except in tests about Ignore. A test that checks an admission also checks the webhook's
//! count, so that an object that was not judged never counts as admitted.

mod ca;
pub(crate) mod gate;
pub(crate) mod jobs;
pub(crate) mod stranger;

mod bypasses;
mod certificates;
mod children;
mod claims;
mod client_certificates;
mod crd;
pub(crate) mod dashboard;
mod doctor;
mod engines;
mod estimates;
pub(crate) mod floods;
mod further_kinds;
mod gaps;
mod kinds;
mod kueue;
mod later;
pub(crate) mod learning;
mod logs;
mod memory;
mod modes;
mod nodes;
pub(crate) mod observed;
mod overrides;
mod people;
mod permissions;
mod plugin;
mod poison;
pub(crate) mod policy;
mod privacy;
mod progress;
mod readiness;
mod refusals;
mod replicas;
mod scale;
mod traffic;
mod updates;
mod workloads;
