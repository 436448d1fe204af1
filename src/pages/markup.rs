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
    let cells = |tag: &str, cells: &[String]| -> String {
        joined(cells.iter().map(|cell| format!("<{tag}>{}</{tag}>", text(cell))))
    };
    let head = joined(headings.iter().map(|name| format!("<th scope=\"col\">{}</th>", text(name))));
    let body = joined(rows.iter().map(|row| format!("<tr>{}</tr>\n", cells("td", row))));
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
    fn no_text_becomes_markup() {
        let hostile = "\"><script>alert('x')</script>&\u{202e}\n";
        let shown = text(hostile);
        assert!(!shown.contains(['<', '>', '"', '\'', '\n', '\u{202e}']), "{shown}");
        for page in [
            table("plain", &[hostile], &[vec![hostile.to_owned()]]),
            list(std::iter::once(hostile.to_owned())),
            section(hostile, "<p>x</p>"),
        ] {
            assert!(!page.contains("<script"), "{page}");
        }
    }
}
