//! Text within a terminal's width: long lines are broken at spaces, and the rest of the line is indented.

/// The narrowest width for which text is broken. In a narrower terminal the terminal itself breaks it.
const NARROWEST: usize = 40;

/// The line with `indent` spaces before it, broken so that no part is wider than `width`. Further parts have `hang` more
/// spaces. A word that is wider stays whole, so that it can be copied.
pub(super) fn broken(line: &str, indent: usize, hang: usize, width: Option<usize>) -> String {
    let Some(width) = width.filter(|width| *width >= NARROWEST) else {
        return format!("{}{line}\n", " ".repeat(indent));
    };
    let mut text = String::new();
    let mut current = " ".repeat(indent);
    let (mut length, mut is_empty) = (indent, true);
    for word in line.split(' ') {
        let wide = word.chars().count();
        if !is_empty && length + 1 + wide > width {
            text.push_str(current.trim_end());
            text.push('\n');
            current = " ".repeat(indent + hang);
            (length, is_empty) = (indent + hang, true);
        }
        if !is_empty {
            current.push(' ');
            length += 1;
        }
        current.push_str(word);
        length += wide;
        is_empty = false;
    }
    text.push_str(current.trim_end());
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_broken_at_spaces() {
        let line = "needs 97.4 GiB per GPU (at least 92.5), an A800-80GB offers 79.1 GiB";
        assert_eq!(
            broken(line, 2, 2, Some(48)),
            "  needs 97.4 GiB per GPU (at least 92.5), an\n    A800-80GB offers 79.1 GiB\n"
        );
        assert_eq!(broken(line, 2, 2, None), format!("  {line}\n"));
        assert_eq!(broken(line, 2, 2, Some(10)), format!("  {line}\n"));
    }

    #[test]
    fn a_word_that_is_wider_than_the_terminal_stays_whole() {
        let word = "x".repeat(60);
        assert_eq!(broken(&format!("a {word} b"), 0, 2, Some(40)), format!("a\n  {word}\n  b\n"));
    }

    proptest::proptest! {
        #[test]
        fn nothing_is_lost_and_no_line_is_too_wide(line in "[a-z]{1,9}( [a-z]{1,9}){0,30}", width in 40usize..120) {
            let text = broken(&line, 2, 2, Some(width));
            let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
            proptest::prop_assert_eq!(words, line);
            proptest::prop_assert!(text.lines().all(|line| line.chars().count() <= width));
        }
    }
}
