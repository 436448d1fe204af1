//! The text of a question to Prometheus, and its period.
//!
//! ```text
//! step = ⌈max(15 s, period / 15)⌉
//! ```
//!
//! So a series has at most 15 points, however long the period is. Each point covers the step before it, so no sample is lost.
//! The names of labels and metrics are checked with the policy
//! ([`Observed::check`]), and values of matchers are quoted here.

use std::fmt::Write as _;

use crate::policy::{Gauge, Observed};

/// The longest time to look back, in seconds: after a start, or after a time without answers.
pub const LONGEST_PERIOD: i64 = 3600;
/// A scrape may be written late. So much of the last period is asked again, in seconds.
const OVERLAP: i64 = 120;
/// The shortest step, in seconds.
const SHORTEST_STEP: i64 = 15;
/// The most steps of a period.
const STEPS: i64 = 15;

/// The labels that may name a pod, the ones that win first. Prometheus renames a label of a series to `exported_…` if the
/// target that it scrapes has one of that name.
pub const POD_LABELS: &[&str] = &["exported_pod_name", "pod_name", "exported_pod", "pod"];
/// The labels that may name the namespace of the pod, the ones that win first.
pub const NAMESPACE_LABELS: &[&str] = &["exported_namespace", "namespace"];

/// A period in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// Its first point.
    pub start: i64,
    /// Its last point.
    pub end: i64,
    /// The time between two points.
    pub step: i64,
}

impl Period {
    /// The period until now. `answered`: the end of the last one that was answered.
    pub fn until(now: i64, answered: Option<i64>) -> Self {
        let earliest = now - LONGEST_PERIOD;
        let from = answered.map_or(earliest, |end| (end - OVERLAP).clamp(earliest, now));
        let step = SHORTEST_STEP.max((now - from + STEPS - 1) / STEPS);
        Self { start: (from + step).min(now), end: now, step }
    }
}

/// The question for a metric.
pub fn query(observed: &Observed, gauge: &Gauge, period: &Period) -> String {
    let mut selector = String::new();
    for (label, value) in &observed.matchers {
        let comma = if selector.is_empty() { "" } else { "," };
        // Writing to a string does not fail.
        let _ = write!(selector, "{comma}{label}={}", quoted(value));
    }
    let labels = match &observed.labels {
        Some(labels) => format!("{},{}", labels.namespace, labels.pod),
        None => [NAMESPACE_LABELS, POD_LABELS].concat().join(","),
    };
    format!("max by ({labels}) (max_over_time({}{{{selector}}}[{}s]))", gauge.name, period.step)
}

/// A string of `PromQL`.
fn quoted(value: &str) -> String {
    let mut text = String::from("\"");
    for character in value.chars() {
        match character {
            '"' | '\\' => text.extend(['\\', character]),
            '\n' => text.push_str("\\n"),
            control if control.is_control() => {}
            other => text.push(other),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{PodLabels, Unit};

    fn observed() -> Observed {
        serde_json::from_value(serde_json::json!({"prometheus": "http://a"})).unwrap()
    }

    fn gauge() -> Gauge {
        Gauge { name: "DCGM_FI_DEV_FB_USED".into(), unit: Unit::MiB }
    }

    #[test]
    fn the_question_names_the_labels_of_all_exporters_or_those_of_the_policy() {
        let period = Period::until(10_000, Some(9_970));
        assert_eq!(
            query(&observed(), &gauge(), &period),
            "max by (exported_namespace,namespace,exported_pod_name,pod_name,exported_pod,pod) \
             (max_over_time(DCGM_FI_DEV_FB_USED{}[15s]))"
        );
        let labels = Some(PodLabels { namespace: "ns".into(), pod: "name".into() });
        let matchers = [("cluster".into(), "a\"} or vector(1) #\n\\".into())].into();
        assert_eq!(
            query(&Observed { labels, matchers, ..observed() }, &gauge(), &period),
            r#"max by (ns,name) (max_over_time(DCGM_FI_DEV_FB_USED{cluster="a\"} or vector(1) #\n\\"}[15s]))"#
        );
    }

    #[test]
    fn a_period_follows_the_last_answer_and_has_few_points() {
        for (answered, start, step) in [
            (Some(99_700), 99_608, 28),
            // It was just answered.
            (Some(100_000), 99_895, 15),
            // After a start, and after a day without answers.
            (None, 96_640, 240),
            (Some(10_000), 96_640, 240),
            // The clock was set back.
            (Some(200_000), 100_000, 15),
        ] {
            let period = Period::until(100_000, answered);
            assert_eq!((period.start, period.end, period.step), (start, 100_000, step), "{answered:?}");
            assert!((period.end - period.start) / period.step <= STEPS);
        }
    }
}
