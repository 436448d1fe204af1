//! The suites that need nothing but the code: the library, the binary and the files of the tree.
//!
//! They are one binary, because to link is most of what it takes to build a test. The suites that need a control plane
//! are another, `kubernetes.rs`: their waiting for servers and the load of these would disturb each other, and
//! `cargo test --no-default-features --test local` builds these for the core alone, without what talks to a cluster.
//!
//! One suite alone: `cargo test --test local accuracy::`.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that meets the unexpected ends there and then"
)]

mod accuracy;
mod commands;
mod deadlines;
mod fields;
mod folders;
mod hostile_input;
mod judge;
mod laws;
mod learning;
mod manifests;
mod pages;
mod pretraining;
mod recognition;
mod supply;
mod worked_case;

#[cfg(feature = "operator")]
mod automation;
#[cfg(feature = "operator")]
mod cases;
#[cfg(feature = "operator")]
mod check;
#[cfg(feature = "operator")]
mod crds;
#[cfg(feature = "operator")]
mod documents;
#[cfg(feature = "operator")]
mod fix;
#[cfg(feature = "operator")]
mod lists;
#[cfg(feature = "operator")]
mod plan;
