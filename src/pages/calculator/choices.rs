//! What a person may take over with one click: a change that fits, or a layout that fits.
//!
//! Either is a complete job, and its figures are for all of its fields. So all fields in which it differs from the form are
//! taken over, also those that it assumes, such as the length of sequences. A field of the form that it does without is
//! cleared. The form then asks for exactly that job, and the answer has the figures of the line.
//!
//! If a number of days is asked for, the layouts are the answer, until the form itself states a job that fits and is in time.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::batch::settings::{self, Setting};
use crate::job::TrainingJob;
use crate::judgement::{Advice, Judgement, Verdict};
use crate::plan::{self, Layout, Planned, Proposal};
use crate::policy::Policy;
use crate::report::{Form, days_need, figures};
use crate::surroundings::Surroundings;

/// Layouts that are proposed.
const LAYOUTS: usize = 5;

/// What the form states.
pub(super) struct Asked<'a> {
    pub(super) object: &'a Value,
    pub(super) settings: &'a [Setting],
    pub(super) days: Option<f64>,
    pub(super) judgement: &'a Judgement,
}

impl Asked<'_> {
    fn stated(&self, key: &str) -> Option<&str> {
        self.settings.iter().find(|setting| setting.key() == key).map(Setting::text)
    }

    /// The fields in which a job differs from that of the form. An empty text clears a field.
    fn taken(&self, job: &TrainingJob) -> BTreeMap<&'static str, String> {
        let (before, mut taken) = (fields(&self.judgement.job), fields(job));
        let without = |key: &&str| before.contains_key(key) && !taken.contains_key(key);
        let cleared: Vec<_> = self.settings.iter().map(Setting::key).filter(without).collect();
        taken.retain(|key, text| before.get(key) != Some(text));
        taken.extend(cleared.into_iter().map(|key| (key, String::new())));
        taken
    }

    /// Whether the form states a job that fits, and is in time.
    fn is_answered(&self) -> bool {
        let takes = self.judgement.time.as_ref().and_then(|time| time.days);
        let late = self.days.is_some_and(|wanted| takes.is_none_or(|days| days > wanted));
        self.judgement.verdict == Verdict::Fits && !late
    }
}

fn fields(job: &TrainingJob) -> BTreeMap<&'static str, String> {
    settings::written(job).iter().map(|setting| (setting.key(), setting.text().to_owned())).collect()
}

/// A change or a layout. What is not known is empty.
#[derive(Debug, Default, Serialize)]
pub(super) struct Choice {
    pub(super) words: String,
    pub(super) gpus: String,
    pub(super) needs: String,
    days: String,
    cost: String,
    /// The fields of the form that make it. An empty text clears a field.
    pub(super) fields: BTreeMap<&'static str, String>,
}

/// The changes that fit.
pub(super) fn advised(asked: &Asked<'_>) -> Vec<Choice> {
    let choice = |advice: &Advice| Choice {
        words: advice.change.clone(),
        needs: advice.peak_bytes.to_string(),
        days: advice.days.map(figures::days).unwrap_or_default(),
        // The changed fields alone.
        fields: fields(&advice.spec),
        ..Choice::default()
    };
    asked.judgement.advice.iter().map(choice).collect()
}

/// The layouts that fit, the best first.
#[derive(Debug, Default, Serialize)]
pub(super) struct Layouts {
    /// Whether they are the answer, and stand before everything else.
    pub(super) leads: bool,
    pub(super) heading: &'static str,
    /// Why there is none, or what stands behind them.
    pub(super) note: String,
    pub(super) choices: Vec<Choice>,
}

