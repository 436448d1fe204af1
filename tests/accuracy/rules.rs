//! Which rows count as stated.

use weighbridge::estimate::Estimate;
use weighbridge::estimate::memory::Figure;
use weighbridge::judgement::Swing;

/// The share of a figure that an open field may move without deciding.
const DECIDES: f64 = 0.05;

/// Nothing deciding is unknown: no single field that the source and the framework's documentation leave open moves the
/// figure, or the need, by more than 5 %, from its leanest value to its heaviest, and the framework's version is known
/// where versions differ. Where batches vary in length, what one instant frees is seldom of the size that another asks
/// for: there, no such field may move what any instant holds by more, except of what is allocated. A figure whose kind
/// the source does not say is compared with none that means the same, and so never counts.
pub(crate) fn is_stated(estimate: &Estimate, figure: Figure) -> bool {
    let moves = |swings: Vec<Swing>, figure| {
        let whole = estimate.peak.figure(figure).as_f64();
        swings.iter().any(|swing| swing.total().as_f64() > DECIDES * whole)
    };
    // What the allocator keeps may hide what a field moves.
    let hidden = moves(estimate.swings_of(Figure::Needed), Figure::Needed)
        || figure != Figure::Allocated
            && estimate.assumed.likely.varying_lengths
            && estimate.instants().iter().any(|(name, _)| moves(estimate.swings_at(name), figure));
    !estimate.version_decides && !hidden && !moves(estimate.swings_of(figure), figure)
}
