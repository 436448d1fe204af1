//! `weighbridge fix`: writes the first advice that can be written into the manifest.
//!
//! Only the changed bytes change: comments, order and quotes stay ([`tree`], [`edit`]). A job counts as fixed only if `check`
//! gives the advised verdict on the new text ([`job`]).
//!
//! One line for each job says what became of it. Exit status, as of `check`: 1 if a job runs out of memory and was not fixed,
//! or a change is left to do by hand, else 2 if anything cannot be read, else 0.

mod edit;
mod job;
mod tree;
mod words;

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use similar::TextDiff;

use super::number;
use super::output::{print, print_error};
use super::{FAILURE, input};
use crate::job::keys;
use crate::judgement::{Judgement, Verdict};
use crate::policy::Policy;
use crate::report::Entry;
use job::{Context, Fixed, Outcome, fix};

/// Missing fields that a line names at most.
const NAMED: usize = 3;

/// The arguments of `fix`.
#[derive(Args, Debug)]
#[command(
    after_help = "The first advice of `check` that can be written is written: into the options of the command where they \
                  stand, and into the annotations. Comments, order and quotes stay. The new text is judged again before it \
                  is written.\n\nExit status, as of `check`: 1 if a job would still run out of memory or a change is left to do by \
                  hand, else 2 if anything cannot be read, else 0.\n\nExamples:\n  weighbridge fix job.yaml --diff\n  weighbridge fix job.yaml\n  weighbridge fix \
                  job.yaml --advice 2\n  helm template mychart | weighbridge fix - > fixed.yaml"
)]
pub(super) struct Arguments {
    /// Files; - reads standard input, and prints the new text
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Show the changes, and write nothing
    #[arg(long)]
    diff: bool,
    /// The number of the advice to write, from 1, in the order of `check`; it may change the training
    #[arg(long, value_name = "NUMBER", value_parser = number::whole::<u16>(1, u64::from(u16::MAX)))]
    advice: Option<u16>,
    /// The policy's file, as `serve --config` takes it
    #[arg(long, visible_alias = "config", value_name = "FILE")]
    policy: Option<PathBuf>,
}

/// Fixes the files, and says what was done.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let policy = Policy::of_file(arguments.policy.as_deref())?;
    let mut files = Vec::new();
    for path in &arguments.files {
        files.push((path, text_of(path)?));
    }
    let (mut status, mut remains) = (0, false);
    let choice = arguments.advice.map(usize::from);
    for (at, (path, original)) in files.iter().enumerate() {
        let name = path.display().to_string();
        let others: Vec<_> = files
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != at)
            .flat_map(|(_, (path, text))| input::of_text(&path.display().to_string(), text).objects)
            .map(|object| object.value)
            .collect();
        let context = Context { name: &name, others: &others, policy: &policy };
        let Some(count) = readable(&context, original) else {
            print_error(&format!(
                "weighbridge: {name}: not every document of it can be read: weighbridge check {name} says why"
            ))?;
            status = FAILURE;
            continue;
        };
        let (mut text, mut jobs) = (original.clone(), 0);
        for number in 0..count {
            let outcome = fix(&context, &text, number, choice)?;
            jobs += usize::from(!matches!(outcome, Outcome::NoJob));
            match outcome {
                Outcome::NoJob => {}
                Outcome::Nothing(entry) => {
                    print_error(&format!("{}: {}", subject(&name, &entry), left_alone(&entry.judgement)))?;
                }
                Outcome::Invalid(entry) => {
                    let (subject, why) = (subject(&name, &entry), &entry.judgement.message);
                    print_error(&format!("weighbridge: {subject}: not judged: {why}"))?;
                    status = FAILURE;
                }
                Outcome::Fixed(fixed) => {
                    told(&name, &fixed)?;
                    remains |= !fixed.by_hand.is_empty();
                    text = fixed.text;
                }
                Outcome::Cannot(entry, why) => {
                    print_error(&format!("weighbridge: {}: not fixed", subject(&name, &entry)))?;
                    for reason in why {
                        print_error(&format!("  {reason}"))?;
                    }
                    remains = true;
                }
            }
        }
        if jobs == 0 {
            print_error(&format!("{name}: it holds no training job"))?;
        }
        finish(arguments, path, original, &text)?;
    }
    Ok(ExitCode::from(if remains { 1 } else { status }))
}

