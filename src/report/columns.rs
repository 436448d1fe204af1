//! Lines of cells, each column as wide as its widest cell.

use std::fmt::Write as _;

use super::printable;

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
            // Writing to a string cannot fail.
            let _ = write!(line, "{}{}", paint(number, column, cell), " ".repeat(gap));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
}
