//! 1 → 5 in one call: read, resolve, estimate, compare with the capacity, decide, advise.
//!
//! [`judge`] is the one function that the webhook, the controller and the command line call. It is pure: no clock, no
//! network, no files, no environment, and the same answer for the same arguments, to the byte.
//!
//! A judgement holds every figure that the known fields allow. Without an accelerator it has the need, but no verdict.
//! Without tokens it has the speed, but no duration. Without a number of accelerators it has the accelerator-hours and
//! a cost.

mod capacity;
mod deadline;
mod figures;
mod host;
mod host_advice;
mod host_storage;
mod key;
mod lints;
mod room;
mod shown;
mod trainings;
mod unknowns;
mod wording;

use serde_json::Value;

use crate::advise;
use crate::advise::count::{self, Found, Layout};
use crate::estimate::assume::Device;
use crate::estimate::calibration::Calibration;
use crate::estimate::memory::Figure;
use crate::estimate::{Estimate, cost, estimate_rank};
use crate::hardware::Catalogue;
use crate::job::{self, AnyField, Ask, Hidden, InputError, TrainingJob, field};
use crate::judgement::{Advice, Judgement, Reason, Summary, Swing, Verdict};
use crate::kinds::deadline::Limit;
use crate::model::{Parameters, ShapeError, known};
use crate::policy::{Rules, World};
use crate::resolve::open::Open;
use crate::resolve::{Resolved, resolve};
use crate::surroundings::Surroundings;
use crate::units::{Bytes, Count};
use crate::verdict::{Distribution, decide};
use crate::workload::{self, Aside, PodOffer, Reading, Readings, Unread};

use capacity::Capacity;
pub use key::JudgementKey;
use shown::Shown;

/// The least probability that is told, and what the greatest lacks to one.
const LEAST_PROBABILITY: f64 = 1e-9;

/// Judges a workload, or a `TrainingEstimate`.
pub fn judge(object: &Value, around: &Surroundings, world: &World<'_>, ask: &Ask) -> Judgement {
    judge_with(object, around, world, ask, Calibration::builtin())
}

/// Judges with other constants than the built-in ones, as the accuracy is measured without a source.
pub fn judge_with(
    object: &Value,
    around: &Surroundings,
    world: &World<'_>,
    ask: &Ask,
    calibration: &'static Calibration,
) -> Judgement {
    let World { catalogue, kinds, rules } = *world;
    let Readings { trainings, aside, own, hidden } = workload::read(object, around, catalogue, kinds, ask);
    let judge = Judge { catalogue, rules, ask, calibration, own: None, hidden: &hidden };
    let own: Option<Vec<Reading>> = own.map(|own| {
        own.into_iter().map(|reading| resolve(reading, rules, ask.model.as_ref()).reading).collect()
    });
    let judge = Judge { own: own.as_deref(), ..judge };
    let judgement = trainings::worst(trainings, &judge);
    wording::bounded(judgement.unwrap_or_else(|| no_training(aside)))
}

/// What a job is judged by, besides its own fields.
#[derive(Clone, Copy)]
struct Given<'a, 'c> {
    capacity: &'a Capacity<'c>,
    device: Device,
    open: &'a Open,
    pod: Option<&'a PodOffer>,
}

/// What every step of a judgement needs.
#[derive(Clone, Copy)]
struct Judge<'a> {
    catalogue: &'a Catalogue,
    rules: &'a Rules,
    ask: &'a Ask,
    calibration: &'static Calibration,
    /// The readings of the object alone. `None` if every value may be shown.
    own: Option<&'a [Reading]>,
    /// How messages name other objects.
    hidden: &'a Hidden,
}

