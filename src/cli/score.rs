//! `weighbridge score`: how close the estimates come to runs that were measured.
//!
//! Every line of the files is a run ([`crate::score::Run`]); docs/score.md describes it. Exit status: 2 if a line could not
//! be read, else 0.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use super::FAILURE;
use super::output::{Format, print, print_error, style};
use crate::policy::{Policy, World};
use crate::report;
use crate::score::{Report, Run, Scored, score};

/// What is typed behind `score`.
#[derive(Args, Debug)]
#[command(
    after_help = "Exit status: 2 if a line could not be read, else 0.\n\nA line:\n  {\"source\": \"team-a\", \"spec\": \
                  {\"model\": {\"name\": \"llama-3-8b\"}, …}, \"outcome\": \"fits\", \"memory\": {\"gib\": 31.2, \
                  \"counter\": \"reserved\"}}\n\nExamples:\n  weighbridge score runs.jsonl\n  weighbridge score runs.jsonl \
                  -o json | jq '.gate'"
)]
pub(super) struct Arguments {
    /// Files of runs, one a line, and - for standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How the report is written
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
    /// The policy's file, as `serve --config` takes it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Scores what the arguments name, and prints the report.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let policy = Policy::of_file(arguments.config.as_deref())?;
    let (runs, all_read) = scored(&arguments.files, &policy.world())?;
    let report = Report::of(runs);
    print(&match arguments.output {
        Format::Table => report::score_table(&report, style()),
        Format::Json => report::score_json(&report)?,
    })?;
    Ok(if all_read { ExitCode::SUCCESS } else { ExitCode::from(FAILURE) })
}

/// The scored runs of the files, and whether every line could be read.
pub(super) fn scored(files: &[PathBuf], world: &World<'_>) -> anyhow::Result<(Vec<Scored>, bool)> {
    let (mut runs, mut all_read) = (Vec::new(), true);
    for file in files {
        let lines = lines(file).with_context(|| format!("{}: it cannot be read", file.display()))?;
        for (number, line) in lines.enumerate() {
            let line = line.with_context(|| format!("{}: it cannot be read", file.display()))?;
            if line.trim().is_empty() {
                continue;
            }
            match Run::parse(&line) {
                Ok(run) => runs.push(score(&run, world)),
                Err(problem) => {
                    all_read = false;
                    print_error(&format!("weighbridge: {} line {}: {problem}", file.display(), number + 1))?;
                }
            }
        }
    }
    Ok((runs, all_read))
}

fn lines(file: &Path) -> io::Result<Box<dyn Iterator<Item = io::Result<String>>>> {
    Ok(if file == Path::new("-") {
        Box::new(io::stdin().lines())
    } else {
        Box::new(BufReader::new(File::open(file)?).lines())
    })
}
