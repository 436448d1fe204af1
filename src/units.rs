//! Quantities with their units: bytes, floating-point operations, operations per second, money, durations.
//!
//! Bytes are bytes; people read GiB (2^30). A count of operations and a rate of operations are different types, so
//! that one cannot be used for the other. Arithmetic saturates: a sum that would overflow is larger than any
//! capacity. This gives the right judgement, and never a panic.

mod duration;
mod span;

pub use duration::{GoDuration, GoDurationError};
pub use span::{span, span_within};

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Mul, Sub};

use serde::{Deserialize, Serialize};

/// `1 GPU`, `8 GPUs`.
pub fn gpus(number: u64) -> String {
    if number == 1 { "1 GPU".to_owned() } else { format!("{number} GPUs") }
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bytes(pub u64);

impl Bytes {
    /// Zero bytes.
    pub const ZERO: Self = Self(0);
    /// The largest number. Sums saturate here.
    pub const MAX: Self = Self(u64::MAX);

    /// `mib` × 2^20 bytes, the unit of device labels.
    pub const fn from_mib(mib: u64) -> Self {
        Self(mib.saturating_mul(1 << 20))
    }

    /// Below a GiB in whole MiB, rounded up: `172 MiB`. Else as it is shown: `96.4 GiB`.
    pub fn amount(self) -> String {
        const GIB: Bytes = Bytes::from_mib(1024);
        if self < GIB { format!("{} MiB", self.0.div_ceil(1 << 20)) } else { self.to_string() }
    }

    /// `gib` × 2^30 bytes, rounded to a byte.
    pub fn from_gib(gib: f64) -> Self {
        Self((gib * GIB).round() as u64)
    }

    /// A real number of bytes, rounded up. Negative numbers and NaN are zero.
    pub fn from_f64(bytes: f64) -> Self {
        Self(bytes.ceil() as u64)
    }

    /// `count` elements of `width` bytes each.
    pub fn of(count: u64, width: f64) -> Self {
        if width.fract() == 0.0 && width >= 0.0 {
            Self(count.saturating_mul(width as u64))
        } else {
            Self::from_f64(count as f64 * width)
        }
    }

    /// The number as a float, for ratios and probabilities.
    pub fn as_f64(self) -> f64 {
        self.0 as f64
    }

    /// GiB as a float, for people.
    pub fn as_gib(self) -> f64 {
        self.0 as f64 / GIB
    }

    /// The share of one of `parts` equal parts, rounded up.
    #[must_use]
    pub fn share(self, parts: u64) -> Self {
        Self(self.0.div_ceil(parts.max(1)))
    }

    /// Multiplied by a ratio, rounded up.
    #[must_use]
    pub fn scale(self, ratio: f64) -> Self {
        Self::from_f64(self.0 as f64 * ratio)
    }

    /// Reads a Kubernetes quantity of memory: `80Gi`, `81559Mi`, `64G`, `1.5Gi`, `85520809984`.
    ///
    /// # Errors
    /// The text is not a quantity. The message gives the format.
    pub fn parse_quantity(text: &str) -> Result<Self, QuantityError> {
        let bad = || QuantityError { text: text.chars().take(64).collect() };
        let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, suffix) = text.split_at(digits);
        let scale: f64 = match suffix {
            "" => 1.0,
            "k" => 1e3,
            "M" => 1e6,
            "G" => 1e9,
            "T" => 1e12,
            "P" => 1e15,
            "Ki" => 1024.0,
            "Mi" => 1024f64.powi(2),
            "Gi" => GIB,
            "Ti" => 1024f64.powi(4),
            "Pi" => 1024f64.powi(5),
            _ => return Err(bad()),
        };
        if suffix.is_empty()
            && let Ok(bytes) = number.parse::<u64>()
        {
            return Ok(Self(bytes));
        }
        let value: f64 = number.parse().map_err(|_| bad())?;
        Ok(Self::from_f64(value * scale))
    }
}

const GIB: f64 = 1_073_741_824.0;

