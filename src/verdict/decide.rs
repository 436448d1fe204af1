//! From a need to a verdict. A job is refused on the bound, never on the point.
//!
//! ```text
//! a reading runs out   P(OOM) ≥ deny_at, and its lower bound is above the capacity
//! a reading fits       P(OOM) < warn_at
//!
//! OutOfMemory          every reading of the open fields runs out
//! Unknown              the open fields decide
//! Fits                 the readings together fit
//! Tight                otherwise
//! ```
//!
//! The lower bound of all readings is the bound of the leanest, and it is the one that is printed. No job is refused if
//! its printed interval reaches below the capacity. With the default thresholds the bound is the stricter test: a plan
//! whose lower bound is above the capacity runs out with a probability of 0.95 or more.
//!
//! The open fields decide in three cases:
//!
//! - The leanest reading fits, and the heaviest has P(OOM) ≥ `deny_at`, and the readings together do not fit.
//! - The likeliest reading alone runs out, and the leanest doesn't. Writing the fields makes it a refusal or an admission.
//! - The readings together fit, the heaviest has P(OOM) ≥ `deny_at`, and the likeliest needs more than 0.8 of the capacity.
//!   A likeliest need below that is far below the capacity: such a job has room for much of what open fields may add.
//!
//! A job without open fields has one reading. It is `Tight` if its P(OOM) is `deny_at` or more and its interval reaches
//! below the capacity. Here the estimate is uncertain, and no further field would change that.

use super::Distribution;
use crate::judgement::{Reason, Verdict};
use crate::policy::Rules;
use crate::units::Bytes;

/// The share of the capacity below which a likeliest need is far below it.
const FAR_BELOW: f64 = 0.8;

/// A verdict, its reason, and its probability.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decision {
    /// The decision.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
    /// The probability of running out.
    pub probability: f64,
}

/// Decides.
pub fn decide(need: &Distribution, capacity: Bytes, rules: &Rules) -> Decision {
    let probability = need.probability_above(capacity);
    let (verdict, reason) = if runs_out(need, capacity, rules) {
        (Verdict::OutOfMemory, Reason::AboveCapacity)
    } else if open_fields_decide(need, capacity, rules) {
        (Verdict::Unknown, Reason::MissingInputs)
    } else if probability < rules.warn_at {
        (Verdict::Fits, Reason::BelowCapacity)
    } else {
        (Verdict::Tight, Reason::NearCapacity)
    };
    Decision { verdict, reason, probability }
}

fn runs_out(need: &Distribution, capacity: Bytes, rules: &Rules) -> bool {
    let (lower, _) = need.bounds();
    need.probability_above(capacity) >= rules.deny_at && lower > capacity
}

