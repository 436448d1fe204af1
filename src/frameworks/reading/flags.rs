//! Tables of flags: the name of an argument, the field of the spec that it sets, and the form of its value.

use serde_json::Value;

use crate::frameworks::reading::claims::Claims;
use crate::frameworks::reading::settings::Settings;
use crate::job::grammar::Grammar;
use crate::job::{Field, FieldType, ValueOf, field};
use crate::units::{Count, Decimal};

/// The flags of a program, for fields of any type.
pub(crate) type Table = &'static [&'static dyn AnyFlag];

/// A flag of a program.
#[derive(Debug)]
pub(crate) struct Flag<T: FieldType> {
    /// Its names, as the documentation writes them. Messages show the first.
    names: &'static [&'static str],
    /// The spec's field.
    field: Field<T>,
    /// The form of its value.
    takes: Takes<T>,
}

/// The form of a flag's value, for a field of this type.
#[derive(Debug)]
pub(crate) enum Takes<T: FieldType> {
    /// A whole number.
    Number,
    /// A decimal number, kept as the spec's quoted decimal.
    Decimal,
    /// A fraction of one, stored in percent: a dropout of 0.1 is 10.
    Percent,
    /// Any text.
    Text,
    /// No value. If the flag is there, the field has this value.
    Word(T::Constant),
    /// No value. If the flag is there, the field is true, or false.
    Switch(bool),
    /// Several words, separated by commas or spaces.
    List,
    /// One of these words, each with the field's value. Any other word leaves the field open.
    OneOf(&'static [(&'static str, T::Constant)]),
}

impl<T: FieldType> Clone for Takes<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: FieldType> Copy for Takes<T> {}

/// A flag of one field. It panics if the form gives no value of the field's type. A flag is only read from a constant, so
/// a mismatch does not compile.
pub(crate) const fn flag<T: FieldType>(
    names: &'static [&'static str],
    field: Field<T>,
    takes: Takes<T>,
) -> Flag<T> {
    assert!(takes.gives(T::GRAMMAR), "this form gives no value of the field's type");
    Flag { names, field, takes }
}

/// A flag of a field of any type.
pub(crate) trait AnyFlag: Sync {
    /// Claims the flag's setting. If it is given and not understood, the field stays open.
    fn read(&'static self, settings: &Settings<'_>, claims: &mut Claims);

    /// Its names.
    #[cfg(test)]
    fn names(&self) -> &'static [&'static str];
}

impl<T: FieldType> AnyFlag for Flag<T> {
    fn read(&'static self, settings: &Settings<'_>, claims: &mut Claims) {
        let setting = settings.get(self.names).filter(|setting| !setting.value.is_null());
        // The folder tells which model it is, wherever it lies.
        if setting.is_none()
            && self.field.erased() == field::model::NAME.erased()
            && let Some((path, by)) = settings.end_of_path(self.names)
        {
            return claims.argument(field::model::NAME, path, &by);
        }
        let Some(setting) = settings.get(self.names) else { return };
        match setting.taken(self.takes) {
            Some(value) => setting.says(claims, self.field.erased(), value),
            None => claims.unparsed(self.field),
        }
    }

    #[cfg(test)]
    fn names(&self) -> &'static [&'static str] {
        self.names
    }
}

impl<T: FieldType> Takes<T> {
    /// Whether it gives values of fields with this grammar.
    const fn gives(&self, grammar: Grammar) -> bool {
        match self {
            Self::Number => {
                matches!(grammar, Grammar::Whole { .. } | Grammar::Count | Grammar::Layers { .. })
            }
            Self::Decimal | Self::Percent => matches!(grammar, Grammar::Decimal),
            Self::Text => matches!(grammar, Grammar::Name(_)),
            Self::Switch(_) => matches!(grammar, Grammar::Boolean),
            Self::List => matches!(grammar, Grammar::List { .. }),
            Self::Word(_) | Self::OneOf(_) => true,
        }
    }

    /// Reads a value as the field's. `None` if it gives no value.
    pub(crate) fn read(self, text: &str) -> Option<Value> {
        let text = unquoted(text);
        match self {
            Self::Number => number(text).map(Value::from),
            Self::Decimal => text.parse::<f64>().ok().filter(|n| n.is_finite()).map(|_| text.into()),
            Self::Percent => {
                let share = text.parse::<f64>().ok().filter(|share| (0.0..=1.0).contains(share))?;
                Some(Decimal::from_f64(share * 100.0).to_string().into())
            }
            Self::Text => (!text.is_empty()).then(|| text.into()),
            Self::Word(_) | Self::Switch(_) => None,
            Self::List => list(text).map(Value::from),
            Self::OneOf(words) => one_of(words, text).map(ValueOf::json),
        }
    }
}

fn unquoted(text: &str) -> &str {
    text.trim().trim_matches(['"', '\''])
}

/// The value of a word in a table.
pub(crate) fn one_of<V: Copy>(words: &[(&str, V)], text: &str) -> Option<V> {
    let text = unquoted(text);
    words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text)).map(|(_, value)| *value)
}

/// Several words, separated by commas or spaces.
pub(crate) fn list(text: &str) -> Option<Vec<String>> {
    let words = text.split([',', ' ', '[', ']', '"', '\'']).filter(|word| !word.is_empty());
    let words: Vec<String> = words.map(str::to_owned).collect();
    (!words.is_empty()).then_some(words)
}

/// A whole number, as Python or a person writes it: `4096`, `4_096`, `4096.0`, `70B`.
pub(crate) fn number(text: &str) -> Option<u64> {
    let plain = unquoted(text).replace('_', "");
    plain.parse().ok().or_else(|| Count::parse(&plain).ok().map(|count| count.0))
}
