//! A run that was measured, as one line of JSON. The format is stable: fields are added and never renamed.
//!
//! ```json
//! {"source": "team-a", "name": "llama-8b-lora", "spec": {"model": {"name": "llama-3-8b"}}, "outcome": "fits",
//!  "memory": {"gib": 31.2, "counter": "reserved"}, "tokensPerSecondPerGpu": 3100, "gpuHours": 410}
//! ```

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The longest line that is read.
const LONGEST: usize = 4 << 20;

/// A run that was measured.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Run {
    /// Who measured it. Runs of one source are summed up together.
    pub source: String,
    /// What the source calls it.
    #[serde(default)]
    pub name: Option<String>,
    /// What was trained, in the fields of a `TrainingEstimate`'s spec.
    #[serde(default)]
    pub spec: Option<Value>,
    /// Or the manifest that was submitted: an object, or a list with the objects that it refers to.
    #[serde(default)]
    pub manifest: Option<Value>,
    /// How it ended.
    #[serde(default)]
    pub outcome: Option<Outcome>,
    /// The most memory that one GPU took.
    #[serde(default)]
    pub memory: Option<Measured>,
    /// Tokens a second and GPU.
    #[serde(default)]
    pub tokens_per_second_per_gpu: Option<f64>,
    /// GPU-hours of the whole training.
    #[serde(default)]
    pub gpu_hours: Option<f64>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It ran.
    Fits,
    /// It ran out of GPU memory.
    Oom,
}

/// Memory that was measured.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// In GiB, per GPU.
    pub gib: f64,
    /// The counter that was read.
    pub counter: Counter,
}

/// A counter of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Counter {
    /// PyTorch's `max_memory_allocated`.
    Allocated,
    /// PyTorch's `max_memory_reserved`.
    Reserved,
    /// What nvidia-smi shows of the process.
    Process,
}

impl Run {
    /// Reads a line.
    ///
    /// # Errors
    /// What is wrong with it, in one line.
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
    fn a_line_that_is_no_run_is_told_what_it_lacks() {
        for (line, problem) in [
            ("{}", "missing field `source`"),
            (r#"{"source": "a", "outcome": "fits"}"#, "give one of spec and manifest"),
            (
                r#"{"source": "a", "spec": {}, "manifest": {}, "outcome": "fits"}"#,
                "give one of spec and manifest",
            ),
            (r#"{"source": "a", "spec": {}}"#, "give what was measured"),
            (r#"{"source": "a", "spec": {}, "gpuHours": 0}"#, "a number over 0"),
            (r#"{"source": "a", "spec": {}, "outcome": "slow"}"#, "unknown variant `slow`"),
            (r#"{"source": "a", "spec": {}, "gpuHuors": 4}"#, "unknown field `gpuHuors`"),
        ] {
            let refused = Run::parse(line).unwrap_err();
            assert!(refused.contains(problem), "{line}: {refused}");
        }
    }
}
