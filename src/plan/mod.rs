//! The reverse question: which cluster trains this job, and how is the work divided on it?
//!
//! The job is read as always. Then [`search`] looks for complete layouts that fit on each type of accelerator, and the best
//! are judged. So the figures of a proposal are those of `check`, and a plan that does not fit is never proposed. Of the layouts
//! that divide the model in the same way, only the best that fits is proposed. If one is not sure to fit, those that need hardly
//! less are left out.
//!
//! The fields of the layout that the job states are kept. If no layout with them fits, the search is run again without them,
//! and the plan says so.

mod complete;
mod layouts;
mod search;

use serde_json::{Value, json};

pub use layouts::Layout;
pub use search::{Goal, Proposal};

use crate::advise::count::Count;
use crate::hardware::Accelerator;
use crate::job::{Ask, Quoting, TrainingJob};
use crate::judge::judge;
use crate::judgement::{Judgement, Verdict};
use crate::model::known;
use crate::policy::World;
use crate::surroundings::Surroundings;
use crate::units::{Bytes, Decimal, gpus};

use layouts::freed;
use search::{Candidate, Candidates, MOST, Search};

/// Layouts that are judged at most for one accelerator.
const JUDGED: usize = 40;
/// After a layout that is not sure to fit, only those that need at most this share of its memory are judged.
const LEANER: f64 = 0.85;

/// What is asked about a training.
#[derive(Clone, Debug, Default)]
pub struct Question {
    /// The number of days, where the job states no other.
    pub days: Option<f64>,
    /// The number of accelerators, if it is fixed.
    pub accelerators: Option<u64>,
    /// The types of accelerators. Empty for the job's own.
    pub types: Vec<String>,
    /// Whether the layout that the job states may change.
    pub free: bool,
    /// The most layouts for each type.
    pub layouts: usize,
}

/// The plan for one type of accelerator.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The accelerator, as messages name it.
    pub accelerator: String,
    /// What is wanted.
    pub goal: Goal,
    /// The layouts that fit, the best first.
    pub proposals: Vec<Proposal>,
    /// The least need of a layout with the fields that the job states, if none of them surely fits and others were tried.
    pub stated_needs: Option<Bytes>,
    /// Why there is no layout, in one line.
    pub reason: Option<String>,
    /// Whether no layout divides the model, because its layers are not known.
    pub undivided: bool,
    /// The number of layers, if no number of equal stages divides them. Then no pipeline is tried.
    pub without_stages: Option<u32>,
    /// The fewest accelerators on which it fits, if it does not fit on the asked number.
    pub fewest: Option<u64>,
    /// The judgement of the best layout. Without one, that of the job on this accelerator.
    pub judgement: Judgement,
}

impl Planned {
    /// The number of accelerators of the best layout.
    pub fn count(&self) -> Option<Count> {
        self.proposals.first().map(|best| best.count)
    }
}

/// The plans of a training.
#[derive(Clone, Debug, Default)]
pub struct Plans {
    /// One for each type of accelerator. Empty if the object does not train.
    pub planned: Vec<Planned>,
    /// What a person should know of the job as it was read, one line each.
    pub warnings: Vec<String>,
}

