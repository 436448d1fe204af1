//! Makes the fitted part of `data/time.toml` out of the published rows in `tests/accuracy/throughput`.
//!
//! `make fit-time` writes it. `cargo run --no-default-features --example fit_time` prints it.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a program for who maintains the coefficients ends where it meets the unexpected"
)]

#[expect(dead_code, reason = "the accuracy tests read the rest")]
#[path = "../tests/accuracy/throughput/mod.rs"]
mod throughput;

#[expect(clippy::print_stdout, reason = "that is what it is for")]
fn main() {
    print!("{}", throughput::file::text(&throughput::file::fitting()));
}
