//! Text that a terminal may show.

use std::borrow::Cow;

/// The text without control characters: names and values come from whoever wrote the manifest, and an escape sequence
/// among them would be obeyed by the reader's terminal.
pub fn printable(text: &str) -> Cow<'_, str> {
    if text.contains(char::is_control) {
        Cow::Owned(text.replace(char::is_control, "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn escape_sequences_do_not_reach_a_terminal() {
        assert_eq!(printable("a\u{1b}[31mred\nline"), "a\u{fffd}[31mred\u{fffd}line");
        assert_eq!(printable("70B, 50.2 GiB – fine"), "70B, 50.2 GiB – fine");
    }
}
