//! Tables of flags: what an argument is called, which field of the spec it sets, and how its value is written.

use serde_json::Value;

use crate::units::Count;

/// Words of a list that are read at most.
const MAX_WORDS: usize = 32;

/// A flag of a program.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flag {
    /// Its names, as the documentation writes them; the first is the one that is shown.
    pub(crate) names: &'static [&'static str],
    /// The spec's field.
    pub(crate) field: &'static str,
    /// What it takes.
    pub(crate) takes: Takes,
}

/// What a flag takes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Takes {
    /// A whole number.
    Number,
    /// A decimal number, kept as the spec's quoted decimal.
    Decimal,
    /// A share of one, kept in percent: a dropout of 0.1 is 10.
    Percent,
    /// Any text.
    Text,
    /// Nothing: that it stands there means this value of the spec.
    Word(&'static str),
    /// Nothing: that it stands there means true, or false.
    Switch(bool),
    /// Several words, with commas or spaces between them.
    List,
    /// One of these words, each with the spec's value; others say nothing.
    OneOf(&'static [(&'static str, &'static str)]),
}

/// A flag of one name.
pub(crate) const fn flag(names: &'static [&'static str], field: &'static str, takes: Takes) -> Flag {
    Flag { names, field, takes }
}

impl Takes {
    /// Reads a value as the spec's; none where it says nothing.
    pub(crate) fn read(self, text: &str) -> Option<Value> {
        let text = text.trim().trim_matches(['"', '\'']);
        match self {
            Self::Number => number(text).map(Value::from),
            Self::Decimal => text.parse::<f64>().ok().filter(|n| n.is_finite()).map(|_| text.into()),
            Self::Percent => {
                let share = text.parse::<f64>().ok().filter(|share| (0.0..=1.0).contains(share))?;
                Some(crate::units::Decimal::from_f64(share * 100.0).to_string().into())
            }
            Self::Text => (!text.is_empty()).then(|| text.into()),
            Self::Word(_) | Self::Switch(_) => None,
            Self::List => {
                let words = text.split([',', ' ', '[', ']', '"', '\'']).filter(|word| !word.is_empty());
                let words: Vec<Value> = words.take(MAX_WORDS).map(Value::from).collect();
                (!words.is_empty()).then(|| words.into())
            }
            Self::OneOf(words) => words
                .iter()
                .find(|(word, _)| word.eq_ignore_ascii_case(text))
                .map(|(_, value)| (*value).into()),
        }
    }
}

/// A whole number, as Python and people write it: `4096`, `4_096`, `4096.0`, `70B`.
fn number(text: &str) -> Option<u64> {
    let plain = text.replace('_', "");
    plain.parse().ok().or_else(|| Count::parse(&plain).ok().map(|count| count.0))
}
