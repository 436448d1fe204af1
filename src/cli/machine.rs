//! `weighbridge machine`: the speed of a cluster's own runs, as entries of the policy.
//!
//! Every line of the files is a run ([`crate::score::Run`]) with its `tokensPerSecondPerGpu`; docs/score.md describes it. The
//! entries that the policy already has do not count. Exit status: 2 if a line could not be read, else 0.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::FAILURE;
use super::output::print;
use super::score::scored;
use crate::policy::{Policy, Rules};
use crate::score::speeds::observed;

/// What is typed behind `machine`.
#[derive(Args, Debug)]
#[command(
    after_help = "Exit status: 2 if a line could not be read, else 0.\n\nExample:\n  weighbridge machine --from-runs \
                  runs.jsonl >> policy.yaml"
)]
pub(super) struct Arguments {
    /// Files of measured runs, one a line, and - for standard input
    #[arg(long, required = true, value_name = "FILE", num_args = 1..)]
    from_runs: Vec<PathBuf>,
    /// The policy's file, as `serve --config` takes it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Prints the entries for the runs that the arguments name.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let policy = Policy::of_file(arguments.config.as_deref())?;
    let rules = Rules { observed_speeds: Vec::new(), ..policy.rules.clone() };
    let (runs, all_read) = scored(&arguments.from_runs, &policy.world().under(&rules))?;
    let mut text = String::from("observedSpeeds:\n");
    for entry in observed(&runs, &policy.catalogue) {
        let _ = writeln!(
            text,
            "  - {{accelerator: {}, framework: {}, speed: {}, runs: {}}}",
            entry.accelerator,
            entry.framework.name(),
            entry.speed,
            entry.runs
        );
    }
    if text.lines().count() == 1 {
        text.clear();
        text.push_str(
            "# no run has an accelerator of the catalogue, a framework and tokensPerSecondPerGpu\n\
             observedSpeeds: []\n",
        );
    }
    print(&text)?;
    Ok(if all_read { ExitCode::SUCCESS } else { ExitCode::from(FAILURE) })
}
