//! Escapes the characters of a line that could mislead its reader.
//!
//! Users choose the names in a log. A control character changes the terminal, a line break forges a line, and a
//! character without width or with a change of direction makes one name look like another. Each is written as its
//! code: `\u{202e}` in plain text, `\u202e` in JSON, where only strings can hold one.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::LogFormat;
use crate::printable::is_printable;

/// The line with the code of each such character. It ends in one line break.
pub(super) fn escape(line: &str, format: LogFormat) -> Cow<'_, str> {
    let content = line.strip_suffix('\n').unwrap_or(line);
    if content.chars().all(is_printable) && line.len() > content.len() {
        return Cow::Borrowed(line);
    }
    let mut escaped = String::with_capacity(line.len() + 16);
    for c in content.chars() {
        match (is_printable(c), format) {
            (true, _) => escaped.push(c),
            (false, LogFormat::Plain) => escaped.extend(c.escape_default()),
            (false, LogFormat::Json) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    // Writing to a string does not fail.
                    let _ = write!(escaped, "\\u{unit:04x}");
                }
            }
        }
    }
    escaped.push('\n');
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of each class: C0, DEL, C1, without width, byte order mark, line separators, bidirectional, a tag.
    const MISLEADING: &str = "\u{1b}\n\r\t\u{7f}\u{85}\u{9b}\u{200b}\u{200d}\u{feff}\u{2028}\u{2029}\u{202e}\u{2066}\u{61c}\u{e0041}";

    #[test]
    fn ordinary_text_of_any_language_stays_as_it_is() {
        let line = "refused name=\"모델\" 50.2 GiB – fine\n";
        for format in [LogFormat::Plain, LogFormat::Json] {
            assert!(matches!(escape(line, format), Cow::Borrowed(same) if same == line));
        }
    }

    #[test]
    fn a_misleading_character_is_written_as_its_code_in_both_formats() {
        for c in MISLEADING.chars() {
            let line = format!("{{\"name\":\"a{c}b\"}}\n");
            for format in [LogFormat::Plain, LogFormat::Json] {
                let escaped = escape(&line, format);
                assert!(!escaped.contains(c) || c == '\n', "{c:?} in {escaped:?}");
                assert_eq!(escaped.matches('\n').count(), 1, "{escaped:?}");
            }
        }
        assert_eq!(escape("a\u{202e}b\n", LogFormat::Plain), "a\\u{202e}b\n");
    }

    #[test]
    fn escaped_json_has_the_same_value() {
        let value = serde_json::json!({"name": MISLEADING, "kind": "Job"});
        let line = format!("{value}\n");
        let escaped = escape(&line, LogFormat::Json);
        assert!(escaped.trim_end().chars().all(is_printable), "{escaped}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).unwrap(), value);
    }

    #[test]
    fn a_line_break_in_a_name_forges_no_line() {
        assert_eq!(escape("one\ntwo\n", LogFormat::Plain), "one\\ntwo\n");
        assert_eq!(escape("no end", LogFormat::Plain), "no end\n");
    }
}
