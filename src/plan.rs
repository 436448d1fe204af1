//! The reverse question: how many accelerators of each type finish a training in a number of days, and their memory
//! and cost.
//!
//! The job is read as always, its accelerators are replaced, and it is judged with every number that the search of
//! [`count`] tries. So the judgement of a number here is the judgement of `check`.

use serde_json::{Value, json};

use crate::advise::count::{self, Count, Found, Layout};
use crate::estimate::assume::{Device, assume};
use crate::hardware::Accelerator;
use crate::job::{Ask, Quoting, TrainingJob};
use crate::judge::judge;
use crate::judgement::Judgement;
use crate::policy::World;
use crate::surroundings::Surroundings;
use crate::units::Decimal;

/// The plan for one type of accelerator.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The accelerator, as messages name it.
    pub accelerator: String,
    /// The requested days.
    pub days: f64,
    /// The number of accelerators. None if there is no such number, or it is unknown.
    pub count: Option<Count>,
    /// Why there is no number, in one line.
    pub reason: Option<String>,
    /// The judgement with that number. If even the most usable accelerators are too slow, the judgement with those.
    pub judgement: Judgement,
}

/// Plans a training on each type of accelerator, or on the job's own if none is given. Empty if the object does not
/// train.
///
/// # Errors
/// The input that the plan lacks, in one line.
pub fn plan(
    object: &Value,
    around: &Surroundings,
    world: &World<'_>,
    days: Option<f64>,
    accelerators: &[String],
) -> Result<Vec<Planned>, String> {
    let ask = Ask { advice: false, quoting: Quoting::Everything, ..Ask::default() };
    let read = judge(object, around, world, &ask);
    if !read.verdict.trains() {
        return Ok(Vec::new());
    }
    if let Some(error) = read.errors.first() {
        return Err(error.message.clone());
    }
    let wish = read.job.target.as_ref().and_then(|target| target.days).map(Decimal::as_f64);
    let days = days.or(wish).filter(|days| *days > 0.0);
    let days = days.ok_or("the number of days is missing: set --days, or target.days")?;
    let own = read.job.accelerator.as_ref().and_then(|accelerator| accelerator.kind.clone());
    let names = if accelerators.is_empty() { own.into_iter().collect() } else { accelerators.to_vec() };
    if names.is_empty() {
        return Err("the type of accelerator is missing: set --accelerator, or accelerator.type".into());
    }
    let planner = Planner { job: &read.job, world: *world, ask };
    names.iter().map(|name| planner.on(name, days)).collect()
}

struct Planner<'a> {
    job: &'a TrainingJob,
    world: World<'a>,
    ask: Ask,
}

impl Planner<'_> {
    fn on(&self, name: &str, days: f64) -> Result<Planned, String> {
        let Some(accelerator) = self.world.catalogue.find(name) else {
            let nearest = self.world.catalogue.nearest(name).join(", ");
            let or = if nearest.is_empty() { String::new() } else { format!("; similar names: {nearest}") };
            return Err(format!("unknown accelerator {name}{or}"));
        };
        let job = self.without_number(accelerator);
        let device = Device { bf16: accelerator.computes_in_bf16() };
        let planned = |count, reason, judgement| Planned {
            accelerator: accelerator.name.clone(),
            days,
            count,
            reason,
            judgement,
        };
        let Ok(assumed) = assume(&job, device) else {
            return Ok(planned(None, Some("the model's size is unknown".into()), self.judged(&job, None)));
        };
        let taken = |number| self.judged(&job, Some(number)).time?.days;
        Ok(match count::count(&Layout::of(&job, &assumed.likely), days, taken) {
            Some(Found::Count(count)) => planned(Some(count), None, self.judged(&job, Some(count.usable))),
            Some(Found::TooSlow(most)) => {
                let judgement = self.judged(&job, Some(most));
                let reason =
                    format!("even {most} accelerators, the most that layout and batch can use, take longer");
                planned(None, Some(reason), judgement)
            }
            None => {
                let judgement = self.judged(&job, None);
                let reason = match judgement.time {
                    Some(_) => "the number of tokens is unknown: set tokens, or steps and batch",
                    None => "the accelerator's speed is unknown",
                };
                planned(None, Some(reason.into()), judgement)
            }
        })
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

    fn judged(&self, job: &TrainingJob, number: Option<u64>) -> Judgement {
        let mut job = job.clone();
        job.accelerator.get_or_insert_default().count = number.and_then(|number| u32::try_from(number).ok());
        let question =
            json!({"apiVersion": "weighbridge.dev/v1alpha1", "kind": "TrainingEstimate", "spec": job});
        judge(&question, &Surroundings::default(), &self.world, &self.ask)
    }
}
