//! Goodput: the share of the time that goes into training, not into failures, restarts or checkpoints.
//!
//! ```text
//! η  = 1 − C/τ − τ/(2M) − R/M        C checkpoint's stall, τ interval between checkpoints, R time to load one, in seconds
//! M  = H · 3600 / N                  H hours of one accelerator between failures, N accelerators
//! τ* = √(2·C·M)                      the interval that loses least (Young, CACM 1974); jobs are assumed to use it
//! from start to end = T/η + R + C    T computed; the job loads once, and saves at the end
//! ```
//!
//! Every job is assumed to restart by itself from its last checkpoint. If the user gives a goodput, no loading time is
//! added to it. Failures grow with the number of accelerators, so an unknown number means an unknown goodput. The
//! constants and their sources are in `data/goodput.toml`. Validity: τ ≪ M, so up to some 30,000 accelerators. η is at
//! least 5 %.

use std::sync::LazyLock;

use serde::Deserialize;

use crate::job::TrainingJob;
use crate::judgement::{Goodput, Time};

const LEAST: f64 = 0.05;

/// The constants of `data/goodput.toml`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Constants {
    accelerator_hours_between_failures: f64,
    load_seconds: f64,
    checkpoint_seconds: f64,
    checkpoint_seconds_at_best: f64,
    failures_at_worst: f64,
}

impl Constants {
    /// The compiled-in constants. A test checks that the file can be read.
    fn builtin() -> Self {
        static BUILTIN: LazyLock<Constants> =
            LazyLock::new(|| toml::from_str(include_str!("../../data/goodput.toml")).unwrap_or_default());
        *BUILTIN
    }

    /// Seconds between two failures of a job.
    fn between_failures(self, accelerators: f64) -> f64 {
        self.accelerator_hours_between_failures * 3600.0 / accelerators
    }

    /// η for a time between failures and a checkpoint's stall, both in seconds.
    fn share(self, between_failures: f64, checkpoint: f64) -> f64 {
        let interval = best_interval(between_failures, checkpoint);
        let saving = checkpoint / interval;
        let lost = interval / (2.0 * between_failures);
        (1.0 - saving - lost - self.load_seconds / between_failures).clamp(LEAST, 1.0)
    }
}

fn best_interval(between_failures: f64, checkpoint: f64) -> f64 {
    (2.0 * checkpoint * between_failures).sqrt()
}

/// The goodput of a job: the user's, otherwise the usual one for its number of accelerators.
pub fn goodput(job: &TrainingJob) -> Option<Goodput> {
    let given = job.efficiency.as_ref().and_then(|efficiency| efficiency.goodput_percent);
    if let Some(percent) = given {
        let share = (percent.as_f64() / 100.0).clamp(0.01, 1.0);
        return Some(Goodput {
            share,
            share_low: share,
            share_high: share,
            assumed: false,
            hours_between_failures: None,
            checkpoint_interval_seconds: None,
            startup_seconds: 0.0,
        });
    }
    let accelerators = f64::from(job.accelerator.as_ref()?.count?.max(1));
    let constants = Constants::builtin();
    let (checkpoint, at_best) = (constants.checkpoint_seconds, constants.checkpoint_seconds_at_best);
    let between = constants.between_failures(accelerators);
    Some(Goodput {
        share: constants.share(between, checkpoint),
        share_low: constants.share(between / constants.failures_at_worst, checkpoint),
        share_high: constants.share(between, at_best),
        assumed: true,
        hours_between_failures: Some(between / 3600.0),
        checkpoint_interval_seconds: Some(best_interval(between, checkpoint)),
        startup_seconds: constants.load_seconds + checkpoint,
    })
}

/// Widens a time's interval by the goodput's interval, and adds the time that is spent once. The time already includes
/// the middle of the goodput.
pub fn from_start_to_end(time: &mut Time, goodput: &Goodput, accelerators: Option<u32>) {
    let hours = goodput.startup_seconds / 3600.0;
    let all = accelerators.map_or(0.0, |count| hours * f64::from(count.max(1)));
    let (better, worse) = (goodput.share / goodput.share_high, goodput.share / goodput.share_low);
    let spend = |figure: &mut Option<f64>, factor: f64, once: f64| {
        *figure = figure.map(|figure| figure * factor + once);
    };
    spend(&mut time.days, 1.0, hours / 24.0);
    spend(&mut time.days_low, better, hours / 24.0);
    spend(&mut time.days_high, worse, hours / 24.0);
    spend(&mut time.gpu_hours, 1.0, all);
    spend(&mut time.gpu_hours_low, better, all);
    spend(&mut time.gpu_hours_high, worse, all);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{Accelerator, Efficiency};
    use crate::units::Decimal;

    fn of(count: u32) -> Goodput {
        let accelerator = Some(Accelerator { count: Some(count), ..Accelerator::default() });
        goodput(&TrainingJob { accelerator, ..TrainingJob::default() }).unwrap()
    }

    #[test]
    fn the_file_can_be_read() {
        assert!(toml::from_str::<Constants>(include_str!("../../data/goodput.toml")).is_ok());
    }

    #[test]
    fn a_thousand_accelerators_fail_every_other_day_and_lose_three_percent() {
        let goodput = of(1024);
        assert!((goodput.hours_between_failures.unwrap() - 49.5).abs() < 0.1);
        assert!((goodput.share - 0.972).abs() < 0.001, "{goodput:?}");
    }

    /// Llama 3 reports over 90 % of effective time on 16,384 H100.
    #[test]
    fn the_goodput_of_llama_3_is_within_the_interval() {
        let goodput = of(16_384);
        assert!((0.86..0.88).contains(&goodput.share), "{goodput:?}");
        assert!(goodput.share_low < 0.90 && goodput.share_high > 0.90, "{goodput:?}");
    }

    #[test]
    fn more_accelerators_never_have_a_better_goodput() {
        let shares: Vec<f64> = [1, 8, 64, 512, 4096, 32_768, 10_000_000].map(|n| of(n).share).to_vec();
        assert!(shares.is_sorted_by(|a, b| a >= b) && shares[0] > 0.99, "{shares:?}");
        assert!((shares[6] - LEAST).abs() < 1e-9);
    }

    #[test]
    fn a_given_goodput_has_no_startup_time() {
        let efficiency = Efficiency { goodput_percent: Decimal::parse("92.5").ok(), ..Efficiency::default() };
        let job = TrainingJob { efficiency: Some(efficiency), ..TrainingJob::default() };
        let goodput = goodput(&job).unwrap();
        assert!((goodput.share - 0.925).abs() < 1e-9 && !goodput.assumed);
        assert!(goodput.startup_seconds.abs() < 1e-9);
    }

    #[test]
    fn an_unknown_number_of_accelerators_has_no_goodput() {
        assert_eq!(goodput(&TrainingJob::default()), None);
    }
}
