//! HTML from texts. Every text of a manifest passes [`text`], which leaves no character that a browser would obey.

use crate::report::printable;

/// A text as HTML shows it, also inside a quoted attribute.
pub(super) fn text(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in printable(text).chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            letter => escaped.push(letter),
        }
    }
    escaped
}

/// Pieces of markup, one after the other.
pub(super) fn joined(pieces: impl Iterator<Item = String>) -> String {
    pieces.collect::<Vec<_>>().concat()
}

/// A table with a row of headings. Cells are texts.
pub(super) fn table(class: &str, headings: &[&str], rows: &[Vec<String>]) -> String {
    let escaped: Vec<Vec<_>> = rows.iter().map(|row| row.iter().map(|cell| text(cell)).collect()).collect();
    table_of_markup(class, headings, &escaped)
}

/// The same of cells that are markup. A column without any content is left out. Each cell knows its heading: on a telephone the
/// cells of a row stand below each other, without the row of headings.
pub(super) fn table_of_markup(class: &str, headings: &[&str], rows: &[Vec<String>]) -> String {
    let filled = |column: usize| rows.iter().any(|row| row.get(column).is_some_and(|cell| !cell.is_empty()));
    let shown: Vec<_> = headings.iter().enumerate().filter(|(column, _)| filled(*column)).collect();
    let head = joined(shown.iter().map(|(_, name)| format!("<th scope=\"col\">{}</th>", text(name))));
    let cell = |row: &[String], (column, name): &(usize, &&str)| {
        let content = row.get(*column).map(String::as_str).unwrap_or_default();
        format!("<td data-label=\"{}\">{content}</td>", text(name))
    };
    let line = |row: &Vec<String>| joined(shown.iter().map(|column| cell(row, column)));
    let body = joined(rows.iter().map(|row| format!("<tr>{}</tr>\n", line(row))));
    format!(
        "<div class=\"scroll\"><table class=\"{class}\"><thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table></div>\n"
    )
}

/// A list of texts. Empty without texts.
pub(super) fn list(texts: impl Iterator<Item = String>) -> String {
    let items = joined(texts.map(|item| format!("<li>{}</li>\n", text(&item))));
    if items.is_empty() { items } else { format!("<ul>\n{items}</ul>\n") }
}

/// A section with a heading. Empty without content.
pub(super) fn section(heading: &str, content: &str) -> String {
    if content.is_empty() {
        return String::new();
    }
    format!("<section>\n<h3>{}</h3>\n{content}</section>\n", text(heading))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_without_content_is_left_out_and_each_cell_knows_its_heading() {
        let rows = [["a", "", "b"], ["c", "", ""]].map(|row| row.map(str::to_owned).to_vec());
        let table = table("plain", &["one", "two", "three"], &rows);
        assert!(table.contains("<tr><th scope=\"col\">one</th><th scope=\"col\">three</th></tr>"), "{table}");
        assert!(
            table.contains("<tr><td data-label=\"one\">c</td><td data-label=\"three\"></td></tr>"),
            "{table}"
        );
    }

    #[test]
    fn no_text_becomes_markup() {
        let hostile = "\"><script>alert('x')</script>&\u{202e}\n";
        let shown = text(hostile);
        assert!(!shown.contains(['<', '>', '"', '\'', '\n', '\u{202e}']), "{shown}");
        for page in [
            table("plain", &[hostile], &[vec![hostile.to_owned()]]),
            table_of_markup("plain", &[hostile], &[vec![text(hostile)]]),
            list(std::iter::once(hostile.to_owned())),
            section(hostile, "<p>x</p>"),
        ] {
            assert!(!page.contains("<script"), "{page}");
        }
    }
}