/// A text that is not a Kubernetes quantity of memory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a quantity of memory: write a number with Ki, Mi, Gi, Ti, k, M, G or T, like 80Gi")]
pub struct QuantityError {
    text: String,
}

/// GiB with one decimal: `96.4 GiB`.
impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} GiB", self.as_gib())
    }
}

impl Add for Bytes {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Bytes {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for Bytes {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Mul<u64> for Bytes {
    type Output = Self;
    fn mul(self, times: u64) -> Self {
        Self(self.0.saturating_mul(times))
    }
}

impl Sum for Bytes {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::ZERO, Add::add)
    }
}

/// A number of floating-point operations. A product and its sum count two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flops(pub u128);

impl Flops {
    /// The seconds of these operations at a rate. Infinite at a rate of zero.
    pub fn seconds_at(self, rate: FlopRate) -> f64 {
        if rate.0 == 0 { f64::INFINITY } else { self.0 as f64 / rate.0 as f64 }
    }
}

impl Mul<u64> for Flops {
    type Output = Self;
    fn mul(self, times: u64) -> Self {
        Self(self.0.saturating_mul(u128::from(times)))
    }
}

/// Three significant digits, as in papers: `8.40e23`.
impl fmt::Display for Flops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2e}", self.0 as f64)
    }
}

/// Floating-point operations per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct FlopRate(pub u64);

impl FlopRate {
    /// From the TFLOP/s of a data sheet.
    pub fn from_tera(tera: f64) -> Self {
        Self((tera * 1e12).round() as u64)
    }

    /// The sustained share of this rate: `mfu` between 0 and 1.
    #[must_use]
    pub fn at_utilization(self, mfu: f64) -> Self {
        Self((self.0 as f64 * mfu).round() as u64)
    }
}

/// Bytes per second, of a memory or a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteRate(pub u64);

impl ByteRate {
    /// From the GB/s (10^9) of a data sheet.
    pub fn from_giga(giga: f64) -> Self {
        Self((giga * 1e9).round() as u64)
    }
}

/// A whole number in short form: `70B`, `2T`, `1.5M`, `4096`, `70_000_000_000`.
///
/// Grammar: digits, an optional decimal part, and K, M, B or T (10^3, 10^6, 10^9, 10^12; upper or lower case).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Count(pub u64);

impl Count {
    /// A size in short form: `70B`, `6.74B`, `125M`.
    pub fn short(self) -> String {
        let (scale, suffix) = match self.0 {
            0..1_000_000 => return self.0.to_string(),
            1_000_000..1_000_000_000 => (1e6, "M"),
            1_000_000_000..1_000_000_000_000 => (1e9, "B"),
            _ => (1e12, "T"),
        };
        let figure = self.0 as f64 / scale;
        let text = if figure >= 100.0 { format!("{figure:.0}") } else { format!("{figure:.2}") };
        let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
        format!("{text}{suffix}")
    }

    /// The format of a count, for error messages.
    pub const GRAMMAR: &'static str = "a whole number, or a number with K, M, B or T, like 70B or 2T";

    /// Reads a count.
    ///
    /// # Errors
    /// The text does not follow the grammar, is negative, or is larger than 2^63 − 1.
    pub fn parse(text: &str) -> Result<Self, CountError> {
        let text = text.trim();
        let bad = || CountError { text: text.chars().take(64).collect() };
        let cleaned: String = text.chars().filter(|c| *c != '_').collect();
        if !cleaned.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(bad());
        }
        let split = cleaned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(cleaned.len());
        let (number, suffix) = cleaned.split_at(split);
        let exponent: u32 = match suffix {
            "" => 0,
            "K" | "k" => 3,
            "M" | "m" => 6,
            "B" | "b" | "G" | "g" => 9,
            "T" | "t" => 12,
            _ => return Err(bad()),
        };
        let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
        if decimals.contains('.') || (number.contains('.') && decimals.is_empty()) {
            return Err(bad());
        }
        if decimals.len() > exponent as usize {
            return Err(bad());
        }
        let mut value: u64 = whole.parse().map_err(|_| bad())?;
        let scale = 10u64.checked_pow(exponent).ok_or_else(bad)?;
        value = value.checked_mul(scale).ok_or_else(bad)?;
        if !decimals.is_empty() {
            let fraction: u64 = decimals.parse().map_err(|_| bad())?;
            let unit = 10u64.checked_pow(exponent - decimals.len() as u32).ok_or_else(bad)?;
            value = fraction.checked_mul(unit).and_then(|f| value.checked_add(f)).ok_or_else(bad)?;
        }
        if value > i64::MAX as u64 {
            return Err(bad());
        }
        Ok(Self(value))
    }
}

