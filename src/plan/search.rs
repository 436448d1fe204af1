//! The search for layouts that fit, on one type of accelerator.
//!
//! Every [layout](super::layouts) is completed, and the smallest number of accelerators is found on which it fits and is
//! fast enough. The search estimates the likeliest plan alone, which is cheap. The best layouts are then judged as `check`
//! judges a job, and only those whose verdict is `Fits` are proposed. So a proposal never rests on the search's shortcut.
//!
//! With a deadline the smallest cluster is best, then the fastest. On a given number of accelerators the fastest is best.

use crate::advise::count::{self, Count, Found};
use crate::estimate::amount::amount;
use crate::estimate::assume::{Device, assume};
use crate::estimate::calibration::Calibration;
use crate::estimate::duration;
use crate::estimate::evidence::Mode;
use crate::estimate::memory;
use crate::estimate::plan::Plan;
use crate::estimate::time::Machine;
use crate::hardware::Accelerator;
use crate::job::TrainingJob;
use crate::judgement::{Judgement, Time, Verdict};
use crate::policy::Rules;
use crate::units::Bytes;
use crate::verdict::{Distribution, decide};

use super::complete::{completed, global_batch, is_finetuned, sequences_of_a_step};
use super::layouts::{Layout, layouts};

/// More accelerators than any cluster has.
pub(super) const MOST: u64 = 131_072;

/// What is wanted of the cluster.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// It finishes within so many days.
    Days(f64),
    /// It has this many accelerators.
    Accelerators(u64),
    /// The training fits.
    Fits,
}

/// A complete layout that fits.
#[derive(Clone, Debug)]
pub struct Proposal {
    /// How the work is divided.
    pub layout: Layout,
    /// The number of accelerators.
    pub count: Count,
    /// The complete job.
    pub job: TrainingJob,
    /// Data parallel degree.
    pub data: u64,
    /// The framework, as data files name it.
    pub framework: &'static str,
    /// The judgement of the job.
    pub judgement: Judgement,
}

/// A job on one type of accelerator.
pub(super) struct Search<'a> {
    pub(super) job: &'a TrainingJob,
    pub(super) accelerator: &'a Accelerator,
    pub(super) capacity: Bytes,
    pub(super) rules: &'a Rules,
    pub(super) goal: Goal,
}

/// The results of a search, the best first, before they are judged.
pub(super) struct Candidates {
    pub(super) found: Vec<Candidate>,
    /// The least memory that any layout needs, with this layout. For the message if none fits.
    pub(super) leanest: Option<(Bytes, Layout)>,
    /// The most accelerators that any layout that fits can use, if all are too slow.
    pub(super) too_slow: Option<u64>,
    /// If no layout uses the asked number of accelerators: the nearest numbers below and above on which one fits.
    pub(super) near: [Option<u64>; 2],
    /// Whether no layout is sure to fit, on any number of accelerators.
    pub(super) is_close: bool,
}

/// A layout with a number of accelerators.
pub(super) struct Candidate {
    pub(super) layout: Layout,
    pub(super) count: Count,
    /// Tokens per second on all accelerators. Zero if the speed is unknown.
    pub(super) speed: f64,
    /// The complete job with that number.
    pub(super) job: TrainingJob,
    pub(super) plan: Plan,
    /// The memory that the likeliest plan needs.
    pub(super) need: Bytes,
}

/// A layout's job, complete but for the number of accelerators.
struct Prepared {
    job: TrainingJob,
    /// Sequences of a step, where the job does not state the batch.
    wanted: Option<u64>,
    replica: u64,
    micro_batch: u64,
}

