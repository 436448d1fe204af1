//! 5. Advice: the nearest changed configurations that would fit.
//!
//! A change turns one knob to a usual value: recomputation on, states divided among the data-parallel ranks, a smaller
//! micro-batch, a larger tensor or pipeline parallel degree. Single changes are tried first, then pairs. Of each knob
//! only the smallest turn that fits is kept. All proposals respect the layout: degrees divide the accelerators, heads
//! and layers, and tensor parallelism stays inside a node. The trained model and data never change. The work is bounded
//! by the number of candidates, not by time.

pub mod count;
mod knobs;

use crate::job::TrainingJob;
use crate::judgement::Advice;
use crate::units::Bytes;

use knobs::{Knob, knobs};

/// The most pieces of advice.
const AT_MOST: usize = 5;

/// The prediction for a candidate.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// The needed memory.
    pub peak: Bytes,
    /// Whether it certainly fits.
    pub fits: bool,
    /// The duration in days.
    pub days: Option<f64>,
}

/// Looks for changed configurations that fit, trying at most `candidates`.
pub fn advise(
    job: &TrainingJob,
    plan: &crate::estimate::plan::Plan,
    mut candidates: usize,
    outcome: impl Fn(&TrainingJob) -> Option<Outcome>,
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
        let outcome = outcome(&changed).filter(|outcome| outcome.fits)?;
        Some(Advice { change: words.join(" and "), spec, peak_bytes: outcome.peak, days: outcome.days })
    };
    for knob in &knobs {
        if let Some(found) = (0..knob.turns.len()).find_map(|turn| attempt(&[(knob, turn)])) {
            advice.push(found);
        }
    }
    if advice.is_empty() {
        for (i, first) in knobs.iter().enumerate() {
            for second in knobs.iter().skip(i + 1) {
                let pairs = (0..first.turns.len())
                    .flat_map(|a| (0..second.turns.len()).map(move |b| (a, b)))
                    .find_map(|(a, b)| attempt(&[(first, a), (second, b)]));
                advice.extend(pairs);
                if advice.len() >= AT_MOST {
                    return advice;
                }
            }
        }
    }
    advice.truncate(AT_MOST);
    advice
}
