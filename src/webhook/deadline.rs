//! Until when an answer is of use: the apiserver says in `?timeout=10s` how long it waits.
//!
//! A tenth of that, and at least 200 ms, is left for the way back.

use std::time::Duration;

/// The apiserver's own default.
const DEFAULT: Duration = Duration::from_secs(10);
/// The apiserver's own maximum.
const LONGEST: Duration = Duration::from_secs(30);
const WAY_BACK: Duration = Duration::from_millis(200);

/// How long an answer may take. What can't be read counts as if it were not there.
pub(super) fn allowance(query: Option<&str>) -> Duration {
    let given = query
        .into_iter()
        .flat_map(|query| query.split('&'))
        .find_map(|pair| pair.strip_prefix("timeout="))
        .and_then(duration);
    let timeout = given.unwrap_or(DEFAULT).min(LONGEST);
    timeout.saturating_sub(WAY_BACK.max(timeout / 10))
}

/// A duration as Go writes it: `10s`, `1m30s`, `1.5s`, `500ms`.
fn duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at_checked(digits)?;
        let end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at_checked(end)?;
        let seconds = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        let part = Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()?;
        total = total.checked_add(part)?;
        rest = tail;
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_writes_them() {
        for (text, milliseconds) in [
            ("10s", Some(10_000)),
            ("1m30s", Some(90_000)),
            ("1.5s", Some(1_500)),
            ("500ms", Some(500)),
            ("0s", Some(0)),
            ("", None),
            ("10", None),
            ("s", None),
            ("-1s", None),
            ("1d", None),
            ("1..5s", None),
            ("99999999999999999999999999h", None),
        ] {
            assert_eq!(duration(text).map(|d| d.as_millis()), milliseconds, "{text}");
        }
    }

    #[test]
    fn time_is_left_for_the_way_back() {
        let millis = |query| allowance(query).as_millis();
        assert_eq!(millis(Some("timeout=10s")), 9_000);
        assert_eq!(millis(Some("a=b&timeout=1s")), 800);
        assert_eq!(millis(Some("timeout=100ms")), 0);
        assert_eq!(millis(Some("timeout=9000h")), 27_000);
        assert_eq!(millis(Some("timeout=soon")), 9_000);
        assert_eq!(millis(None), 9_000);
    }
}