/// Plans a training on each type of accelerator.
///
/// # Errors
/// The input that the plan lacks, in one line.
pub fn plan(
    object: &Value,
    around: &Surroundings,
    world: &World<'_>,
    question: &Question,
) -> Result<Plans, String> {
    let ask = Ask { advice: false, quoting: Quoting::Everything, ..Ask::default() };
    let read = judge(object, around, world, &ask);
    if !read.verdict.trains() {
        return Ok(Plans::default());
    }
    if let Some(error) = read.errors.first() {
        return Err(error.message.clone());
    }
    let wish = read.job.target.as_ref().and_then(|target| target.days).map(Decimal::as_f64);
    let days = question.days.or(wish).filter(|days| *days > 0.0);
    let goal = match (question.accelerators, days) {
        (Some(number), _) => Goal::Accelerators(number),
        (None, Some(days)) => Goal::Days(days),
        (None, None) => Goal::Fits,
    };
    let own = read.job.accelerator.as_ref().and_then(|accelerator| accelerator.kind.clone());
    let names = if question.types.is_empty() { own.into_iter().collect() } else { question.types.clone() };
    if names.is_empty() {
        return Err(
            "the type of accelerator is missing: add --accelerator H100, or several with commas".into()
        );
    }
    let accelerators = names.iter().map(|name| found(world, name)).collect::<Result<Vec<_>, _>>()?;
    let planner = Planner { job: &read.job, world: *world, ask, goal, question };
    let planned = accelerators.into_iter().map(|accelerator| planner.on(accelerator)).collect();
    // What is unstated is no warning here: a plan chooses.
    let is_open = |line: &String| line.contains(" unstated: ") || line.contains(": add weighbridge.dev/");
    let warnings = read.warnings.into_iter().filter(|line| !is_open(line)).collect();
    Ok(Plans { planned, warnings })
}

/// The accelerator of a name.
///
/// # Errors
/// The name is unknown. The line says which names are similar.
pub fn found<'a>(world: &World<'a>, name: &str) -> Result<&'a Accelerator, String> {
    world.catalogue.find(name).ok_or_else(|| {
        let nearest = world.catalogue.nearest(name).join(", ");
        let or = if nearest.is_empty() { String::new() } else { format!("; similar names: {nearest}") };
        format!("unknown accelerator {name}{or}; `weighbridge accelerators` lists all")
    })
}

struct Planner<'a> {
    job: &'a TrainingJob,
    world: World<'a>,
    ask: Ask,
    goal: Goal,
    question: &'a Question,
}

