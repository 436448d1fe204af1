//! `weighbridge check`: judges manifests before they are applied.
//!
//! Every document is judged, even if another one has an error. Documents that cannot be read are listed on standard
//! error, in both output formats, and change the exit status. Documents that can be read but not judged are part of
//! the report.
//!
//! No document that asks for accelerators is passed over in silence. Those that do not train, and those that nothing
//! shows to train, are listed on standard error with the cause, and counted. They change the exit status only if
//! `--fail-on` asks for it. JSON has an element for each that is not recognised, since it may train.
//!
//! Exit status: 1 if anything would run out of memory, else 2 if anything could not be judged or read, else 0.

use std::io::{self, IsTerminal as _, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::input;
use crate::batch;
use crate::job::{Ask, Quoting, Rank};
use crate::judgement::Verdict;
use crate::policy::Policy;
use crate::report::{self, Entry, Style};

/// The arguments of `check`.
#[derive(Args, Debug)]
#[command(
    after_help = "Exit status: 1 if anything would run out of memory, else 2 if anything could not be judged or \
                        read, else 0.\n\nExamples:\n  weighbridge check job.yaml\n  weighbridge check manifests/\n  \
                        helm template mychart | weighbridge check -\n  kubectl get pytorchjobs,jobs -A -o yaml | \
                        weighbridge check - -o json"
)]
pub(super) struct Arguments {
    /// Files, folders (searched for *.yaml, *.yml and *.json) and - for standard input
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The format of the report
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
    /// The ranks whose memory is judged: the worst rank, the ranks of a pipeline stage, counted from 0, or of the
    /// last stage
    #[arg(long, value_name = "worst|last|STAGE", default_value = "worst", value_parser = rank)]
    rank: Rank,
    /// End with status 2 also for this
    #[arg(long, value_enum)]
    fail_on: Option<FailOn>,
    /// The policy's file, as `serve --config` takes it: thresholds, headroom, accelerators
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

fn rank(text: &str) -> Result<Rank, String> {
    match text {
        "worst" => Ok(Rank::Worst),
        "last" => Ok(Rank::Last),
        stage => stage
            .parse()
            .map(Rank::Stage)
            .map_err(|_| "write worst, last, or the number of a pipeline stage, like 0".to_owned()),
    }
}

/// What else makes `check` end with status 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FailOn {
    /// An object that asks for accelerators, and nothing shows whether it trains
    Unrecognised,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Output {
    /// A table, and the explanation of each of its lines
    Table,
    /// One array, an element a training workload
    Json,
}

/// Judges the manifests, and prints the report.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let policy = Policy::of_file(arguments.config.as_deref())?;
    let input = input::read(&arguments.paths);
    let ask = Ask { rank: arguments.rank, quoting: Quoting::Everything, ..Ask::default() };
    let entries = batch::entries(&input.objects, &policy, &ask);

    for unreadable in &input.unreadable {
        print_error(&format!("weighbridge: {unreadable}"))?;
    }
    for line in report::aside(&entries) {
        print_error(&format!("weighbridge: {line}"))?;
    }
    if entries.is_empty() && input.unreadable.is_empty() {
        print_error("weighbridge: nothing here asks for accelerators")?;
    }
    print(&match arguments.output {
        Output::Table => report::table(&entries, style()),
        Output::Json => report::json(&entries)?,
    })?;
    let unrecognised = |entry: &Entry| entry.judgement.verdict == Verdict::Unrecognised;
    let fails = arguments.fail_on == Some(FailOn::Unrecognised) && entries.iter().any(unrecognised);
    Ok(ExitCode::from(status(&entries, !input.unreadable.is_empty() || fails)))
}

fn status(entries: &[Entry], any_unreadable: bool) -> u8 {
    let any = |verdict| entries.iter().any(|entry| entry.judgement.verdict == verdict);
    if any(Verdict::OutOfMemory) {
        1
    } else if any_unreadable || any(Verdict::Unknown) {
        2
    } else {
        0
    }
}

/// Only a terminal gets colours, unless `NO_COLOR` is set.
pub(super) fn style() -> Style {
    let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    if wanted && io::stdout().is_terminal() { Style::Coloured } else { Style::Plain }
}

pub(super) fn print(report: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    forgiving(out.write_all(report.as_bytes()).and_then(|()| out.flush()))
}

pub(super) fn print_error(line: &str) -> io::Result<()> {
    let line = report::printable(line);
    forgiving(writeln!(io::stderr().lock(), "{line}"))
}

/// If the reader has closed the pipe (`head`), this is no failure.
fn forgiving(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}
