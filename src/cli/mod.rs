//! The command line: the subcommands and their exit status.
//!
//! One subcommand a file. A subcommand that fails as a whole ends with status 2, as clap does for arguments that it
//! cannot read. Status 1 is for `check`'s finding that a job would run out of memory.

mod calculator;
pub mod check;
mod connection;
pub mod crds;
mod dashboard;
pub mod doctor;
mod estimates;
mod explain;
mod fix;
pub mod input;
pub mod kinds;
mod kubectl;
mod lists;
mod local_page;
mod machine;
mod manual;
mod number;
mod output;
mod plan;
mod report;
mod score;
mod serve;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

/// The exit status of a command that failed as a whole.
const FAILURE: u8 = 2;

/// Judges training jobs before they enter the cluster.
#[derive(Debug, Parser)]
#[command(name = "weighbridge", version, max_term_width = 110)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Judge manifests: which jobs would run out of GPU memory, and the memory and time of the others
    Check(check::Arguments),
    /// Write the advice of `check` into manifests; comments and order stay
    Fix(fix::Arguments),
    /// Plan a training: layouts that fit, on the smallest cluster that ends in time, with memory, days and cost
    Plan(plan::Arguments),
    /// Open the calculator: model, tokens and GPUs in a browser, with memory, days, cost and layouts that fit
    Calculator(calculator::Arguments),
    /// Show the jobs of a cluster in a browser, as far as you may read them
    Dashboard(dashboard::Arguments),
    /// List the jobs of a cluster by their free memory, the fullest first
    Top(kubectl::Top),
    /// Explain the verdict of a job of a cluster
    Why(kubectl::Why),
    /// Score measured runs: how close the estimates come, and what the gate would have done
    Score(score::Arguments),
    /// Learn the speed of a cluster's own runs, as entries of the policy
    Machine(machine::Arguments),
    /// List the models that are known by name
    Models(lists::Arguments),
    /// List the accelerators that are known, with the memory that each offers
    Accelerators(lists::Arguments),
    /// List the annotations, and how their values are written
    Annotations(lists::Arguments),
    /// List the frameworks whose commands are read
    Frameworks(lists::Arguments),
    /// Explain a word of a report, an annotation or a field
    Explain(explain::Arguments),
    /// Serve the admission webhook, and keep the estimates up to date
    Serve(Box<crate::config::Arguments>),
    /// Check an installation from inside or outside the cluster, and suggest remedies
    Doctor(doctor::Arguments),
    /// Report what the verdicts were worth in a cluster: predictions against outcomes
    Report(report::Arguments),
    /// Print the completions of a shell
    Completions(manual::Completions),
    /// Write the man pages into a folder
    Man(manual::Man),
    /// Print the CustomResourceDefinitions, and the roles to read and write their objects
    Crds,
    /// Print the table of kinds and the permissions that the chart is rendered from
    #[command(hide = true)]
    Kinds(kinds::Arguments),
}

/// Runs the command line, and gives the exit status.
pub fn main() -> ExitCode {
    let command = kubectl::named(Arguments::command(), std::env::args_os().next().as_deref());
    let arguments = Arguments::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit());
    ended(match arguments.command {
        Command::Check(arguments) => check::run(&arguments),
        Command::Fix(arguments) => fix::run(&arguments),
        Command::Plan(arguments) => plan::run(&arguments),
        Command::Calculator(arguments) => calculator::run(&arguments),
        Command::Dashboard(arguments) => dashboard::run(&arguments),
        Command::Top(arguments) => kubectl::top(&arguments),
        Command::Why(arguments) => kubectl::why(&arguments),
        Command::Score(arguments) => score::run(&arguments),
        Command::Machine(arguments) => machine::run(&arguments),
        Command::Models(arguments) => lists::models(&arguments),
        Command::Accelerators(arguments) => lists::accelerators(&arguments),
        Command::Annotations(arguments) => lists::annotations(&arguments),
        Command::Frameworks(arguments) => lists::frameworks(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Serve(arguments) => serve::run(*arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Report(arguments) => report::run(&arguments),
        Command::Completions(arguments) => manual::completions(&arguments, &mut Arguments::command()),
        Command::Man(arguments) => manual::man(&arguments, Arguments::command()),
        Command::Crds => crds::run().map(|()| ExitCode::SUCCESS),
        Command::Kinds(arguments) => kinds::run(&arguments).map(|()| ExitCode::SUCCESS),
    })
}

/// The exit status of a command, whose error is printed.
fn ended(ended: anyhow::Result<ExitCode>) -> ExitCode {
    ended.unwrap_or_else(|error| {
        // If standard error is closed too, the message is lost.
        let _ = writeln!(std::io::stderr(), "weighbridge: {error:#}");
        ExitCode::from(FAILURE)
    })
}