/// The number of objects, if every document can be read.
fn readable(context: &Context<'_>, text: &str) -> Option<usize> {
    let objects = context.objects(text)?.len();
    (tree::Tree::of(text)?.objects().len() == objects).then_some(objects)
}

fn text_of(path: &Path) -> anyhow::Result<String> {
    let place = path.display();
    if path == Path::new("-") {
        return whole(std::io::stdin().lock()).context("standard input");
    }
    anyhow::ensure!(path.exists(), "{place}: there is no such file");
    anyhow::ensure!(path.is_file(), "{place} is no file: fix takes files, and - for standard input");
    let file = fs::File::open(path).with_context(|| format!("{place} cannot be opened"))?;
    whole(file).with_context(|| format!("{place} cannot be read"))
}

/// The whole text. A text that is too large is an error: what was not read would be lost when the file is written.
fn whole(source: impl Read) -> anyhow::Result<String> {
    /// Far more than a manifest has.
    const MOST: usize = 64 << 20;
    let mut bytes = Vec::new();
    source.take(MOST as u64 + 1).read_to_end(&mut bytes)?;
    anyhow::ensure!(bytes.len() <= MOST, "it is larger than {} MiB; split it", MOST >> 20);
    String::from_utf8(bytes).ok().context("it is not UTF-8 text; save it as UTF-8")
}

/// Why a job stays as it is.
fn left_alone(judgement: &Judgement) -> String {
    match judgement.verdict {
        Verdict::Fits => "it fits; nothing to change".to_owned(),
        Verdict::Unknown if !judgement.missing.is_empty() => {
            let keys = keys::of_fields(&judgement.missing);
            let first = keys.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
            format!("Unknown; nothing to change before these are stated: {first}")
        }
        verdict => format!("{}; no near change fits: {}", verdict.name(), judgement.message),
    }
}

fn subject(file: &str, entry: &Entry) -> String {
    let name = entry.name.as_deref().unwrap_or("(no name)");
    format!("{file}: {}/{name}", entry.kind.to_lowercase())
}

/// `job.yaml: pytorchjob/a: sharding=zero3: needed 97.4 GiB, needs 49.6 GiB of 79.1 GiB (Fits)`.
fn told(file: &str, fixed: &Fixed) -> anyhow::Result<()> {
    let need = |entry: &Entry| entry.judgement.memory.as_ref().map(|memory| memory.peak_bytes.to_string());
    let of = fixed.after.judgement.memory.as_ref().and_then(|memory| memory.capacity_bytes);
    let of = of.map(|bytes| format!(" of {bytes}")).unwrap_or_default();
    print_error(&format!(
        "{}: {}: needed {} ({}), needs {}{of} ({})",
        subject(file, &fixed.before),
        fixed.change,
        need(&fixed.before).unwrap_or_default(),
        fixed.before.judgement.verdict.name(),
        need(&fixed.after).unwrap_or_default(),
        fixed.after.judgement.verdict.name(),
    ))?;
    for line in &fixed.by_hand {
        print_error(&format!("  by hand: {line}"))?;
    }
    Ok(())
}

/// Writes the text, or shows what would change.
fn finish(arguments: &Arguments, path: &Path, original: &str, text: &str) -> anyhow::Result<()> {
    if arguments.diff {
        let name = path.display().to_string();
        let diff = TextDiff::from_lines(original, text);
        let shown = diff.unified_diff().context_radius(2).header(&name, &name).to_string();
        return Ok(print(&if original == text { String::new() } else { shown })?);
    }
    if path == Path::new("-") {
        return Ok(print(text)?);
    }
    if original != text {
        fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(())
}
