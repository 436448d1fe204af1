//! The rule for stated runs.
//!
//! A run is stated if nothing that matters is open. Then no single field that the run leaves open moves the measured
//! figure, or the need, by more than 5 % between its leanest and its heaviest value. The framework's version is known if
//! versions differ. The counter is known, and every field of the job could be read.
//!
//! If batches vary in length, the blocks that one instant frees seldom fit the tensors of another. Then no such field may
//! move the allocated memory of any instant by more either, unless the figure is the allocated one.

use super::{Counter, Run};
use crate::estimate::Estimate;
use crate::estimate::memory::Figure;
use crate::judgement::{Judgement, Swing};

/// The largest share of a figure that an open field may move.
const DECIDES: f64 = 0.05;

pub(super) fn is_stated(run: &Run, judgement: &Judgement, estimate: &Estimate) -> bool {
    let read = judgement.counted.is_some_and(|counted| !counted.unread_fields);
    let sure = run.memory.is_none_or(|measured| !measured.assumed);
    let figure = run.memory.map_or(Figure::Needed, |measured| Counter::figure(measured.counter));
    read && sure && !matters(estimate, figure)
}

/// Whether an open field moves this figure, or the need.
fn matters(estimate: &Estimate, figure: Figure) -> bool {
    let moves = |swings: Vec<Swing>, figure| {
        let whole = estimate.peak.figure(figure).as_f64();
        swings.iter().any(|swing| swing.total().as_f64() > DECIDES * whole)
    };
    // The allocator's reserve may hide the effect of a field.
    let hidden = || {
        let instants = estimate.instants();
        figure != Figure::Allocated
            && estimate.assumed.likely.varying_lengths
            && instants.iter().any(|(name, _)| moves(estimate.swings_at(name), figure))
    };
    estimate.version_decides
        || moves(estimate.swings_of(Figure::Needed), Figure::Needed)
        || moves(estimate.swings_of(figure), figure)
        || hidden()
}
