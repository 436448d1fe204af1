//! The needed memory as a distribution.
//!
//! Two things are uncertain, and they are kept apart. First, fields that are not stated: the leanest, the likeliest and
//! the heaviest plan carry 25, 60 and 15 % of the probability. Second, the error of the formulas: each plan's need is
//! lognormal around its estimate. Its spread `σ` is a share of the need, as measured on published runs of the
//! framework. The memory that no tensor owns adds its own uncertainty of `u` bytes, whatever the need, in the figures
//! that include it.
//!
//! ```text
//! P(need > c) = Σ w_i · Φ(ln(need_i / c) / σ_i)      w = 0.25, 0.60, 0.15      σ_i² = σ² + min(u / need_i, ½)²
//! ```
//!
//! The bounds hold in every reading, and a refusal rests on the lower one. It is the leanest plan's, and the upper bound is the
//! heaviest plan's: `need_lean · exp(−1.645 σ_lean)` to `need_heavy · exp(1.645 σ_heavy)`. Both grow with the need. A field that
//! is stated leaves fewer plans between the two, so it never widens the bounds.
//!
//! The 90 % interval lies within the bounds. It is what people read. The reach of the open fields and the error of the formulas are
//! independent, and few jobs have all their open fields at the leanest:
//!
//! ```text
//! lower = need_likely · exp(−√((0.7 ln(need_likely / need_lean))² + (1.645 σ)²))
//! upper = need_likely · exp(+√((ln(need_heavy / need_likely))²    + (1.645 σ)²))
//! ```
//!
//! The share 0.7 is fitted. Of 252 public figures that took no part in any other fit, 8 lie below the lower end (of 127 in ms-swift's
//! examples 3, of 125 others 5). With a share of 1 it is 4, with 0.6 it is 11.
//!
//! Arithmetic has no spread. The weights and the optimizer states of the leanest plan are counted exactly. Their bytes
//! are a floor of the lower bound, and a card below the floor is too small in every reading.
//!
//! A need may also be stated: a rollout engine reserves the share of the device that it is told. The job needs the higher
//! of the two. A stated need has no `σ`, only the memory that no tensor owns:
//!
//! ```text
//! P(need > c) = Σ w_i · max(Φ(ln(need_i / c) / σ_i), Φ(ln(stated_i / c) / min(u / stated_i, ½)))
//! ```
//!
//! Of a framework, or of parts of a model, that was never compared with a measurement, the floor alone is the lower bound.
//! Such a job is refused by arithmetic, or not at all. Its interval has the spread of such estimates.
//!
//! The weights of the plans are chosen for their consequences. If a job's probability is 0.9, even its leanest plan
//! runs out with a probability of at least 60 %. If a job runs out only in its heaviest reading (15 %), there is no
//! warning. If every field is stated, the three plans are one.

use crate::units::Bytes;

/// The most that memory which no tensor owns adds to the spread. With more, the upper bound would fall as the need
/// grows.
const UNOWNED_AT_MOST: f64 = 0.5;

/// The share of the way to the leanest plan that the 90 % interval goes, in logarithms.
const LEAN_REACH: f64 = 0.7;

/// The least spread. A logarithm is divided by it.
const LEAST_SPREAD: f64 = 1e-6;

/// The needed memory as a distribution.
#[derive(Clone, Debug, PartialEq)]
pub struct Distribution {
    needs: [Bytes; 3],
    stated: [Bytes; 3],
    spread: f64,
    unowned: Bytes,
    floor: Bytes,
    unchecked: bool,
}

impl Distribution {
    /// The shares of the leanest, the likeliest and the heaviest plan.
    pub const WEIGHTS: [f64; 3] = [0.25, 0.60, 0.15];

    /// From the needs of the three plans and the spread of ln(measured / estimated). The leanest and the heaviest may
    /// be swapped.
    pub fn new(lean: Bytes, likely: Bytes, heavy: Bytes, spread: f64) -> Self {
        Self {
            needs: ordered([lean, likely, heavy]),
            stated: [Bytes::ZERO; 3],
            spread: spread.max(LEAST_SPREAD),
            unowned: Bytes::ZERO,
            floor: Bytes::ZERO,
            unchecked: false,
        }
    }

