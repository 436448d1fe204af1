//! The statistics of the tables.

use std::cmp::Ordering;

/// The value below which a share of the values lies, interpolated. `None` without values.
pub fn quantile(values: &[f64], share: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = share * sorted.len().checked_sub(1)? as f64;
    let (low, high) = (sorted.get(at.floor() as usize)?, sorted.get(at.ceil() as usize)?);
    Some(low + (high - low) * at.fract())
}

/// The median. `None` without values.
pub fn median(values: &[f64]) -> Option<f64> {
    quantile(values, 0.5)
}

/// The area under the curve over pairs of a positive and a negative of the same group, its 95 % interval by Hanley and
/// `McNeil`, and the number of pairs. `None` without pairs.
pub fn area_within(groups: &[(Vec<f64>, Vec<f64>)]) -> Option<(f64, f64, f64, usize)> {
    let paired: Vec<_> =
        groups.iter().filter(|(positive, negative)| !positive.is_empty() && !negative.is_empty()).collect();
    let count = |of: fn(&(Vec<f64>, Vec<f64>)) -> usize| paired.iter().map(|group| of(group)).sum::<usize>();
    let (positives, negatives) = (count(|group| group.0.len()), count(|group| group.1.len()));
    let pairs = count(|group| group.0.len() * group.1.len());
    let wins: f64 = paired
        .iter()
        .flat_map(|(positive, negative)| positive.iter().flat_map(|p| negative.iter().map(move |n| (p, n))))
        .map(|(p, n)| match p.total_cmp(n) {
            Ordering::Greater => 1.0,
            Ordering::Equal => 0.5,
            Ordering::Less => 0.0,
        })
        .sum();
    if pairs == 0 {
        return None;
    }
    let a = wins / pairs as f64;
    let (q1, q2) = (a / (2.0 - a), 2.0 * a * a / (1.0 + a));
    let (p, n) = (positives as f64, negatives as f64);
    let variance = (a * (1.0 - a) + (p - 1.0) * (q1 - a * a) + (n - 1.0) * (q2 - a * a)) / (p * n);
    let half = 1.96 * variance.max(0.0).sqrt();
    Some((a, (a - half).max(0.0), (a + half).min(1.0), pairs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_lies_between_its_neighbours() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert!((quantile(&[0.0, 10.0], 0.95).unwrap() - 9.5).abs() < 1e-12);
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn the_area_counts_pairs_of_one_group_only() {
        let (area, .., pairs) = area_within(&[(vec![2.0], vec![1.0, 3.0]), (vec![9.0], vec![])]).unwrap();
        assert!((area - 0.5).abs() < 1e-12);
        assert_eq!(pairs, 2);
        assert!(area_within(&[(vec![2.0], vec![])]).is_none());
    }
}
