//! A measured run, as one line of JSON. The format is stable: fields are added and never renamed.
//!
//! ```json
//! {"source": "team-a", "name": "llama-8b-lora", "spec": {"model": {"name": "llama-3-8b"}}, "outcome": "fits",
//!  "memory": {"gib": 31.2, "counter": "reserved"}, "tokensPerSecondPerGpu": 3100, "gpuHours": 410}
//! ```

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The longest allowed line.
const LONGEST: usize = 4 << 20;

/// A measured run.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Run {
    /// The party that measured it. Runs of one source are summarized together.
    pub source: String,
    /// The source's name for the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The training, in the fields of a `TrainingEstimate`'s spec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<Value>,
    /// Or the submitted manifest: an object, or a list with the objects to which it refers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<Value>,
    /// The outcome.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// The peak memory of one GPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Measured>,
    /// Tokens per second and GPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_second_per_gpu: Option<f64>,
    /// GPU-hours of the whole training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_hours: Option<f64>,
}

/// The outcome of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It fit.
    Fits,
    /// It ran out of GPU memory.
    Oom,
}

/// Measured memory.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Measured {
    /// In GiB, per GPU.
    pub gib: f64,
    /// The counter of the measurement.
    pub counter: Counter,
    /// Whether the counter is assumed, because the source does not name it.
    #[serde(default)]
    pub assumed: bool,
    /// The step to which the figure is rounded, in GiB: 1 for whole GiB.
    #[serde(default)]
    pub step: f64,
    /// Whether the figure is of the last pipeline stage. Else it is of the GPU that needs the most.
    #[serde(default)]
    pub last_stage: bool,
    /// Whether the peak may be higher than the figure: it was read before the fullest instant.
    #[serde(default)]
    pub at_least: bool,
}

/// A counter of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Counter {
    /// PyTorch's `max_memory_allocated`.
    Allocated,
    /// PyTorch's `max_memory_reserved`.
    Reserved,
    /// The process's memory in nvidia-smi.
    Process,
}

impl Run {
    /// Parses a line.
    ///
    /// # Errors
    /// The problem of the line, in one line.
    pub fn parse(line: &str) -> Result<Self, String> {
        if line.len() > LONGEST {
            return Err("the line is longer than 4 MiB".to_owned());
        }
        let run: Self = serde_json::from_str(line).map_err(|error| error.to_string())?;
        if run.spec.is_some() == run.manifest.is_some() {
            return Err("give one of spec and manifest".to_owned());
        }
        let figures = [run.memory.map(|memory| memory.gib), run.tokens_per_second_per_gpu, run.gpu_hours];
        if figures.into_iter().flatten().any(|figure| !(figure.is_finite() && figure > 0.0)) {
            return Err("a measured figure must be a number over 0".to_owned());
        }
        if run.memory.is_some_and(|memory| !(memory.step.is_finite() && memory.step >= 0.0)) {
            return Err("the step of a figure must be a number, 0 or more".to_owned());
        }
        if run.outcome.is_none() && figures.iter().all(Option::is_none) {
            return Err(
                "give what was measured: outcome, memory, tokensPerSecondPerGpu or gpuHours".to_owned()
            );
        }
        Ok(run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_line_is_refused_with_its_problem() {
        for (line, problem) in [
            ("{}", "missing field `source`"),
            (r#"{"source": "a", "outcome": "fits"}"#, "give one of spec and manifest"),
            (
                r#"{"source": "a", "spec": {}, "manifest": {}, "outcome": "fits"}"#,
                "give one of spec and manifest",
            ),
            (r#"{"source": "a", "spec": {}}"#, "give what was measured"),
            (r#"{"source": "a", "spec": {}, "gpuHours": 0}"#, "a number over 0"),
            (
                r#"{"source": "a", "spec": {}, "memory": {"gib": 1, "counter": "process", "step": -1}}"#,
                "the step of a figure",
            ),
            (r#"{"source": "a", "spec": {}, "outcome": "slow"}"#, "unknown variant `slow`"),
            (r#"{"source": "a", "spec": {}, "gpuHuors": 4}"#, "unknown field `gpuHuors`"),
        ] {
            let refused = Run::parse(line).unwrap_err();
            assert!(refused.contains(problem), "{line}: {refused}");
        }
    }
}
