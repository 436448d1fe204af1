//! Whether a condition holds, if the known variables decide it: `[ "$DRY" = 0 ]`, `[[ -n $MODEL ]]`, `case $SIZE in 7b)`.
//!
//! Only comparisons of known text and of whole numbers decide. A test of a file, a pattern or an unknown variable does
//! not, and then both branches count. A variable that nothing sets is unknown: the image may set it. But a body that only gives
//! such a variable a value is its default, and holds.

use brush_parser::ast::{
    AndOr, AndOrList, BinaryPredicate, CaseItem, Command, CommandPrefixOrSuffixItem, CompoundList,
    ExtendedTestExpr, Pipeline, SimpleCommand, UnaryPredicate, Word,
};

use crate::command::shell::Shell;
use crate::command::shell::variables::State;
use crate::command::wrappers::is_name;

/// The deepest nesting of `[[ … ]]` that is read.
const DEEPEST: usize = 8;

/// The item of a `case` that matches.
pub(crate) enum Matched<'c> {
    /// This one.
    Item(&'c CaseItem),
    /// None.
    Nothing,
    /// That is not known.
    Unknown,
}

impl Shell<'_, '_, '_> {
    /// Whether a list holds. None if it is not known.
    pub(crate) fn holds(&mut self, list: &CompoundList, state: &mut State) -> Option<bool> {
        match list.0.as_slice() {
            [item] => self.list_holds(&item.0, state),
            _ => None,
        }
    }

    fn list_holds(&mut self, list: &AndOrList, state: &mut State) -> Option<bool> {
        let mut holds = self.pipeline_holds(&list.first, state);
        for other in &list.additional {
            holds = match (other, holds) {
                (AndOr::And(_), Some(false)) => Some(false),
                (AndOr::Or(_), Some(true)) => Some(true),
                (AndOr::And(next), Some(true)) | (AndOr::Or(next), Some(false)) => {
                    self.pipeline_holds(next, state)
                }
                (_, None) => return None,
            };
        }
        holds
    }

    /// Whether a test holds. None if it is not known, or no test.
    pub(crate) fn pipeline_holds(&mut self, pipeline: &Pipeline, state: &mut State) -> Option<bool> {
        let holds = match pipeline.seq.as_slice() {
            [Command::Simple(command)] => self.test_holds(command, state),
            [Command::ExtendedTest(test, ..)] => self.expression_holds(&test.expr, 0, state),
            _ => None,
        };
        holds.map(|holds| holds != pipeline.bang)
    }

    fn test_holds(&mut self, command: &SimpleCommand, state: &mut State) -> Option<bool> {
        use brush_parser::ast::CommandPrefixOrSuffixItem::{AssignmentWord, Word};

        let name = command.word_or_name.as_ref()?.value.as_str();
        if !matches!(name, "[" | "test") || command.prefix.is_some() {
            return None;
        }
        let mut words = Vec::new();
        for item in command.suffix.iter().flat_map(|suffix| &suffix.0) {
            match item {
                Word(word) | AssignmentWord(_, word) => words.extend(self.fields(&word.value, state)),
                _ => return None,
            }
        }
        // What a substitution starts is read with the command itself.
        self.substitutions.clear();
        let words: Option<Vec<String>> =
            words.iter().map(|word| word.as_known().map(str::to_owned)).collect();
        let mut words = words?;
        if name == "[" && words.pop().as_deref() != Some("]") {
            return None;
        }
        of_words(&words.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn expression_holds(
        &mut self,
        expression: &ExtendedTestExpr,
        depth: usize,
        state: &mut State,
    ) -> Option<bool> {
        if depth > DEEPEST {
            return None;
        }
        let mut holds = |inner: &ExtendedTestExpr| self.expression_holds(inner, depth + 1, state);
        match expression {
            ExtendedTestExpr::And(one, other) => match (holds(one), holds(other)) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (one, other) => Some(one? && other?),
            },
            ExtendedTestExpr::Or(one, other) => match (holds(one), holds(other)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (one, other) => Some(one? || other?),
            },
            ExtendedTestExpr::Not(inner) => holds(inner).map(|holds| !holds),
            ExtendedTestExpr::Parenthesized(inner) => holds(inner),
            ExtendedTestExpr::UnaryTest(test, word) => {
                let word = self.known(word, state)?;
                match test {
                    UnaryPredicate::StringHasZeroLength => Some(word.is_empty()),
                    UnaryPredicate::StringHasNonZeroLength => Some(!word.is_empty()),
                    _ => None,
                }
            }
            ExtendedTestExpr::BinaryTest(test, one, other) => {
                let pattern = is_pattern(&other.value);
                let (one, other) = (self.known(one, state)?, self.known(other, state)?);
                match test {
                    BinaryPredicate::StringExactlyMatchesPattern if !pattern => compared(&one, "=", &other),
                    BinaryPredicate::StringDoesNotExactlyMatchPattern if !pattern => {
                        compared(&one, "!=", &other)
                    }
                    BinaryPredicate::StringExactlyMatchesString => compared(&one, "=", &other),
                    BinaryPredicate::StringDoesNotExactlyMatchString => compared(&one, "!=", &other),
                    BinaryPredicate::ArithmeticEqualTo => compared(&one, "-eq", &other),
                    BinaryPredicate::ArithmeticNotEqualTo => compared(&one, "-ne", &other),
                    BinaryPredicate::ArithmeticLessThan => compared(&one, "-lt", &other),
                    BinaryPredicate::ArithmeticLessThanOrEqualTo => compared(&one, "-le", &other),
                    BinaryPredicate::ArithmeticGreaterThan => compared(&one, "-gt", &other),
                    BinaryPredicate::ArithmeticGreaterThanOrEqualTo => compared(&one, "-ge", &other),
                    _ => None,
                }
            }
        }
    }

    /// Whether a list only asks if a variable is empty that nothing sets: `[ -z "$MODEL" ]`.
    pub(crate) fn asks_for_unset(list: &CompoundList, state: &State) -> bool {
        let [item] = list.0.as_slice() else { return false };
        let [command] = item.0.first.seq.as_slice() else { return false };
        if !item.0.additional.is_empty() || item.0.first.bang {
            return false;
        }
        let word = match command {
            Command::ExtendedTest(test, ..) => match &test.expr {
                ExtendedTestExpr::UnaryTest(UnaryPredicate::StringHasZeroLength, word) => Some(word),
                _ => None,
            },
            Command::Simple(command) => emptiness(command),
            _ => None,
        };
        let name = word.map(|word| word.value.trim_matches('"').trim_start_matches('$'));
        let name = name.map(|name| name.trim_start_matches('{').trim_end_matches('}'));
        name.is_some_and(|name| is_name(name) && state.get(name).is_none())
    }

    fn known(&mut self, word: &Word, state: &mut State) -> Option<String> {
        let text = self.expander(state).text(&word.value);
        self.substitutions.clear();
        text.as_known().map(str::to_owned)
    }

    /// The item of a `case` that matches.
    pub(crate) fn matching<'c>(
        &mut self,
        value: &Word,
        cases: &'c [CaseItem],
        state: &mut State,
    ) -> Matched<'c> {
        let Some(value) = self.known(value, state) else { return Matched::Unknown };
        for case in cases {
            for pattern in &case.patterns {
                if pattern.value == "*" {
                    return Matched::Item(case);
                }
                if is_pattern(&pattern.value) {
                    return Matched::Unknown;
                }
                match self.known(pattern, state) {
                    Some(pattern) if pattern == value => return Matched::Item(case),
                    Some(_) => {}
                    None => return Matched::Unknown,
                }
            }
        }
        Matched::Nothing
    }
}

