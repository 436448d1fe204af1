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

#[test]
fn quantiles_lie_between_neighbours() {
    assert!((quantile(&[3.0, 1.0, 2.0], 0.5) - 2.0).abs() < 1e-12);
    assert!((quantile(&[0.0, 10.0], 0.95) - 9.5).abs() < 1e-12);
}
