//! Expands a word of a script: removes quotes, puts in variables and plain arithmetic, splits at blanks.
//!
//! The grammar gives words as they are written. A part with an unknown value is kept as it is written, and marked.
//! Nothing is run. Of command substitutions a few have a [known](super::printed) value. The others are passed on, for they
//! may start a training. File patterns are not matched, and `{a,b}` stays as it
//! is.

use crate::command::run::Budget;
use crate::command::shell::arithmetic;
use crate::command::shell::variables::{State, Value};
use crate::command::text::{Fields, Text};
use crate::job::Gap;

/// The deepest nesting of expansions.
const DEEPEST: usize = 6;

/// Expands words in a state, within the budget.
pub(crate) struct Expander<'s> {
    pub(crate) state: &'s mut State,
    /// The work that may still be spent.
    pub(crate) budget: &'s mut Budget,
    /// The command substitutions that were met, as scripts.
    substitutions: &'s mut Vec<String>,
    depth: usize,
}

/// The quotes around a piece of a word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quoted {
    No,
    Double,
    /// In the body of a here-document, where quotes are text.
    Body,
}

impl<'s> Expander<'s> {
    pub(crate) fn new(
        state: &'s mut State,
        budget: &'s mut Budget,
        substitutions: &'s mut Vec<String>,
    ) -> Self {
        Self { state, budget, substitutions, depth: 0 }
    }

    /// The fields that a word expands to.
    pub(crate) fn fields(&mut self, word: &str) -> Vec<Text> {
        let mut fields = Fields::default();
        self.word(word, Quoted::No, true, &mut fields);
        fields.into_fields()
    }

    /// The text that a word expands to without splitting, as in assignments.
    pub(crate) fn text(&mut self, word: &str) -> Text {
        let mut fields = Fields::default();
        self.word(word, Quoted::No, false, &mut fields);
        fields.into_text()
    }

    /// The text that the body of a here-document expands to.
    pub(crate) fn body(&mut self, body: &str) -> Text {
        let mut fields = Fields::default();
        self.word(body, Quoted::Body, false, &mut fields);
        fields.into_text()
    }

    fn word(&mut self, word: &str, quoted: Quoted, split: bool, fields: &mut Fields) {
        self.depth += 1;
        if self.depth > DEEPEST {
            self.budget.leave_out(Gap::Depth);
            fields.push_unknown(word);
        } else {
            self.pieces(word, quoted, split, fields);
        }
        self.depth -= 1;
    }

    fn pieces(&mut self, word: &str, quoted: Quoted, split: bool, fields: &mut Fields) {
        let mut rest = word;
        while let Some(c) = rest.chars().next() {
            let behind = rest.get(c.len_utf8()..).unwrap_or_default();
            rest = match (c, quoted) {
                ('\\', Quoted::No) => escaped(behind, fields, |_| true),
                ('\\', Quoted::Double) => escaped(behind, fields, |c| matches!(c, '$' | '`' | '"' | '\\')),
                ('\\', Quoted::Body) => escaped(behind, fields, |c| matches!(c, '$' | '`' | '\\')),
                ('\'', Quoted::No) => {
                    let end = behind.find('\'').unwrap_or(behind.len());
                    self.push(behind.get(..end).unwrap_or_default(), fields);
                    behind.get(end + 1..).unwrap_or_default()
                }
                ('"', Quoted::No) => {
                    let end = closing(behind, '"');
                    let text = behind.get(..end).unwrap_or_default();
                    self.pieces_quoted(text, split, fields);
                    // `""` is an empty word; `"$@"` without arguments is no word.
                    if !(fields.has_begun() || text.starts_with('$') && text.contains('@')) {
                        fields.push("");
                    }
                    behind.get(end + 1..).unwrap_or_default()
                }
                ('$', _) => self.dollar(rest, quoted, split, fields),
                ('`', _) => {
                    let end = closing(behind, '`');
                    let command = behind.get(..end).unwrap_or_default();
                    let whole = rest.get(..end + 2).unwrap_or(rest);
                    let plain = command.replace("\\`", "`").replace("\\$", "$");
                    self.substitute(&plain, whole, quoted, split, fields);
                    behind.get(end + 1..).unwrap_or_default()
                }
                _ => {
                    let special = |c: char| matches!(c, '\\' | '\'' | '"' | '$' | '`');
                    let end = behind.find(special).map_or(rest.len(), |end| end + c.len_utf8());
                    self.push(rest.get(..end).unwrap_or_default(), fields);
                    rest.get(end..).unwrap_or_default()
                }
            };
        }
    }

    fn pieces_quoted(&mut self, text: &str, split: bool, fields: &mut Fields) {
        self.depth += 1;
        if self.depth > DEEPEST {
            self.budget.leave_out(Gap::Depth);
            fields.push_unknown(text);
        } else {
            self.pieces(text, Quoted::Double, split, fields);
        }
        self.depth -= 1;
    }