fn open_fields_decide(need: &Distribution, capacity: Bytes, rules: &Rules) -> bool {
    if need.probability_above(capacity) >= rules.warn_at && runs_out(&need.likeliest(), capacity, rules) {
        return true;
    }
    let (lean, heavy) = need.extremes_above(capacity);
    let fits = need.probability_above(capacity) < rules.warn_at;
    let near = need.likely() > capacity.scale(FAR_BELOW);
    lean < rules.warn_at && heavy >= rules.deny_at && (near || !fits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CAPACITY: Bytes = Bytes::from_mib(80 << 10);

    /// The verdict of a job with every field stated. Its need is this number of standard deviations above the capacity.
    fn at(deviations: f64) -> Verdict {
        const SPREAD: f64 = 0.05;
        let need = CAPACITY.scale((deviations * SPREAD).exp());
        decide(&Distribution::new(need, need, need, SPREAD), CAPACITY, &Rules::default()).verdict
    }

    fn decided(lean: f64, likely: f64, heavy: f64) -> Verdict {
        let need = |share: f64| CAPACITY.scale(share);
        let need = Distribution::new(need(lean), need(likely), need(heavy), 0.05);
        decide(&need, CAPACITY, &Rules::default()).verdict
    }

    #[test]
    fn a_job_is_refused_where_its_lower_bound_is_above_the_capacity() {
        // The bounds are 1.645 standard deviations from the need. The probability is 0.9 or more from 1.282 on.
        assert_eq!((at(1.64), at(1.65)), (Verdict::Tight, Verdict::OutOfMemory));
        assert_eq!((at(1.28), at(1.29)), (Verdict::Tight, Verdict::Tight));
    }

    #[test]
    fn a_probability_that_the_bound_does_not_reach_is_still_asked_for() {
        let need = CAPACITY.scale((1.7f64 * 0.05).exp());
        let need = Distribution::new(need, need, need, 0.05);
        let rules = Rules { deny_at: 0.99, ..Rules::default() };
        assert_eq!(decide(&need, CAPACITY, &rules).verdict, Verdict::Tight);
    }

    #[test]
    fn a_job_is_tight_from_a_probability_of_a_fifth_on() {
        // Φ(−0.85) = 0.1977, Φ(−0.84) = 0.2005
        assert_eq!((at(-0.85), at(-0.84)), (Verdict::Fits, Verdict::Tight));
    }

    #[test]
    fn open_fields_decide_where_the_leanest_plan_fits_and_the_heaviest_does_not() {
        assert_eq!(decided(0.5, 1.0, 1.5), Verdict::Unknown);
        // The heaviest plan is likely to run out (P = 0.84), but not sure to.
        assert_eq!(decided(0.5, 1.0, 1.05), Verdict::Tight);
        assert_eq!(decided(1.0, 1.0, 1.5), Verdict::Tight);
        assert_eq!(decided(0.5, 0.6, 1.5), Verdict::Fits);
        // Together they fit (P = 0.15), but the likeliest is near the capacity.
        assert_eq!(decided(0.5, 0.81, 1.5), Verdict::Unknown);
        assert_eq!(decided(0.5, 0.81, 1.05), Verdict::Fits);
    }

    #[test]
    fn open_fields_decide_where_the_likeliest_plan_runs_out_and_the_leanest_may_not() {
        // P = 0.99, and the leanest plan's lower bound is 0.995 of the capacity.
        assert_eq!(decided(1.08, 1.5, 1.5), Verdict::Unknown);
        assert_eq!(decided(1.09, 1.5, 1.5), Verdict::OutOfMemory);
        // The spread alone reaches below the capacity, whatever fields are written.
        assert_eq!(decided(1.07, 1.08, 1.5), Verdict::Tight);
    }

    prop_compose! {
        fn any_need()(
            needs in prop::array::uniform3(1u64..400), spread in 0.001f64..1.0, unowned in 0u64..20,
        ) -> Distribution {
            let [lean, likely, heavy] = needs.map(|gib| Bytes::from_mib(gib << 10));
            Distribution::new(lean, likely, heavy, spread).with_unowned(Bytes::from_mib(unowned << 10))
        }
    }

    proptest! {
        #[test]
        fn no_job_is_refused_whose_lower_bound_is_within_the_capacity(
            need in any_need(), capacity in 0u64..400, deny_at in 0.2f64..1.0,
        ) {
            let rules = Rules { deny_at, ..Rules::default() };
            let capacity = Bytes::from_mib(capacity << 10);
            let refused = decide(&need, capacity, &rules).verdict == Verdict::OutOfMemory;
            prop_assert!(!refused || need.bounds().0 > capacity);
        }

        #[test]
        fn more_memory_never_turns_an_admission_into_a_refusal(
            need in any_need(), capacity in 0u64..400, more in 0u64..400,
        ) {
            let refused = |gib: u64| {
                let capacity = Bytes::from_mib(gib << 10);
                decide(&need, capacity, &Rules::default()).verdict == Verdict::OutOfMemory
            };
            prop_assert!(!refused(capacity + more) || refused(capacity));
        }
    }
}
