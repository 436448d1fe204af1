//! Days against accelerators: the same training on fewer and on more of them.
//!
//! The numbers are the stated one, halved and doubled. Each is judged as a job of its own: the degrees of the layout stay,
//! and the degree of data parallelism follows from the number. What a manifest leaves open is assumed here, so only the
//! calculator, where every field is in the form, shows the verdicts.

use serde_json::json;

use super::markup::{joined, section, text};
use super::{bars, parts};
use crate::job::{Ask, TrainingJob};
use crate::judge::judge;
use crate::judgement::Judgement;
use crate::policy::Policy;
use crate::report::figures;
use crate::surroundings::Surroundings;
use crate::units::{gpus, span};

/// The numbers, as powers of two times the stated one.
const POWERS: [i32; 5] = [-2, -1, 0, 1, 2];

/// The training on a number of accelerators.
#[derive(Debug)]
pub struct Scaled {
    number: u32,
    /// Whether the job states this number.
    stated: bool,
    judgement: Judgement,
}

impl Scaled {
    fn days(&self) -> Option<f64> {
        self.judgement.time.as_ref().and_then(|time| time.days)
    }
}

/// The training on other numbers of accelerators. Empty without a number, or without a duration.
pub(super) fn scaled(job: &TrainingJob, policy: &Policy) -> Vec<Scaled> {
    let stated = job.accelerator.as_ref().and_then(|accelerator| accelerator.count);
    let Some(stated) = stated else { return Vec::new() };
    let number = |power: &i32| {
        let number = f64::from(stated) * 2f64.powi(*power);
        (number.fract() == 0.0 && number >= 1.0 && number < f64::from(u32::MAX)).then_some(number as u32)
    };
    let numbers = POWERS.iter().filter_map(number);
    let judged: Vec<_> = numbers
        .map(|number| Scaled { number, stated: number == stated, judgement: on(job, number, policy) })
        .collect();
    if judged.iter().any(|scaled| scaled.days().is_some()) { judged } else { Vec::new() }
}

/// The section. Empty without other numbers.
pub(super) fn days_against_accelerators(scaled: &[Scaled], verdicts: bool) -> String {
    let Some(most) = scaled.iter().filter_map(Scaled::days).reduce(f64::max) else { return String::new() };
    let rows = joined(scaled.iter().map(|scaled| {
        let Scaled { number, stated, judgement } = scaled;
        let days = scaled.days();
        let drawing = days.map(|days| bars::plain(days, most, &span(days)));
        let hours = judgement.time.as_ref().and_then(|time| time.gpu_hours);
        let hours = hours.map(|hours| format!("{} GPU-hours", figures::count(hours)));
        let cost = judgement.cost.as_ref();
        let cost = cost.map(|cost| format!("{} {}", figures::count(cost.total.as_f64()), cost.currency));
        let verdict = if verdicts {
            let (colour, name) = (parts::colour(judgement.verdict), judgement.verdict.name());
            format!("<td><strong class=\"verdict {colour}\">{name}</strong></td>")
        } else {
            String::new()
        };
        format!(
            "<tr{}><th scope=\"row\">{}</th><td class=\"wide\">{}</td><td>{}</td><td>{}</td>{verdict}</tr>\n",
            if *stated { " class=\"total\"" } else { "" },
            gpus(u64::from(*number)),
            drawing.unwrap_or_default(),
            days.map_or_else(|| "?".to_owned(), span),
            text(&cost.or(hours).unwrap_or_default()),
        )
    }));
    section(
        "Days against GPUs",
        &format!("<div class=\"scroll\"><table class=\"stages\"><tbody>\n{rows}</tbody></table></div>\n"),
    )
}

fn on(job: &TrainingJob, number: u32, policy: &Policy) -> Judgement {
    let mut job = job.clone();
    job.accelerator.get_or_insert_default().count = Some(number);
    if let Some(parallelism) = &mut job.parallelism {
        parallelism.data = None;
        parallelism.sharding_degree = None;
    }
    let object = json!({"apiVersion": "weighbridge.dev/v1alpha1", "kind": "TrainingEstimate", "spec": job});
    let ask = Ask { advice: false, ..Ask::default() };
    judge(&object, &Surroundings::default(), &policy.world(), &ask)
}