    /// Adds what the three plans need at a time when they state it.
    #[must_use]
    pub fn with_stated(self, lean: Bytes, likely: Bytes, heavy: Bytes) -> Self {
        Self { stated: ordered([lean, likely, heavy]), ..self }
    }

    /// Adds the standard deviation of the memory that no tensor owns.
    #[must_use]
    pub fn with_unowned(self, unowned: Bytes) -> Self {
        Self { unowned, ..self }
    }

    /// Adds a floor: the memory that the leanest plan needs by arithmetic alone.
    #[must_use]
    pub fn with_floor(self, floor: Bytes) -> Self {
        Self { floor, ..self }
    }

    /// Of a need that no measurement was compared with, only the floor bounds it from below.
    #[must_use]
    pub fn with_floor_alone(self) -> Self {
        Self { unchecked: true, ..self }
    }

    /// Lowers the leanest plan to this need, with this floor.
    #[must_use]
    pub fn down_to(self, least: Bytes, floor: Bytes) -> Self {
        let [lean, likely, heavy] = self.needs;
        let [stated, of_likely, of_heavy] = self.stated;
        Self {
            needs: [lean.min(least), likely, heavy],
            stated: [stated.min(least), of_likely, of_heavy],
            floor: self.floor.min(floor),
            ..self
        }
    }

    /// Raises the heaviest plan to this need.
    #[must_use]
    pub fn up_to(self, most: Bytes) -> Self {
        let [lean, likely, heavy] = self.needs;
        Self { needs: [lean, likely, heavy.max(most)], ..self }
    }

    /// The need of the likeliest plan.
    pub fn likely(&self) -> Bytes {
        let [_, likely, _] = self.higher();
        likely
    }

    /// The needs of the leanest and of the heaviest plan.
    pub fn ends(&self) -> (Bytes, Bytes) {
        let [lean, _, heavy] = self.higher();
        (lean, heavy)
    }

    /// The memory that every plan needs by arithmetic alone.
    pub const fn floor(&self) -> Bytes {
        self.floor
    }

    /// The likeliest plan alone.
    #[must_use]
    pub fn likeliest(&self) -> Self {
        let ([_, likely, _], [_, stated, _]) = (self.needs, self.stated);
        Self { needs: [likely; 3], stated: [stated; 3], ..*self }
    }

    /// The estimated needs, with the stated ones beside them.
    fn plans(&self) -> [(Bytes, Bytes); 3] {
        let ([lean, likely, heavy], [of_lean, of_likely, of_heavy]) = (self.needs, self.stated);
        [(lean, of_lean), (likely, of_likely), (heavy, of_heavy)]
    }

    /// The higher of what each plan needs by estimate and as stated.
    fn higher(&self) -> [Bytes; 3] {
        self.plans().map(|(need, stated)| need.max(stated))
    }

    fn with_unowned_of(&self, spread: f64, need: Bytes) -> f64 {
        spread.hypot((self.unowned.as_f64() / need.as_f64().max(1.0)).min(UNOWNED_AT_MOST))
    }

    /// The probability that more than `capacity` is needed.
    pub fn probability_above(&self, capacity: Bytes) -> f64 {
        self.plans()
            .into_iter()
            .zip(Self::WEIGHTS)
            .map(|(plan, weight)| weight * self.above(plan, capacity))
            .sum()
    }

    /// The probabilities for the leanest and for the heaviest plan alone.
    pub fn extremes_above(&self, capacity: Bytes) -> (f64, f64) {
        let [lean, _, heavy] = self.plans();
        (self.above(lean, capacity), self.above(heavy, capacity))
    }

