//! 5. Advice: the nearest changed configurations that would fit.
//!
//! A change turns one knob to a usual value: recomputation on, states divided among the data-parallel ranks, a smaller
//! micro-batch, a larger tensor or pipeline parallel degree. Single changes of the same training are tried first, then pairs
//! of them, then more hardware, then other trainings. Of each knob
//! only the smallest turn that fits is kept. All proposals respect the layout: degrees divide the accelerators, heads
//! and layers, and tensor parallelism stays inside a node. A proposal that changes the trained weights or the batch says so.
//! The work is bounded by the number of candidates, not by time.

pub mod count;
mod knobs;

use crate::job::TrainingJob;
use crate::judgement::Advice;
use crate::units::Bytes;

use knobs::{Changes, Knob, knobs};

/// The most pieces of advice.
const AT_MOST: usize = 5;
/// With so many changes of the same training, no other kind is tried.
const ENOUGH: usize = 3;

/// The prediction for a candidate.
#[derive(Clone, Copy, Debug)]
pub struct Prediction {
    /// The needed memory.
    pub peak: Bytes,
    /// Whether its verdict is Fits.
    pub fits: bool,
    /// The duration in days.
    pub days: Option<f64>,
}

/// Looks for changed configurations that fit, trying at most `candidates`.
pub fn advise(
    job: &TrainingJob,
    plan: &crate::estimate::plan::Plan,
    mut candidates: usize,
    predict: impl Fn(&TrainingJob) -> Option<Prediction>,
) -> Vec<Advice> {
    let knobs = knobs(job, plan);
    let mut advice: Vec<Advice> = Vec::new();
    let mut attempt = |turns: &[(&Knob, usize)]| -> Option<Advice> {
        candidates = candidates.checked_sub(1)?;
        let (mut changed, mut spec) = (job.clone(), TrainingJob::default());
        let mut words = Vec::new();
        for (knob, turn) in turns {
            let turn = knob.turns.get(*turn)?;
            (turn.apply)(&mut changed);
            (turn.apply)(&mut spec);
            words.push(turn.change.as_str());
        }
        let found = predict(&changed).filter(|found| found.fits)?;
        Some(Advice { change: words.join(" and "), spec, peak_bytes: found.peak, days: found.days })
    };
    let of = |changes: Changes| knobs.iter().filter(move |knob| knob.changes == changes);
    let running: Vec<&Knob> = of(Changes::Running).collect();
    let mut single = |knob: &Knob| (0..knob.turns.len()).find_map(|turn| attempt(&[(knob, turn)]));
    advice.extend(running.iter().filter_map(|knob| single(knob)));
    if advice.len() < ENOUGH {
        advice.extend(of(Changes::Hardware).filter_map(&mut single));
    }
    if advice.is_empty() {
        // More accelerators alone may not suffice, so they are paired too.
        let pairs: Vec<&Knob> = running.iter().copied().chain(of(Changes::Hardware)).collect();
        for (i, first) in pairs.iter().enumerate() {
            for second in pairs.iter().skip(i + 1) {
                let found = (0..first.turns.len())
                    .flat_map(|a| (0..second.turns.len()).map(move |b| (a, b)))
                    .find_map(|(a, b)| attempt(&[(first, a), (second, b)]));
                advice.extend(found);
                if advice.len() >= AT_MOST {
                    return advice;
                }
            }
        }
    }
    if advice.len() < ENOUGH {
        let mut single = |knob: &Knob| (0..knob.turns.len()).find_map(|turn| attempt(&[(knob, turn)]));
        advice.extend(of(Changes::Training).filter_map(&mut single));
    }
    advice.truncate(AT_MOST);
    advice
}
