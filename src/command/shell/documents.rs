//! Here-documents within command substitutions, as people keep a worker's script in a variable:
//!
//! ```text
//! worker=$(cat <<- EOM            worker="
//!   numactl … python train.py  ─►   numactl … python train.py"
//! EOM
//! )
//! ```
//!
//! What `cat` prints of a here-document is its body, so the body is written in quotes instead: the grammar takes any
//! text there, and not all of it within a substitution. A body that has substitutions of its own stays as it is.

use std::borrow::Cow;

const BEGIN: &str = "$(cat <<";
/// Such substitutions that are looked at: each may be looked for to the end of the script.
const MOST: usize = 64;

/// The script, with such substitutions written as their text.
pub(crate) fn plain(script: &str) -> Cow<'_, str> {
    if !script.contains(BEGIN) {
        return Cow::Borrowed(script);
    }
    let mut plain = String::with_capacity(script.len());
    let mut rest = script;
    for _ in 0..MOST {
        let Some((before, behind)) = rest.split_once(BEGIN) else { break };
        let line = before.rsplit('\n').next().unwrap_or_default();
        let in_quotes = line.replace("\\\"", "").matches('"').count() % 2 == 1;
        // Among other text in quotes, it stays as it is.
        let alone = |behind: &str| !in_quotes || line.ends_with('"') && behind.starts_with('"');
        if let Some((text, behind)) = document(behind).filter(|(_, behind)| alone(behind)) {
            plain.push_str(if in_quotes { before.strip_suffix('"').unwrap_or(before) } else { before });
            plain.push_str(&text);
            rest = if in_quotes { behind.strip_prefix('"').unwrap_or(behind) } else { behind };
        } else {
            plain.push_str(before);
            plain.push_str(BEGIN);
            rest = behind;
        }
    }
    plain.push_str(rest);
    Cow::Owned(plain)
}

/// The body in quotes, and what is behind the substitution.
fn document(text: &str) -> Option<(String, &str)> {
    let (head, mut rest) = text.split_once('\n')?;
    let (without_tabs, head) = head.strip_prefix('-').map_or((false, head), |head| (true, head));
    let mark = head.trim();
    let word = mark.trim_matches(['\'', '"']);
    let is_name = !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !is_name {
        return None;
    }
    let mut lines = Vec::new();
    loop {
        let (line, behind) = rest.split_once('\n')?;
        rest = behind;
        let line = if without_tabs { line.trim_start_matches('\t') } else { line };
        if line == word {
            break;
        }
        lines.push(line);
    }
    let behind = rest.trim_start().strip_prefix(')')?;
    // A substitution takes the ends of the last lines away.
    let body = lines.join("\n");
    let body = body.trim_end_matches('\n');
    if word.len() < mark.len() {
        return Some((format!("'{}'", body.replace('\'', "'\\''")), behind));
    }
    Some((format!("\"{}\"", quoted(body)?), behind))
}

/// A body as it stands between double quotes, where other characters are escaped; none where it has substitutions.
fn quoted(body: &str) -> Option<String> {
    let mut quoted = String::with_capacity(body.len());
    let mut characters = body.chars().peekable();
    while let Some(c) = characters.next() {
        match (c, characters.peek()) {
            ('`', _) | ('$', Some('(')) => return None,
            ('\\', Some('$' | '`' | '\\' | '\n')) => {
                quoted.push(c);
                quoted.extend(characters.next());
            }
            ('\\', _) => quoted.push_str("\\\\"),
            ('"', _) => quoted.push_str("\\\""),
            _ => quoted.push(c),
        }
    }
    Some(quoted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_stands_in_quotes_and_all_else_as_it_was() {
        for (script, expected) in [
            (
                "a=$(cat <<- EOM\n\tx \"$Y\" \\$((Z/4)) \\\n  -o \\\"\n\tEOM\n)\nb",
                "a=\"x \\\"$Y\\\" \\$((Z/4)) \\\n  -o \\\\\\\"\"\nb",
            ),
            ("a=$(cat <<'E'\nit's $X\nE\n)", "a='it'\\''s $X'"),
            ("sh -c \"$(cat <<E\nx\n\nE\n)\" && y", "sh -c \"x\" && y"),
            ("a=$(cat <<E\n$(date)\nE\n)", "a=$(cat <<E\n$(date)\nE\n)"),
            ("a=$(cat <<E\nx\n", "a=$(cat <<E\nx\n"),
            ("a=$(cat <<E\nx\nE\n| sed s/x/y/)", "a=$(cat <<E\nx\nE\n| sed s/x/y/)"),
            ("a=\"b$(cat <<E\nx\nE\n)\"", "a=\"b$(cat <<E\nx\nE\n)\""),
        ] {
            assert_eq!(plain(script), expected);
        }
    }
}
