//! The grammars of annotation values. Each has a reader, and the words that show a person what to write.
//!
//! A value is read into the JSON of the spec's fields. So an annotation and a `TrainingEstimate` have the same values.

use serde_json::{Value, json};

use crate::job::field;
use crate::job::handle::{AnyField, Field, Member, Range};
use crate::job::layer_pattern::{LETTERS, LayerPattern};
use crate::units::{self, Bytes, Decimal};

/// How a value is written.
#[derive(Clone, Copy, Debug)]
pub enum Grammar {
    /// A whole number.
    Whole {
        /// The least that is taken.
        least: u64,
        /// The most that is taken.
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
    List {
        /// Two names as an example.
        example: &'static str,
        /// The most that are taken.
        most: u64,
    },
    /// A number of first layers, or layers' numbers separated by commas.
    Layers {
        /// The most that is taken.
        most: u64,
    },
    /// The kinds of layers, one letter a layer: `GGG*`.
    Kinds,
    /// An amount of memory: `80Gi`.
    Quantity,
    /// A decimal number.
    Decimal,
    /// What is offloaded, separated by commas; sets a field for each.
    Offload,
    /// A share in percent.
    Percent {
        /// Whether it may be zero.
        zero: bool,
    },
    /// A price, with a currency or without; sets a field for each.
    Price,
}

/// The longest name: as long as Kubernetes allows a name to be.
const LONGEST_NAME: usize = 253;
/// The longest name in a list, as in the spec's schema.
pub(crate) const LONGEST_LISTED: usize = 64;

impl Grammar {
    /// The grammar of a field's type, for a field of this range.
    pub(super) const fn within(self, range: Range) -> Self {
        match (self, range) {
            (Self::Whole { .. }, Range::Whole { least, most }) => Self::Whole { least, most },
            (Self::Layers { .. }, Range::Whole { most, .. }) => Self::Layers { most },
            (Self::Decimal, Range::Percent { zero }) => Self::Percent { zero },
            (Self::Name(_), Range::Quantity) => Self::Quantity,
            (Self::List { example, .. }, Range::Names { most }) => Self::List { example, most },
            _ => self,
        }
    }

    /// Reads a value into fields and their values. The value of a group may set any of its fields.
    pub(crate) fn read(self, sets: Member, text: &str) -> Option<Vec<(AnyField, Value)>> {
        let text = text.trim();
        let one = |value: Value| Some(vec![(sets.field()?, value)]);
        match self {
            Self::Whole { least, most } => {
                let length = || length(sets, text).filter(|number| (least..=most).contains(number));
                one(whole(text, least, most).or_else(length)?.into())
            }
            Self::Count => one(count(text)?.into()),
            Self::Boolean => one(boolean(text)?.into()),
            Self::Word { read, .. } => one(read(text)?.into()),
            Self::Name(_) => one(name(text, LONGEST_NAME)?.into()),
            Self::List { most, .. } => one(list(text, most)?),
            Self::Layers { most } => one(layers(text, most)?),
            Self::Kinds => one(LayerPattern::try_from(text.to_owned()).ok()?.letters().into()),
            Self::Quantity => one(quantity(text)?.into()),
            Self::Decimal => one(Decimal::parse(text).ok()?.to_string().into()),
            Self::Offload => offload(text),
            Self::Percent { zero } => one(percent(text, zero)?.to_string().into()),
            Self::Price => price(text),
        }
    }

    /// What is wrong with a value that cannot be read, and what to write: `is no whole number from 1 to 8: write digits`.
    pub(crate) fn complaint(self) -> String {
        let write = |not: &str| format!("is {not}: write {}", self.takes());
        match self {
            Self::Whole { least, most } => {
                format!("is no whole number from {least} to {most}: write digits, like 8")
            }
            Self::Percent { zero } => {
                format!("is no percentage {}: write a number like 40 or 42.5", bounds_of_percentage(zero))
            }
            Self::Boolean => write("neither true nor false"),
            Self::Word { .. } => write("no value of it"),
            Self::Count => write("no count"),
            Self::Name(_) => write("no name"),
            Self::List { .. } => write("no list of names"),
            Self::Layers { .. } => write("no number of layers and no list of layers"),
            Self::Kinds => write("no pattern of layers"),
            Self::Quantity => write("no amount of memory"),
            Self::Decimal => write("no decimal number"),
            Self::Offload => write("nothing that can be offloaded"),
            Self::Price => write("no price"),
        }
    }

