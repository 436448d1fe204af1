//! 5. Advice: the nearest changed configurations that would fit.
//!
//! A change turns one knob to a usual value: recomputation on, states divided among the data-parallel ranks, a smaller
//! micro-batch, a larger tensor or pipeline parallel degree. The kinds are tried in this order:
//!
//! ```text
//! 1. one change of the same training
//! 2. two of them                           if none alone fits
//! 3. up to MOST_TOGETHER of them           if no two fit: each time the one that leaves the least need is added
//! 4. up to MOST_TOGETHER, one of the batch if nothing was found
//! 5. one change of the hardware            if less than ENOUGH were found
//! 6. hardware with the same training's     if nothing was found
//! 7. one change of the batch or training   if less than ENOUGH were found
//! ```
//!
//! Of each knob only the smallest turn that fits is kept. All proposals respect the layout: degrees divide the accelerators,
//! heads and layers, and tensor parallelism stays inside a node. A job that would contradict itself is never proposed, such as
//! bf16 on an accelerator without units for it. A proposal that changes the trained weights or the batch says so. The work is
//! bounded by the number of candidates, not by time.

pub mod count;
mod knobs;

use std::collections::BTreeSet;

use crate::job::TrainingJob;
use crate::judgement::Advice;
use crate::units::Bytes;

use knobs::{Changes, Knob, knobs};

/// The most pieces of advice.
const AT_MOST: usize = 5;
/// With so many changes of the same training, no other kind is tried.
const ENOUGH: usize = 3;
/// The most changes that one piece of advice makes together.
const MOST_TOGETHER: usize = 4;

/// The prediction for a candidate.
#[derive(Clone, Copy, Debug)]
pub struct Prediction {
    /// The needed memory.
    pub peak: Bytes,
    /// Whether it fits, by the rule of the verdict.
    pub fits: bool,
    /// The duration in days.
    pub days: Option<f64>,
}

/// Looks for changed configurations that fit, trying at most `candidates`. `predict` is none for a job that cannot be estimated,
/// or that would contradict itself.
pub fn advise(
    job: &TrainingJob,
    plan: &crate::estimate::plan::Plan,
    candidates: usize,
    predict: impl Fn(&TrainingJob) -> Option<Prediction>,
) -> Vec<Advice> {
    let knobs = knobs(job, plan);
    let of = |changes: Changes| knobs.iter().filter(move |knob| knob.changes == changes);
    let running: Vec<&Knob> = of(Changes::Running).collect();
    let hardware: Vec<&Knob> = of(Changes::Hardware).collect();
    let mut search = Search { job, left: candidates, predict };
    let mut advice: Vec<Advice> = running.iter().filter_map(|knob| search.one(knob)).collect();
    if advice.is_empty() {
        for (at, first) in running.iter().enumerate() {
            search.paired(first, running.get(at + 1..).unwrap_or_default(), &mut advice);
        }
    }
    if advice.is_empty() {
        advice.extend(search.together(&running));
    }
    if advice.is_empty() {
        let with_batch: Vec<&Knob> = running.iter().copied().chain(of(Changes::Batch)).collect();
        advice.extend(search.together(&with_batch));
    }
    if advice.len() < ENOUGH {
        advice.extend(hardware.iter().filter_map(|knob| search.one(knob)));
    }
    if advice.is_empty() {
        // More accelerators alone may not suffice.
        for first in &running {
            search.paired(first, &hardware, &mut advice);
        }
    }
    if advice.len() < ENOUGH {
        let others = of(Changes::Batch).chain(of(Changes::Training));
        advice.extend(others.filter_map(|knob| search.one(knob)));
    }
    let mut seen = BTreeSet::new();
    advice.retain(|advice| seen.insert(advice.change.clone()));
    advice.truncate(AT_MOST);
    advice
}

/// A knob, and the number of its turn.
type Turned<'k> = (&'k Knob, usize);

/// The candidates that are tried.
struct Search<'j, O> {
    job: &'j TrainingJob,
    /// How many candidates may still be tried.
    left: usize,
    predict: O,
}

impl<O: Fn(&TrainingJob) -> Option<Prediction>> Search<'_, O> {
    /// The prediction with some knobs turned.
    fn tried(&mut self, turned: &[Turned<'_>]) -> Option<Prediction> {
        self.left = self.left.checked_sub(1)?;
        let mut changed = self.job.clone();
        for (knob, turn) in turned {
            (knob.turns.get(*turn)?.apply)(&mut changed);
        }
        (self.predict)(&changed)
    }

    /// The advice with some knobs turned, if it fits.
    fn fitting(&mut self, turned: &[Turned<'_>]) -> Option<Advice> {
        let found = self.tried(turned).filter(|found| found.fits)?;
        let mut spec = TrainingJob::default();
        let turns: Vec<_> = turned.iter().filter_map(|(knob, turn)| knob.turns.get(*turn)).collect();
        for turn in &turns {
            (turn.apply)(&mut spec);
        }
        let change = turns.iter().map(|turn| turn.change.as_str()).collect::<Vec<_>>().join(" and ");
        Some(Advice { change, spec, peak_bytes: found.peak, days: found.days })
    }

    /// The smallest turn of a knob that fits.
    fn one(&mut self, knob: &Knob) -> Option<Advice> {
        (0..knob.turns.len()).find_map(|turn| self.fitting(&[(knob, turn)]))
    }

    /// The smallest turns of a knob and of each other one that fit together.
    fn paired(&mut self, first: &Knob, others: &[&Knob], advice: &mut Vec<Advice>) {
        for second in others {
            if advice.len() >= AT_MOST {
                return;
            }
            // Smaller turns need more memory than the largest.
            let largest = [(first, first.turns.len() - 1), (*second, second.turns.len() - 1)];
            if self.tried(&largest).is_some_and(|found| !found.fits) {
                continue;
            }
            let mut turns = (0..first.turns.len()).flat_map(|a| (0..second.turns.len()).map(move |b| (a, b)));
            advice.extend(turns.find_map(|(a, b)| self.fitting(&[(first, a), (second, b)])));
        }
    }

    /// Several changes: each time the one that leaves the least need is added, until the job fits. Each is then made as small
    /// as fits.
    fn together(&mut self, knobs: &[&Knob]) -> Option<Advice> {
        let mut turned: Vec<Turned<'_>> = Vec::new();
        let mut fits = false;
        while !fits {
            if turned.len() == MOST_TOGETHER {
                return None;
            }
            let mut best: Option<(Prediction, Turned<'_>)> = None;
            let left =
                knobs.iter().filter(|knob| turned.iter().all(|(other, _)| !std::ptr::eq(*other, **knob)));
            for knob in left.copied().collect::<Vec<_>>() {
                for turn in 0..knob.turns.len() {
                    turned.push((knob, turn));
                    let found = self.tried(&turned);
                    turned.pop();
                    let better = |found: &Prediction| best.is_none_or(|(best, _)| found.peak < best.peak);
                    best = found.filter(better).map(|found| (found, (knob, turn))).or(best);
                }
            }
            let (found, next) = best?;
            turned.push(next);
            fits = found.fits;
        }
        for at in 0..turned.len() {
            let (knob, largest) = *turned.get(at)?;
            for turn in 0..largest {
                let mut smaller = turned.clone();
                *smaller.get_mut(at)? = (knob, turn);
                if self.tried(&smaller).is_some_and(|found| found.fits) {
                    turned = smaller;
                    break;
                }
            }
        }
        self.fitting(&turned)
    }
}
