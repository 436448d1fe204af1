//! Which rows count as stated.

use weighbridge::estimate::Estimate;

/// The share of the need that an open field may move without deciding.
const DECIDES: f64 = 0.05;

/// Nothing deciding is unknown: no single field that the source and the framework's documentation leave open moves the
/// need by more than 5 %, from its leanest value to its heaviest.
pub(crate) fn is_stated(estimate: &Estimate) -> bool {
    let need = estimate.peak.needed.as_f64();
    estimate.swings().iter().all(|(_, swing)| swing.as_f64() <= DECIDES * need)
}
