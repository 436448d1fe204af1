//! Parameters in words: `$name`, `${name}`, `${name[@]}`, `$1`, `$@`. An operator may follow the name: a default
//! (`:-`, `-`, `:=`, `=`), an alternative (`:+`, `+`), a prefix or suffix to cut (`%`, `#`), a slice (`:`). Any other
//! operator makes the text unknown.

use std::rc::Rc;

use crate::command::shell::expand::{Expander, Quoted};
use crate::command::shell::variables::Value;
use crate::command::text::{Fields, Text};
use crate::command::wrappers::is_name;

impl Expander<'_> {
    /// `${…}`, given the text between the braces.
    pub(crate) fn parameter(
        &mut self,
        inner: &str,
        whole: &str,
        quoted: Quoted,
        split: bool,
        fields: &mut Fields,
    ) {
        let split = split && quoted == Quoted::No;
        let end = inner.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inner.len());
        let (name, rest) = inner.split_at_checked(end).unwrap_or((inner, ""));
        let (name, rest) = match name {
            // `$@` and similar.
            "" => inner.split_at_checked(1).unwrap_or((inner, "")),
            _ => (name, rest),
        };
        let (index, operator) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((index, operator)) => (Some(index), operator),
            None => (None, rest),
        };
        let value = self.value(name, index);
        let value = match (value.as_deref(), operator.strip_prefix(':')) {
            _ if operator.is_empty() => value,
            (Some(Value::Array(texts)), Some(slice)) => Some(Rc::new(sliced(name, texts, slice))),
            (Some(Value::Array(_)), None) => None,
            (value, _) => self.operate(name, value, operator).map(|text| Rc::new(Value::Text(text))),
        };
        match value.as_deref() {
            Some(Value::Text(text)) => self.append(text, split, fields),
            Some(Value::Array(texts)) => {
                let apart = split || (quoted == Quoted::Double && name != "*" && index != Some("*"));
                for (at, text) in texts.iter().enumerate() {
                    if at > 0 && apart {
                        fields.end();
                    } else if at > 0 {
                        self.push(" ", fields);
                    }
                    self.append(text, split, fields);
                    if text.as_known() == Some("") && !split {
                        fields.push("");
                    }
                }
            }
            Some(Value::Unset) => {}
            Some(Value::Unknown) | None => fields.push_unknown(whole),
        }
    }

    /// The value of a parameter. None if it is not set.
    fn value(&self, name: &str, index: Option<&str>) -> Option<Rc<Value>> {
        let arguments = self.state.arguments.as_ref();
        let value = match name {
            "@" | "*" => arguments.map(|arguments| Rc::new(Value::Array(arguments.clone()))),
            "#" => arguments.map(|arguments| Rc::new(Value::Text(Text::known(&arguments.len().to_string())))),
            "0" | "BASH_SOURCE" if let Some(script) = &self.state.script => {
                Some(Rc::new(Value::Text(Text::known(script))))
            }
            _ if name.starts_with(|c: char| c.is_ascii_digit()) => {
                let number: usize = name.parse().ok()?;
                let argument = number.checked_sub(1).and_then(|at| arguments?.get(at));
                match argument {
                    Some(text) => Some(Rc::new(Value::Text(text.clone()))),
                    None if number > 0 && arguments.is_some() => Some(Rc::new(Value::Unset)),
                    None => Some(Rc::new(Value::Unknown)),
                }
            }
            _ if is_name(name) => self.state.get(name),
            _ => Some(Rc::new(Value::Unknown)),
        };
        let whole = |index: Option<&str>| matches!(index, Some("@" | "*"));
        match (value.as_deref(), index) {
            // A text is an array of one. The name of an array alone means its first element.
            (Some(Value::Array(texts)), index) if !matches!(name, "@" | "*") && !whole(index) => {
                let at = index.map_or(Some(0), |index| index.parse::<usize>().ok());
                let text = at.and_then(|at| texts.get(at));
                Some(Rc::new(text.map_or(Value::Unknown, |text| Value::Text(text.clone()))))
            }
            (Some(Value::Text(_)), Some(index)) if index != "0" && !whole(Some(index)) => {
                Some(Rc::new(Value::Unknown))
            }
            _ => value,
        }
    }

    /// `${name:-word}` and similar.
    fn operate(&mut self, name: &str, value: Option<&Value>, operator: &str) -> Option<Text> {
        let (colon, operator) = operator.strip_prefix(':').map_or((false, operator), |rest| (true, rest));
        let mut chars = operator.chars();
        let sign = chars.next()?;
        let word = chars.as_str();
        let is_there = match value {
            Some(Value::Unknown | Value::Array(_)) => return None,
            Some(Value::Unset) | None => false,
            Some(Value::Text(text)) => !(colon && text.as_known() == Some("")),
        };
        let text = match value {
            Some(Value::Text(text)) => text.clone(),
            _ => Text::default(),
        };
        match sign {
            '-' | '?' | '=' if is_there => Some(text),
            '-' => Some(self.text(word)),
            '=' => {
                let text = self.text(word);
                if is_name(name) {
                    self.state.set(name, Value::Text(text.clone()));
                }
                Some(text)
            }
            '+' if is_there => Some(self.text(word)),
            '+' => Some(Text::default()),
            '%' | '#' if !colon && is_there => {
                let pattern = self.text(word.strip_prefix(sign).unwrap_or(word));
                let (pattern, text) = (pattern.as_known()?, text.as_known()?.to_owned());
                cut(&text, sign, word.starts_with(sign), pattern).map(Text::known)
            }
            _ => None,
        }
    }
}

/// `${@:first}` and `${@:first:count}`, and the same of an array, which counts from zero.
fn sliced(name: &str, texts: &[Text], slice: &str) -> Value {
    let (first, count) = slice.split_once(':').map_or((slice, None), |(first, count)| (first, Some(count)));
    let number = |text: &str| text.trim().parse::<usize>().ok();
    let first = number(first).and_then(|first| first.checked_sub(usize::from(name == "@" || name == "*")));
    match (first, count.map(number)) {
        (Some(first), None) => Value::Array(texts.iter().skip(first).cloned().collect()),
        (Some(first), Some(Some(count))) => {
            Value::Array(texts.iter().skip(first).take(count).cloned().collect())
        }
        _ => Value::Unknown,
    }
}

/// `${name%pattern}` and similar, for plain patterns with at most one `*`, at an end.
fn cut<'t>(text: &'t str, sign: char, longest: bool, pattern: &str) -> Option<&'t str> {
    let plain = |text: &str| !text.contains(['*', '?', '[', '\\']);
    let cut = match sign {
        '%' => match pattern.strip_suffix('*') {
            Some(begin) if plain(begin) && !begin.is_empty() => {
                let at = if longest { text.find(begin) } else { text.rfind(begin) };
                at.and_then(|at| text.get(..at))
            }
            None if plain(pattern) => text.strip_suffix(pattern),
            _ => return None,
        },
        _ => match pattern.strip_prefix('*') {
            Some(end) if plain(end) && !end.is_empty() => {
                let at = if longest { text.rfind(end) } else { text.find(end) };
                at.and_then(|at| text.get(at + end.len()..))
            }
            None if plain(pattern) => text.strip_prefix(pattern),
            _ => return None,
        },
    };
    Some(cut.unwrap_or(text))
}
