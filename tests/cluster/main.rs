//! Weighbridge on a real control plane, one subject a file.

#![cfg(feature = "operator")]
#![allow(clippy::indexing_slicing, reason = "a JSON value answers null for what it does not hold")]

#[path = "../controlplane/mod.rs"]
mod controlplane;

mod crd;
