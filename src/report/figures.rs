//! Short figures: memory in GiB with one decimal (`50.2Gi`), days with one decimal below 30 (`12.4`, `79`), hours and
//! money with three significant digits (`1.94M`, `812`, `0.5`).

use crate::units::Bytes;

/// `50.2Gi`.
pub(crate) fn memory(bytes: Bytes) -> String {
    format!("{:.1}Gi", bytes.as_gib())
}

/// `12.4`, `79`, `0.02`.
pub(crate) fn days(days: f64) -> String {
    match days {
        d if d > 0.0 && d < 0.01 => "<0.01".to_owned(),
        d if d < 0.095 => format!("{d:.2}"),
        d if d < 29.95 => format!("{d:.1}"),
        d => format!("{d:.0}"),
    }
}

/// `1.94M`, `812`, `0.5`.
pub(crate) fn count(value: f64) -> String {
    // The next scale begins at 999.5, since a number that rounds to a thousand has four digits.
    let scales = [(1.0, ""), (1e3, "K"), (1e6, "M"), (1e9, "B")];
    let (scale, suffix) = scales.into_iter().find(|(scale, _)| value / scale < 999.5).unwrap_or((1e12, "T"));
    let scaled = value / scale;
    let decimals = match scaled {
        s if s < 9.995 => 2,
        s if s < 99.95 => 1,
        _ => 0,
    };
    let text = format!("{scaled:.decimals$}");
    let text = if decimals > 0 { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{suffix}")
}

/// `21 %`. Never 0 % or 100 %, for an estimate is never certain.
pub(crate) fn percent(share: f64) -> String {
    match share * 100.0 {
        percent if percent < 1.0 => "under 1 %".to_owned(),
        percent if percent > 99.0 => "over 99 %".to_owned(),
        percent => format!("{percent:.0} %"),
    }
}

/// `97 %`, `97.2 %`, `100 %`.
pub(crate) fn share(share: f64) -> String {
    let tenths = format!("{:.1}", share * 100.0);
    format!("{} %", tenths.trim_end_matches('0').trim_end_matches('.'))
}

/// `90 s`, `77 min`, `50 h`, `12 days`.
pub(crate) fn span(seconds: f64) -> String {
    let (scale, unit) = match seconds {
        s if s < 120.0 => (1.0, "s"),
        s if s < 7200.0 => (60.0, "min"),
        s if s < 72.0 * 3600.0 => (3600.0, "h"),
        _ => (86_400.0, "days"),
    };
    format!("{:.0} {unit}", seconds / scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_as_short_as_the_columns() {
        assert_eq!(memory(Bytes::from_gib(50.24)), "50.2Gi");
        assert_eq!(
            [0.001, 0.02, 0.096, 12.43, 29.95, 79.4].map(days),
            ["<0.01", "0.02", "0.1", "12.4", "30", "79"]
        );
        for (value, text) in [
            (1_940_000.0, "1.94M"),
            (812.0, "812"),
            (0.5, "0.5"),
            (999.7, "1K"),
            (12_340.0, "12.3K"),
            (0.0, "0"),
            (100.0, "100"),
            (2.5e15, "2500T"),
        ] {
            assert_eq!(count(value), text, "{value}");
        }
    }

    #[test]
    fn shares_and_spans_are_short() {
        assert_eq!([0.972, 0.92, 1.0].map(share), ["97.2 %", "92 %", "100 %"]);
        let spans = [90.0, 4624.0, 178_200.0, 1e6].map(span);
        assert_eq!(spans, ["90 s", "77 min", "50 h", "12 days"]);
    }

    #[test]
    fn a_probability_is_never_a_certainty() {
        assert_eq!([0.0, 0.214, 1.0].map(percent), ["under 1 %", "21 %", "over 99 %"]);
    }
}
