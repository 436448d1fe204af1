//! The deadline of an answer. The apiserver sends its timeout as `?timeout=10s`.
//!
//! A tenth of it, and at least 200 ms, is left for the way back.

use std::time::Duration;

use crate::units::GoDuration;

/// The apiserver's default.
const DEFAULT: Duration = Duration::from_secs(10);
/// The apiserver's maximum.
const LONGEST: Duration = Duration::from_secs(30);
const WAY_BACK: Duration = Duration::from_millis(200);

/// The time for an answer. A timeout that cannot be read counts as absent.
pub(super) fn allowance(query: Option<&str>) -> Duration {
    let given = query
        .into_iter()
        .flat_map(|query| query.split('&'))
        .find_map(|pair| pair.strip_prefix("timeout="))
        .and_then(|text| GoDuration::parse(text).ok()?.forward());
    let timeout = given.unwrap_or(DEFAULT).min(LONGEST);
    timeout.saturating_sub(WAY_BACK.max(timeout / 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_left_for_the_way_back() {
        let millis = |query| allowance(query).as_millis();
        assert_eq!(millis(Some("timeout=10s")), 9_000);
        assert_eq!(millis(Some("a=b&timeout=1s")), 800);
        assert_eq!(millis(Some("timeout=100ms")), 0);
        assert_eq!(millis(Some("timeout=9000h")), 27_000);
        assert_eq!(millis(None), 9_000);
    }

    #[test]
    fn a_timeout_that_cannot_be_read_counts_as_absent() {
        let given = |text: &str| allowance(Some(&format!("timeout={text}")));
        for text in ["", "soon", "10", "s", "-1s", "1d", "1..5s", " 1s", "99999999999999999999999999h"] {
            assert_eq!(given(text), allowance(None), "{text}");
        }
        for (text, milliseconds) in [("1.5s", 1_300), ("1m30s", 27_000), ("500ms", 300), ("0s", 0), ("0", 0)]
        {
            assert_eq!(given(text).as_millis(), milliseconds, "{text}");
        }
    }
}
