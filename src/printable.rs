//! Makes users' texts safe to print: one line, bounded, without characters that a terminal would obey.

/// A user's text as one safe line of at most `longest` characters.
pub(crate) fn printable(text: &str, longest: usize) -> String {
    // Almost every text.
    if text.len() <= longest && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
        return text.to_owned();
    }
    let mut line: String =
        text.chars().take(longest + 1).map(|c| if is_printable(c) { c } else { '\u{fffd}' }).collect();
    if line.chars().count() > longest {
        line = line.chars().take(longest.saturating_sub(1)).chain(['…']).collect();
    }
    line
}

/// A parser's error as one line. Each quote of a user's text is cut like any other value.
pub(crate) fn complaint(text: &str, longest: usize) -> String {
    const LONGEST_QUOTED: usize = 64;
    let first_line = text.lines().next().unwrap_or_default();
    let parts = first_line.split_inclusive(['`', '"']).enumerate();
    let cut: String = parts
        .map(|(number, part)| match part.char_indices().nth(LONGEST_QUOTED) {
            // The text before the first quote is the parser's own.
            Some((end, _)) if number > 0 => format!("{}…", part.get(..end).unwrap_or_default()),
            _ => part.to_owned(),
        })
        .collect();
    printable(&cut, longest)
}

/// Whether a character is visible and harmless. Control characters, line breaks, changes of direction and invisible
/// characters are not: Unicode's classes `Cc`, `Zl`, `Zp`, `Cf` and `Default_Ignorable_Code_Point`.
pub(crate) fn is_printable(c: char) -> bool {
    !c.is_control()
        && !matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}'
            | '\u{8e2}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}'
            | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invisible_characters_are_not_printable() {
        for c in "\n\u{85}\u{ad}\u{61c}\u{200b}\u{200d}\u{200e}\u{2028}\u{202e}\u{2060}\u{2066}\u{3164}\u{feff}\u{e0041}".chars() {
            assert!(!is_printable(c), "{c:?}");
        }
        assert!("llama-3 70B, 50.2 GiB – 모델 モデル модель".chars().all(is_printable));
    }

    #[test]
    fn a_complaint_cuts_its_quotes_like_any_value() {
        let long = "ü".repeat(150);
        let line = complaint(&format!("unknown variant `{long}`, expected one of `None`, `Full`"), 200);
        assert_eq!(line, format!("unknown variant `{}…, expected one of `None`, `Full`", "ü".repeat(64)));
        assert_eq!(complaint("line one\nline two", 200), "line one");
        assert_eq!(complaint(&"word ".repeat(20), 99), "word ".repeat(20)[..98].to_owned() + "…");
    }
}
