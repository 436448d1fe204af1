//! The answer of Prometheus, as points by pod.
//!
//! It is JSON of the form that its HTTP API defines for a range: `data.result[]` with the labels and the `[time, "value"]` of
//! a series. Anything else is no answer. Several series may be of one pod: their points are joined.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;

use super::query::{NAMESPACE_LABELS, POD_LABELS};
use crate::policy::{Observed, Unit};
use crate::units::Bytes;

/// The most series of an answer.
const MOST_SERIES: usize = 100_000;
/// The most points of a series. A question asks for fewer.
const MOST_POINTS: usize = 64;

/// A namespace and the name of a pod in it.
pub type PodName = (String, String);

/// A moment in seconds since 1970, and the memory in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// When.
    pub at: i64,
    /// The memory.
    pub used: Bytes,
}

/// Points by pod.
pub type Points = BTreeMap<PodName, Vec<Point>>;

/// Why an answer was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// It is not the answer of a Prometheus.
    #[error("the answer is not that of a Prometheus")]
    Unreadable,
    /// Prometheus refused the question.
    #[error("Prometheus refused the question ({0})")]
    Refused(&'static str),
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(borrow, default, rename = "errorType")]
    error: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    data: Option<Data<'a>>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow, rename = "resultType")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    result: Vec<Series<'a>>,
}

#[derive(Deserialize)]
struct Series<'a> {
    metric: BTreeMap<String, String>,
    #[serde(borrow, default)]
    values: Vec<Value<'a>>,
}

#[derive(Deserialize)]
struct Value<'a>(f64, #[serde(borrow)] Cow<'a, str>);

/// The words of Prometheus for its errors. Its messages may quote anything, and are not kept.
const ERRORS: &[&str] = &[
    "timeout",
    "canceled",
    "execution",
    "bad_data",
    "internal",
    "unavailable",
    "not_found",
    "not_acceptable",
];

/// The points of an answer. `most`: what no accelerator exceeds.
///
/// # Errors
/// The text is no answer, or tells an error.
pub fn points(text: &[u8], observed: &Observed, unit: Unit, most: Bytes) -> Result<Points, Problem> {
    let answer: Answer<'_> = serde_json::from_slice(text).map_err(|_| Problem::Unreadable)?;
    if answer.status != "success" {
        let told = answer.error.unwrap_or_default();
        let known = ERRORS.iter().find(|word| **word == told);
        return Err(known.map_or(Problem::Unreadable, |word| Problem::Refused(word)));
    }
    let data = answer.data.filter(|data| data.kind == "matrix").ok_or(Problem::Unreadable)?;
    let mut points = Points::new();
    for series in data.result.into_iter().take(MOST_SERIES) {
        let Some(pod) = pod(&series.metric, observed) else { continue };
        let taken = series.values.iter().filter_map(|value| point(value, unit, most)).take(MOST_POINTS);
        points.entry(pod).or_default().extend(taken);
    }
    Ok(points)
}

fn pod(labels: &BTreeMap<String, String>, observed: &Observed) -> Option<PodName> {
    let first = |names: &[&str]| {
        names.iter().filter_map(|name| labels.get(*name)).find(|value| !value.is_empty()).cloned()
    };
    match &observed.labels {
        Some(given) => Some((first(&[&given.namespace])?, first(&[&given.pod])?)),
        None => Some((first(NAMESPACE_LABELS)?, first(POD_LABELS)?)),
    }
}

fn point(Value(at, text): &Value<'_>, unit: Unit, most: Bytes) -> Option<Point> {
    let used = text.parse::<f64>().ok()? * unit.bytes();
    let is_possible = (0.0..=most.as_f64()).contains(&used) && at.is_finite();
    is_possible.then(|| Point { at: at.floor() as i64, used: Bytes(used.round() as u64) })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    fn observed() -> Observed {
        serde_json::from_value(json!({"prometheus": "http://a"})).unwrap()
    }

    fn read(answer: &Json) -> Result<Points, Problem> {
        points(answer.to_string().as_bytes(), &observed(), Unit::MiB, Bytes::from_gib(300.0))
    }

    fn answer(labels: &Json, values: &Json) -> Json {
        json!({"status": "success", "data": {"resultType": "matrix", "result": [{"metric": labels, "values": values}]}})
    }

    fn pod_of(labels: &Json) -> Option<PodName> {
        read(&answer(labels, &json!([[1.0, "1"]]))).unwrap().into_keys().next()
    }

    #[test]
    fn the_pod_is_found_by_the_labels_of_each_exporter() {
        let llama = || Some(("team".to_owned(), "llama-0".to_owned()));
        for labels in [
            json!({"namespace": "team", "pod": "llama-0"}),
            // Prometheus added the exporter's own labels, and renamed these.
            json!({"namespace": "gpus", "pod": "dcgm-x", "exported_namespace": "team", "exported_pod": "llama-0"}),
            // Ascend's, alone and renamed.
            json!({"namespace": "team", "pod_name": "llama-0"}),
            json!({"namespace": "npus", "pod": "npu-x", "exported_namespace": "team", "pod_name": "llama-0"}),
            // A label that is there and empty.
            json!({"namespace": "team", "pod": "llama-0", "exported_pod": "", "exported_namespace": ""}),
        ] {
            assert_eq!(pod_of(&labels), llama(), "{labels}");
        }
        assert_eq!(pod_of(&json!({"namespace": "team"})), None, "an accelerator that nothing uses");
        let labels = json!({"namespace": "x", "pod": "y", "k8s_ns": "team", "k8s_pod": "llama-0"});
        let given = json!({"prometheus": "http://a", "labels": {"namespace": "k8s_ns", "pod": "k8s_pod"}});
        let text = answer(&labels, &json!([[1, "1"]])).to_string();
        let given: Observed = serde_json::from_value(given).unwrap();
        let points = points(text.as_bytes(), &given, Unit::MiB, Bytes::MAX).unwrap();
        assert_eq!(points.into_keys().next(), llama());
    }

    #[test]
    fn a_value_that_no_accelerator_can_have_is_left_out() {
        let values = json!([
            [100.5, "81559"],
            [160, "NaN"],
            [220, "+Inf"],
            [280, "-1"],
            [340, "9e99"],
            [400, "many"],
            [460, "0"]
        ]);
        let points = read(&answer(&json!({"namespace": "a", "pod": "b"}), &values)).unwrap();
        let used = |at, mib| Point { at, used: Bytes::from_mib(mib) };
        assert_eq!(points.into_values().next().unwrap(), [used(100, 81_559), used(460, 0)]);
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        let refused = |text: &str| points(text.as_bytes(), &observed(), Unit::MiB, Bytes::MAX).unwrap_err();
        for text in [
            "",
            "<html><body>Log in</body></html>",
            "{}",
            "[]",
            "null",
            r#"{"status":"success"}"#,
            r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#,
            r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"pod":7}}]}}"#,
            r#"{"status":"error","errorType":"token=abc"}"#,
        ] {
            assert_eq!(refused(text), Problem::Unreadable, "{text}");
        }
        let timeout = r#"{"status":"error","errorType":"timeout","error":"query timed out"}"#;
        assert_eq!(refused(timeout), Problem::Refused("timeout"));
        let nested = "[".repeat(100_000);
        assert_eq!(refused(&nested), Problem::Unreadable);
    }

    #[test]
    fn no_series_is_an_answer() {
        let empty =
            json!({"status": "success", "data": {"resultType": "matrix", "result": []}, "warnings": ["w"]});
        assert_eq!(read(&empty), Ok(Points::new()));
    }
}
