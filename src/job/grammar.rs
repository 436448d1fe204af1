//! How annotation values are written: one reader a grammar, and the words that tell a person what to write.
//!
//! A value is read into the JSON of the spec's fields, so that what an annotation says and what a `TrainingEstimate`
//! says is the same.

use serde_json::{Value, json};

use crate::job::field;
use crate::job::handle::{AnyField, Field, Member};
use crate::units::{self, Decimal};

/// How a value is written.
#[derive(Clone, Copy, Debug)]
pub enum Grammar {
    /// A whole number from 1.
    Whole {
        /// The largest that is taken.
        most: u64,
    },
    /// A count as people write it: `70B`.
    Count,
    /// `true` or `false`.
    Boolean,
    /// One of a few words.
    Word {
        /// Reads a word as the spec's value.
        read: fn(&str) -> Option<&'static str>,
        /// The words, each value's own.
        words: &'static [&'static str],
    },
    /// A name; what of, in words.
    Name(&'static str),
    /// Names separated by commas.
    List,
    /// What is offloaded, separated by commas; sets a field for each.
    Offload,
    /// A share in percent.
    Percent,
    /// A price, with a currency or without; sets a field for each.
    Price,
}

/// The longest name: as long as Kubernetes allows a name to be.
const LONGEST_NAME: usize = 253;
/// Bounds of a list of names, those of the spec's schema.
const MOST_NAMES: usize = 32;
const LONGEST_LISTED: usize = 64;

impl Grammar {
    /// Reads a value: what it sets, and how. A value of a group sets fields of it, whichever it is read for.
    pub(crate) fn read(self, sets: Member, text: &str) -> Option<Vec<(AnyField, Value)>> {
        let text = text.trim();
        let one = |value: Value| Some(vec![(sets.field()?, value)]);
        match self {
            Self::Whole { most } => one(whole(text, most)?.into()),
            Self::Count => one(units::Count::parse(text).ok().filter(|count| count.0 > 0)?.0.into()),
            Self::Boolean => one(boolean(text)?.into()),
            Self::Word { read, .. } => one(read(text)?.into()),
            Self::Name(_) => one(name(text, LONGEST_NAME)?.into()),
            Self::List => one(list(text)?),
            Self::Offload => offload(text),
            Self::Percent => one(percent(text)?.to_string().into()),
            Self::Price => price(text),
        }
    }

    /// What is wrong with a value that cannot be read, and what to write: `is no whole number from 1 to 8: write digits`.
    pub(crate) fn complaint(self) -> String {
        match self {
            Self::Whole { most } => format!("is no whole number from 1 to {most}: write digits, like 8"),
            Self::Count => format!("is no count: write {}", units::Count::GRAMMAR),
            Self::Boolean => "is neither true nor false: write \"true\" or \"false\"".into(),
            Self::Word { words, .. } => format!("is no value of it: write {}", alternatives(words)),
            Self::Name(what) => format!("is no name: write {what}"),
            Self::List => "is no list of names: write names separated by commas, like q_proj,v_proj".into(),
            Self::Offload => {
                "is nothing that can be offloaded: write optimizer, parameters or activations, several separated by \
                 commas, or none"
                    .into()
            }
            Self::Percent => "is no percentage from 0 to 100: write a number like 40 or 42.5".into(),
            Self::Price => format!("is no price: write {}, or with a currency, like 2.5 EUR", Decimal::GRAMMAR),
        }
    }
}

/// `full, lora or qlora`.
fn alternatives(words: &[&str]) -> String {
    match words {
        [others @ .., last] if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        _ => words.concat(),
    }
}

/// Digits, with underscores between them where a person likes.
fn whole(text: &str, most: u64) -> Option<u64> {
    let digits: String = text.chars().filter(|c| *c != '_').collect();
    let all_digits = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    all_digits.then(|| digits.parse().ok()).flatten().filter(|number| (1..=most).contains(number))
}

fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some(true),
        "false" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}

fn name(text: &str, longest: usize) -> Option<&str> {
    let printable = !text.chars().any(char::is_control);
    (printable && !text.is_empty() && text.chars().count() <= longest).then_some(text)
}

fn list(text: &str) -> Option<Value> {
    let names: Vec<_> =
        text.split(',').map(|part| name(part.trim(), LONGEST_LISTED)).collect::<Option<_>>()?;
    (names.len() <= MOST_NAMES).then(|| json!(names))
}

fn offload(text: &str) -> Option<Vec<(AnyField, Value)>> {
    const PARTS: [(&str, &str, Field<bool>); 3] = [
        ("optimizer", "optimizer", field::offload::OPTIMIZER),
        ("parameters", "params", field::offload::PARAMETERS),
        ("activations", "activation", field::offload::ACTIVATIONS),
    ];
    let mut offloaded = [false; 3];
    if !text.eq_ignore_ascii_case("none") {
        for part in text.split(',').map(str::trim) {
            let which = PARTS.iter().position(|(word, other, _)| {
                part.eq_ignore_ascii_case(word) || part.eq_ignore_ascii_case(other)
            })?;
            *offloaded.get_mut(which)? = true;
        }
    }
    Some(PARTS.iter().zip(offloaded).map(|((.., part), on)| (part.erased(), on.into())).collect())
}

/// `40`, `40%`, `42.5 %`; a number of at most 1 is a ratio, since nobody means one percent of the peak.
fn percent(text: &str) -> Option<Decimal> {
    const WHOLE: u64 = 100_000_000;
    let number = Decimal::parse(text.strip_suffix('%').unwrap_or(text)).ok()?;
    let percent = match number.micros {
        1..=1_000_000 if !text.ends_with('%') => Decimal { micros: number.micros * 100 },
        _ => number,
    };
    (1..=WHOLE).contains(&percent.micros).then_some(percent)
}

/// `2.5`, `2.5 EUR`, `$2.5`.
fn price(text: &str) -> Option<Vec<(AnyField, Value)>> {
    let (number, currency) = match text.strip_prefix('$') {
        Some(number) => (number, Some("USD")),
        None => match text.split_once(' ') {
            Some((number, currency)) => (number, Some(currency.trim())),
            None => (text, None),
        },
    };
    let price = Decimal::parse(number).ok()?;
    let mut fields = vec![(field::price::PER_GPU_HOUR.erased(), price.to_string().into())];
    if let Some(currency) = currency {
        let code = currency.len() == 3 && currency.bytes().all(|b| b.is_ascii_alphabetic());
        fields.push((field::price::CURRENCY.erased(), code.then(|| currency.to_ascii_uppercase())?.into()));
    }
    Some(fields)
}
