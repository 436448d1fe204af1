//! The `TrainingHistory`: the last runs of one job in one namespace, by its fingerprint.
//!
//! The controller writes it when a run ends, and deletes the oldest of a namespace for a new one. Deleting one makes the
//! job new again. It has no status: all of it is a record.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::v1alpha1::timestamp;
use crate::learn::history::{MOST_RUNS, Run};
use crate::learn::outcome;
use crate::units::Bytes;

/// The last runs of one job.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "weighbridge.dev",
    version = "v1alpha1",
    kind = "TrainingHistory",
    plural = "traininghistories",
    shortname = "th",
    category = "training",
    namespaced,
    derive = "PartialEq",
    doc = "The last runs of one training job in this namespace: predicted memory, and how each ended."
)]
#[serde(rename_all = "camelCase", default)]
pub struct TrainingHistorySpec {
    /// A hash of what decides the job's memory: image, command, model, accelerators. It tells nothing about them.
    #[schemars(length(max = 32))]
    pub fingerprint: String,
    /// The runs, the newest first.
    #[schemars(length(max = MOST_RUNS))]
    pub runs: Vec<RunRecord>,
}

/// One run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RunRecord {
    /// The workload's uid.
    #[schemars(length(max = 64))]
    pub uid: String,
    /// The workload: pytorchjob/llama.
    pub workload: String,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "timestamp")]
    pub at: Option<Time>,
    /// The verdict of the estimate: Fits, Tight, OutOfMemory or Unknown.
    #[schemars(length(max = 32))]
    pub verdict: String,
    /// The memory per accelerator that it was predicted to need.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub predicted_bytes: Option<i64>,
    /// The most memory that one accelerator used, by the metrics of its exporter.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_bytes: Option<i64>,
    /// How it ended: Completed, OutOfMemory, HostOutOfMemory, Evicted, Deadline or Failed.
    #[schemars(length(max = 32))]
    pub outcome: String,
    /// The evidence: CUDA out of memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How long its pods ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub seconds: Option<i64>,
}

/// The runs in the spec of a history. A run that cannot be read is left out: anyone may have written it.
pub fn runs(history: &Value) -> Vec<Run> {
    let runs = history.pointer("/spec/runs").and_then(Value::as_array).into_iter().flatten();
    runs.filter_map(|run| RunRecord::deserialize(run).ok()?.into_run()).take(MOST_RUNS).collect()
}

/// The records of runs.
pub fn records(runs: &[Run]) -> Vec<RunRecord> {
    let signed = |bytes: Option<Bytes>| bytes.map(|bytes| i64::try_from(bytes.0).unwrap_or(i64::MAX));
    let record = |run: &Run| RunRecord {
        uid: run.uid.clone(),
        workload: run.workload.clone(),
        at: run.at.parse::<Timestamp>().ok().map(Time),
        verdict: run.verdict.clone(),
        predicted_bytes: signed(run.predicted),
        observed_bytes: signed(run.observed),
        outcome: run.outcome.name().to_owned(),
        reason: run.reason.clone(),
        seconds: run.seconds,
    };
    runs.iter().map(record).collect()
}

impl RunRecord {
    fn into_run(self) -> Option<Run> {
        let bytes = |bytes: Option<i64>| bytes.and_then(|bytes| u64::try_from(bytes).ok()).map(Bytes);
        Some(Run {
            outcome: outcome::Kind::parse(&self.outcome)?,
            at: self.at?.0.to_string(),
            uid: self.uid,
            workload: self.workload,
            verdict: self.verdict,
            predicted: bytes(self.predicted_bytes),
            observed: bytes(self.observed_bytes),
            reason: self.reason,
            seconds: self.seconds,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn runs_are_written_and_read_alike_and_a_broken_one_is_left_out() {
        let run = Run {
            uid: "u".into(),
            workload: "job/a".into(),
            at: "2026-01-02T03:04:05Z".into(),
            verdict: "Fits".into(),
            predicted: Some(Bytes::from_gib(60.0)),
            observed: Some(Bytes::from_gib(62.5)),
            outcome: outcome::Kind::OutOfMemory,
            reason: Some("CUDA out of memory".into()),
            seconds: Some(600),
        };
        let mut records = serde_json::to_value(records(std::slice::from_ref(&run))).unwrap();
        records.as_array_mut().unwrap().push(json!({"outcome": "Exploded"}));
        records.as_array_mut().unwrap().push(json!(7));
        assert_eq!(runs(&json!({"spec": {"runs": records}})), [run]);
        assert_eq!(runs(&json!({})), []);
    }
}