impl Search<'_> {
    fn device(&self) -> Device {
        Device { bf16: self.accelerator.computes_in_bf16() }
    }

    /// Tries every layout. `None` if the model's size is unknown.
    pub(super) fn run(&self) -> Option<Candidates> {
        let mut candidates =
            Candidates { found: Vec::new(), leanest: None, too_slow: None, near: [None; 2], is_close: true };
        let assumed = assume(self.job, self.device()).ok()?;
        let per_node = self.job.accelerator.as_ref().and_then(|a| a.per_node).map_or(8, u64::from);
        let most = match self.goal {
            Goal::Accelerators(number) => number,
            _ => MOST,
        };
        for layout in layouts(self.job, &assumed.likely, per_node, most) {
            self.try_layout(layout, most, &mut candidates);
        }
        let by_goal = |a: &Candidate, b: &Candidate| {
            a.count.usable.cmp(&b.count.usable).then(b.speed.total_cmp(&a.speed))
        };
        candidates.found.sort_by(by_goal);
        Some(candidates)
    }

    fn try_layout(&self, layout: Layout, most: u64, candidates: &mut Candidates) {
        let Some((prepared, plan)) = self.prepared(layout) else { return };
        let most = match prepared.wanted {
            Some(wanted) => most.min((wanted / prepared.micro_batch).saturating_mul(prepared.replica)),
            None => most,
        };
        let numbers = count::Layout::of(&prepared.job, &plan).at_most(most);
        let note_lean = |candidates: &mut Candidates, need: Bytes| {
            if candidates.leanest.is_none_or(|(least, _)| need < least) {
                candidates.leanest = Some((need, layout));
            }
        };
        // As many accelerators as it can use leave each the least.
        let roomy = numbers.largest().and_then(|most| self.at(&prepared, most));
        let Some((job, roomy)) = roomy else { return };
        let (need, fits) = self.memory(&job, &roomy);
        note_lean(candidates, need);
        if !fits {
            return;
        }
        candidates.is_close = false;
        let count = match self.goal {
            Goal::Accelerators(number) if numbers.can_use(number) => {
                Count { least: number, whole: number, usable: number }
            }
            Goal::Accelerators(number) => return self.note_near(number, &prepared, candidates),
            Goal::Days(days) => match count::count(&numbers, days, |number| self.days(&prepared, number)) {
                Some(Found::Count(count)) => count,
                Some(Found::TooSlow(number)) => {
                    candidates.too_slow = candidates.too_slow.max(Some(number));
                    return;
                }
                None => return,
            },
            Goal::Fits => match count::count(&numbers, 1.0, |number| {
                Some(self.days_if_fits(&prepared, number))
            }) {
                Some(Found::Count(Count { usable, .. })) => Count { least: usable, whole: usable, usable },
                _ => return,
            },
        };
        let Some((job, plan)) = self.at(&prepared, count.usable) else { return };
        let (need, fits) = self.memory(&job, &plan);
        if !fits {
            return;
        }
        let time = self.time(&job, &plan);
        let speed = time.map_or(0.0, |time| time.tokens_per_second_per_gpu * count.usable as f64);
        candidates.found.push(Candidate { layout, count, speed, job, plan, need });
    }

    /// Notes the numbers nearest to the asked one on which a layout fits.
    fn note_near(&self, number: u64, prepared: &Prepared, candidates: &mut Candidates) {
        let Some((_, plan)) = self.at(prepared, prepared.replica) else { return };
        let numbers = count::Layout::of(&prepared.job, &plan);
        let fits =
            |number: &u64| self.at(prepared, *number).is_some_and(|(job, plan)| self.memory(&job, &plan).1);
        let [below, above] = numbers.around(number).map(|number| number.filter(fits));
        let [least, most] = candidates.near;
        candidates.near = [least.max(below), most.into_iter().chain(above).min()];
    }

    fn prepared(&self, layout: Layout) -> Option<(Prepared, Plan)> {
        let mut job = self.job.clone();
        layout.apply(&mut job);
        let plan = assume(&job, self.device()).ok()?.likely;
        let job = completed(&job, &plan);
        let tokens = amount(&job, &plan).map(|amount| amount.tokens);
        let stated = job.batch.as_ref().and_then(|batch| batch.global_batch_size);
        let wanted =
            stated.is_none().then(|| sequences_of_a_step(tokens, plan.sequence, is_finetuned(self.job)));
        let replica = plan.tensor * plan.pipeline * plan.context;
        Some((Prepared { job, wanted, replica, micro_batch: plan.micro_batch.max(1) }, plan))
    }

    /// The job on a number of accelerators, with its plan.
    fn at(&self, prepared: &Prepared, number: u64) -> Option<(TrainingJob, Plan)> {
        let mut job = prepared.job.clone();
        job.accelerator.get_or_insert_default().count = u32::try_from(number).ok();
        if let Some(wanted) = prepared.wanted {
            let replicas = number / prepared.replica.max(1);
            let batch = global_batch(wanted, prepared.micro_batch, replicas)?;
            job.batch.get_or_insert_default().global_batch_size = Some(batch);
        }
        let plan = assume(&job, self.device()).ok()?.likely;
        Some((job, plan))
    }

    /// The days on a number of accelerators. Without an end if the job does not fit there. `None` if the time is unknown.
    fn days(&self, prepared: &Prepared, number: u64) -> Option<f64> {
        let Some((job, plan)) = self.at(prepared, number) else { return Some(f64::MAX) };
        let days = self.time(&job, &plan)?.days?;
        // Memory takes longer to estimate, so it comes second.
        let slow = matches!(self.goal, Goal::Days(wanted) if days > wanted);
        Some(if slow || self.memory(&job, &plan).1 { days } else { f64::MAX })
    }

    /// Within the day if the job fits, else without an end.
    fn days_if_fits(&self, prepared: &Prepared, number: u64) -> f64 {
        let fits = self.at(prepared, number).is_some_and(|(job, plan)| self.memory(&job, &plan).1);
        if fits { 0.0 } else { f64::MAX }
    }

    fn time(&self, job: &TrainingJob, plan: &Plan) -> Option<Time> {
        Some(duration::duration(job, plan, plan, Machine::from(self.accelerator))?.time)
    }

    /// The memory that a plan needs, and whether it fits.
    fn memory(&self, job: &TrainingJob, plan: &Plan) -> (Bytes, bool) {
        let calibration = Calibration::builtin();
        let need = memory::peak(plan, calibration).needed;
        let (named, versioned) = (job.framework.is_some(), job.framework_version.is_some());
        let (_, spread) = calibration.evidence(&[Mode::of(plan); 3], named, versioned);
        let distribution = Distribution::new(need, need, need, spread.allocated)
            .with_unowned(calibration.runtime_spread(plan));
        (need, decide(&distribution, self.capacity, self.rules).verdict == Verdict::Fits)
    }
}
