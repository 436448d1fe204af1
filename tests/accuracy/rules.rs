//! Which rows count as stated.

use weighbridge::estimate::Estimate;
use weighbridge::estimate::memory::Figure;

/// The share of a figure that an open field may move without deciding.
const DECIDES: f64 = 0.05;

/// Nothing deciding is unknown: no single field that the source and the framework's documentation leave open moves the
/// figure, or the need, by more than 5 %, from its leanest value to its heaviest, and the framework's version
/// is known where versions differ. A figure whose kind the source does not say is compared with none that means the same,
/// and so never counts.
pub(crate) fn is_stated(estimate: &Estimate, figure: Figure) -> bool {
    let fixes = |figure| {
        let whole = estimate.peak.figure(figure).as_f64();
        estimate.swings_of(figure).iter().all(|swing| swing.total().as_f64() <= DECIDES * whole)
    };
    // What the allocator keeps may hide what a field moves.
    !estimate.version_decides && fixes(figure) && fixes(Figure::Needed)
}
