//! How long a job takes from start to end: the [`time`] of its computation, for the [`amount`] that it trains, at a
//! [`goodput`].

use super::amount::{Amount, amount};
use super::goodput::{from_start_to_end, goodput};
use super::plan::Plan;
use super::time::{self, Machine};
use crate::job::{Input, TrainingJob, field};
use crate::judgement::{Goodput, Time};
use crate::units::{Count, Decimal};

/// How long a job takes, and the values that this rests on.
pub struct Duration {
    /// From start to end.
    pub time: Time,
    /// The share of this time that is spent training.
    pub goodput: Option<Goodput>,
    /// How much the job trains.
    pub amount: Option<Amount>,
}

/// How long the job takes with the plan that `runs`, if its likeliest plan is `likely`. `None` if the accelerator's speed
/// is unknown.
pub fn duration(job: &TrainingJob, likely: &Plan, runs: &Plan, machine: Machine<'_>) -> Option<Duration> {
    let (amount, goodput) = (amount(job, likely), goodput(job));
    let mut completed = job.clone();
    if let Some(amount) = &amount {
        let dataset = completed.dataset.get_or_insert_default();
        (dataset.tokens, dataset.epochs) = (Some(Count(amount.tokens)), None);
    }
    if let Some(goodput) = &goodput {
        let percent = Decimal::from_f64(goodput.share * 100.0);
        completed.efficiency.get_or_insert_default().goodput_percent = Some(percent);
    }
    let mut time = time::time(&completed, runs, machine)?;
    if let Some(goodput) = &goodput {
        let accelerators = job.accelerator.as_ref().and_then(|accelerator| accelerator.count);
        from_start_to_end(&mut time, goodput, accelerators);
    }
    Some(Duration { time, goodput, amount })
}

impl Duration {
    /// The assumed goodput and amount, as inputs.
    pub fn inputs(&self) -> impl Iterator<Item = Input> {
        let assumed = self.goodput.filter(|goodput| goodput.assumed && self.time.gpu_hours.is_some());
        let goodput = assumed.map(|goodput| {
            let value = Decimal::from_f64((goodput.share * 1000.0).round() / 10.0).to_string();
            let hours = goodput.hours_between_failures.unwrap_or_default();
            let every =
                if hours < 72.0 { format!("{hours:.0} hours") } else { format!("{:.0} days", hours / 24.0) };
            let source = format!("assumed: a failure every {every}");
            Input { field: field::efficiency::GOODPUT_PERCENT.into(), value, source }
        });
        self.amount.as_ref().and_then(|amount| amount.assumed.clone()).into_iter().chain(goodput)
    }
}
