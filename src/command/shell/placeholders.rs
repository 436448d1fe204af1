//! Placeholders that are not filled in: `export TOKEN=<YOUR_TOKEN>`. A shell would read a redirection there, and mostly
//! find an error in it. They are read as variables without a value, so the rest of the script is read as it is meant.
//!
//! ```text
//! --token <YOUR_TOKEN> --lr 1    ─►   --token ${YOUR_TOKEN} --lr 1
//! A=<your-token>                 ─►   A=${your_token}
//! sort <in >out, cat <<EOF>out   ─►   unchanged
//! ```
//!
//! A placeholder has capitals alone, or stands behind a character that no redirection follows, or at the end of a line.

use std::borrow::Cow;

/// The longest placeholder.
const LONGEST: usize = 64;

/// The script, with its placeholders replaced.
pub(crate) fn plain(script: &str) -> Cow<'_, str> {
    if !(script.contains('<') && script.contains('>')) {
        return Cow::Borrowed(script);
    }
    let mut plain = String::with_capacity(script.len());
    let mut rest = script;
    while let Some((before, behind)) = rest.split_once('<') {
        plain.push_str(before);
        rest = behind;
        let last = plain.chars().next_back();
        match named(behind).filter(|(name, behind)| is_placeholder(last, name, behind)) {
            Some((name, behind)) => {
                let letter = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
                plain.push_str("${");
                plain.extend(name.chars().map(letter));
                plain.push('}');
                rest = behind;
            }
            None => plain.push('<'),
        }
    }
    plain.push_str(rest);
    Cow::Owned(plain)
}

/// A name that `>` ends, and the text behind it.
fn named(text: &str) -> Option<(&str, &str)> {
    let end = text.bytes().take(LONGEST).position(|b| b == b'>')?;
    let (name, behind) = text.split_at_checked(end)?;
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b' ');
    let is_name = name.bytes().all(inner)
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && !name.ends_with(' ');
    is_name.then(|| (name, behind.get(1..).unwrap_or_default()))
}

fn is_placeholder(before: Option<char>, name: &str, behind: &str) -> bool {
    if before.is_some_and(|c| matches!(c, '<' | '&') || c.is_ascii_digit()) {
        return false;
    }
    let capitals = !name.bytes().any(|b| b.is_ascii_lowercase());
    let within = before.is_some_and(|c| matches!(c, '=' | ':' | '/' | '@' | '"' | '\''));
    let ends_a_line =
        behind.trim_start_matches([' ', '\t']).is_empty() || behind.starts_with(['\n', '"', '\'']);
    capitals || within || ends_a_line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_become_variables_and_redirections_stay() {
        for (script, expected) in [
            ("export TOKEN=<YOUR_TOKEN>\ntorchrun a.py", "export TOKEN=${YOUR_TOKEN}\ntorchrun a.py"),
            ("a --token <YOUR TOKEN> --lr 1", "a --token ${YOUR_TOKEN} --lr 1"),
            ("a --bucket gs://<my-bucket>/x", "a --bucket gs://${my_bucket}/x"),
            ("a --name <name>\nb", "a --name ${name}\nb"),
            ("sort <in >out", "sort <in >out"),
            ("sort <in> out", "sort <in> out"),
            ("cat <<EOF>out\nx\nEOF", "cat <<EOF>out\nx\nEOF"),
            ("cat <<< \"$A\" > b", "cat <<< \"$A\" > b"),
            ("diff <(a) <(b)>c", "diff <(a) <(b)>c"),
            ("a < b", "a < b"),
        ] {
            assert_eq!(plain(script), expected);
        }
    }
}