    /// Expands what `$` begins. Gives the rest of the word.
    fn dollar<'w>(&mut self, text: &'w str, quoted: Quoted, split: bool, fields: &mut Fields) -> &'w str {
        let behind = text.get(1..).unwrap_or_default();
        let upto = |end: usize| (text.get(..end).unwrap_or(text), text.get(end..).unwrap_or_default());
        if let Some(inner) = behind.strip_prefix("((") {
            let end = closing(inner, ')');
            let (whole, rest) = upto(3 + end + 2);
            if whole.ends_with("))") {
                let value = self.arithmetic(inner.get(..end).unwrap_or_default());
                match value {
                    Some(value) => self.push(&value.to_string(), fields),
                    None => fields.push_unknown(whole),
                }
                return rest;
            }
        }
        if let Some(inner) = behind.strip_prefix('(') {
            let end = closing(inner, ')');
            let (whole, rest) = upto(2 + end + 1);
            self.substitute(inner.get(..end).unwrap_or_default(), whole, quoted, split, fields);
            return rest;
        }
        if let Some(inner) = behind.strip_prefix('{') {
            let end = closing(inner, '}');
            let (whole, rest) = upto(2 + end + 1);
            self.parameter(inner.get(..end).unwrap_or_default(), whole, quoted, split, fields);
            return rest;
        }
        if quoted == Quoted::No
            && let Some(inner) = behind.strip_prefix('\'')
        {
            let end = inner.find('\'').unwrap_or(inner.len());
            let (_, rest) = upto(2 + end + 1);
            let plain = inner.get(..end).unwrap_or_default();
            self.push(&plain.replace("\\n", "\n").replace("\\t", "\t"), fields);
            return rest;
        }
        let name = behind.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(behind.len());
        let length = match behind.chars().next() {
            Some(c) if c.is_ascii_digit() || matches!(c, '@' | '*' | '#' | '?' | '-' | '$' | '!') => 1,
            _ => name,
        };
        if length == 0 {
            self.push("$", fields);
            return behind;
        }
        let (whole, rest) = upto(1 + length);
        self.parameter(behind.get(..length).unwrap_or_default(), whole, quoted, split, fields);
        rest
    }

    /// The value of an arithmetic expression.
    pub(crate) fn arithmetic(&mut self, expression: &str) -> Option<i64> {
        // `${X:-8}` and `$(…)` in it are expanded first.
        let text = if expression.contains(['{', '(']) && expression.contains('$') {
            self.text(expression)
        } else {
            Text::known(expression)
        };
        let state = &self.state;
        arithmetic::evaluate(text.as_known()?, &|name| match state.get(name).as_deref() {
            Some(Value::Text(text)) => text.as_known()?.trim().parse().ok(),
            _ => None,
        })
    }

    fn substitute(&mut self, command: &str, whole: &str, quoted: Quoted, split: bool, fields: &mut Fields) {
        let command = command.trim();
        let met = self.substitutions.len();
        let known = self.printed(command);
        if let Some(text) = known {
            return self.append(&text, split && quoted == Quoted::No, fields);
        }
        // It is read as a whole, with the substitutions in it.
        self.substitutions.truncate(met);
        if self.budget.bytes(command.len()) {
            self.substitutions.push(command.to_owned());
        }
        fields.push_unknown(whole);
    }

    pub(crate) fn append(&mut self, text: &Text, split: bool, fields: &mut Fields) {
        if !self.budget.bytes(text.cost()) {
            fields.push_unknown("$");
            return;
        }
        if split {
            fields.append_split(text);
        } else {
            fields.append(text);
        }
    }

    pub(crate) fn push(&mut self, text: &str, fields: &mut Fields) {
        self.budget.bytes(text.len());
        fields.push(text);
    }
}

/// Takes the character after a backslash. Which characters a backslash escapes depends on the quotes.
fn escaped<'w>(behind: &'w str, fields: &mut Fields, is_special: impl Fn(char) -> bool) -> &'w str {
    let mut chars = behind.chars();
    match chars.next() {
        Some('\n') => {}
        Some(c) if is_special(c) => fields.push(c.encode_utf8(&mut [0; 4])),
        Some(c) => {
            fields.push("\\");
            fields.push(c.encode_utf8(&mut [0; 4]));
        }
        None => fields.push("\\"),
    }
    chars.as_str()
}

/// The index of the closing character, or the end.
pub(crate) fn closing(text: &str, close: char) -> usize {
    let mut open = vec![close];
    let mut characters = text.char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        let top = open.last().copied().unwrap_or(close);
        match c {
            '\\' => {
                characters.next();
            }
            _ if c == top => {
                open.pop();
                if open.is_empty() {
                    return at;
                }
            }
            '\'' if top != '"' => while characters.next().is_some_and(|(_, c)| c != '\'') {},
            '"' if top != '`' => open.push('"'),
            '`' => open.push('`'),
            '(' if top == ')' => open.push(')'),
            '$' => match characters.peek() {
                Some((_, '(')) => {
                    characters.next();
                    open.push(')');
                }
                Some((_, '{')) => {
                    characters.next();
                    open.push('}');
                }
                _ => {}
            },
            _ => {}
        }
    }
    text.len()
}