impl Judge<'_> {
    /// The judgement of one training, as far as we can read it.
    fn judge(&self, mut reading: Reading) -> Judgement {
        let (gap, certain, perhaps) = (reading.gap.take(), reading.certain, reading.perhaps);
        let mut judgement = self.of_what_is_read(reading);
        if perhaps {
            judgement = trainings::in_a_branch(judgement);
        }
        match gap {
            Some(gap) => trainings::with_gap(judgement, &gap, &shown::gap(&gap, self), certain),
            None => judgement,
        }
    }

    fn estimate(&self, job: &TrainingJob, device: Device) -> Result<Estimate, ShapeError> {
        estimate_rank(job, device, self.ask.rank, self.calibration)
    }

    fn of_what_is_read(&self, reading: Reading) -> Judgement {
        let Resolved { mut reading, open, model } = resolve(reading, self.rules, self.ask.model.as_ref());
        if let Some(own) = self.own {
            let own: Vec<_> = own.iter().map(|own| &own.provenance).collect();
            reading.provenance.distinguish(&own);
        }
        let job = reading.provenance.job();
        let capacity = capacity::capacity(&job, &reading, self.catalogue).below(self.rules.headroom);
        let mut shown = Shown::of(&mut reading, self, &capacity);
        let model = model.filter(|_| !shown.hides(field::model::NAME));
        let mut warnings = shown.of_the_reading(&reading.warnings);
        warnings.extend(shown.disagreements());
        warnings.extend(wording::ambiguous(&capacity, &shown, self.catalogue));
        let card = capacity.accelerator.filter(|_| !shown.hides(field::accelerator::KIND));
        let lint = |job: &TrainingJob| lints::lints(job, card).collect();
        warnings.extend(shown.lines(lint(&job), lint));
        let found = std::mem::take(&mut reading.contradictions).into_iter();
        let contradictions =
            found.chain(lints::contradictions(&job, card)).filter(|line| warnings.contains(line)).collect();
        let mut errors = std::mem::take(&mut reading.errors);
        match capacity.error.clone() {
            // An error in another object is not an error of this one.
            Some(_) if shown.is_elsewhere(field::accelerator::MEMORY) => {
                warnings.push(format!("{} cannot be read", field::accelerator::MEMORY));
            }
            error => errors.extend(error),
        }
        let judgement = Judgement {
            inputs: if self.ask.inputs { shown.inputs(&job, self.catalogue) } else { Vec::new() },
            warnings,
            contradictions,
            summary: summary(shown.job(&job), model, shown.capacity()),
            override_reason: reading.override_reason.take(),
            words: shown.understood(&mut reading, self),
            job,
            ..Judgement::without_figures(Verdict::Unknown, Reason::MissingInputs)
        };
        let (limit, pod) = (reading.limit.take(), reading.pod.take());
        let judgement = if !errors.is_empty() {
            malformed(judgement, errors)
        } else if let Some(unread) = reading.unread {
            not_read(judgement, unread)
        } else {
            let given =
                Given { capacity: &capacity, device: capacity.device(), open: &open, pod: pod.as_ref() };
            self.read(judgement, given, limit, &mut shown)
        };
        shown.finish(judgement)
    }

    /// The judgement of a job that could be read.
    fn read(
        &self,
        judgement: Judgement,
        given: Given<'_, '_>,
        limit: Option<Limit>,
        shown: &mut Shown<'_>,
    ) -> Judgement {
        let Ok(estimate) = self.estimate(&judgement.job, given.device) else {
            let deadline = deadline::deadline(&judgement.job, limit, None);
            let judgement =
                without_model(Judgement { deadline, ..judgement }, given.capacity, shown, self.catalogue);
            return match given.pod {
                Some(pod) => host::without_model(judgement, pod, shown, self.rules),
                None => judgement,
            };
        };
        self.estimated(judgement, &estimate, given, limit, shown)
    }

    /// Adds how long the job takes, whether that is in time, and what it costs.
    fn timed(
        &self,
        mut judgement: Judgement,
        estimate: &Estimate,
        capacity: &Capacity<'_>,
        limit: Option<Limit>,
        shown: &mut Shown<'_>,
    ) -> Judgement {
        let taken = figures::duration(&judgement.job, estimate, capacity, self.rules);
        judgement.deadline =
            deadline::deadline(&judgement.job, limit, taken.as_ref().map(|taken| &taken.time));
        judgement.deadline = judgement.deadline.map(|deadline| shown.deadline(deadline));
        if let Some(late) = judgement.deadline.as_ref().filter(|deadline| deadline.outlook.is_late()) {
            judgement.warnings.insert(0, late.message.clone());
        }
        let Some(taken) = taken else { return judgement };
        let key = capacity.accelerator.map(|accelerator| accelerator.key.as_str());
        let list = key.and_then(|key| self.catalogue.price(key));
        let price = cost::price(&judgement.job, key, capacity.compute_milli, &self.rules.prices, list);
        judgement.cost = price.and_then(|price| cost::cost(&taken.time, price));
        if self.ask.inputs {
            let assumed = figures::assumed_utilization(&judgement.job, estimate, capacity, self.rules);
            judgement.inputs.extend(shown.derived(assumed.into_iter().chain(taken.inputs())));
        }
        let contradiction = taken.amount.and_then(|amount| amount.contradiction);
        judgement.warnings.extend(shown.lines(contradiction.into_iter().collect(), |_| Vec::new()));
        judgement.goodput = taken.goodput;
        Judgement { time: Some(taken.time), ..judgement }
    }

    /// The judgement of a job whose model is known, at least by its size.
    fn estimated(
        &self,
        mut judgement: Judgement,
        estimate: &Estimate,
        given: Given<'_, '_>,
        limit: Option<Limit>,
        shown: &mut Shown<'_>,
    ) -> Judgement {
        let Given { capacity, device, open, pod } = given;
        let [need, others @ ..] = self.readings(estimate, open, device);
        judgement.evidence = Some(estimate.evidence);
        judgement.counted = Some(figures::counted(estimate, &others, !open.is_empty()));
        judgement.swings = unknowns::deciding(estimate, &need, capacity.bytes, self.rules, || {
            self.open_swings(estimate, open, device)
        });
        judgement.missing = judgement.swings.iter().map(|swing| swing.field).collect();
        let contradictions = shown.assumed_warnings(&estimate.assumed.warnings, device);
        judgement.warnings.extend(contradictions.iter().cloned());
        // Degrees that do not fit the number of accelerators end a job first.
        judgement.contradictions.splice(0..0, contradictions);
        let size = wording::size_disagrees(&judgement.job, estimate);
        judgement.warnings.extend(shown.about(field::MODEL, size));
        if judgement.summary.model.is_none() && !shown.hides_any(field::MODEL) {
            let counted = Count(Parameters::of(&estimate.assumed.likely.shape).total);
            judgement.summary.model = Some(counted.short());
        }
        if self.ask.inputs {
            judgement.inputs.extend(shown.capacity().input.clone());
            judgement.inputs.extend(shown.assumed_inputs(&estimate.assumed.inputs, device));
        }
        let memory = shown.memory(figures::memory(estimate, &need, capacity.bytes));
        judgement = self.timed(judgement, estimate, capacity, limit, shown);
        if let Some(pod) = pod {
            judgement = self.with_host(judgement, estimate, pod, given, shown);
        }
        let Some(bytes) = capacity.bytes else {
            judgement.message = wording::no_accelerator(&memory, capacity, shown, self.catalogue);
            judgement.missing.splice(0..0, shown.capacity().missing(self.catalogue).iter().copied());
            judgement.warnings.extend(unknowns::warnings(&judgement.swings));
            judgement.memory = Some(memory);
            return Judgement { reason: Reason::UnknownAccelerator, ..judgement };
        };
        self.decided(Judgement { memory: Some(memory), ..judgement }, estimate, &need, bytes, given, shown)
    }

    /// The verdict on a capacity, with its message, advice and room.
    fn decided(
        &self,
        mut judgement: Judgement,
        estimate: &Estimate,
        need: &Distribution,
        bytes: Bytes,
        given: Given<'_, '_>,
        shown: &mut Shown<'_>,
    ) -> Judgement {
        let Given { capacity, device, .. } = given;
        let decision = decide(need, bytes, self.rules);
        // The report lists what could still stop a job that fits. It is no warning.
        if decision.verdict != Verdict::Fits {
            judgement.warnings.extend(shown.about(field::MODEL, wording::never_measured(estimate)));
            judgement.warnings.extend(unknowns::warnings(&judgement.swings));
        }
        let likeliest = || decide(&need.likeliest(), bytes, self.rules).verdict;
        let may_not_fit = match decision.verdict {
            Verdict::OutOfMemory | Verdict::Tight => true,
            _ => likeliest() == Verdict::OutOfMemory,
        };
        if self.ask.advice && may_not_fit {
            judgement.advice = shown.advice(self.advice(&judgement.job, estimate, device, capacity));
        }
        if let Some(memory) = &judgement.memory {
            judgement.message = wording::message(self.ask.advice, &decision, memory, shown, &judgement);
        }
        // A job that contradicts itself may not start, however well it fits.
        if let (Verdict::Fits, Some(first)) = (decision.verdict, judgement.contradictions.first()) {
            judgement.message = format!("contradicts itself: {first}; otherwise it {}", judgement.message);
        }
        if self.ask.advice && !shown.hides(field::target::DAYS) {
            judgement.advice.extend(self.number(&judgement.job, estimate, device, capacity));
        }
        if self.ask.room && decision.verdict == Verdict::Fits {
            judgement.room = room::room(&judgement.job, estimate, |job| {
                let estimate = self.estimate(job, device).ok()?;
                let fits = decide(&estimate.distribution(Figure::Needed), bytes, self.rules).verdict
                    == Verdict::Fits;
                fits.then_some(estimate.peak.needed)
            });
        }
        Judgement {
            verdict: decision.verdict,
            reason: decision.reason,
            // An estimate is never certain.
            oom_probability: Some(decision.probability.clamp(LEAST_PROBABILITY, 1.0 - LEAST_PROBABILITY)),
            ..judgement
        }
    }

    /// The need of every reading of the job, and the counted figures. Fields that we cannot read may make the leanest
    /// reading leaner, and the heaviest heavier.
    fn readings(&self, estimate: &Estimate, open: &Open, device: Device) -> [Distribution; 4] {
        let leanest = open.leanest().map(|leanest| self.estimate(&leanest, device));
        let heaviest = open.heaviest().and_then(|heaviest| self.estimate(&heaviest, device).ok());
        [Figure::Needed, Figure::Allocated, Figure::Reserved, Figure::Process].map(|figure| {
            let mut distribution = estimate.distribution(figure);
            if let Some(most) = &heaviest {
                distribution = distribution.up_to(most.heaviest(figure));
            }
            match &leanest {
                None => distribution,
                Some(Ok(least)) => distribution.down_to(least.leanest(figure), least.floor),
                // A reading that cannot be estimated has no lower bound.
                Some(Err(_)) => distribution.down_to(Bytes::ZERO, Bytes::ZERO),
            }
        })
    }

    /// How much less and how much more the job needs for each field that we cannot read, with this field at its ends.
    fn open_swings(&self, estimate: &Estimate, open: &Open, device: Device) -> Vec<Swing> {
        let needed = estimate.peak.needed;
        let of = |job: &TrainingJob| self.estimate(job, device).map(|at| at.peak.needed);
        let swing = |(field, [leanest, heaviest]): (AnyField, [Option<TrainingJob>; 2])| {
            let least = leanest.map_or(needed, |job| of(&job).unwrap_or(Bytes::ZERO));
            let most = heaviest.map_or(needed, |job| of(&job).unwrap_or(needed));
            Swing { field, less: needed - least, more: most - needed }
        };
        open.each().map(swing).collect()
    }

    /// The number of accelerators that finish within `target.days`. Only for a job with a target and without a number.
    fn number(
        &self,
        job: &TrainingJob,
        estimated: &Estimate,
        device: Device,
        capacity: &Capacity<'_>,
    ) -> Option<Advice> {
        let days = job.target.as_ref()?.days?;
        let asked = job.accelerator.clone().unwrap_or_default();
        if asked.count.is_some() {
            return None;
        }
        let changed = |number: u64| {
            let mut changed = job.clone();
            changed.accelerator.get_or_insert_default().count = u32::try_from(number).ok();
            changed
        };
        let layout = Layout::of(job, &estimated.assumed.likely);
        let found = count::count(&layout, days.as_f64(), |number| {
            let changed = changed(number);
            let estimate = self.estimate(&changed, device).ok()?;
            figures::duration(&changed, &estimate, capacity, self.rules)?.time.days
        })?;
        let Found::Count(count) = found else { return None };
        let changed = changed(count.usable);
        let estimate = self.estimate(&changed, device).ok()?;
        let decision = decide(&estimate.distribution(Figure::Needed), capacity.bytes?, self.rules);
        if !matches!(decision.verdict, Verdict::Fits | Verdict::Tight) {
            return None;
        }
        let count = changed.accelerator.as_ref().and_then(|accelerator| accelerator.count);
        Some(Advice {
            change: format!("{} accelerators for {days} days", count?),
            spec: TrainingJob {
                accelerator: Some(job::Accelerator { count, ..job::Accelerator::default() }),
                ..TrainingJob::default()
            },
            peak_bytes: estimate.peak.needed,
            days: figures::duration(&changed, &estimate, capacity, self.rules)?.time.days,
        })
    }

    fn advice(
        &self,
        job: &TrainingJob,
        estimated: &Estimate,
        device: Device,
        capacity: &Capacity<'_>,
    ) -> Vec<Advice> {
        let Some(bytes) = capacity.bytes else { return Vec::new() };
        let objections = |job: &TrainingJob, estimate: &Estimate, capacity: &Capacity<'_>| {
            lints::objections(job, capacity.accelerator).count() + estimate.assumed.warnings.len()
        };
        let own = objections(job, estimated, capacity);
        advise::advise(job, &estimated.assumed.likely, self.ask.max_candidates, |changed| {
            // Another accelerator offers other memory, and has another speed.
            let other = self.other_accelerator(job, changed);
            let device = other.as_ref().map_or(device, Capacity::device);
            let capacity = other.as_ref().unwrap_or(capacity);
            let estimate = self.estimate(changed, device).ok()?;
            if objections(changed, &estimate, capacity) > own {
                return None;
            }
            let offered = capacity.bytes.unwrap_or(bytes);
            let decision = decide(&estimate.distribution(Figure::Needed), offered, self.rules);
            let taken = figures::duration(changed, &estimate, capacity, self.rules);
            Some(advise::Prediction {
                peak: estimate.peak.needed,
                fits: decision.verdict == Verdict::Fits,
                days: taken.and_then(|taken| taken.time.days),
            })
        })
    }

    /// The accelerator of a changed job, if it is another one.
    fn other_accelerator(&self, job: &TrainingJob, changed: &TrainingJob) -> Option<Capacity<'_>> {
        let kind =
            |job: &TrainingJob| job.accelerator.as_ref().and_then(|accelerator| accelerator.kind.clone());
        let other = (kind(job) != kind(changed)).then(|| {
            capacity::capacity(changed, &Reading::default(), self.catalogue).below(self.rules.headroom)
        });
        other.filter(|other| other.bytes.is_some())
    }
}

