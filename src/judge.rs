//! 1 → 5 in one call: read, estimate, compare with the capacity, decide, advise.
//!
//! [`judge`] is the one function that the webhook, the controller and the command line call. It is pure: no clock, no
//! network, no files, no environment, and the same answer for the same arguments, to the byte.

use serde_json::Value;

use crate::hardware::Catalogue;
use crate::judgement::{Judgement, Reason, Summary, Verdict};
use crate::surroundings::Surroundings;
use crate::workload::TrainingJob;

/// What an administrator decides: thresholds and defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// Deny at this probability of running out of memory, and over.
    pub deny_at: f64,
    /// Warn at this probability, and over.
    pub warn_at: f64,
}

impl Default for Rules {
    fn default() -> Self {
        Self { deny_at: 0.9, warn_at: 0.2 }
    }
}

/// What is wanted of a judgement, and how much work may be spent: counted, never timed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Whether to look for changed configurations that fit.
    pub advice: bool,
    /// How many configurations to try at most.
    pub max_candidates: usize,
    /// How many bytes of annotations and arguments to read at most.
    pub max_bytes: usize,
}

impl Default for Ask {
    fn default() -> Self {
        Self { advice: true, max_candidates: 500, max_bytes: 1 << 20 }
    }
}

/// Judges a workload, or a `TrainingEstimate`.
pub fn judge(
    _object: &Value,
    _around: &Surroundings,
    _catalogue: &Catalogue,
    _rules: &Rules,
    _ask: &Ask,
) -> Judgement {
    Judgement {
        verdict: Verdict::NotTraining,
        reason: Reason::NotTraining,
        message: String::new(),
        oom_probability: None,
        missing: Vec::new(),
        warnings: Vec::new(),
        errors: Vec::new(),
        inputs: Vec::new(),
        memory: None,
        time: None,
        cost: None,
        advice: Vec::new(),
        job: TrainingJob::default(),
        summary: Summary::default(),
        override_reason: None,
    }
}
