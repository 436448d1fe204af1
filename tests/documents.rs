//! The commands in the documents, run as a person would type them: every block ```` ```console ```` of both READMEs and of docs/.
//!
//! A line with `$ ` is a command, and the lines below it are what it prints, standard error first. A document's commands run in
//! one folder, in order, with a copy of `examples/` in it. `WEIGHBRIDGE_GENERATE` writes what they print now.
//!
//! Each command ends with status 0. One that should not shows its status: `; echo "exit status $?"`. What running text quotes of a
//! report must be in what a command of the same page prints, and a refusal in a block ```` ```text ```` must be the one that `check`
//! prints.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context as _, Result, ensure};

/// The width of the terminal in the documents.
const WIDTH: &str = "120";
/// The first page, in English and in Chinese.
const READMES: [&str; 2] = ["README.md", "README.zh-CN.md"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn documents() -> Result<Vec<PathBuf>> {
    let mut documents = READMES.map(|name| root().join(name)).to_vec();
    for entry in fs::read_dir(root().join("docs"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "md") {
            documents.push(path);
        }
    }
    documents.sort();
    Ok(documents)
}

/// A part of a document.
#[derive(Debug, PartialEq)]
enum Part {
    /// Lines that are kept.
    Text(Vec<String>),
    /// A command, and what it prints.
    Command { command: Vec<String>, prints: Vec<String> },
}

fn parts(document: &str) -> Vec<Part> {
    let mut parts = vec![Part::Text(Vec::new())];
    let (mut within, mut until) = (false, None::<String>);
    for line in document.lines() {
        if let (Some(end), Some(Part::Command { command, .. })) = (until.clone(), parts.last_mut()) {
            command.push(line.to_owned());
            if line == end {
                until = None;
            }
            continue;
        }
        let fence = line.starts_with("```");
        if within && !fence {
            if let Some(command) = line.strip_prefix("$ ") {
                let marker = command.split("<<'").nth(1).and_then(|rest| rest.split('\'').next());
                until = marker.map(str::to_owned);
                parts.push(Part::Command { command: vec![command.to_owned()], prints: Vec::new() });
                continue;
            }
            match parts.last_mut() {
                Some(Part::Command { command, prints }) => {
                    let goes_on =
                        prints.is_empty() && command.last().is_some_and(|line| line.ends_with('\\'));
                    if goes_on { command.push(line.to_owned()) } else { prints.push(line.to_owned()) }
                }
                Some(Part::Text(lines)) => lines.push(line.to_owned()),
                None => {}
            }
            continue;
        }
        if fence {
            within = line == "```console";
        }
        match parts.last_mut() {
            Some(Part::Text(lines)) => lines.push(line.to_owned()),
            _ => parts.push(Part::Text(vec![line.to_owned()])),
        }
    }
    parts
}

/// What a command prints, and its exit status.
fn printed(command: &[String], folder: &Path) -> Result<(Vec<String>, Option<i32>)> {
    let program = Path::new(env!("CARGO_BIN_EXE_weighbridge"));
    let folder_of_program = program.parent().context("no folder")?;
    let path = env::join_paths(
        std::iter::once(folder_of_program.to_owned())
            .chain(env::split_paths(&env::var_os("PATH").unwrap_or_default())),
    )?;
    let output = Command::new("bash")
        .args(["-c", &command.join("\n")])
        .current_dir(folder)
        .env("PATH", path)
        .env("COLUMNS", WIDTH)
        .env_remove("KUBECONFIG")
        .output()?;
    let text = [output.stderr, output.stdout].map(String::from_utf8);
    let [stderr, stdout] = text;
    let lines = format!("{}{}", stderr?, stdout?);
    let mut lines: Vec<String> = lines.lines().map(|line| line.trim_end().to_owned()).collect();
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    Ok((lines, output.status.code()))
}

/// The words of a text with one blank between them, so that line breaks do not matter.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What running text quotes of a report: inline code with an amount of memory, or with a bound in parentheses.
fn quotes(text: &[String]) -> Vec<String> {
    let (mut quotes, mut within) = (Vec::new(), false);
    for line in text {
        if line.starts_with("```") {
            within = !within;
        } else if !within {
            let code = line.split('`').skip(1).step_by(2);
            let is_of_a_report = |code: &&str| {
                let bound = code.starts_with('(') && code.ends_with(')') && code.contains(char::is_numeric);
                bound || code.contains(" GiB") && !code.contains(':')
            };
            quotes.extend(code.filter(is_of_a_report).map(str::to_owned));
        }
    }
    quotes
}

/// The refusals in blocks ```` ```text ````, behind the name of the object.
fn refusals(document: &str) -> Vec<String> {
    let blocks = document.split("```text\n").skip(1).filter_map(|rest| rest.split("```").next());
    let refusal = |block: &str| {
        let block = one_line(block);
        let (_, object_and_message) = block.split_once("denied the request: ")?;
        Some(object_and_message.split_once(' ')?.1.to_owned())
    };
    blocks.filter_map(refusal).collect()
}

fn copy_examples(folder: &Path) -> Result<()> {
    let examples = folder.join("examples");
    fs::create_dir(&examples)?;
    for entry in fs::read_dir(root().join("examples"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "yaml") {
            fs::copy(&path, examples.join(path.file_name().context("no name")?))?;
        }
    }
    Ok(())
}

#[test]
fn every_command_in_the_documents_prints_what_they_say() -> Result<()> {
    let (mut stale, mut wrong, mut commands) = (Vec::new(), Vec::new(), 0);
    for document in documents()? {
        let name = document.strip_prefix(root())?.display().to_string();
        let text = fs::read_to_string(&document)?;
        let folder = tempfile::tempdir()?;
        copy_examples(folder.path())?;
        let (mut made, mut running_text) = (Vec::new(), Vec::new());
        let examples: Vec<String> = vec!["weighbridge check examples/ -v --pass-on all".to_owned()];
        let (reports, _) = printed(&examples, folder.path())?;
        let reports = one_line(&reports.join("\n"));
        let mut shown = String::new();
        for refusal in refusals(&text) {
            if !reports.contains(&refusal) {
                wrong.push(format!("{name}: no example is refused like this: {refusal}"));
            }
            shown.push_str(&refusal);
        }
        for part in parts(&text) {
            match part {
                Part::Text(lines) => {
                    running_text.extend(lines.clone());
                    made.extend(lines);
                }
                Part::Command { command, prints } => {
                    commands += 1;
                    let (printed, status) = printed(&command, folder.path())?;
                    if status != Some(0) {
                        wrong.push(format!("{name}: $ {}\nends with status {status:?}", command.join("\n")));
                    }
                    shown.push_str(&one_line(&printed.join("\n")));
                    // A blank line above the next command is layout.
                    let blank = prints.iter().rev().take_while(|line| line.is_empty()).count();
                    let told = &prints[..prints.len() - blank];
                    if told != printed {
                        stale.push(format!(
                            "{name}: $ {}\nsays:\n{}\nprints:\n{}",
                            command.join("\n"),
                            told.join("\n"),
                            printed.join("\n")
                        ));
                    }
                    made.extend(
                        command
                            .iter()
                            .enumerate()
                            .map(|(at, line)| if at == 0 { format!("$ {line}") } else { line.clone() }),
                    );
                    made.extend(printed);
                    made.extend(vec![String::new(); blank]);
                }
            }
        }
        for quote in quotes(&running_text) {
            if !shown.contains(&quote) {
                wrong.push(format!("{name}: no command of the page prints {quote}"));
            }
        }
        if env::var_os("WEIGHBRIDGE_GENERATE").is_some() {
            fs::write(&document, made.join("\n") + "\n")?;
            stale.clear();
        }
    }
    ensure!(commands >= 10, "only {commands} commands were found");
    ensure!(stale.is_empty(), "run `make generate`:\n{}", stale.join("\n\n"));
    ensure!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    Ok(())
}

/// The parts of a text that no translation changes: numbers, links and inline code.
fn language_independent(text: &str) -> Vec<String> {
    let numbers = text.split(|c: char| !c.is_ascii_digit() && c != '.');
    let numbers = numbers.map(|number| number.trim_matches('.')).filter(|number| !number.is_empty());
    let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let code = text.split('`').skip(1).step_by(2);
    let mut parts: Vec<String> =
        numbers.chain(links.filter(|link| !link.starts_with("README"))).chain(code).map(one_line).collect();
    parts.sort();
    parts
}

#[test]
fn both_readmes_say_the_same_figures_links_and_commands() -> Result<()> {
    let [english, chinese] = READMES.map(|name| fs::read_to_string(root().join(name)));
    let [english, chinese] = [language_independent(&english?), language_independent(&chinese?)];
    let only = |own: &[String], other: &[String]| {
        let count = |parts: &[String], part: &String| parts.iter().filter(|other| *other == part).count();
        let only = own.iter().filter(|part| count(own, part) != count(other, part));
        only.cloned().collect::<std::collections::BTreeSet<_>>()
    };
    ensure!(
        english == chinese,
        "only in the English README, or more often: {:?}\nonly in the Chinese one, or more often: {:?}",
        only(&english, &chinese),
        only(&chinese, &english)
    );
    Ok(())
}

#[test]
fn figures_in_running_text_and_refusals_are_found() {
    let text =
        ["`(at least 86.7)` and `needs 9 GiB`", "```text", "`8 GiB`", "```", "`size: 8 GiB`, `(a)`, 7 GiB"];
    assert_eq!(quotes(&text.map(str::to_owned)), ["(at least 86.7)", "needs 9 GiB"]);
    let document = "```text\nError: denied the\nrequest: job/a needs\n  9 GiB\n```\n```text\nelse\n```\n";
    assert_eq!(refusals(document), ["needs 9 GiB"]);
}

#[test]
fn commands_are_found_with_their_lines() {
    let document = "a\n```console\n$ b \\\n  c\nd\n\n$ cat > e <<'EOF'\n$ f\nEOF\n$ g\n```\nh";
    let command = |lines: &[&str], prints: &[&str]| Part::Command {
        command: lines.iter().map(|line| (*line).to_owned()).collect(),
        prints: prints.iter().map(|line| (*line).to_owned()).collect(),
    };
    let text = |lines: &[&str]| Part::Text(lines.iter().map(|line| (*line).to_owned()).collect());
    assert_eq!(
        parts(document),
        [
            text(&["a", "```console"]),
            command(&["b \\", "  c"], &["d", ""]),
            command(&["cat > e <<'EOF'", "$ f", "EOF"], &[]),
            command(&["g"], &[]),
            text(&["```", "h"]),
        ]
    );
}
