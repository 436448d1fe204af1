//! `weighbridge completions` and `weighbridge man`: what shells and `man` show of the commands, made from their arguments.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Command};
use clap_complete::Shell;

use super::output::print;

/// The arguments of `completions`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  weighbridge completions bash > /etc/bash_completion.d/weighbridge")]
pub(super) struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// The arguments of `man`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  weighbridge man ~/.local/share/man/man1")]
pub(super) struct Man {
    /// The folder; it is made if it is missing
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

/// Prints the completions of a shell.
pub(super) fn completions(arguments: &Completions, command: &mut Command) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, command, "weighbridge", &mut script);
    print(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}

/// Writes a page for each command.
pub(super) fn man(arguments: &Man, command: Command) -> anyhow::Result<ExitCode> {
    std::fs::create_dir_all(&arguments.folder)
        .with_context(|| format!("the folder {} cannot be made", arguments.folder.display()))?;
    clap_mangen::generate_to(command, &arguments.folder)
        .with_context(|| format!("{}: the pages cannot be written", arguments.folder.display()))?;
    Ok(ExitCode::SUCCESS)
}
