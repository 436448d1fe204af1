//! The nesting of a Python program, estimated from its tokens before it is parsed.
//!
//! The parser descends recursively, and so does the release of its tree. A program of a few kilobytes can nest deep
//! enough to exhaust a stack: brackets, prefix operators, or a chain like `a.b.c.d`. Such a program is not parsed.
//!
//! ```text
//! depth = Σ over open brackets of the weights of the tokens since the last comma in that bracket
//! ```
//!
//! A token that can add a level of recursion has a weight. A comma ends the expression before it, but not a lambda, a
//! `yield` or an `await` around it. The end of a logical line ends them all. The estimate is never too low, and for
//! programs that people write it is far below the limit.

use ruff_python_ast::token::TokenKind;
use ruff_python_parser::{Mode, lexer};

/// The deepest nesting that is parsed. A bracket weighs [`BRACKET`], so that is 50 brackets within each other.
const DEEPEST: u32 = 400;
/// The deepest nesting of blocks.
const DEEPEST_BLOCK: u32 = 40;
/// The parser calls about ten functions for a bracket.
const BRACKET: u32 = 8;
/// It calls about four for an operator.
const OPERATOR: u32 = 4;

/// Whether the program nests little enough to be parsed.
pub(super) fn is_shallow(text: &str) -> bool {
    let mut lexer = lexer::lex(text, Mode::Module);
    // The weights of each open bracket's tokens, and of those that no comma ends.
    let (mut open, mut depth, mut kept, mut blocks) = (vec![0u32], 0u32, 0u32, 0u32);
    loop {
        let kind = lexer.next_token();
        let mut add = |open: &mut Vec<u32>, weight: u32| {
            depth += weight;
            if let Some(last) = open.last_mut() {
                *last += weight;
            }
        };
        match kind {
            TokenKind::EndOfFile => return true,
            TokenKind::Newline | TokenKind::Semi if open.len() == 1 || kind == TokenKind::Newline => {
                open = vec![0];
                (depth, kept) = (0, 0);
            }
            TokenKind::Comma => {
                if let Some(last) = open.last_mut() {
                    depth -= *last;
                    *last = 0;
                }
            }
            TokenKind::Lpar
            | TokenKind::Lsqb
            | TokenKind::Lbrace
            | TokenKind::FStringStart
            | TokenKind::TStringStart => {
                add(&mut open, BRACKET);
                open.push(0);
            }
            TokenKind::Rpar
            | TokenKind::Rsqb
            | TokenKind::Rbrace
            | TokenKind::FStringEnd
            | TokenKind::TStringEnd => {
                if open.len() > 1
                    && let Some(last) = open.pop()
                {
                    depth -= last;
                }
            }
            TokenKind::Lambda | TokenKind::Yield | TokenKind::Await | TokenKind::Async => kept += OPERATOR,
            TokenKind::Indent => blocks += 1,
            TokenKind::Dedent => blocks = blocks.saturating_sub(1),
            TokenKind::Name
            | TokenKind::Int
            | TokenKind::Float
            | TokenKind::Complex
            | TokenKind::String
            | TokenKind::FStringMiddle
            | TokenKind::TStringMiddle
            | TokenKind::Comment
            | TokenKind::NonLogicalNewline
            | TokenKind::True
            | TokenKind::False
            | TokenKind::None
            | TokenKind::Ellipsis => {}
            _ => add(&mut open, OPERATOR),
        }
        if depth.saturating_add(kept) > DEEPEST || blocks > DEEPEST_BLOCK {
            return false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_shallow_whatever_its_length() {
        let list = format!("x = [{}]\n", "-1, a.b(c)[0], {'k': 'v'}, ".repeat(10_000));
        assert!(is_shallow(&list));
        let lines = "trainer.model.layers[0].weight = (a + b) * f(c, lambda x: x)\n".repeat(10_000);
        assert!(is_shallow(&lines));
    }

    #[test]
    fn every_way_to_nest_deep_is_noticed() {
        let deep = |begin: &str, piece: &str| format!("{begin}{}", piece.repeat(20_000));
        for text in [
            deep("x = ", "("),
            deep("x = ", "[1, "),
            deep("x = ", "{1: "),
            deep("x = a", ".a"),
            deep("x = a", "()"),
            deep("x = a", "[0]"),
            deep("x = a", " + a"),
            deep("x = a", " ** a"),
            deep("x = ", "not "),
            deep("x = ", "-"),
            deep("x = ", "lambda: "),
            deep("x = ", "lambda a, b="),
            deep("x = ", "await "),
            deep("x = ", "1 if a else "),
            deep("x = ", "yield "),
            deep("x = ", "f\"{"),
            deep("", "a = "),
            deep("", "@a."),
            (0..200).fold(String::new(), |text, depth| format!("{text}{}if a:\n", " ".repeat(depth))),
        ] {
            assert!(!is_shallow(&text), "{}", &text[..24]);
        }
    }
}
