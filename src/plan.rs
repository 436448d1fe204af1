//! The question in reverse: how many accelerators of each type finish a training in so many days, and what that takes.
//!
//! The job is read as it always is, its accelerators replaced, and judged with every number that the search of
//! [`count`] asks for; so what is said of a number here is what `check` says of it.

use serde_json::{Value, json};

use crate::advise::count::{self, Count, Found, Layout};
use crate::estimate::assume::{Device, assume};
use crate::hardware::Accelerator;
use crate::job::{Ask, Quoting, TrainingJob};
use crate::judge::judge;
use crate::judgement::{Judgement, Verdict};
use crate::policy::World;
use crate::surroundings::Surroundings;
use crate::units::Decimal;

/// What one type of accelerator would take.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The accelerator, as messages name it.
    pub accelerator: String,
    /// The days that were asked for.
    pub days: f64,
    /// How many are needed; none where it cannot be done, or said.
    pub count: Option<Count>,
    /// Why there is no number, in one line.
    pub reason: Option<String>,
    /// What so many take; of as many as can be used, where even those are too slow.
    pub judgement: Judgement,
}

/// Plans a training on each type of accelerator; on the job's own where none is named. Nothing for what does not train.
///
/// # Errors
/// What must be given before it can be planned, in one line.
pub fn plan(
    object: &Value,
    around: &Surroundings,
    world: &World<'_>,
    days: Option<f64>,
    accelerators: &[String],
) -> Result<Vec<Planned>, String> {
    let ask = Ask { advice: false, quoting: Quoting::Everything, ..Ask::default() };
    let read = judge(object, around, world, &ask);
    if read.verdict == Verdict::NotTraining {
        return Ok(Vec::new());
    }
    if let Some(error) = read.errors.first() {
        return Err(error.message.clone());
    }
    let wish = read.job.target.as_ref().and_then(|target| target.days).map(Decimal::as_f64);
    let days = days.or(wish).filter(|days| *days > 0.0);
    let days = days.ok_or("in how many days is not said: give --days, or target.days")?;
    let own = read.job.accelerator.as_ref().and_then(|accelerator| accelerator.kind.clone());
    let names = if accelerators.is_empty() { own.into_iter().collect() } else { accelerators.to_vec() };
    if names.is_empty() {
        return Err("on which accelerators is not said: give --accelerator, or accelerator.type".into());
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
            let or = if nearest.is_empty() { String::new() } else { format!("; like it are: {nearest}") };
            return Err(format!("nobody knows the accelerator {name}{or}"));
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
            return Ok(planned(None, Some("the model's size is not known".into()), self.judged(&job, None)));
        };
        let taken = |number| self.judged(&job, Some(number)).time?.days;
        Ok(match count::count(&Layout::of(&job, &assumed.likely), days, taken) {
            Some(Found::Count(count)) => planned(Some(count), None, self.judged(&job, Some(count.usable))),
            Some(Found::TooSlow(most)) => {
                let judgement = self.judged(&job, Some(most));
                let reason = format!("even {most}, the most that layout and batch can use, take longer");
                planned(None, Some(reason), judgement)
            }
            None => {
                let judgement = self.judged(&job, None);
                let reason = match judgement.time {
                    Some(_) => "how much is trained is not known: give tokens, or steps and batch",
                    None => "the accelerator's speed is not known",
                };
                planned(None, Some(reason.into()), judgement)
            }
        })
    }

    /// The job on another type of accelerator, of which it is open how many.
    fn without_number(&self, accelerator: &Accelerator) -> TrainingJob {
        let mut job = self.job.clone();
        let own = job.accelerator.get_or_insert_default();
        let same = own.kind.as_deref().and_then(|kind| self.world.catalogue.find(kind)).map(|a| &a.key);
        if same != Some(&accelerator.key) {
            own.memory = None;
            own.per_node = None;
            // What another accelerator costs is another price.
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
