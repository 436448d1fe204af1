//! Rewrites constructs of bash that the grammar does not parse into equal ones that it does.
//!
//! ```text
//! $(case $A in a) b;; esac)   ─►   $(case $A in (a) b;; esac)
//! for ((;;))                  ─►   for ((; ;))
//! select A in b c; do …       ─►   for A in b c; do …
//! coproc A { …; }             ─►   { …; }
//! $[1 + 2]                    ─►   $((1 + 2))
//! a \ at the end             ─►   a
//! ```

use std::borrow::Cow;

use brush_parser::Token;

/// The most such constructs of a script that are rewritten.
const MOST: usize = 64;

/// The script, with all constructs rewritten that are no tokens yet.
pub(crate) fn plain(script: &str) -> Cow<'_, str> {
    let script = script.strip_suffix('\\').unwrap_or(script);
    if next_case(script).is_none() && !["((", "$["].iter().any(|begin| script.contains(begin)) {
        return Cow::Borrowed(script);
    }
    let script = apart(&arithmetic(script));
    let mut plain = String::with_capacity(script.len());
    let mut rest = script.as_str();
    for _ in 0..MOST {
        let Some((before, behind)) = next_case(rest) else { break };
        plain.push_str(before);
        rest = with_parentheses(behind, &mut plain);
    }
    plain.push_str(rest);
    Cow::Owned(plain)
}

/// The script, with the old form of arithmetic in the new one.
fn arithmetic(script: &str) -> String {
    let mut parts = script.split("$[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once(']').filter(|(inner, _)| !inner.contains(['\n', '[', '\'', '"'])) {
            Some((inner, behind)) => plain.extend(["$((", inner, "))", behind]),
            None => plain.extend(["$[", part]),
        }
    }
    plain
}

/// The script, with a blank between the semicolons of each `for ((…;;…))`.
fn apart(script: &str) -> String {
    let mut plain = String::with_capacity(script.len());
    for (at, part) in script.split("((").enumerate() {
        let is_loop = at > 0 && plain.trim_end().ends_with("for");
        if at > 0 {
            plain.push_str("((");
        }
        match part.split_once("))").filter(|(head, _)| is_loop && !head.contains('\n')) {
            Some((head, behind)) => {
                plain.push_str(&head.replace(";;", "; ;"));
                plain.push_str("))");
                plain.push_str(behind);
            }
            None => plain.push_str(part),
        }
    }
    plain
}

/// Cuts a script at the next `$(case `.
fn next_case(script: &str) -> Option<(&str, &str)> {
    let begins = |(at, _): &(usize, &str)| {
        let inner = script.get(at + 2..).unwrap_or_default();
        inner.trim_start().starts_with("case ")
    };
    let (at, _) = script.match_indices("$(").find(begins)?;
    script.split_at_checked(at + 2)
}

/// Writes one `case` with a parenthesis before each pattern. Gives the rest of the script.
fn with_parentheses<'s>(case: &'s str, plain: &mut String) -> &'s str {
    let Some(end) = case.find("esac") else { return case };
    let (whole, behind) = case.split_at_checked(end).unwrap_or((case, ""));
    let Some(head) = whole.find(" in").map(|at| at + 3) else { return case };
    let (head, items) = whole.split_at_checked(head).unwrap_or((whole, ""));
    plain.push_str(head);
    for (at, item) in items.split(";;").enumerate() {
        if at > 0 {
            plain.push_str(";;");
        }
        let pattern = item.trim_start();
        let (blank, _) = item.split_at_checked(item.len() - pattern.len()).unwrap_or((item, ""));
        plain.push_str(blank);
        if !pattern.is_empty() && !pattern.starts_with('(') {
            plain.push_str(if at == 0 && blank.is_empty() { " (" } else { "(" });
        }
        plain.push_str(pattern);
    }
    behind
}

/// The tokens, with the last two constructs rewritten.
pub(crate) fn tokens(tokens: &[Token]) -> Vec<Token> {
    let word = |at: usize| match tokens.get(at) {
        Some(Token::Word(word, _)) => word.as_str(),
        _ => "",
    };
    let mut plain = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let begins = at.checked_sub(1).and_then(|before| tokens.get(before)).is_none_or(begins_a_command);
        match word(at) {
            "select" if begins && matches!(word(at + 2), "in" | "do" | "") => match token {
                Token::Word(_, place) => plain.push(Token::Word("for".to_owned(), place.clone())),
                Token::Operator(..) => {}
            },
            "coproc" if begins && word(at + 1) == "{" => {}
            "coproc" if begins && word(at + 2) == "{" => at += 1,
            _ => plain.push(token.clone()),
        }
        at += 1;
    }
    plain
}

/// Whether a command begins after this token.
fn begins_a_command(token: &Token) -> bool {
    match token {
        Token::Operator(operator, _) => !operator.starts_with(['<', '>']),
        Token::Word(word, _) => matches!(word.as_str(), "do" | "then" | "else" | "{" | "!"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constructs_that_the_grammar_lacks_are_rewritten() {
        for (script, expected) in [
            (
                "A=$(case $(uname -m) in x86_64) echo a;; *) echo b;; esac)\nc",
                "A=$(case $(uname -m) in (x86_64) echo a;; (*) echo b;; esac)\nc",
            ),
            (
                "A=$( case $B in\n  (a|b) c\n  ;;\n  d) e ;;\n esac )",
                "A=$( case $B in\n  (a|b) c\n  ;;\n  (d) e ;;\n esac )",
            ),
            ("case a in b) c;; esac; $(date)", "case a in b) c;; esac; $(date)"),
            ("A=$(case $B in", "A=$(case $B in"),
            ("for ((;;)); do", "for ((; ;)); do"),
            ("A=$[$B/($C*2)]\nd", "A=$(($B/($C*2)))\nd"),
            ("grep '$[a' \"$[\"", "grep '$[a' \"$[\""),
            ("a --b \\", "a --b "),
            ("echo ((a;;b)); for ((i=(1);;)); do", "echo ((a;;b)); for ((i=(1); ;)); do"),
        ] {
            assert_eq!(plain(script), expected);
        }
    }
}
