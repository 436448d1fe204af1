//! Durations in the format of Go's `time.ParseDuration`: `36h`, `1m30s`, `-1.5h`, `500ms`.
//!
//! ```text
//! duration = [ "+" | "-" ] ( "0" | part { part } )
//! part     = ( digits [ "." [ digits ] ] | "." digits ) unit
//! unit     = "ns" | "us" | "µs" | "μs" | "ms" | "s" | "m" | "h"
//! ```
//!
//! Nothing else is allowed: no spaces, no days. Parts come in any order and add up. A duration is a whole number of
//! nanoseconds from −2^63 to 2^63 − 1 (292 years); a value beyond that is an error. A fraction is exact, and each
//! part is cut below a nanosecond. Digits after the 24th are not read, for they are below a nanosecond in every unit.
//! Go multiplies a fraction of more than 15 digits in floating point, so it may differ by a nanosecond.
//!
//! Source: Go's `src/time/format.go`, `ParseDuration`.

use std::time::Duration;

/// A span of time, like Go's `time.Duration`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GoDuration {
    /// Whole nanoseconds. May be negative.
    pub nanoseconds: i64,
}

/// The units, and the nanoseconds of each. The micro sign and the Greek letter look alike.
const UNITS: [(&str, u128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];
/// The most digits of a fraction that are read: 10^24 hours in nanoseconds are below 2^128.
const MOST_DIGITS: usize = 24;

impl GoDuration {
    /// The format of a duration, for error messages.
    pub const GRAMMAR: &'static str = "a duration like 36h, 1m30s or 500ms";

    /// Reads a duration.
    ///
    /// # Errors
    /// The text does not follow the grammar, or is out of range.
    pub fn parse(text: &str) -> Result<Self, GoDurationError> {
        parse(text)
            .map(|nanoseconds| Self { nanoseconds })
            .ok_or_else(|| GoDurationError { text: text.chars().take(64).collect() })
    }

    /// The same as the standard library's duration. None if it is negative.
    pub fn forward(self) -> Option<Duration> {
        u64::try_from(self.nanoseconds).ok().map(Duration::from_nanos)
    }
}

/// A text that is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {}", GoDuration::GRAMMAR)]
pub struct GoDurationError {
    text: String,
}

fn parse(text: &str) -> Option<i64> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let nanoseconds;
        (nanoseconds, rest) = part(rest)?;
        total = total.checked_add_unsigned(nanoseconds)?;
    }
    i64::try_from(sign * total).ok()
}

/// The nanoseconds of the first part, and the rest of the text.
fn part(text: &str) -> Option<(u128, &str)> {
    let (whole, rest) = digits(text);
    let (fraction, rest) = rest.strip_prefix('.').map_or(("", rest), digits);
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let (unit, rest) = cut(rest, |c| c == '.' || c.is_ascii_digit());
    let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit)?;
    let fraction = fraction.get(..MOST_DIGITS).unwrap_or(fraction);
    let below = number(fraction)? * scale / 10u128.pow(fraction.len() as u32);
    Some((number(whole)?.checked_mul(*scale)?.checked_add(below)?, rest))
}

fn digits(text: &str) -> (&str, &str) {
    cut(text, |c| !c.is_ascii_digit())
}

/// The text before the first such character, and the rest.
fn cut(text: &str, ends: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(ends).unwrap_or(text.len()))
}