impl Planner<'_> {
    fn on(&self, accelerator: &Accelerator) -> Planned {
        let job = self.without_number(accelerator);
        let (kept, stated_needs) = match self.proposals(accelerator, &job) {
            _ if self.question.free => (self.proposals(accelerator, &freed(&job)), None),
            Err(NoLayout::Memory { least, .. } | NoLayout::Open { least, .. }) if freed(&job) != job => {
                (self.proposals(accelerator, &freed(&job)), Some(least))
            }
            Err(NoLayout::Number { .. }) if freed(&job) != job => {
                (self.proposals(accelerator, &freed(&job)), None)
            }
            kept => (kept, None),
        };
        let (proposals, reason) = match kept {
            Ok(proposals) => (proposals, None),
            Err(reason) => (Vec::new(), Some(reason.to_string())),
        };
        let best = proposals.first().map(|best: &Proposal| best.judgement.clone());
        let judgement = best.unwrap_or_else(|| self.judged(&job));
        let fewest = reason.as_ref().and_then(|_| self.fewest(accelerator, &job));
        let accelerator = accelerator.name.clone();
        let undivided = judgement
            .job
            .model
            .as_ref()
            .is_some_and(|model| model.parameters.is_some() && model.layers.is_none());
        let without_stages = layouts::without_stages(&judgement.job);
        Planned {
            accelerator,
            goal: self.goal,
            proposals,
            stated_needs,
            reason,
            undivided,
            without_stages,
            fewest,
            judgement,
        }
    }

    /// The fewest accelerators on which the job fits in any layout, if another number was asked for.
    fn fewest(&self, accelerator: &Accelerator, job: &TrainingJob) -> Option<u64> {
        let Goal::Accelerators(asked) = self.goal else { return None };
        let planner = Planner { goal: Goal::Fits, ask: self.ask.clone(), ..*self };
        let proposals = planner.proposals(accelerator, &freed(job)).ok()?;
        proposals.first().map(|best| best.count.usable).filter(|fewest| *fewest > asked)
    }

    /// The best layouts that fit, the best first.
    fn proposals(&self, accelerator: &Accelerator, job: &TrainingJob) -> Result<Vec<Proposal>, NoLayout> {
        let stated = job.accelerator.as_ref().and_then(|own| own.memory.as_deref());
        let offered = stated.and_then(|memory| Bytes::parse_quantity(memory.trim()).ok());
        let offered = offered.unwrap_or_else(|| accelerator.usable());
        let capacity = self.world.rules.headroom.below(offered);
        let search = Search { job, accelerator, capacity, rules: self.world.rules, goal: self.goal };
        let searched = search.run();
        let Some(mut searched) = searched else { return Err(NoLayout::unknown(job)) };
        let mut proposals: Vec<Proposal> = Vec::new();
        let (mut open, mut left) = (None, JUDGED);
        // The layouts that are not sure to fit, with what they need.
        let mut unsure: Vec<(Layout, Bytes)> = Vec::new();
        for candidate in std::mem::take(&mut searched.found) {
            let Candidate { layout, need, count, .. } = candidate;
            let is_alike = |other: &Layout| other.divides_as(&layout);
            if left == 0 || proposals.len() >= self.question.layouts {
                break;
            }
            if proposals.iter().any(|other| is_alike(&other.layout))
                || unsure.iter().any(|(other, needed)| is_alike(other) && need > needed.scale(LEANER))
            {
                continue;
            }
            left -= 1;
            match self.proposal(candidate) {
                Ok(proposal) => proposals.extend(proposal),
                Err(judgement) => {
                    unsure.push((layout, need));
                    open = open.or(Some((layout, count.usable, judgement)));
                }
            }
        }
        if !proposals.is_empty() {
            return Ok(proposals);
        }
        if let Some((layout, number, judgement)) = open {
            let least = judgement.memory.as_ref().map_or(Bytes::ZERO, |memory| memory.peak_bytes);
            let (verdict, message) = (judgement.verdict.name(), judgement.message);
            return Err(NoLayout::Open { layout, number, verdict, message, least });
        }
        Err(self.none(&searched, capacity, job))
    }

    /// Why no layout fits, if none was close to it.
    fn none(&self, searched: &Candidates, capacity: Bytes, job: &TrainingJob) -> NoLayout {
        let batch = job.batch.as_ref().and_then(|batch| batch.global_batch_size);
        match (self.goal, searched.too_slow, searched.leanest) {
            (Goal::Days(_), Some(most), _) => NoLayout::TooSlow { most, batch },
            (Goal::Days(_), None, Some((least, _))) if least <= capacity => {
                let judgement = self.judged(job);
                match judgement.time {
                    Some(_) => NoLayout::UnknownTokens,
                    None => NoLayout::UnknownSpeed,
                }
            }
            (_, _, Some((least, layout))) if least <= capacity && searched.is_close => {
                NoLayout::Memory { least, layout, capacity }
            }
            (Goal::Accelerators(number), _, Some((least, _))) if least <= capacity => {
                NoLayout::Number { number, batch, near: searched.near }
            }
            (Goal::Accelerators(number), _, None) => NoLayout::Number { number, batch, near: searched.near },
            (_, _, Some((least, layout))) => NoLayout::Memory { least, layout, capacity },
            (_, _, None) => NoLayout::NoneApplies,
        }
    }

    /// The candidate as `check` judges it, if it is in time. The error is the judgement of one that is not sure to fit.
    fn proposal(&self, candidate: Candidate) -> Result<Option<Proposal>, Box<Judgement>> {
        let judgement = self.judged(&candidate.job);
        if judgement.verdict != Verdict::Fits {
            return Err(judgement.into());
        }
        let days = judgement.time.as_ref().and_then(|time| time.days);
        let in_time = match self.goal {
            Goal::Days(wanted) => days.is_some_and(|days| days <= wanted),
            _ => true,
        };
        Ok(in_time.then_some(Proposal {
            layout: candidate.layout,
            count: candidate.count,
            data: candidate.plan.data,
            framework: candidate.plan.profile.name,
            job: candidate.job,
            judgement,
        }))
    }

    /// The job on another type of accelerator, without a number of accelerators.
    fn without_number(&self, accelerator: &Accelerator) -> TrainingJob {
        let mut job = self.job.clone();
        let own = job.accelerator.get_or_insert_default();
        let same = own.kind.as_deref().and_then(|kind| self.world.catalogue.find(kind)).map(|a| &a.key);
        if same != Some(&accelerator.key) {
            own.memory = None;
            own.per_node = None;
            // The price was for the other accelerator.
            job.price = None;
        }
        let own = job.accelerator.get_or_insert_default();
        (own.kind, own.count) = (Some(accelerator.key.clone()), None);
        if let Some(parallelism) = &mut job.parallelism {
            parallelism.data = None;
            parallelism.sharding_degree = None;
        }
        job.target = None;
        job
    }

    fn judged(&self, job: &TrainingJob) -> Judgement {
        let question =
            json!({"apiVersion": "weighbridge.dev/v1alpha1", "kind": "TrainingEstimate", "spec": job});
        judge(&question, &Surroundings::default(), &self.world, &self.ask)
    }
}

