//! How long something takes, as people say it: `79 days`, `5.2 hours`, `12 minutes`.
//!
//! Below a day it is in hours, below an hour in minutes. An interval has the unit of its middle, so that its ends compare:
//! `2.4 hours (2.1–2.9)`. A figure has one decimal below 30, unless that decimal is zero.

use super::Decimal;

const HOURS_A_DAY: f64 = 24.0;
const MINUTES_A_DAY: f64 = 1440.0;

/// A span of time: `79 days`.
pub fn span(days: f64) -> String {
    let (word, scale) = unit(days);
    let figure = figure(days * scale);
    let s = if figure == "1" { "" } else { "s" };
    format!("{figure} {word}{s}")
}

/// A span with the ends of its interval: `79 days (63–105)`.
pub fn span_within(low: f64, days: f64, high: f64) -> String {
    let (_, scale) = unit(days);
    format!("{} ({}–{})", span(days), figure(low * scale), figure(high * scale))
}

/// The unit of a span, and how many of it a day has.
fn unit(days: f64) -> (&'static str, f64) {
    match days {
        days if days * HOURS_A_DAY < 1.0 => ("minute", MINUTES_A_DAY),
        days if days < 1.0 => ("hour", HOURS_A_DAY),
        _ => ("day", 1.0),
    }
}

fn figure(value: f64) -> String {
    match value {
        value if value > 0.0 && value < 0.1 => "<0.1".to_owned(),
        value if value < 29.95 => Decimal::from_f64((value * 10.0).round() / 10.0).to_string(),
        value => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_the_unit_that_people_use() {
        for (days, text) in [
            (79.4, "79 days"),
            (2.5, "2.5 days"),
            (12.0, "12 days"),
            (1.0, "1 day"),
            (1.0 / 24.0, "1 hour"),
            (0.5, "12 hours"),
            (0.1, "2.4 hours"),
            (0.01, "14.4 minutes"),
            (1e-6, "<0.1 minutes"),
            (0.0, "0 minutes"),
        ] {
            assert_eq!(span(days), text);
        }
    }

    #[test]
    fn the_ends_of_an_interval_have_the_unit_of_its_middle() {
        assert_eq!(span_within(63.2, 79.4, 104.8), "79 days (63–105)");
        assert_eq!(span_within(0.09, 0.1, 0.12), "2.4 hours (2.2–2.9)");
        assert_eq!(span_within(0.9, 1.1, 1.4), "1.1 days (0.9–1.4)");
    }
}
