//! Lines of cells, each column as wide as its widest cell.
//!
//! In a terminal that is too narrow for all columns, those that matter least are left out, and a line names them.

use std::fmt::Write as _;

use super::width::broken;
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

/// The columns of a table.
pub(super) struct Columns<'a, const COLUMNS: usize> {
    /// Their headings, in order.
    pub(super) headings: [&'static str; COLUMNS],
    /// The columns that a narrow terminal does without, the first one first.
    pub(super) expendable: &'static [&'static str],
    /// The columns that are left out everywhere.
    pub(super) hidden: &'a [&'static str],
}

/// The lines under their headings. Empty if there are no lines.
pub(super) fn table<const COLUMNS: usize>(
    columns: &Columns<'_, COLUMNS>,
    lines: impl IntoIterator<Item = Line<COLUMNS>>,
    style: Style,
) -> String {
    let mut text = String::new();
    let mut headings = columns.headings.to_vec();
    let mut rows = vec![headings.iter().map(|heading| (*heading).to_owned()).collect::<Vec<_>>()];
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
    let mut leave_out = |heading: &&str, rows: &mut Vec<Vec<String>>| {
        if let Some(column) = headings.iter().position(|other| other == heading) {
            headings.remove(column);
            for row in rows.iter_mut() {
                row.remove(column);
            }
        }
    };
    columns.hidden.iter().for_each(|heading| leave_out(heading, &mut rows));
    let is_shown =
        |heading: &&&str| !columns.hidden.contains(*heading) && columns.headings.contains(*heading);
    let (mut expendable, mut left_out) = (columns.expendable.iter().filter(is_shown), Vec::new());
    while style.width.is_some_and(|width| wide(&rows) > width)
        && let Some(heading) = expendable.next()
    {
        leave_out(heading, &mut rows);
        left_out.push(*heading);
    }
    align(&mut text, 0, &rows, |row, column, cell| {
        match row.checked_sub(1).and_then(|line| verdicts.get(line)) {
            None => style.heading(cell),
            Some(verdict) if headings.get(column) == Some(&VERDICT) => style.verdict(*verdict, cell),
            Some(_) => cell.to_owned(),
        }
    });
    if !left_out.is_empty() {
        let line = format!("columns hidden: {}; a wider terminal shows them", left_out.join(", "));
        text.push_str(&broken(&line, 0, 2, style.width));
    }
    text
}

/// Appends the rows, aligned. If they are wider than a terminal, the last column of each stands below the others.
pub(super) fn within(text: &mut String, indent: usize, rows: &[Vec<String>], terminal: Option<usize>) {
    let plain = |_: usize, _: usize, cell: &str| cell.to_owned();
    let Some(terminal) = terminal.filter(|terminal| indent + wide(rows) > *terminal) else {
        return align(text, indent, rows, plain);
    };
    let longest = rows.iter().map(Vec::len).max().unwrap_or(0);
    let heads: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().take(longest.saturating_sub(1).max(1)).cloned().collect()).collect();
    let mut aligned = String::new();
    align(&mut aligned, indent, &heads, plain);
    for (head, row) in aligned.lines().zip(rows) {
        text.push_str(head);
        text.push('\n');
        for tail in row.iter().skip(longest.saturating_sub(1).max(1)) {
            text.push_str(&broken(&printable(tail), indent + 4, 2, Some(terminal)));
        }
    }
}

/// The width of the widest row, if each column is as wide as its widest cell.
fn wide(rows: &[Vec<String>]) -> usize {
    widths(rows).iter().map(|width| width + 2).sum::<usize>().saturating_sub(2)
}

fn widths(rows: &[Vec<String>]) -> Vec<usize> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    (0..columns)
        .map(|column| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max())
        .map(Option::unwrap_or_default)
        .collect()
}

/// Appends the rows, aligned, each with `indent` spaces before it. `paint` may colour a cell; colours have no width.
pub(super) fn align(
    text: &mut String,
    indent: usize,
    rows: &[Vec<String>],
    paint: impl Fn(usize, usize, &str) -> String,
) {
    let rows: Vec<Vec<_>> =
        rows.iter().map(|row| row.iter().map(|cell| printable(cell).into_owned()).collect()).collect();
    let widths = widths(&rows);
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

    const COLUMNS: Columns<'_, 3> =
        Columns { headings: ["NAME", "VERDICT", "DAYS"], expendable: &["DAYS", "NAME"], hidden: &[] };
    const COLOURED: Style = Style { coloured: true, ..Style::PLAIN };

    fn line(name: &str, verdict: Verdict) -> Line<3> {
        Line { verdict, cells: [Some(name.to_owned()), Some(verdict.name().to_owned()), None] }
    }

    #[test]
    fn a_line_has_a_word_in_every_column() {
        let lines = [line("", Verdict::Fits), line("a-long-name", Verdict::OutOfMemory)];
        assert_eq!(
            table(&COLUMNS, lines, Style::PLAIN),
            "NAME         VERDICT      DAYS\n-            Fits         -\na-long-name  OutOfMemory  -\n"
        );
    }

    #[test]
    fn the_verdict_alone_has_its_colour() {
        assert_eq!(
            table(&COLUMNS, [line("VERDICT", Verdict::Fits)], COLOURED),
            "\u{1b}[1mNAME\u{1b}[0m     \u{1b}[1mVERDICT\u{1b}[0m  \u{1b}[1mDAYS\u{1b}[0m\n\
             VERDICT  \u{1b}[32mFits\u{1b}[0m     -\n"
        );
    }

    #[test]
    fn a_narrow_terminal_does_without_the_columns_that_matter_least() {
        let narrow = |width| {
            let style = Style { width: Some(width), ..COLOURED };
            let text = table(&COLUMNS, [line("a-long-name", Verdict::Fits)], style);
            let (table, hidden) = text.split_once("columns hidden: ").unwrap_or((&text, ""));
            let shown = ["NAME", "VERDICT", "DAYS"].map(|heading| table.contains(heading));
            let named = ["NAME", "VERDICT", "DAYS"].map(|heading| !hidden.contains(heading));
            assert_eq!(shown, named, "{text}");
            shown
        };
        assert_eq!(narrow(26), [true, true, true]);
        assert_eq!(narrow(25), [true, true, false]);
        assert_eq!(narrow(19), [false, true, false]);
        assert_eq!(narrow(2), [false, true, false]);
    }

    #[test]
    fn the_last_column_moves_below_the_others_where_the_terminal_is_narrow() {
        let rows = [vec!["a".to_owned(), "b".to_owned(), "a longer text".to_owned()]];
        let shown = |terminal| {
            let mut text = String::new();
            within(&mut text, 2, &rows, terminal);
            text
        };
        assert_eq!(shown(None), "  a  b  a longer text\n");
        assert_eq!(shown(Some(21)), "  a  b  a longer text\n");
        assert_eq!(shown(Some(20)), "  a  b\n      a longer text\n");
    }

    #[test]
    fn without_lines_there_are_no_headings() {
        assert_eq!(table(&COLUMNS, [], Style::PLAIN), "");
    }
}
