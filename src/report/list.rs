//! Plain lists and paragraphs, for what is known and what words mean.

use super::{Style, columns, width};

/// Lines of cells under their headings. Empty if there are no lines.
pub fn list(headings: &[&str], lines: Vec<Vec<String>>, style: Style) -> String {
    let mut text = String::new();
    if lines.is_empty() {
        return text;
    }
    let mut rows = vec![headings.iter().map(|heading| (*heading).to_owned()).collect::<Vec<_>>()];
    // Every column has a word, so that a program can split the line at spaces.
    let word = |cell: String| if cell.is_empty() { "-".to_owned() } else { cell };
    rows.extend(lines.into_iter().map(|line| line.into_iter().map(word).collect()));
    columns::align(
        &mut text,
        0,
        &rows,
        |row, _, cell| {
            if row == 0 { style.heading(cell) } else { cell.to_owned() }
        },
    );
    text
}

/// A text's lines within the terminal's width.
pub fn paragraphs(text: &str, style: Style) -> String {
    text.lines().map(|line| width::broken(line, 0, 2, style.width)).collect()
}
