//! Figures as the columns of `kubectl get trainingestimates` show them: short, and with their unit.
//!
//! Memory is in GiB with one decimal and Kubernetes' suffix (`50.2Gi`), days have one decimal below 30 (`12.4`, `79`),
//! accelerator-hours have three significant digits (`1.94M`, `812`, `0.5`).

use crate::judgement::{Judgement, Verdict};
use crate::units::Bytes;

use super::v1alpha1::DisplayStatus;

/// The columns of a judgement.
pub(super) fn display(judgement: &Judgement) -> DisplayStatus {
    let summary = &judgement.summary;
    let memory = judgement.memory.as_ref();
    let time = judgement.time.as_ref();
    let judged = judgement.verdict != Verdict::NotTraining;
    DisplayStatus {
        model: summary.model.clone().filter(|_| judged),
        gpus: summary.accelerators.map(|n| n.to_string()),
        accelerator: summary.accelerator.clone(),
        peak: memory.map(|m| gibibytes(m.peak_bytes)),
        interval: memory.map(|m| format!("{:.1}–{}", m.lower_bytes.as_gib(), gibibytes(m.upper_bytes))),
        of: memory.and_then(|m| m.capacity_bytes).map(gibibytes),
        oom_probability: judgement.oom_probability.map(percent),
        days: time.and_then(|t| t.days).map(days),
        gpu_hours: time.and_then(|t| t.gpu_hours).map(hours),
        cost: judgement.cost.as_ref().map(|c| format!("{} {}", hours(c.total.as_f64()), c.currency)),
    }
}

fn gibibytes(bytes: Bytes) -> String {
    format!("{:.1}Gi", bytes.as_gib())
}

fn days(days: f64) -> String {
    if days < 29.95 { format!("{days:.1}") } else { format!("{days:.0}") }
}

/// Never a certainty: an estimate that says 0 % or 100 % says more than it knows.
fn percent(probability: f64) -> String {
    let percent = probability * 100.0;
    if percent < 1.0 {
        "<1%".into()
    } else if percent > 99.0 {
        ">99%".into()
    } else {
        format!("{percent:.0}%")
    }
}

/// Three significant digits, with K, M, B or T from a thousand on.
fn hours(value: f64) -> String {
    const SCALES: [(f64, &str); 5] = [(1.0, ""), (1e3, "K"), (1e6, "M"), (1e9, "B"), (1e12, "T")];
    for (scale, suffix) in SCALES {
        // The next scale from 999.5 on: what rounds to a thousand is no three digits.
        let scaled = value / scale;
        if scaled < 999.5 || suffix == "T" {
            let decimals = match scaled {
                s if s < 9.995 => 2,
                s if s < 99.95 => 1,
                _ => 0,
            };
            let text = format!("{scaled:.decimals$}");
            let text = if decimals > 0 { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
            return format!("{text}{suffix}");
        }
    }
    String::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_as_short_as_the_columns() {
        assert_eq!(gibibytes(Bytes::from_gib(50.24)), "50.2Gi");
        assert_eq!(days(12.43), "12.4");
        assert_eq!(days(79.4), "79");
        assert_eq!(days(0.02), "0.0");
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
            assert_eq!(hours(value), text, "{value}");
        }
    }

    #[test]
    fn a_probability_is_never_a_certainty() {
        assert_eq!(percent(0.0), "<1%");
        assert_eq!(percent(0.214), "21%");
        assert_eq!(percent(1.0), ">99%");
    }
}
