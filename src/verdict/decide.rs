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
use crate::judgement::{Reason, Verdict};
use crate::policy::Rules;
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

#[cfg(test)]
mod tests {
    use super::*;

    const CAPACITY: Bytes = Bytes::from_mib(80 << 10);

    /// The verdict of a job with every field stated. Its need is so many standard deviations above the capacity.
    fn at(deviations: f64) -> Verdict {
        const SPREAD: f64 = 0.05;
        let need = CAPACITY.scale((deviations * SPREAD).exp());
        decide(&Distribution::new(need, need, need, SPREAD), CAPACITY, &Rules::default()).verdict
    }

    #[test]
    fn a_job_is_refused_from_a_probability_of_nine_tenths_on() {
        // Φ(1.28) = 0.8997, Φ(1.29) = 0.9015
        assert_eq!((at(1.28), at(1.29)), (Verdict::Tight, Verdict::OutOfMemory));
    }

    #[test]
    fn a_job_is_tight_from_a_probability_of_a_fifth_on() {
        // Φ(−0.85) = 0.1977, Φ(−0.84) = 0.2005
        assert_eq!((at(-0.85), at(-0.84)), (Verdict::Fits, Verdict::Tight));
    }

    #[test]
    fn missing_fields_decide_only_where_the_leanest_plan_fits_and_the_heaviest_does_not() {
        let decided = |lean: f64, likely: f64, heavy: f64| {
            let need = |share: f64| CAPACITY.scale(share);
            let need = Distribution::new(need(lean), need(likely), need(heavy), 0.05);
            decide(&need, CAPACITY, &Rules::default()).verdict
        };
        assert_eq!(decided(0.5, 1.0, 1.5), Verdict::Unknown);
        // The heaviest plan is likely to run out (P = 0.84), and not sure to.
        assert_eq!(decided(0.5, 1.0, 1.05), Verdict::Tight);
        assert_eq!(decided(1.0, 1.0, 1.5), Verdict::Tight);
        assert_eq!(decided(0.5, 0.6, 1.5), Verdict::Fits);
    }
}