/// The layouts that fit. A number of days asks for the smallest cluster that is in time, else the stated number counts.
pub(super) fn layouts(asked: &Asked<'_>, policy: &Policy) -> Layouts {
    let heading = "Layouts that fit";
    let alone = |note: String| Layouts { heading, note, ..Layouts::default() };
    if asked.stated("gpu-type").is_none() || asked.stated("model").or(asked.stated("parameters")).is_none() {
        return alone("Name a model and a type of GPU, and layouts that fit are listed here.".into());
    }
    let count = asked.stated("accelerator-count").and_then(|count| count.parse().ok());
    let question = plan::Question {
        days: asked.days,
        accelerators: count.filter(|_| asked.days.is_none()),
        layouts: LAYOUTS,
        ..plan::Question::default()
    };
    let planned = plan::plan(asked.object, &Surroundings::default(), &policy.world(), &question);
    let planned = match planned.map(|plans| plans.planned.into_iter().next()) {
        Ok(Some(planned)) => planned,
        Ok(None) => return Layouts::default(),
        Err(reason) => return alone(sentence(&reason)),
    };
    let leads = asked.days.is_some() && !asked.is_answered();
    let choices: Vec<_> = planned.proposals.iter().map(|proposal| layout(asked, proposal)).collect();
    Layouts {
        leads,
        heading: if leads && !choices.is_empty() { "Choose a layout" } else { heading },
        note: note(asked, &planned, leads),
        choices,
    }
}

/// What stands behind the layouts, or why there is none.
fn note(asked: &Asked<'_>, planned: &Planned, leads: bool) -> String {
    if let Some(reason) = &planned.reason {
        return sentence(reason);
    }
    if let Some(needs) = planned.stated_needs {
        return format!(
            "No layout with the written fields is sure to fit: the leanest needs {needs}. These are other layouts."
        );
    }
    if let (true, Some(days), Some(count)) = (leads, asked.days, planned.count()) {
        let need = days_need(days, count);
        return format!("{need}. “Use” puts a layout into the form, and the figures are then for it.");
    }
    match planned.proposals.first() {
        Some(first) if asked.stated("framework").is_none() => format!(
            "The figures are for the fields as written. The layouts choose what is open: the first is for {}.",
            first.framework
        ),
        _ => String::new(),
    }
}

/// A reason of the planner as a sentence of the page.
fn sentence(reason: &str) -> String {
    let told = Form::Page.told(reason);
    let mut letters = told.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters.filter(|letter| *letter != '`')).chain(['.']).collect()
}

fn layout(asked: &Asked<'_>, proposal: &Proposal) -> Choice {
    let Proposal { layout, judgement, job, .. } = proposal;
    let (time, memory) = (judgement.time.as_ref(), judgement.memory.as_ref());
    let cost = judgement.cost.as_ref();
    Choice {
        words: words(layout, proposal.data),
        gpus: proposal.count.usable.to_string(),
        needs: memory.map(|memory| memory.peak_bytes.to_string()).unwrap_or_default(),
        days: time.and_then(|time| time.days).map(figures::days).unwrap_or_default(),
        cost: cost
            .map(|cost| format!("{} {}", figures::count(cost.total.as_f64()), cost.currency))
            .unwrap_or_default(),
        fields: asked.taken(&as_asked(job, &asked.judgement.job)),
    }
}

/// The job with the fields of the question that are no choice of a layout: a type of GPU may have several spellings, and the
/// planner does without the target.
fn as_asked(job: &TrainingJob, asked: &TrainingJob) -> TrainingJob {
    let mut job = job.clone();
    let kind = asked.accelerator.as_ref().and_then(|accelerator| accelerator.kind.clone());
    job.accelerator.get_or_insert_default().kind = kind;
    job.target.clone_from(&asked.target);
    job
}

/// The layout in words: `tensor 4 · pipeline 2 · data 96, distributed-optimizer, recompute none, micro-batch 1`.
fn words(layout: &Layout, data: u64) -> String {
    let degrees = [
        ("tensor", u64::from(layout.tensor)),
        ("pipeline", u64::from(layout.pipeline)),
        ("context", u64::from(layout.context)),
        ("expert", u64::from(layout.expert)),
        ("data", data),
    ];
    let degrees: Vec<_> = degrees
        .iter()
        .filter(|(name, degree)| *degree > 1 || *name == "data")
        .map(|(name, degree)| format!("{name} {degree}"))
        .collect();
    format!(
        "{}, {}, recompute {}, micro-batch {}",
        degrees.join(" · "),
        layout.sharding.word(),
        layout.recompute.word(),
        layout.micro_batch
    )
}
