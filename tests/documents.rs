//! The commands in the documents, run as a person would type them: every block ```` ```console ```` of the README and of docs/.
//!
//! A line with `$ ` is a command, and the lines below it are what it prints, standard error first. A document's commands run in
//! one folder, in order, with a copy of `examples/` in it. `WEIGHBRIDGE_GENERATE` writes what they print now.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context as _, Result, ensure};

/// The width of the terminal in the documents.
const WIDTH: &str = "120";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn documents() -> Result<Vec<PathBuf>> {
    let mut documents = vec![root().join("README.md")];
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

fn printed(command: &[String], folder: &Path) -> Result<Vec<String>> {
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
    Ok(lines)
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
    let (mut stale, mut commands) = (Vec::new(), 0);
    for document in documents()? {
        let name = document.strip_prefix(root())?.display().to_string();
        let text = fs::read_to_string(&document)?;
        let folder = tempfile::tempdir()?;
        copy_examples(folder.path())?;
        let mut made = Vec::new();
        for part in parts(&text) {
            match part {
                Part::Text(lines) => made.extend(lines),
                Part::Command { command, prints } => {
                    commands += 1;
                    let printed = printed(&command, folder.path())?;
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
        if env::var_os("WEIGHBRIDGE_GENERATE").is_some() {
            fs::write(&document, made.join("\n") + "\n")?;
            stale.clear();
        }
    }
    ensure!(commands >= 10, "only {commands} commands were found");
    ensure!(stale.is_empty(), "run `make generate`:\n{}", stale.join("\n\n"));
    Ok(())
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
