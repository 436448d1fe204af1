//! How close the estimates come to runs that others measured and published, and to what PyTorch itself counts.
//!
//! `published/` holds the figures, one file a source, with what the source says of the run in the words of a training
//! job, and beside them the rows that are left out, by rule. Every row goes the way that a user's job goes: estimate,
//! distribution, decision. [`rules`] says which rows count as stated; `bounds.toml` holds what has been reached, and the
//! tests fail when it is lost. [`unseen`] takes every calibrated constant again without one model's or one source's rows,
//! and shows how far off those are then. Figures that a source gives in whole GB are compared with what rounds to them; the
//! tables end with the same line without that.
//!
//! `cargo test --test accuracy -- --nocapture` prints the tables. [`shown`] holds each of them as a snapshot.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that meets the unexpected should end there and then"
)]

mod bounds;
mod devices;
mod measured;
mod oracle;
mod published;
mod rules;
mod score;
mod shown;
mod statistics;
mod table;
mod throughput;
mod time;
mod unseen;