    /// What a value is, in words: `a whole number from 1 to 8`.
    pub fn takes(self) -> String {
        match self {
            Self::Whole { least, most } => format!("a whole number from {least} to {most}"),
            Self::Count => units::Count::GRAMMAR.into(),
            Self::Boolean => "\"true\" or \"false\"".into(),
            Self::Word { words, .. } => alternatives(words),
            Self::Name(what) => what.into(),
            Self::List { example, most } => format!("up to {most} names separated by commas, like {example}"),
            Self::Layers { most } => format!(
                "how many layers at the front, up to {most}, or their numbers from 0 separated by commas, like [0,1,2]"
            ),
            Self::Kinds => format!("one letter a layer, of {LETTERS}, like GGG*"),
            Self::Quantity => "a number with its unit, like 80Gi".into(),
            Self::Decimal => Decimal::GRAMMAR.into(),
            Self::Offload => {
                "optimizer, parameters or activations, several separated by commas, or none".into()
            }
            Self::Percent { zero } => format!("a percentage {}", bounds_of_percentage(zero)),
            Self::Price => format!("{}, or with a currency, like 2.5 EUR", Decimal::GRAMMAR),
        }
    }
}

const fn bounds_of_percentage(zero: bool) -> &'static str {
    if zero { "from 0 to 100" } else { "over 0, up to 100" }
}

/// `full, lora or qlora`.
fn alternatives(words: &[&str]) -> String {
    match words {
        [others @ .., last] if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        _ => words.concat(),
    }
}

/// Digits, with underscores between them where a person likes.
fn whole(text: &str, least: u64, most: u64) -> Option<u64> {
    let digits: String = text.chars().filter(|c| *c != '_').collect();
    let all_digits = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    all_digits.then(|| digits.parse().ok()).flatten().filter(|number| (least..=most).contains(number))
}

/// The lengths that people write short: `4k` tokens are 4096, as in the names of models with long contexts.
fn length(sets: Member, text: &str) -> Option<u64> {
    let number = text.strip_suffix(['k', 'K'])?.trim_end();
    is_length(sets).then(|| whole(number, 1, u64::from(u32::MAX))).flatten()?.checked_mul(1024)
}

/// Whether a field is a length in tokens, which people write short.
pub(super) fn is_length(sets: Member) -> bool {
    let lengths =
        [field::batch::SEQUENCE_LENGTH, field::batch::TYPICAL_SEQUENCE_LENGTH, field::model::MAX_POSITIONS];
    lengths.iter().any(|length| sets == length.member())
}

/// A count as people write it: `70B`, `2 T`, `1e12`.
fn count(text: &str) -> Option<u64> {
    let plain = units::Count::parse(&text.replace(' ', "")).ok().map(|count| count.0);
    plain.or_else(|| with_exponent(text)).filter(|count| *count > 0)
}

/// `1e12`, `1.5E9`: a whole number.
fn with_exponent(text: &str) -> Option<u64> {
    let (mantissa, exponent) = text.split_once(['e', 'E'])?;
    let exponent: usize = exponent.trim_start_matches('+').parse().ok().filter(|exponent| *exponent <= 18)?;
    let (whole, decimals) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(decimals) || decimals.len() > exponent {
        return None;
    }
    let zeros = "0".repeat(exponent - decimals.len());
    format!("{whole}{decimals}{zeros}").parse().ok().filter(|count: &u64| i64::try_from(*count).is_ok())
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

fn list(text: &str, most: u64) -> Option<Value> {
    let names: Vec<_> =
        text.split(',').map(|part| name(part.trim(), LONGEST_LISTED)).collect::<Option<_>>()?;
    (names.len() as u64 <= most).then(|| json!(names))
}

/// `3` is a number of layers; `0,1,2` and `[3]` are lists.
fn layers(text: &str, most: u64) -> Option<Value> {
    let listed = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    if listed.is_none() && !text.contains(',') {
        return Some(whole(text, 0, most)?.into());
    }
    let numbers = listed.unwrap_or(text).split(',').map(|number| whole(number.trim(), 0, most));
    let numbers: Vec<_> = numbers.collect::<Option<_>>()?;
    (numbers.len() as u64 <= most).then(|| json!(numbers))
}

/// A quantity in the form of Kubernetes. One below a MiB lacks its unit. The reader of the capacity checks whether it is
/// plausible.
fn quantity(text: &str) -> Option<&str> {
    Bytes::parse_quantity(text).is_ok_and(|bytes| bytes >= Bytes::from_mib(1)).then_some(text)
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

/// `40`, `40%`, `42.5 %`; a number of at most 1 is a ratio: one percent of the peak would make no sense.
fn percent(text: &str, zero: bool) -> Option<Decimal> {
    const WHOLE: u64 = 100_000_000;
    let number = Decimal::parse(text.strip_suffix('%').unwrap_or(text)).ok()?;
    let percent = match number.micros {
        1..=1_000_000 if !text.ends_with('%') => Decimal { micros: number.micros * 100 },
        _ => number,
    };
    (percent.micros <= WHOLE && (zero || percent.micros > 0)).then_some(percent)
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
