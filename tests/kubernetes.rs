//! The suites that need other programs: those of `make controlplane` (a real control plane, or helm), and the browser of
//! `make browser`.
//!
//! One suite alone: `cargo test --test kubernetes chart::`.

#![expect(clippy::doc_markdown, reason = "the names of kinds are plain words here")]
#![expect(clippy::indexing_slicing, reason = "a JSON value answers null for what it does not hold")]

mod controlplane;

mod browser;
mod chart;
mod cluster;
mod faults;
mod harness;
mod hostile;
mod neighbours;
