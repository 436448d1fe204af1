//! Here-documents in command substitutions. People keep a worker's script in a variable in this way:
//!
//! ```text
//! worker=$(cat <<- EOM            worker="
//!   numactl … python train.py  ─►   numactl … python train.py"
//! EOM
//! )
//! ```
//!
//! The output of `cat` is the document's body, so the body is written in quotes instead. The grammar accepts any text
//! in quotes, but not all text in a substitution. A body with substitutions of its own stays as it is.
//!
//! Other programs print what we do not know, and the grammar takes no document in a substitution: `PORT=$(python3 - <<'PY'`. Such a
//! document is left out, unless it speaks of training.

use std::borrow::Cow;
use std::ops::Range;

const BEGIN: &str = "$(cat <<";
/// The most such substitutions that are read. The search for the end of each may reach the end of the script.
const MOST: usize = 64;

/// The script, with such substitutions replaced by their text, and without the documents of other programs in substitutions.
pub(crate) fn plain(script: &str) -> Cow<'_, str> {
    match of_cat(script) {
        Cow::Borrowed(script) => of_others(script),
        Cow::Owned(script) => Cow::Owned(of_others(&script).into_owned()),
    }
}

/// The script without the documents of programs in substitutions.
fn of_others(script: &str) -> Cow<'_, str> {
    let mut without = String::new();
    let (mut rest, mut searches) = (script, 0..MOST);
    while let Some((begin, command, behind)) = next_document(rest, &mut searches) {
        without.push_str(rest.get(..begin).unwrap_or_default());
        without.push_str(command);
        without.push(')');
        rest = behind;
    }
    if without.is_empty() {
        return Cow::Borrowed(script);
    }
    without.push_str(rest);
    Cow::Owned(without)
}

/// The next substitution whose program reads a document: where it begins, its command, and the text after it.
fn next_document<'s>(script: &'s str, searches: &mut Range<usize>) -> Option<(usize, &'s str, &'s str)> {
    let mut begins = script.match_indices("$(").take(MOST);
    begins.find_map(|(begin, _)| {
        let text = script.get(begin..)?;
        let line = text.lines().next()?;
        let (command, _) =
            line.split_once("<<").filter(|(command, _)| !command.contains(')') && *command != "$(cat ")?;
        searches.next()?;
        let lines = lines(text.get(command.len() + 2..)?)?;
        let trains = lines.body.iter().any(|line| line.to_ascii_lowercase().contains("train"));
        let behind = lines.behind.trim_start().strip_prefix(')')?;
        (!trains).then_some((begin, command, behind))
    })
}

/// The script, with the substitutions of `cat` replaced by their text.
fn of_cat(script: &str) -> Cow<'_, str> {
    if !script.contains(BEGIN) {
        return Cow::Borrowed(script);
    }
    let mut plain = String::with_capacity(script.len());
    let mut rest = script;
    for _ in 0..MOST {
        let Some((before, behind)) = rest.split_once(BEGIN) else { break };
        let line = before.rsplit('\n').next().unwrap_or_default();
        let in_quotes = line.replace("\\\"", "").matches('"').count() % 2 == 1;
        // If other text stands in the same quotes, it stays as it is.
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

/// A document's lines.
struct Lines<'s> {
    body: Vec<&'s str>,
    /// Whether its end is in quotes: then nothing in it is expanded.
    literal: bool,
    /// The text after its end.
    behind: &'s str,
}

/// Reads a document from behind its `<<`.
fn lines(text: &str) -> Option<Lines<'_>> {
    let (head, mut rest) = text.split_once('\n')?;
    let (without_tabs, head) = head.strip_prefix('-').map_or((false, head), |head| (true, head));
    let mark = head.trim();
    let word = mark.trim_matches(['\'', '"']);
    let is_name = !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !is_name {
        return None;
    }
    let mut body = Vec::new();
    loop {
        let (line, behind) = rest.split_once('\n')?;
        rest = behind;
        let line = if without_tabs { line.trim_start_matches('\t') } else { line };
        if line == word {
            break;
        }
        body.push(line);
    }
    Some(Lines { body, literal: word.len() < mark.len(), behind: rest })
}

/// The body in quotes, and the text after the substitution.
fn document(text: &str) -> Option<(String, &str)> {
    let Lines { body, literal, behind } = lines(text)?;
    let behind = behind.trim_start().strip_prefix(')')?;
    // A substitution removes the line ends at the end of its output.
    let body = body.join("\n");
    let body = body.trim_end_matches('\n');
    if literal {
        return Some((format!("'{}'", body.replace('\'', "'\\''")), behind));
    }
    Some((format!("\"{}\"", quoted(body)?), behind))
}

/// A body between double quotes, where other characters need a backslash. None if it has substitutions.
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
    fn the_body_is_put_in_quotes_and_other_text_stays() {
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
            ("a=$(python3 - <<'PY'\nprint(1)\nPY\n)\nb", "a=$(python3 - )\nb"),
            ("a=$(jq .x <<E\ny\nE\n)\nb=$(date)", "a=$(jq .x )\nb=$(date)"),
            ("a=$(ssh h bash <<E\ntorchrun train.py\nE\n)", "a=$(ssh h bash <<E\ntorchrun train.py\nE\n)"),
            ("a=$(date) <<E\nx\nE\n", "a=$(date) <<E\nx\nE\n"),
        ] {
            assert_eq!(plain(script), expected);
        }
    }
}
