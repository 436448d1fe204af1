//! Weighbridge on a real control plane, one subject a file.
//!
//! failurePolicy is Fail wherever the test is not about Ignore, and who is said to be admitted was counted by the
//! webhook: what merely slips by never passes for admitted.

#![cfg(feature = "operator")]
#![allow(clippy::doc_markdown, reason = "the names of kinds are plain words here")]
#![allow(clippy::indexing_slicing, reason = "a JSON value answers null for what it does not hold")]

#[path = "../controlplane/mod.rs"]
mod controlplane;

mod ca;
mod gate;
mod jobs;
mod stranger;

mod bypasses;
mod certificates;
mod children;
mod client_certificates;
mod crd;
mod doctor;
mod engines;
mod estimates;
mod floods;
mod further_kinds;
mod gaps;
mod kinds;
mod later;
mod logs;
mod memory;
mod modes;
mod nodes;
mod overrides;
mod people;
mod permissions;
mod poison;
mod policy;
mod privacy;
mod progress;
mod readiness;
mod refusals;
mod replicas;
mod scale;
mod traffic;
mod updates;
mod workloads;