/// Why there is no layout.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
enum NoLayout {
    #[error(
        "no layout fits: the leanest, {}, needs {least} of {capacity}{}", .layout.words(),
        if .least <= .capacity { ", too close to be sure" } else { "" }
    )]
    Memory { least: Bytes, layout: Layout, capacity: Bytes },
    #[error("no layout is sure to fit: {} on {} is {verdict}: {message}", .layout.words(), gpus(*.number))]
    Open { layout: Layout, number: u64, verdict: &'static str, message: String, least: Bytes },
    #[error("{}", too_slow(*.most, *.batch))]
    TooSlow { most: u64, batch: Option<u32> },
    #[error(
        "no layout that fits uses all of {number} accelerators{}{}",
        .batch.map(|batch| format!(": the global batch is {batch} sequences")).unwrap_or_default(),
        nearest(.near),
    )]
    Number { number: u64, batch: Option<u32>, near: [Option<u64>; 2] },
    #[error("no layout has the degrees that the job states")]
    NoneApplies,
    #[error("the number of tokens is unknown: add --set tokens=2T, or steps and batch")]
    UnknownTokens,
    #[error("the accelerator's speed is unknown")]
    UnknownSpeed,
    #[error("the model's size is unknown: add --set model=llama-3-8b, or --set parameters=8B")]
    UnknownSize,
    #[error(
        "the model {name} is not known{} add --set parameters={}, or its layers and hidden-size",
        meant(.name),
        known::size(.name).unwrap_or("8B"),
    )]
    UnknownModel { name: String },
}

impl NoLayout {
    /// The reason for a job whose size is unknown.
    fn unknown(job: &TrainingJob) -> Self {
        let name = job.model.as_ref().and_then(|model| model.name.clone());
        name.map_or(Self::UnknownSize, |name| Self::UnknownModel { name })
    }
}

/// Why more accelerators do not help.
fn too_slow(most: u64, batch: Option<u32>) -> String {
    if most >= MOST {
        return format!("even {most} accelerators, the most that are tried, take longer");
    }
    let of = batch.map(|batch| format!(" {batch}")).unwrap_or_default();
    format!(
        "even {most} accelerators, the most that the layouts and global-batch-size{of} can use, take longer: a larger \
         global-batch-size can use more"
    )
}

/// The numbers of accelerators beside the asked one that a layout uses.
fn nearest(near: &[Option<u64>; 2]) -> String {
    match near {
        [Some(below), Some(above)] => format!("; the nearest numbers that one uses are {below} and {above}"),
        [Some(one), None] | [None, Some(one)] => format!("; the nearest number that one uses is {one}"),
        [None, None] => String::new(),
    }
}

/// The names of models that may be meant.
fn meant(name: &str) -> String {
    let nearest = known::nearest(name).join(" or ");
    if nearest.is_empty() { ":".to_owned() } else { format!("; did you mean {nearest}? Otherwise") }
}
