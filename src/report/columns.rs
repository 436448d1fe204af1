//! Lines of cells, each column as wide as its widest cell.

use std::fmt::Write as _;

use super::{Style, printable};
use crate::judgement::Verdict;

/// The heading of the column that is coloured.
const VERDICT: &str = "VERDICT";

/// A judgement's line of a table: a cell for every heading. None for an unknown value.
pub(super) struct Line<const COLUMNS: usize> {
    /// Gives the line's verdict its colour.
    pub(super) verdict: Verdict,
    pub(super) cells: [Option<String>; COLUMNS],
}

/// The lines under their headings. Empty if there are no lines.
pub(super) fn table<const COLUMNS: usize>(
    headings: [&str; COLUMNS],
    lines: impl IntoIterator<Item = Line<COLUMNS>>,
    style: Style,
) -> String {
    let mut text = String::new();
    let mut rows = vec![headings.map(str::to_owned).to_vec()];
    let mut verdicts = Vec::new();
    for Line { verdict, cells } in lines {
        // Every column has a word, so that a program can split the line at spaces.
        let word =
            |cell: Option<String>| cell.filter(|text| !text.is_empty()).unwrap_or_else(|| "-".to_owned());
        rows.push(cells.map(word).to_vec());
        verdicts.push(verdict);
    }
    if verdicts.is_empty() {
        return text;
    }
    align(&mut text, 0, &rows, |row, column, cell| {
        match row.checked_sub(1).and_then(|line| verdicts.get(line)) {
            None => style.heading(cell),
            Some(verdict) if headings.get(column) == Some(&VERDICT) => style.verdict(*verdict, cell),
            Some(_) => cell.to_owned(),
        }
    });
    text
}

/// Appends the rows, aligned, each with `indent` spaces before it. `paint` may colour a cell; colours have no width.
pub(super) fn align(
    text: &mut String,
    indent: usize,
    rows: &[Vec<String>],
    paint: impl Fn(usize, usize, &str) -> String,
) {
    let rows: Vec<Vec<_>> = rows.iter().map(|row| row.iter().map(|cell| printable(cell)).collect()).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max())
        .map(Option::unwrap_or_default)
        .collect();
    for (number, row) in rows.iter().enumerate() {
        let mut line = " ".repeat(indent);
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let gap = if column + 1 < row.len() { width - cell.chars().count() + 2 } else { 0 };
            // Writing to a string does not fail.
            let _ = write!(line, "{}{}", paint(number, column, cell), " ".repeat(gap));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADINGS: [&str; 3] = ["NAME", "VERDICT", "DAYS"];

    fn line(name: &str, verdict: Verdict) -> Line<3> {
        Line { verdict, cells: [Some(name.to_owned()), Some(verdict.name().to_owned()), None] }
    }

    #[test]
    fn a_line_has_a_word_in_every_column() {
        let lines = [line("", Verdict::Fits), line("a-long-name", Verdict::OutOfMemory)];
        assert_eq!(
            table(HEADINGS, lines, Style::Plain),
            "NAME         VERDICT      DAYS\n-            Fits         -\na-long-name  OutOfMemory  -\n"
        );
    }

    #[test]
    fn the_verdict_alone_has_its_colour() {
        assert_eq!(
            table(HEADINGS, [line("VERDICT", Verdict::Fits)], Style::Coloured),
            "\u{1b}[1mNAME\u{1b}[0m     \u{1b}[1mVERDICT\u{1b}[0m  \u{1b}[1mDAYS\u{1b}[0m\n\
             VERDICT  \u{1b}[32mFits\u{1b}[0m     -\n"
        );
    }

    #[test]
    fn without_lines_there_are_no_headings() {
        assert_eq!(table(HEADINGS, [], Style::Plain), "");
    }
}
