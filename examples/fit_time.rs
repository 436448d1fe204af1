//! Makes the fitted part of `data/time.toml` out of the published rows in `tests/accuracy/throughput`.
//!
//! `make fit-time` writes it. `cargo run --no-default-features --example fit_time` prints it.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a program for who maintains the coefficients ends where it meets the unexpected"
)]

#[path = "../tests/accuracy/throughput/mod.rs"]
mod throughput;

fn main() {
    print!("{}", throughput::file::fitted());
}
