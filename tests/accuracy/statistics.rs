//! The statistics of the tables.

use weighbridge::score::statistics;

/// The value below which a share of the values lies, interpolated. NaN without values.
pub(crate) fn quantile(values: &[f64], share: f64) -> f64 {
    statistics::quantile(values, share).unwrap_or(f64::NAN)
}

/// The median. NaN without values.
pub(crate) fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The area under the curve over pairs of a positive and a negative of the same group, its 95 % interval by Hanley and
/// `McNeil`, and the number of pairs.
pub(crate) fn area_within(groups: &[(Vec<f64>, Vec<f64>)]) -> (f64, f64, f64, usize) {
    let (mut wins, mut pairs, mut positives, mut negatives) = (0.0, 0usize, 0usize, 0usize);
    for (positive, negative) in groups {
        if positive.is_empty() || negative.is_empty() {
            continue;
        }
        positives += positive.len();
        negatives += negative.len();
        for p in positive {
            for n in negative {
                pairs += 1;
                wins += if p > n { 1.0 } else { f64::from(u8::from((p - n).abs() < f64::EPSILON)) / 2.0 };
            }
        }
    }
    let a = wins / pairs as f64;
    let (q1, q2) = (a / (2.0 - a), 2.0 * a * a / (1.0 + a));
    let (p, n) = (positives as f64, negatives as f64);
    let variance = (a * (1.0 - a) + (p - 1.0) * (q1 - a * a) + (n - 1.0) * (q2 - a * a)) / (p * n);
    let half = 1.96 * variance.max(0.0).sqrt();
    (a, (a - half).max(0.0), (a + half).min(1.0), pairs)
}

#[test]
fn quantiles_lie_between_neighbours() {
    assert!((quantile(&[3.0, 1.0, 2.0], 0.5) - 2.0).abs() < 1e-12);
    assert!((quantile(&[0.0, 10.0], 0.95) - 9.5).abs() < 1e-12);
}

#[test]
fn the_area_counts_pairs_of_one_group_only() {
    let (area, .., pairs) = area_within(&[(vec![2.0], vec![1.0, 3.0]), (vec![9.0], vec![])]);
    assert!((area - 0.5).abs() < 1e-12);
    assert_eq!(pairs, 2);
}