/// The word that `[ -z word ]` tests.
fn emptiness(command: &SimpleCommand) -> Option<&Word> {
    let name = command.word_or_name.as_ref()?.value.as_str();
    let words: Option<Vec<&Word>> = command
        .suffix
        .iter()
        .flat_map(|suffix| &suffix.0)
        .map(|item| match item {
            CommandPrefixOrSuffixItem::Word(word) => Some(word),
            _ => None,
        })
        .collect();
    match (name, words?.as_slice(), command.prefix.is_some()) {
        ("[", [test, word, end], false) if test.value == "-z" && end.value == "]" => Some(*word),
        ("test", [test, word], false) if test.value == "-z" => Some(*word),
        _ => None,
    }
}

/// Whether a word is more than its own text when it is matched.
fn is_pattern(word: &str) -> bool {
    word.contains(['*', '?', '[', '(', '\\'])
}

/// `test` with these words.
fn of_words(words: &[&str]) -> Option<bool> {
    match words {
        [] => Some(false),
        [word] | ["-n", word] => Some(!word.is_empty()),
        ["!", rest @ ..] => of_words(rest).map(|holds| !holds),
        ["-z", word] => Some(word.is_empty()),
        [one, test, other] => compared(one, test, other),
        _ => None,
    }
}

fn compared(one: &str, test: &str, other: &str) -> Option<bool> {
    let number = |text: &str| text.trim().parse::<i64>().ok();
    Some(match test {
        "=" | "==" => one == other,
        "!=" => one != other,
        "-eq" => number(one)? == number(other)?,
        "-ne" => number(one)? != number(other)?,
        "-lt" => number(one)? < number(other)?,
        "-le" => number(one)? <= number(other)?,
        "-gt" => number(one)? > number(other)?,
        "-ge" => number(one)? >= number(other)?,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_of_known_words_is_decided() {
        for (words, expected) in [
            ("a = a", Some(true)),
            ("a != a", Some(false)),
            ("08 -eq 8", Some(true)),
            ("x -eq 8", None),
            ("! 2 -gt 3", Some(true)),
            ("-z", Some(true)),
            ("-f /data/x", None),
            ("a = a -o b = c", None),
        ] {
            let words: Vec<&str> = words.split(' ').collect();
            assert_eq!(of_words(&words), expected, "{words:?}");
        }
    }
}
