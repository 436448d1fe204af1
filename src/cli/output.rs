//! What the commands print, and where: reports on standard output, errors on standard error.

use std::io::{self, IsTerminal as _, Write};

use clap::ValueEnum;

use crate::report::{self, Style};

/// The format of a report with tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Tables
    #[value(alias = "wide")]
    Table,
    /// JSON
    Json,
}

/// Only a terminal gets colours, unless `NO_COLOR` is set, and only in a terminal lines are broken at its width. The
/// variable `COLUMNS` gives another width.
pub(super) fn style() -> Style {
    let is_terminal = io::stdout().is_terminal();
    let colours = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let stated = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse::<usize>().ok());
    let width = stated.filter(|width| *width > 0).or_else(|| is_terminal.then(terminal_width).flatten());
    Style { coloured: colours && is_terminal, width }
}

fn terminal_width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|width| *width > 0)
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
