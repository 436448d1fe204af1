//! A script's syntax, as brush-parser reads it.
//!
//! The parser recurses and backtracks, and some input makes it do so without end: what is nested deeper, or is longer,
//! than anything that people write is not given to it. Measured on 2 MiB of stack: 250 compound commands and 1000
//! expansions within one another are safe, however cleverly their ends are hidden in quotes; so are 8 `case`s.
//!
//! Where a script has an error, each `case` around it doubles the work: what is within is parsed as an item that ends
//! with `;;`, and again as one that does not.
//!
//! ```text
//! tokens gone through ≤ tokens × 2^cases
//! ```
//!
//! So much is taken from the command's budget before the parser starts. 100,000 tokens take it 0.2 s at the most.

use brush_parser::ast::Program;
use brush_parser::{ParserOptions, SourceInfo, Token, TokenizerOptions, parse_tokens, uncached_tokenize_str};

use crate::workload::command::run::Budget;

/// Bytes of a script, and its tokens.
const MOST_BYTES: usize = 48 * 1024;
const MOST_TOKENS: usize = 8_000;
/// Expansions (`$(`, `${`, backquotes) in a script, and within one another.
const MOST_EXPANSIONS: usize = 1000;
const DEEPEST_EXPANSION: usize = 12;
/// Compound commands in a script, and within one another.
const MOST_COMPOUNDS: usize = 200;
const DEEPEST_COMPOUND: usize = 24;
/// Subshells within one another, and `case`s in a script.
const DEEPEST_SUBSHELL: usize = 8;
const MOST_CASES: usize = 8;

/// A script's syntax; none where it has none, or more than is read.
pub(super) fn parse(script: &str, budget: &mut Budget) -> Option<Program> {
    let script = &*super::documents::plain(script);
    if script.len() > MOST_BYTES || !expansions_are_few(script) {
        return None;
    }
    let options = ParserOptions::default();
    let tokenizing = TokenizerOptions {
        enable_extended_globbing: options.enable_extended_globbing,
        posix_mode: options.posix_mode,
        sh_mode: options.sh_mode,
    };
    let tokens = uncached_tokenize_str(script, &tokenizing).ok()?;
    if tokens.len() > MOST_TOKENS || !budget.tokens(tokens.len() << cases_of_few_compounds(&tokens)?) {
        return None;
    }
    parse_tokens(&tokens, &options, &SourceInfo::default()).ok()
}

fn expansions_are_few(script: &str) -> bool {
    let (mut all, mut depth) = (0, 0usize);
    let mut before = ' ';
    for c in script.chars() {
        match (before, c) {
            ('$' | '<' | '>', '(') | ('$', '{') => (all, depth) = (all + 1, depth + 1),
            (_, '`') => all += 1,
            (_, ')' | '}') => depth = depth.saturating_sub(1),
            _ => {}
        }
        if all > MOST_EXPANSIONS || depth > DEEPEST_EXPANSION {
            return false;
        }
        before = c;
    }
    true
}

/// How many cases there are; none where there are too many of them, or of other compounds.
fn cases_of_few_compounds(tokens: &[Token]) -> Option<usize> {
    let (mut all, mut depth, mut subshells, mut cases) = (0, 0usize, 0usize, 0);
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Operator(operator, _) => match operator.as_str() {
                "(" => (all, subshells) = (all + 1, subshells + 1),
                ")" => subshells = subshells.saturating_sub(1),
                // The parser takes the digits before a redirection for a number of 32 bits, whatever they are.
                redirection if redirection.starts_with(['<', '>']) => {
                    let before = at.checked_sub(1).and_then(|before| tokens.get(before));
                    if matches!(before, Some(Token::Word(word, _)) if word.len() > 9 && is_number(word)) {
                        return None;
                    }
                }
                _ => {}
            },
            Token::Word(word, _) => match word.as_str() {
                "if" | "for" | "while" | "until" | "select" | "{" | "[[" | "!" | "function" => {
                    (all, depth) = (all + 1, depth + 1);
                }
                "case" => (all, cases, depth) = (all + 1, cases + 1, depth + 1),
                "fi" | "done" | "}" | "]]" | "esac" => depth = depth.saturating_sub(1),
                _ => {}
            },
        }
        if all > MOST_COMPOUNDS
            || depth > DEEPEST_COMPOUND
            || subshells > DEEPEST_SUBSHELL
            || cases > MOST_CASES
        {
            return None;
        }
    }
    Some(cases)
}

fn is_number(word: &str) -> bool {
    word.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_exhaust_the_parser_is_not_given_to_it() {
        let within = |open: &str, close: &str, times: usize| {
            format!("{}true; {}", open.repeat(times), close.repeat(times))
        };
        let parse = |script: &str| parse(script, &mut Budget::new());
        assert!(parse(&within("if true; then ", "fi; ", 10)).is_some());
        for script in [
            within("if true; then ", "fi; ", 100),
            within("( ", ") ", 9),
            within("case x in x) ", ";; esac ", 9),
            "if true; then ".repeat(200),
            format!("echo {}{}", "$(echo ".repeat(20), ")".repeat(20)),
            "${'}'".repeat(2000),
            "echo 99999999999999999999>x".to_owned(),
            "(".repeat(60_000),
            " ".repeat(MOST_BYTES + 1),
            "a ".repeat(MOST_TOKENS + 1),
        ] {
            assert!(parse(&script).is_none(), "{}", script.get(..30).unwrap_or(&script));
        }
    }
    #[test]
    fn cases_are_charged_for_what_they_may_cost_the_parser() {
        let nested = |cases: usize, statements: usize| {
            format!(
                "{}{}{}",
                "case x in x) ".repeat(cases),
                "a; ".repeat(statements),
                ";; esac; ".repeat(cases)
            )
        };
        let read = |script: &str| parse(script, &mut Budget::new()).is_some();
        assert!(read(&nested(2, 3900)) && read(&nested(4, 3000)) && read(&nested(8, 100)));
        assert!(!read(&nested(5, 3000)) && !read(&nested(8, 200)));
        // Each takes more than half of what a command may; behind one that is too dear nothing is read.
        let mut budget = Budget::new();
        assert!(parse(&nested(8, 100), &mut budget).is_some());
        assert!(parse(&nested(8, 100), &mut budget).is_none());
        assert!(parse("torchrun train.py", &mut budget).is_none());
    }
}
