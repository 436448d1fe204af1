//! Whether the job finishes in time.
//!
//! The deadline is the earlier of two: what ends the workload ([`workload::Limit`](crate::kinds::deadline::Limit)), and
//! the person's target (`target.days`). It is compared with the interval of the predicted time:
//!
//! ```text
//! upper end ≤ limit                    in time
//! middle ≤ limit < upper end           in time, but may be late
//! lower end ≤ limit < middle           too slow
//! limit < lower end                    too slow even at best
//! ```

use crate::job::{TrainingJob, field};
use crate::judgement::{Deadline, Outlook, Time};
use crate::kinds::deadline::Limit;
use crate::units::{span, span_within};

const SECONDS_A_DAY: f64 = 86_400.0;

/// The deadline that binds, and the outlook for it.
pub(super) fn deadline(job: &TrainingJob, limit: Option<Limit>, time: Option<&Time>) -> Option<Deadline> {
    let wish = job.target.as_ref().and_then(|target| target.days).map(|days| Limit {
        seconds: (days.as_f64() * SECONDS_A_DAY) as u64,
        source: field::target::DAYS.to_string(),
    });
    let limit = [limit, wish].into_iter().flatten().min_by_key(|limit| limit.seconds)?;
    let days = limit.seconds as f64 / SECONDS_A_DAY;
    let taken = time.and_then(|time| Some((time.days_low?, time.days?, time.days_high?)));
    let outlook = match taken {
        None => Outlook::Unknown,
        Some((_, _, high)) if high <= days => Outlook::InTime,
        Some((_, middle, _)) if middle <= days => Outlook::MayBeLate,
        Some((low, _, _)) if low <= days => Outlook::TooSlow,
        Some(_) => Outlook::TooSlowAtBest,
    };
    let took = taken.map(|(low, middle, high)| format!("takes about {}", span_within(low, middle, high)));
    let allowed = format!("{} allows {}", short(&limit.source), span(days));
    let message = match (outlook, took) {
        (Outlook::TooSlowAtBest, Some(took)) => format!("{took}, but {allowed}: too slow even at best"),
        (Outlook::TooSlow, Some(took)) => format!("{took}, but {allowed}"),
        (Outlook::MayBeLate, Some(took)) => format!("{took}; {allowed}, so it may be late"),
        (_, Some(took)) => format!("{took}; {allowed}"),
        (_, None) => format!("{allowed}; how long it takes is not known"),
    };
    Some(Deadline { seconds: Some(limit.seconds), source: limit.source, outlook, message })
}

/// The last words of a path, as a person writes them.
fn short(source: &str) -> &str {
    match source.split_once(' ') {
        Some((_, key)) => key.rsplit('/').next().unwrap_or(key),
        None if source.starts_with("spec.") => source.rsplit('.').next().unwrap_or(source),
        None => source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Target;
    use crate::units::Decimal;

    fn time(low: f64, middle: f64, high: f64) -> Time {
        Time { days: Some(middle), days_low: Some(low), days_high: Some(high), ..Time::default() }
    }

    fn job(days: &str) -> TrainingJob {
        let target = Some(Target { days: Decimal::parse(days).ok() });
        TrainingJob { target, ..TrainingJob::default() }
    }

    fn limit(days: f64) -> Limit {
        let source = "spec.runPolicy.activeDeadlineSeconds".into();
        Limit { seconds: (days * SECONDS_A_DAY) as u64, source }
    }

    #[test]
    fn the_interval_decides_how_it_looks() {
        for (days, outlook, message) in [
            (120.0, Outlook::InTime, "takes about 79 days (63–105)"),
            (90.0, Outlook::MayBeLate, "so it may be late"),
            (70.0, Outlook::TooSlow, "but activeDeadlineSeconds allows 70 days"),
            (30.0, Outlook::TooSlowAtBest, "activeDeadlineSeconds allows 30 days: too slow even at best"),
        ] {
            let found =
                deadline(&TrainingJob::default(), Some(limit(days)), Some(&time(63.0, 79.0, 105.0))).unwrap();
            assert_eq!(found.outlook, outlook, "{days}");
            assert!(found.message.contains(message), "{}", found.message);
            assert!(found.message.chars().count() <= 120, "{}", found.message);
        }
    }

    #[test]
    fn the_wish_and_the_limit_bind_whichever_is_earlier() {
        assert_eq!(deadline(&job("90"), Some(limit(100.0)), None).unwrap().source, "target.days");
        let found = deadline(&job("90"), Some(limit(80.0)), None).unwrap();
        assert_eq!(found.source, "spec.runPolicy.activeDeadlineSeconds");
        assert_eq!(found.outlook, Outlook::Unknown);
        assert_eq!(found.message, "activeDeadlineSeconds allows 80 days; how long it takes is not known");
        assert!(deadline(&TrainingJob::default(), None, Some(&time(1.0, 2.0, 3.0))).is_none());
    }
}