fn number(digits: &str) -> Option<u128> {
    if digits.is_empty() { Some(0) } else { digits.parse().ok() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Option<i64> {
        GoDuration::parse(text).ok().map(|duration| duration.nanoseconds)
    }

    /// The text that Go's `Duration.String` prints.
    fn printed(nanoseconds: i64) -> String {
        let sign = if nanoseconds < 0 { "-" } else { "" };
        let all = nanoseconds.unsigned_abs();
        let decimal = |value: u64, of: u64| {
            let places = of.ilog10() as usize;
            let text = format!("{}.{:0places$}", value / of, value % of);
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        };
        let text = match all {
            0 => "0s".to_owned(),
            1..1_000 => format!("{all}ns"),
            1_000..1_000_000 => decimal(all, 1_000) + "µs",
            1_000_000..1_000_000_000 => decimal(all, 1_000_000) + "ms",
            _ => {
                let (minutes, below) = (all / 60_000_000_000, all % 60_000_000_000);
                let seconds = decimal(below, 1_000_000_000) + "s";
                match (minutes / 60, minutes % 60) {
                    (0, 0) => seconds,
                    (0, minutes) => format!("{minutes}m{seconds}"),
                    (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
                }
            }
        };
        sign.to_owned() + &text
    }

    #[test]
    fn durations_are_read_as_in_go() {
        for (text, nanoseconds) in [
            ("0", 0),
            ("+0", 0),
            ("-0", 0),
            ("0s", 0),
            ("5s", 5_000_000_000),
            ("+5s", 5_000_000_000),
            ("-5s", -5_000_000_000),
            ("5.s", 5_000_000_000),
            (".5s", 500_000_000),
            ("-.5s", -500_000_000),
            ("5.6s", 5_600_000_000),
            ("1.004s", 1_004_000_000),
            ("100.00100s", 100_001_000_000),
            ("10ns", 10),
            ("11us", 11_000),
            ("12\u{b5}s", 12_000),
            ("12\u{3bc}s", 12_000),
            ("13ms", 13_000_000),
            ("15m", 900_000_000_000),
            ("16h", 57_600_000_000_000),
            ("3h30m", 12_600_000_000_000),
            ("10.5s4m", 250_500_000_000),
            ("-2m3.4s", -123_400_000_000),
            ("1s.5m", 31_000_000_000),
            ("1h2m3s4ms5us6ns", 3_723_004_005_006),
            ("39h9m14.425s", 140_954_425_000_000),
            ("52763797000ns", 52_763_797_000),
        ] {
            assert_eq!(read(text), Some(nanoseconds), "{text}");
        }
    }

    #[test]
    fn fractions_are_exact_and_cut_below_a_nanosecond() {
        for (text, nanoseconds) in [
            ("9007199254.740993ms", 9_007_199_254_740_993),
            ("9223372036.854775807s", i64::MAX),
            ("0.830103483285477580700h", 2_988_372_539_827),
            ("0.3333333333333333333h", 1_199_999_999_999),
            ("0.100000000000000000000h", 360_000_000_000),
            ("0.9999999999ns", 0),
            ("0.5ns0.5ns", 0),
            ("0.000000000000277777777778h", 1),
        ] {
            assert_eq!(read(text), Some(nanoseconds), "{text}");
        }
        assert_eq!(read(&format!("0.{}s", "9".repeat(10_000))), Some(999_999_999));
        assert_eq!(read(&format!("{}1s", "0".repeat(10_000))), Some(1_000_000_000));
    }

    #[test]
    fn a_value_out_of_range_is_an_error() {
        assert_eq!(read("9223372036854775807ns"), Some(i64::MAX));
        assert_eq!(read("-9223372036854775808ns"), Some(i64::MIN));
        assert_eq!(read("-9223372036854775.808us"), Some(i64::MIN));
        assert_eq!(read("2562047h47m16.854775807s"), Some(i64::MAX));
        for text in [
            "9223372036854775808ns",
            "-9223372036854775809ns",
            "9223372036854775.808us",
            "2562047h47m16.854775808s",
            "3000000h",
            "99999999999999999999999999h",
            "340282366920938463463374607431768211455ns",
            "340282366920938463463374607431768211456ns",
            "9223372036854775807ns9223372036854775807ns",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn the_error_of_an_invalid_duration_quotes_it() {
        for text in [
            "", "+", "-", "s", "3", "10", "00", ".", "-.", ".s", "+.s", "1d", "1w", "1S", "h", "1h 30m",
            " 1h", "1h ", "1..5s", "1.5.s", "+-1s", "--1s", "1s-2s", "1e3s", "0x1s", "NaNs", "infs", "1٣s",
            "1µ", "\u{85}85",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        let error = GoDuration::parse("soon").unwrap_err().to_string();
        assert_eq!(error, "\"soon\" is not a duration like 36h, 1m30s or 500ms");
    }

    #[test]
    fn only_a_positive_duration_has_a_standard_one() {
        let forward = |text| GoDuration::parse(text).unwrap().forward();
        assert_eq!(forward("1.5s"), Some(Duration::from_millis(1500)));
        assert_eq!(forward("-0s"), Some(Duration::ZERO));
        assert_eq!(forward("-1ns"), None);
    }

    proptest! {
        #[test]
        fn a_duration_that_go_prints_is_read_back(
            nanoseconds in prop_oneof![any::<i64>(), (0u32..63, any::<i64>()).prop_map(|(by, n)| n >> by)],
        ) {
            let text = printed(nanoseconds);
            prop_assert_eq!(read(&text), Some(nanoseconds), "{}", text);
        }

        #[test]
        fn no_text_makes_reading_panic(text in prop_oneof!["\\PC{0,40}", "[-+]?([0-9]{0,40}\\.?[0-9]{0,40}(ns|µs|ms|s|m|h)){0,4}"]) {
            let _ = GoDuration::parse(&text);
        }
    }

    #[test]
    fn the_tests_print_durations_like_go() {
        for (nanoseconds, text) in [
            (0, "0s"),
            (1, "1ns"),
            (1_100, "1.1µs"),
            (2_200_000, "2.2ms"),
            (3_300_000_000, "3.3s"),
            (245_000_000_000, "4m5s"),
            (245_001_000_000, "4m5.001s"),
            (18_367_001_000_000, "5h6m7.001s"),
            (480_000_000_001, "8m0.000000001s"),
            (i64::MAX, "2562047h47m16.854775807s"),
            (i64::MIN, "-2562047h47m16.854775808s"),
        ] {
            assert_eq!(printed(nanoseconds), text);
        }
    }
}