    fn above(&self, (need, stated): (Bytes, Bytes), capacity: Bytes) -> f64 {
        if capacity == Bytes::ZERO || self.floor > capacity {
            return 1.0;
        }
        let above = |need: Bytes, spread: f64| {
            if need == Bytes::ZERO {
                return 0.0;
            }
            let z = (need.as_f64().ln() - capacity.as_f64().ln()) / self.with_unowned_of(spread, need);
            0.5 * libm::erfc(-z / std::f64::consts::SQRT_2)
        };
        above(need, self.spread).max(above(stated, LEAST_SPREAD))
    }

    /// The bounds of all readings.
    pub fn bounds(&self) -> (Bytes, Bytes) {
        let [lean, _, heavy] = self.plans();
        let lower = if self.unchecked { self.floor } else { self.end(lean, -1.0).max(self.floor) };
        (lower, self.end(heavy, 1.0).max(lower))
    }

    /// The ends of the 90 % interval.
    pub fn interval(&self) -> (Bytes, Bytes) {
        let [_, plan, _] = self.plans();
        let [lean, likely, heavy] = self.higher().map(Bytes::as_f64);
        let (least, most) = self.bounds();
        if lean <= 0.0 {
            return (least, most);
        }
        let of = |open: f64, way: f64| {
            let error = (self.end(plan, way).as_f64() / likely).ln();
            Bytes::from_f64(likely * (way * open.hypot(error)).exp())
        };
        let lower = of(LEAN_REACH * (likely / lean).ln(), -1.0).max(least);
        (lower, of((heavy / likely).ln(), 1.0).min(most).max(lower))
    }

    /// The end of the interval of one plan, below it (−1) or above it (1).
    fn end(&self, (need, stated): (Bytes, Bytes), way: f64) -> Bytes {
        const NINETY_PERCENT: f64 = 1.645;
        let end = |need: Bytes, spread: f64| {
            need.scale((way * NINETY_PERCENT * self.with_unowned_of(spread, need)).exp())
        };
        end(need, self.spread).max(end(stated, LEAST_SPREAD))
    }

    /// The need that is not exceeded with this probability.
    pub fn quantile(&self, probability: f64) -> Bytes {
        let [lean, _, heavy] = self.higher();
        // The quantile is within eight spreads of the extremes. A bisection of 60 steps is exact to a byte.
        let (mut low, mut high) = (
            lean.as_f64().max(1.0).ln() - 8.0 * self.with_unowned_of(self.spread, lean),
            heavy.as_f64().max(1.0).ln() + 8.0 * self.with_unowned_of(self.spread, heavy),
        );
        for _ in 0..60 {
            let middle = f64::midpoint(low, high);
            if self.probability_above(Bytes::from_f64(middle.exp())) > 1.0 - probability {
                low = middle;
            } else {
                high = middle;
            }
        }
        Bytes::from_f64(high.exp())
    }
}

