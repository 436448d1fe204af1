//! Days against accelerators: the same training on fewer and on more of them.
//!
//! The numbers are the stated one, halved and doubled. Each is judged as a job of its own: the degrees of the layout stay,
//! and the degree of data parallelism follows from the number.

use serde_json::json;

use crate::job::{Ask, TrainingJob};
use crate::judge::judge;
use crate::judgement::Judgement;
use crate::pages::markup::{joined, section};
use crate::pages::{bars, parts};
use crate::policy::Policy;
use crate::report::figures;
use crate::surroundings::Surroundings;

/// The numbers, as powers of two times the stated one.
const POWERS: [i32; 5] = [-2, -1, 0, 1, 2];

/// The section. Empty without a number of accelerators, or without a duration.
pub(super) fn scaling(job: &TrainingJob, policy: &Policy) -> String {
    let stated = job.accelerator.as_ref().and_then(|accelerator| accelerator.count);
    let Some(stated) = stated else { return String::new() };
    let number = |power: &i32| {
        let number = f64::from(stated) * 2f64.powi(*power);
        (number.fract() == 0.0 && number >= 1.0 && number < f64::from(u32::MAX)).then_some(number as u32)
    };
    let judged: Vec<_> =
        POWERS.iter().filter_map(number).map(|number| (number, on(job, number, policy))).collect();
    let days = |judgement: &Judgement| judgement.time.as_ref().and_then(|time| time.days);
    let Some(most) = judged.iter().filter_map(|(_, judgement)| days(judgement)).reduce(f64::max) else {
        return String::new();
    };
    let rows = joined(judged.iter().map(|(number, judgement)| {
        let (days, cost) = (days(judgement), judgement.cost.as_ref());
        let drawing = days.map(|days| bars::plain(days, most, &format!("{} days", figures::days(days))));
        let cost = cost.map(|cost| format!("{} {}", figures::count(cost.total.as_f64()), cost.currency));
        format!(
            "<tr{}><th scope=\"row\">{number} GPUs</th><td class=\"wide\">{}</td><td>{} days</td><td>{}</td>\
                 <td><strong class=\"verdict {}\">{}</strong></td></tr>\n",
            if *number == stated { " class=\"total\"" } else { "" },
            drawing.unwrap_or_default(),
            days.map_or_else(|| "?".to_owned(), figures::days),
            cost.unwrap_or_default(),
            parts::colour(judgement.verdict),
            judgement.verdict.name(),
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
