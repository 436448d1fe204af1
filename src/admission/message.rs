//! The texts for people: warnings, refusals and audit notes.
//!
//! A warning is one line of at most 120 characters without control characters. Clients cut longer lines, and a
//! terminal would obey an escape sequence. A judgement quotes no other object than the request's, so its texts may be
//! passed on.

use crate::job::InputError;
use crate::judgement::Judgement;
use crate::printable::is_printable;

/// The longest line of a warning.
pub const WARNING: usize = 120;
/// The longest value of an audit annotation, and the longest line of a refusal.
pub const LINE: usize = 512;
/// The most warnings of a judgement. A longer list is not read.
const WARNINGS: usize = 8;
/// The most causes of a refusal. Users fix few at a time.
const CAUSES: usize = 32;

/// The text in one line of at most `longest` characters.
pub fn one_line(text: &str, longest: usize) -> String {
    let visible = |c: char| if is_printable(c) { c } else { ' ' };
    let line: String = text.trim().chars().map(visible).take(longest + 1).collect();
    if line.chars().count() > longest {
        let cut: String = line.chars().take(longest.saturating_sub(1)).collect();
        return format!("{}…", cut.trim_end());
    }
    line
}

/// A warning.
pub fn warning(text: &str) -> String {
    one_line(text, WARNING)
}

/// A warning with a subject in front, which is never cut.
pub fn warning_about(subject: &str, text: &str) -> String {
    warning(&format!("{subject}: {text}"))
}

/// The judgement's own warnings.
pub fn warnings(judgement: &Judgement) -> Vec<String> {
    judgement.warnings.iter().take(WARNINGS).map(|text| warning(text)).collect()
}

/// The first line of a refusal. kubectl shows only this line, so it is complete in itself.
pub fn refusal(judgement: &Judgement) -> String {
    one_line(&judgement.message, LINE)
}

/// The errors of the request, in one line.
pub fn malformed(errors: &[InputError]) -> String {
    match errors {
        [] => "the request could not be read".to_owned(),
        [one] => one_line(&one.message, LINE),
        [first, others @ ..] => {
            one_line(&format!("{} (and {} more)", one_line(&first.message, LINE - 20), others.len()), LINE)
        }
    }
}

/// The field and message of each error that becomes a cause.
pub fn causes(errors: &[InputError]) -> impl Iterator<Item = (String, String)> {
    errors.iter().take(CAUSES).map(|error| (one_line(&error.field, LINE), one_line(&error.message, LINE)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_no_control_characters() {
        assert_eq!(one_line("a\nb\u{1b}[31mc\u{2028}d", 120), "a b [31mc d");
        assert_eq!(one_line("  \n ", 120), "");
        assert_eq!(one_line("a\u{200b}b\u{2066}c\u{feff}", 120), "a b c ");
    }

    #[test]
    fn a_long_line_is_cut_by_characters_and_ends_in_an_ellipsis() {
        let cut = one_line(&"ü".repeat(200), WARNING);
        assert_eq!(cut.chars().count(), WARNING);
        assert!(cut.ends_with("ü…"));
        assert_eq!(one_line(&"ü".repeat(120), WARNING), "ü".repeat(120));
    }

    #[test]
    fn the_first_error_is_shown_and_the_others_are_counted() {
        let error = |message: &str| InputError { field: "f".into(), message: message.into() };
        assert_eq!(
            malformed(&[error("tensor-parallel=\"x\" is no count")]),
            "tensor-parallel=\"x\" is no count"
        );
        assert_eq!(malformed(&[error("a"), error("b"), error("c")]), "a (and 2 more)");
        assert_eq!(causes(&vec![error("a"); 100]).count(), CAUSES);
    }
}
