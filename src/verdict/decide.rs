//! From a probability to a verdict.
//!
//! ```text
//! P(OOM) ≥ deny_at                               OutOfMemory
//! P(OOM) ≥ warn_at, and what is missing decides  Unknown
//! P(OOM) ≥ warn_at                               Tight
//! otherwise                                      Fits
//! ```
//!
//! What is missing decides when the leanest reading surely fits (under `warn_at`) and the heaviest surely does not
//! (`deny_at` and over).

use super::Distribution;
use crate::judge::Rules;
use crate::judgement::{Reason, Verdict};
use crate::units::Bytes;

/// A verdict, why, and how sure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decision {
    /// The decision.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
    /// The probability of running out.
    pub probability: f64,
    /// Whether the leanest and the heaviest reading fall on different sides.
    pub missing_decides: bool,
}

/// Decides.
pub fn decide(need: &Distribution, capacity: Bytes, rules: &Rules) -> Decision {
    let probability = need.probability_above(capacity);
    let (lean, heavy) = need.extremes_above(capacity);
    let missing_decides = lean < rules.warn_at && heavy >= rules.deny_at;
    let (verdict, reason) = if probability >= rules.deny_at {
        (Verdict::OutOfMemory, Reason::AboveCapacity)
    } else if probability < rules.warn_at {
        (Verdict::Fits, Reason::BelowCapacity)
    } else if missing_decides {
        (Verdict::Unknown, Reason::MissingInputs)
    } else {
        (Verdict::Tight, Reason::NearCapacity)
    };
    Decision { verdict, reason, probability, missing_decides }
}
