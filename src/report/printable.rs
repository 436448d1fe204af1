//! Text that is safe to show in a terminal.

use std::borrow::Cow;

use crate::printable::is_printable;

/// The text without control characters. The manifest's author chooses names and values, and the reader's terminal
/// would obey an escape sequence among them.
pub fn printable(text: &str) -> Cow<'_, str> {
    let steers = |c: char| !is_printable(c);
    if text.contains(steers) { Cow::Owned(text.replace(steers, "\u{fffd}")) } else { Cow::Borrowed(text) }
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
