//! A script's syntax, as brush-parser reads it.
//!
//! The parser recurses and backtracks, and on some input without end. So a script that is nested deeper, or is
//! longer, than people write is not given to it. Measured on 2 MiB of stack: 250 compound commands and 1000 nested
//! expansions are safe, with any tricks of quoting. So are 8 `case`s.
//!
//! A shell runs the lines above an error before it meets the error. So if a script has an error, or is too long or
//! too deep, only the [lines](crate::command::shell::lines) above that place are parsed, and a gap is noted.
//!
//! In a script with an error, each `case` around the error doubles the work: its body is parsed as an item that ends
//! with `;;`, and again as one that does not.
//!
//! ```text
//! tokens gone through ≤ tokens × 2^cases
//! ```
//!
//! The command's budget pays this much before the parser starts. 100,000 tokens take the parser 0.2 s at most.

use brush_parser::ast::CompleteCommand;
use brush_parser::{
    ParseError, ParserOptions, SourceInfo, Token, TokenizerError, TokenizerOptions, parse_tokens,
    uncached_tokenize_str,
};

use crate::command::run::Budget;
use crate::command::shell::lines;
use crate::job::Gap;

/// The most bytes of a script, and the most tokens.
const MOST_BYTES: usize = 48 * 1024;
const MOST_TOKENS: usize = 8_000;
/// Expansions (`$(`, `${`, backquotes): the most in a script, and the deepest nesting.
const MOST_EXPANSIONS: usize = 1000;
const DEEPEST_EXPANSION: usize = 12;
/// Compound commands: the most in a script, and the deepest nesting.
const MOST_COMPOUNDS: usize = 200;
const DEEPEST_COMPOUND: usize = 24;
/// The deepest nesting of subshells, and the most `case`s in a script.
const DEEPEST_SUBSHELL: usize = 8;
const MOST_CASES: usize = 8;

/// How often the lines above an error are parsed again.
const MOST_TRIES: usize = 4;

/// A script's commands, and the gap if some are not parsed.
#[derive(Debug, Default)]
pub(crate) struct Parsed {
    pub(crate) commands: Vec<CompleteCommand>,
    pub(crate) gap: Option<Gap>,
}

/// A script's commands, as far as it can be parsed.
pub(crate) fn parse(script: &str, budget: &mut Budget) -> Parsed {
    let mut parsed = Parsed::default();
    let script = lines::behind_comments(script);
    let read = budget.script(script.len().min(MOST_BYTES));
    let script = crate::command::shell::documents::plain(whole_lines(script, read, &mut parsed.gap));
    let script = crate::command::shell::placeholders::plain(&script);
    let script = &*crate::command::shell::dialect::plain(&script);
    let few = few_expansions(script).min(MOST_BYTES);
    let script = whole_lines(script, few, &mut parsed.gap);
    let Some(mut tokens) = tokens(script, &mut parsed.gap) else { return parsed };
    let (few, mut cases) = few_compounds(&tokens);
    if few < tokens.len() {
        parsed.gap.get_or_insert(Gap::Script);
        tokens.truncate(lines::above(&tokens, few));
        cases = few_compounds(&tokens).1;
    }
    for _ in 0..MOST_TRIES {
        if tokens.is_empty() || !budget.tokens(tokens.len() << cases) {
            return parsed;
        }
        let error = match parse_tokens(&tokens, &ParserOptions::default(), &SourceInfo::default()) {
            Ok(program) => return Parsed { commands: program.complete_commands, ..parsed },
            Err(error) => error,
        };
        parsed.gap.get_or_insert(Gap::Syntax);
        let at = match &error {
            ParseError::ParsingNearToken(near) => {
                let near = near.location().start.index;
                tokens.partition_point(|token| token.location().start.index < near)
            }
            _ => tokens.len(),
        };
        // Above the last line at least.
        let above = lines::above(&tokens, at.min(tokens.len().saturating_sub(1)));
        tokens.truncate(above);
    }
    parsed
}

/// The script. Of a script that is too long, its whole lines within the bound.
fn whole_lines<'s>(script: &'s str, bytes: usize, gap: &mut Option<Gap>) -> &'s str {
    if script.len() <= bytes {
        return script;
    }
    gap.get_or_insert(Gap::Script);
    lines::before(script, bytes)
}

/// The tokens of a script. If it has an error, those of the lines above the error.
fn tokens(script: &str, gap: &mut Option<Gap>) -> Option<Vec<Token>> {
    let options = ParserOptions::default();
    let tokenizing = TokenizerOptions {
        enable_extended_globbing: options.enable_extended_globbing,
        posix_mode: options.posix_mode,
        sh_mode: options.sh_mode,
    };
    let mut script = script;
    for _ in 0..MOST_TRIES {
        let error = match uncached_tokenize_str(script, &tokenizing) {
            Ok(tokens) => return Some(crate::command::shell::dialect::tokens(&tokens)),
            Err(error) => error,
        };
        gap.get_or_insert(Gap::Syntax);
        let line = match &error {
            TokenizerError::UnterminatedSingleQuote(at)
            | TokenizerError::UnterminatedAnsiCQuote(at)
            | TokenizerError::UnterminatedDoubleQuote(at)
            | TokenizerError::UnterminatedBackquote(at)
            | TokenizerError::UnterminatedExtendedGlob(at) => at.line,
            _ => return None,
        };
        script = lines::first(script, line.saturating_sub(1));
    }
    None
}