fn summary(job: &TrainingJob, model: Option<&known::Known>, capacity: &Capacity<'_>) -> Summary {
    let asked = job.model.clone().unwrap_or_default();
    let size = asked.parameters.map(Count::short);
    Summary {
        model: model.map(|model| model.name.clone()).or(asked.name).or(size),
        accelerator: capacity.accelerator.map(|a| a.name.to_lowercase()).or_else(|| capacity.given.clone()),
        accelerator_name: capacity.name(),
        accelerators: job.accelerator.as_ref().and_then(|a| a.count).map(u64::from),
    }
}

/// The judgement of an object without a training.
fn no_training(aside: Option<Aside>) -> Judgement {
    let nothing = || Judgement::without_figures(Verdict::NotTraining, Reason::NotTraining);
    aside.map_or_else(nothing, |aside| Judgement::aside(aside.cause, aside.accelerators))
}

fn malformed(judgement: Judgement, errors: Vec<InputError>) -> Judgement {
    let message = errors.first().map(|error| error.message.clone()).unwrap_or_default();
    Judgement { message, errors, ..Judgement { reason: Reason::Malformed, ..judgement } }
}

fn not_read(judgement: Judgement, why: Unread) -> Judgement {
    let cause = if let Unread::Beyond(cause) = why { Some(cause) } else { None };
    let (reason, message) = match why {
        Unread::TooLarge => {
            (Reason::TooLarge, "it has more pods, annotations and arguments than are read".to_owned())
        }
        Unread::WorkloadNotFound => {
            (Reason::WorkloadNotFound, "the workload that it refers to is not there".to_owned())
        }
        Unread::Beyond(cause) => (Reason::Unsupported, format!("not estimated: {}", cause.sentence())),
        Unread::Accelerator(vendor) => {
            (Reason::UnsupportedAccelerator, format!("not estimated: training on accelerators of {vendor}"))
        }
    };
    Judgement { reason, cause, message, ..judgement }
}

/// The judgement of a job whose model is unknown, even by its size.
fn without_model(
    mut judgement: Judgement,
    capacity: &Capacity<'_>,
    shown: &Shown<'_>,
    catalogue: &Catalogue,
) -> Judgement {
    let name = judgement.job.model.as_ref().and_then(|model| model.name.as_deref());
    judgement.deadline = judgement.deadline.map(|deadline| shown.deadline(deadline));
    judgement.message = wording::no_model(name, shown);
    let reason = if name.is_some() { Reason::UnknownModel } else { Reason::MissingInputs };
    let wanted: &[AnyField] = if name.is_some() {
        &[
            field::model::PARAMETERS.erased(),
            field::model::LAYERS.erased(),
            field::model::HIDDEN_SIZE.erased(),
        ]
    } else {
        &[field::model::NAME.erased()]
    };
    judgement.missing = wanted.to_vec();
    if capacity.bytes.is_none() {
        judgement.missing.extend(shown.capacity().missing(catalogue));
    }
    judgement.inputs.extend(shown.capacity().input.clone());
    Judgement { reason, ..judgement }
}
