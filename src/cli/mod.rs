//! The command line: what a person types, and the exit status they get.
//!
//! One subcommand a file. A subcommand that fails as a whole ends with status 2, as clap does for arguments that it
//! cannot read; status 1 is kept for `check`'s answer that something would run out of memory.

pub mod check;
mod connection;
pub mod crds;
pub mod doctor;
mod input;
pub mod kinds;
mod plan;
mod score;
mod serve;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What could not be done at all.
const FAILURE: u8 = 2;

/// Weighs a training job before it may enter the cluster.
#[derive(Debug, Parser)]
#[command(name = "weighbridge", version, max_term_width = 110)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Judge manifests: what would run out of GPU memory, and what the others will take
    Check(check::Arguments),
    /// Say how many accelerators finish a training in so many days, and what that takes
    Plan(plan::Arguments),
    /// Score measured runs: how close the estimates come, and what the gate would have done
    Score(score::Arguments),
    /// Serve the admission webhook, and keep the estimates up to date
    Serve(Box<crate::config::Arguments>),
    /// Check an installation from inside or outside the cluster, and say what to do
    Doctor(doctor::Arguments),
    /// Print the CustomResourceDefinition of TrainingEstimate, and the roles to read and write it
    Crds,
    /// Print the table of kinds and the permissions that the chart is rendered from
    #[command(hide = true)]
    Kinds(kinds::Arguments),
}

/// Reads the command line, does what it says, and gives the exit status.
pub fn main() -> ExitCode {
    let ended = match Arguments::parse().command {
        Command::Check(arguments) => check::run(&arguments),
        Command::Plan(arguments) => plan::run(&arguments),
        Command::Score(arguments) => score::run(&arguments),
        Command::Serve(arguments) => serve::run(*arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Crds => crds::run().map(|()| ExitCode::SUCCESS),
        Command::Kinds(arguments) => kinds::run(&arguments).map(|()| ExitCode::SUCCESS),
    };
    ended.unwrap_or_else(|error| {
        // Nobody is left to be told when standard error is closed too.
        let _ = writeln!(std::io::stderr(), "weighbridge: {error:#}");
        ExitCode::from(FAILURE)
    })
}