/// The needs with the least first and the most last.
fn ordered([lean, likely, heavy]: [Bytes; 3]) -> [Bytes; 3] {
    [lean.min(likely).min(heavy), likely, heavy.max(likely).max(lean)]
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn a_card_below_the_floor_is_too_small_in_every_reading() {
        let need = |gib: u64| Bytes(gib * GIB);
        let vague = Distribution::new(need(20), need(60), need(200), 0.6);
        assert!(vague.bounds().0 < need(10) && vague.probability_above(need(16)) < 0.95);
        let floored = vague.with_floor(need(18));
        assert_eq!(floored.bounds().0, need(18));
        assert!((floored.probability_above(need(16)) - 1.0).abs() < 1e-12);
        assert!(floored.probability_above(need(18)) < 0.9);
        assert_eq!(floored.down_to(need(4), need(2)).bounds().0, need(2));
    }

    #[test]
    fn a_need_that_was_never_measured_is_bounded_by_its_floor_alone() {
        let need = |gib: u64| Bytes(gib * GIB);
        let known = Distribution::new(need(60), need(60), need(60), 0.1).with_floor(need(18));
        let unchecked = known.clone().with_floor_alone();
        assert!(known.bounds().0 > need(50));
        assert_eq!(unchecked.bounds(), (need(18), known.bounds().1));
    }

    #[test]
    fn the_interval_of_a_need_that_was_never_measured_has_its_spread() {
        let need = Bytes(60 * GIB);
        let known = Distribution::new(need, need, need, 0.1).with_floor(Bytes(18 * GIB));
        assert_eq!(known.clone().with_floor_alone().interval(), known.interval());
        assert_eq!(known.interval(), known.bounds());
    }

    #[test]
    fn the_interval_lies_within_the_bounds_and_around_the_likeliest_need() {
        let gib = |n: u64| Bytes(n * GIB);
        for (lean, likely, heavy) in
            [(0, 0, 0), (0, 60, 60), (40, 60, 90), (60, 60, 60), (1, 60, 600), (60, 61, 61)]
        {
            for floor in [0, 30] {
                let need = Distribution::new(gib(lean), gib(likely), gib(heavy), 0.1)
                    .with_unowned(gib(2))
                    .with_floor(gib(floor));
                let ((least, most), (lower, upper)) = (need.bounds(), need.interval());
                assert!(least <= lower && lower <= upper && upper <= most, "{lean} {likely} {heavy} {floor}");
                assert!(lower <= need.likely().max(gib(floor)) && need.likely() <= upper);
            }
        }
    }

    #[test]
    fn open_fields_and_the_error_of_the_formulas_add_in_squares() {
        let gib = |n: u64| Bytes(n * GIB);
        let (lower, upper) = Distribution::new(gib(30), gib(60), gib(120), 0.2).interval();
        let away = |end: Bytes| (end.as_f64() / gib(60).as_f64()).ln();
        assert!((away(lower) + (0.7 * 2f64.ln()).hypot(0.329)).abs() < 1e-6);
        assert!((away(upper) - 2f64.ln().hypot(0.329)).abs() < 1e-6);
    }

    #[test]
    fn a_stated_need_has_no_spread_of_the_formulas() {
        let gib = |n: u64| Bytes(n * GIB);
        let training = Distribution::new(gib(40), gib(40), gib(40), 0.3);
        let with_engine = training.clone().with_stated(gib(70), gib(70), gib(70)).with_unowned(gib(1));
        assert_eq!(with_engine.likely(), gib(70));
        assert!(with_engine.probability_above(gib(79)) < 0.02, "the engine takes what it is told");
        assert!(with_engine.probability_above(gib(60)) > 0.99);
        let (low, high) = with_engine.bounds();
        assert!(low > gib(68) && high < gib(73), "{low:?} {high:?}");
    }

    #[test]
    fn a_training_near_a_stated_need_keeps_its_own_spread() {
        let gib = |n: u64| Bytes(n * GIB);
        let training = Distribution::new(gib(68), gib(68), gib(68), 0.3);
        let alone = training.probability_above(gib(79));
        let with_engine = training.clone().with_stated(gib(70), gib(70), gib(70));
        assert!((with_engine.probability_above(gib(79)) - alone).abs() < 1e-9);
        assert_eq!(with_engine.bounds().1, training.bounds().1);
    }

    #[test]
    fn a_need_at_capacity_is_even_odds_when_all_is_stated() {
        let need = Bytes(80 * GIB);
        let distribution = Distribution::new(need, need, need, 0.05);
        assert!((distribution.probability_above(need) - 0.5).abs() < 1e-9);
        assert!(distribution.probability_above(Bytes(60 * GIB)) > 0.99);
        assert!(distribution.probability_above(Bytes(100 * GIB)) < 0.01);
    }

    #[test]
    fn a_probability_of_nine_tenths_needs_a_leanest_plan_that_is_likelier_than_not_to_run_out() {
        let capacity = Bytes(80 * GIB);
        let lean_fits = Distribution::new(Bytes(70 * GIB), Bytes(200 * GIB), Bytes(400 * GIB), 0.1);
        assert!(lean_fits.probability_above(capacity) < 0.9);
        let lean_does_not = Distribution::new(Bytes(90 * GIB), Bytes(200 * GIB), Bytes(400 * GIB), 0.1);
        assert!(lean_does_not.probability_above(capacity) > 0.9);
    }

    #[test]
    fn stating_what_a_plan_left_open_never_widens_the_bounds() {
        let gib = |n: u64| Bytes(n * GIB);
        let (lower, upper) = Distribution::new(gib(40), gib(60), gib(90), 0.1).bounds();
        for (lean, likely, heavy) in [(40, 40, 70), (50, 60, 90), (60, 60, 60), (90, 90, 90), (40, 40, 40)] {
            let (low, high) = Distribution::new(gib(lean), gib(likely), gib(heavy), 0.1).bounds();
            assert!(lower <= low && high <= upper);
        }
    }

    #[test]
    fn what_no_tensor_owns_widens_small_needs_and_hardly_large_ones() {
        let width = |need: u64| {
            let need = Bytes(need * GIB);
            let (low, high) = Distribution::new(need, need, need, 0.03).with_unowned(Bytes(GIB)).bounds();
            (high.as_f64() / low.as_f64()).ln()
        };
        assert!(width(4) > 0.8);
        assert!(width(100) < 0.105);
    }

    #[test]
    fn the_bounds_are_1_645_deviations_from_the_leanest_and_the_heaviest_plan() {
        let (lean, heavy) = (Bytes(40 * GIB), Bytes(90 * GIB));
        let (low, high) = Distribution::new(lean, Bytes(60 * GIB), heavy, 0.1).bounds();
        let deviations = |bound: Bytes, need: Bytes| (bound.as_f64() / need.as_f64()).ln() / 0.1;
        assert!((deviations(low, lean) + 1.645).abs() < 1e-6);
        assert!((deviations(high, heavy) - 1.645).abs() < 1e-6);
    }

    #[test]
    fn the_bounds_grow_with_the_need() {
        let bounds = |need: u64| {
            let need = Bytes(need << 20);
            Distribution::new(need, need, need, 0.05).with_unowned(Bytes(2 * GIB)).bounds()
        };
        for need in (256..65_536).step_by(256) {
            let ((low, high), (next_low, next_high)) = (bounds(need), bounds(need + 256));
            assert!(low <= next_low && high <= next_high, "{need} MiB");
        }
    }

    #[test]
    fn quantiles_are_ordered_and_near_the_normal_ones() {
        let need = Bytes(80 * GIB);
        let distribution = Distribution::new(need, need, need, 0.05);
        let (low, high) = (distribution.quantile(0.05), distribution.quantile(0.95));
        assert!(low < need && need < high);
        assert!((high.as_f64() / need.as_f64()).ln() / 0.05 - 1.645 < 0.01);
    }

    #[test]
    fn the_plans_carry_a_quarter_three_fifths_and_the_rest_of_the_probability() {
        let (fits, runs_out, capacity) = (Bytes(GIB), Bytes(1000 * GIB), Bytes(80 * GIB));
        let above = |lean, likely, heavy| {
            let share = Distribution::new(lean, likely, heavy, 0.01).probability_above(capacity);
            (share * 100.0).round()
        };
        assert_eq!(above(fits, fits, runs_out).to_bits(), 15f64.to_bits());
        assert_eq!(above(fits, runs_out, runs_out).to_bits(), 75f64.to_bits());
        assert_eq!(above(runs_out, runs_out, runs_out).to_bits(), 100f64.to_bits());
    }

    #[test]
    fn what_no_tensor_owns_widens_a_need_by_half_of_it_at_most() {
        let need = Bytes(GIB);
        let (low, _) = Distribution::new(need, need, need, 1e-6).with_unowned(Bytes(100 * GIB)).bounds();
        assert!((low.as_f64().ln() - need.as_f64().ln() + 1.645 * 0.5).abs() < 1e-6);
    }
}
