//! Text that a terminal may show.

use std::borrow::Cow;

use crate::printable::is_printable;

/// The text without characters that steer a terminal: names and values come from whoever wrote the manifest, and an escape sequence
/// among them would be obeyed by the reader's terminal.
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