/// A text that is not a count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {}", Count::GRAMMAR)]
pub struct CountError {
    text: String,
}

/// The short form if it is exact (`70B`, `1.94M`), else all digits.
impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (scale, suffix) in [(1_000_000_000_000, "T"), (1_000_000_000, "B"), (1_000_000, "M")] {
            if self.0 >= scale && self.0.is_multiple_of(scale / 100) {
                let hundredths = self.0 / (scale / 100);
                let text = format!("{}.{:02}", hundredths / 100, hundredths % 100);
                let text = text.trim_end_matches('0').trim_end_matches('.');
                return write!(f, "{text}{suffix}");
            }
        }
        write!(f, "{}", self.0)
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct CountVisitor;
        impl serde::de::Visitor<'_> for CountVisitor {
            type Value = Count;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(Count::GRAMMAR)
            }
            fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Count, E> {
                if value > i64::MAX as u64 {
                    Err(E::custom("the count is too large"))
                } else {
                    Ok(Count(value))
                }
            }
            fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Count, E> {
                u64::try_from(value).map(Count).map_err(|_| E::custom("a count cannot be negative"))
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Count, E> {
                Count::parse(text).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(CountVisitor)
    }
}

/// A decimal written as a string, exact to six places: prices and percentages. Kubernetes objects hold no floats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Decimal {
    /// Millionths.
    pub micros: u64,
}

impl Decimal {
    /// The format of a decimal, for error messages.
    pub const GRAMMAR: &'static str = "a decimal number like 2.5, with at most six places";

    /// Reads a decimal.
    ///
    /// # Errors
    /// The text does not follow the grammar.
    pub fn parse(text: &str) -> Result<Self, DecimalError> {
        let text = text.trim();
        let bad = || DecimalError { text: text.chars().take(64).collect() };
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let all_digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
        if !all_digits(whole) || !all_digits(decimals) || decimals.len() > 6 {
            return Err(bad());
        }
        let whole: u64 = whole.parse().map_err(|_| bad())?;
        let fraction: u64 = format!("{decimals:0<6}").parse().map_err(|_| bad())?;
        let micros = whole.checked_mul(1_000_000).and_then(|w| w.checked_add(fraction)).ok_or_else(bad)?;
        Ok(Self { micros })
    }

    /// A float, to the nearest millionth.
    pub fn from_f64(value: f64) -> Self {
        Self { micros: (value * 1e6).round() as u64 }
    }

    /// As a float, for arithmetic that ends in a rounded figure.
    pub fn as_f64(self) -> f64 {
        self.micros as f64 / 1e6
    }
}

/// A text that is not a decimal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {}", Decimal::GRAMMAR)]
pub struct DecimalError {
    text: String,
}

/// The shortest exact form: `2.5`, `40`.
impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{:06}", self.micros / 1_000_000, self.micros % 1_000_000);
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

impl Serialize for Decimal {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Reads a quoted decimal, or a bare number in a file.
impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct DecimalVisitor;
        impl serde::de::Visitor<'_> for DecimalVisitor {
            type Value = Decimal;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(Decimal::GRAMMAR)
            }
            fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Decimal, E> {
                Decimal::parse(&value.to_string()).map_err(E::custom)
            }
            fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Decimal, E> {
                Decimal::parse(&value.to_string()).map_err(E::custom)
            }
            fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Decimal, E> {
                if value.is_finite() && (0.0..1e12).contains(&value) {
                    Ok(Decimal::from_f64(value))
                } else {
                    Err(E::custom(Decimal::GRAMMAR))
                }
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Decimal, E> {
                Decimal::parse(text).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(DecimalVisitor)
    }
}

