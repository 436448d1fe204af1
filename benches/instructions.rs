//! `make bench-instructions`: how many instructions a judgement takes, as valgrind counts them.
//!
//! A count hardly depends on the machine and not at all on what else runs, so it decides which of two versions is
//! leaner. The program runs itself under callgrind, with few judgements of a document and with more: the difference is
//! judgements alone. What a process does once, such as filling the tables, is in neither.

#![expect(clippy::print_stdout, reason = "it prints figures")]

mod documents;

use std::error::Error;
use std::hint::black_box;
use std::process::Command;

use serde_json::Value;
use weighbridge::job::Ask;
use weighbridge::judge::judge;
use weighbridge::judgement::Verdict;
use weighbridge::policy::{Rules, World};
use weighbridge::surroundings::Surroundings;

/// The binary's allocator, since a judgement makes many small values.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// So many judgements are counted, so that what grows by steps is spread.
const COUNTED: u64 = 20;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["judge", name, count] => judged(name, count.parse()?),
        ["--bench"] => table(),
        // `cargo test --benches` only shows that it compiles.
        _ => Ok(()),
    }
}

fn table() -> Result<()> {
    println!("{:20} {:>12}", "DOCUMENT", "INSTRUCTIONS");
    // The worst script takes a minute under valgrind, and its time is bounded elsewhere.
    for document in documents::documents().iter().filter(|document| document.verdict != Verdict::Unknown) {
        let each = (counted(document.name, 1 + COUNTED)? - counted(document.name, 1)?) / COUNTED;
        println!("{:20} {each:>12}", document.name);
    }
    Ok(())
}

/// The instructions of a process that judges a document so often.
fn counted(name: &str, judgements: u64) -> Result<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args(["judge", name, &judgements.to_string()])
        .output()
        .map_err(|error| format!("valgrind counts the instructions, and it does not start: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let count = said.lines().find_map(|line| line.split_once("Collected : ")).map(|(_, count)| count);
    let count = count.filter(|_| output.status.success()).ok_or_else(|| said.clone())?;
    Ok(count.trim().parse()?)
}

/// Judges a document once, and then so often.
fn judged(name: &str, count: u64) -> Result<()> {
    let documents = documents::documents();
    let document = documents.iter().find(|document| document.name == name);
    let document = document.ok_or_else(|| format!("no document is named {name}"))?;
    let object: Value = serde_json::from_slice(&document.bytes)?;
    let (around, rules, ask) = (Surroundings::default(), Rules::default(), Ask::default());
    for _ in 0..=count {
        let judgement = judge(black_box(&object), &around, &World::built_in().under(&rules), &ask);
        if judgement.verdict != document.verdict {
            return Err(format!("{name} is {:?}", judgement.verdict).into());
        }
    }
    Ok(())
}
