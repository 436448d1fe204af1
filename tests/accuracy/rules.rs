//! The rule for stated rows.

use weighbridge::estimate::Estimate;
use weighbridge::estimate::memory::Figure;
use weighbridge::judgement::Swing;

/// The largest share of a figure that an open field may move.
const DECIDES: f64 = 0.05;

/// Whether all fields that matter are known. Then no single field that the source and the framework's documentation
/// leave open moves the figure, or the need, by more than 5 % between its leanest and its heaviest value. The
/// framework's version is known if versions differ. If batches vary in length, the blocks that one instant frees seldom
/// fit the tensors of another. Then no such field may move the allocated memory of any instant by more either, unless
/// the figure is the allocated one. A figure of unstated kind cannot be compared with the right one, so it never
/// counts.
pub(crate) fn is_stated(estimate: &Estimate, figure: Figure) -> bool {
    let moves = |swings: Vec<Swing>, figure| {
        let whole = estimate.peak.figure(figure).as_f64();
        swings.iter().any(|swing| swing.total().as_f64() > DECIDES * whole)
    };
    // The allocator's reserve may hide the effect of a field.
    let hidden = moves(estimate.swings_of(Figure::Needed), Figure::Needed)
        || figure != Figure::Allocated
            && estimate.assumed.likely.varying_lengths
            && estimate.instants().iter().any(|(name, _)| moves(estimate.swings_at(name), figure));
    !estimate.version_decides && !hidden && !moves(estimate.swings_of(figure), figure)
}