/// How many bytes of a script stay within the bounds of expansions.
fn few_expansions(script: &str) -> usize {
    let mut all = 0;
    let mut open: Vec<char> = Vec::new();
    let mut before = ' ';
    for (at, c) in script.char_indices() {
        match (before, c) {
            ('$' | '<' | '>', '(') | ('$', '{') => {
                all += 1;
                open.push(c);
            }
            (_, '`') => all += 1,
            (_, ')') if open.last() == Some(&'(') => {
                open.pop();
            }
            (_, '}') if open.last() == Some(&'{') => {
                open.pop();
            }
            // The tokenizer panics at some here-documents within `${`.
            ('<', '<') if open.contains(&'{') => return at,
            _ => {}
        }
        if all > MOST_EXPANSIONS || open.len() > DEEPEST_EXPANSION {
            return at;
        }
        before = c;
    }
    script.len()
}

/// How many tokens stay within the bounds of tokens and compounds; and the number of cases in all tokens.
fn few_compounds(tokens: &[Token]) -> (usize, usize) {
    let (mut all, mut depth, mut subshells, mut cases) = (0, 0usize, 0usize, 0);
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Operator(operator, _) => match operator.as_str() {
                "(" => (all, subshells) = (all + 1, subshells + 1),
                ")" => subshells = subshells.saturating_sub(1),
                // The parser reads the digits before a redirection as a 32-bit number without a check.
                redirection if redirection.starts_with(['<', '>']) => {
                    let before = at.checked_sub(1).and_then(|before| tokens.get(before));
                    if matches!(before, Some(Token::Word(word, _)) if word.len() > 9 && is_number(word)) {
                        return (at, cases);
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
        if at >= MOST_TOKENS
            || all > MOST_COMPOUNDS
            || depth > DEEPEST_COMPOUND
            || subshells > DEEPEST_SUBSHELL
            || cases > MOST_CASES
        {
            return (at, cases);
        }
    }
    (tokens.len(), cases)
}

fn is_number(word: &str) -> bool {
    word.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_that_would_exhaust_the_parser_is_not_parsed() {
        let within = |open: &str, close: &str, times: usize| {
            format!("{}true; {}", open.repeat(times), close.repeat(times))
        };
        let parse = |script: &str| parse(script, &mut Budget::new());
        assert_eq!(parse(&within("if true; then ", "fi; ", 10)).gap, None);
        for script in [
            within("if true; then ", "fi; ", 100),
            within("( ", ") ", 9),
            within("case x in x) ", ";; esac ", 9),
            "if true; then ".repeat(200),
            format!("echo {}{}", "$(echo ".repeat(20), ")".repeat(20)),
            "${'}'".repeat(2000),
            "echo 99999999999999999999>x".to_owned(),
            "${A:-)${A:-<<EOF\n}\nEOF\n$`".to_owned(),
            "``${A:-${A:-))<<EOF\n}${A:-\nEOF\n<<<".to_owned(),
            "(".repeat(60_000),
            "a ".repeat(MOST_TOKENS + 1),
            format!("echo '{}'", " ".repeat(MOST_BYTES)),
        ] {
            let parsed = parse(&script);
            assert!(parsed.commands.is_empty(), "{}", script.get(..30).unwrap_or(&script));
            assert!(parsed.gap.is_some(), "{}", script.get(..30).unwrap_or(&script));
            // The lines above are still read.
            let above = parse(&format!("echo 1\necho 2\n{script}"));
            assert_eq!(above.commands.len(), 2, "{}", script.get(..30).unwrap_or(&script));
            assert!(above.gap.is_some());
        }
    }

    #[test]
    fn the_lines_above_an_error_are_parsed_and_a_gap_is_noted() {
        for (script, lines) in [
            ("a\nb\nif x; then", 2),
            ("a\nif x; then\n  b\nfi\nc )\nd", 2),
            ("a; )\nb", 0),
            ("a\nfor x in y; do\n  b\n  if\ndone", 1),
            ("a\ncase x in\n y) b;;\nesac\necho 'z\n", 2),
            ("a\nf() {\n  b\n}\nf\necho \"z\n", 3),
            ("echo if\necho case x in\nb\n;;", 3),
            ("cat > f <<EOF\nif\n)\nEOF\nb\nfi", 2),
            ("a \\\n  --x\n(b\nc)\n((", 2),
        ] {
            let parsed = parse(script, &mut Budget::new());
            let commands: usize = parsed.commands.iter().map(|list| list.0.len()).sum();
            assert_eq!((commands, parsed.gap), (lines, Some(Gap::Syntax)), "{script}");
        }
    }

    #[test]
    fn comments_above_a_script_are_free() {
        let script =
            format!("#!/bin/bash\n\n{}torchrun train.py", format!("# {}\n", "x".repeat(98)).repeat(1_000));
        assert_eq!(parse(&script, &mut Budget::new()).gap, None);
    }

    #[test]
    fn a_case_is_charged_for_the_parsers_worst_work() {
        let nested = |cases: usize, statements: usize| {
            format!(
                "{}{}{}",
                "case x in x) ".repeat(cases),
                "a; ".repeat(statements),
                ";; esac; ".repeat(cases)
            )
        };
        let read = |script: &str| {
            let mut budget = Budget::new();
            parse(script, &mut budget).gap.is_none() && budget.gap().is_none()
        };
        assert!(read(&nested(2, 3900)) && read(&nested(4, 3000)) && read(&nested(8, 100)));
        assert!(!read(&nested(5, 3000)) && !read(&nested(8, 200)));
        // Each spends more than half of a command's budget. A script after one that is too expensive is not read.
        let mut budget = Budget::new();
        assert_eq!(parse(&nested(8, 100), &mut budget).gap, None);
        for script in [&nested(8, 100), "torchrun train.py"] {
            assert!(parse(script, &mut budget).commands.is_empty());
            assert_eq!(budget.gap(), Some(&Gap::Script));
        }
    }
}