#[cfg(feature = "schema")]
mod schema {
    //! Schemas that a Kubernetes apiserver accepts: structural, bounded, without floats.

    use std::borrow::Cow;

    use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

    use super::{Bytes, Count, Decimal};

    impl JsonSchema for Bytes {
        fn schema_name() -> Cow<'static, str> {
            "Bytes".into()
        }
        fn json_schema(_: &mut SchemaGenerator) -> Schema {
            json_schema!({"type": "integer", "format": "int64", "minimum": 0})
        }
    }

    impl JsonSchema for Count {
        fn schema_name() -> Cow<'static, str> {
            "Count".into()
        }
        fn inline_schema() -> bool {
            true
        }
        fn json_schema(_: &mut SchemaGenerator) -> Schema {
            json_schema!({
                "x-kubernetes-int-or-string": true,
                "anyOf": [{"type": "integer"}, {"type": "string"}],
                "pattern": r"^[0-9][0-9_]*(\.[0-9]+)?[KMBTkmbt]?$",
                "maxLength": 32,
                "minimum": 0
            })
        }
    }

    impl JsonSchema for Decimal {
        fn schema_name() -> Cow<'static, str> {
            "Decimal".into()
        }
        fn inline_schema() -> bool {
            true
        }
        fn json_schema(_: &mut SchemaGenerator) -> Schema {
            json_schema!({"type": "string", "pattern": r"^[0-9]{1,12}(\.[0-9]{1,6})?$", "maxLength": 19})
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_in_short_form() {
        for (text, value) in [
            ("70B", 70_000_000_000),
            ("2T", 2_000_000_000_000),
            ("1.5M", 1_500_000),
            ("4096", 4096),
            ("32k", 32_000),
            ("70_000", 70_000),
            (" 8b ", 8_000_000_000),
        ] {
            assert_eq!(Count::parse(text), Ok(Count(value)), "{text}");
        }
        for text in ["", "B", "-1", "1.5", "7 B", "1e9", "99999999T", "1..5B", "5.B"] {
            assert!(Count::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn counts_are_shown_short_only_if_exact() {
        assert_eq!(Count(70_000_000_000).to_string(), "70B");
        assert_eq!(Count(6_738_415_616).to_string(), "6738415616");
        assert_eq!(Count(1_500_000_000_000).to_string(), "1.5T");
        assert_eq!(Count(4096).to_string(), "4096");
    }

    #[test]
    fn quantities_distinguish_binary_and_decimal_units() {
        assert_eq!(Bytes::parse_quantity("80Gi"), Ok(Bytes(80 << 30)));
        assert_eq!(Bytes::parse_quantity("80G"), Ok(Bytes(80_000_000_000)));
        assert_eq!(Bytes::parse_quantity("1.5Gi"), Ok(Bytes(1_610_612_736)));
        assert!(Bytes::parse_quantity("80GB").is_err());
        assert!(Bytes::parse_quantity("").is_err());
    }

    #[test]
    fn sums_saturate_instead_of_overflowing() {
        assert_eq!(Bytes::MAX + Bytes(1), Bytes::MAX);
        assert_eq!(Bytes(1) - Bytes(2), Bytes::ZERO);
        assert_eq!(Bytes::MAX * 3, Bytes::MAX);
    }

    #[test]
    fn decimals_survive_a_round_trip() {
        for text in ["2.5", "40", "0.000001", "1234.56"] {
            assert_eq!(Decimal::parse(text).map(|d| d.to_string()), Ok(text.to_owned()));
        }
        assert!(Decimal::parse("1.2345678").is_err());
        assert!(Decimal::parse("-1").is_err());
    }
}
