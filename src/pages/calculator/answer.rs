//! The answer to the fields of the form: the judgement as `check` gives it, the layouts as `plan` gives them, and the lines
//! to take away. A pure function.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::batch::settings::{self, Setting};
use crate::batch::{self, Object};
use crate::job::{Ask, Quoting, TrainingJob};
use crate::judgement::Advice;
use crate::pages::{Sheet, parts, scaling};
use crate::plan::{self, Layout, Proposal};
use crate::policy::Policy;
use crate::report::missing::Form;
use crate::report::{self, Entry, figures};
use crate::surroundings::Surroundings;
use crate::units::Decimal;

/// The fields of a layout that a person takes over together.
const OF_A_LAYOUT: &[&str] = &[
    "tensor-parallel",
    "pipeline-parallel",
    "context-parallel",
    "expert-parallel",
    "sharding",
    "recompute",
    "micro-batch-size",
    "global-batch-size",
    "accelerator-count",
    "sequence-parallel",
    "framework",
];
/// Layouts that are proposed.
const LAYOUTS: usize = 5;

/// What is asked.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Question {
    /// The fields, by the keys of the annotations. An empty value is no value.
    fields: BTreeMap<String, String>,
    /// The days within which the training should end.
    days: String,
}

/// The answer.
#[derive(Debug, Serialize)]
pub(super) struct Answer {
    /// The fields that cannot be read.
    errors: Vec<Wrong>,
    /// The element of `check -o json`. Null if a field cannot be read.
    element: Value,
    /// The decision in one sentence, for people who do not see the page change.
    spoken: String,
    /// The drawings and tables.
    html: String,
    /// What is missing, and where each input came from.
    details: String,
    /// Changes that fit: the words, and the fields to set.
    advice: Vec<Change>,
    /// Layouts that fit, the best first.
    layouts: Vec<Value>,
    /// Why there is no layout, or what stands behind them.
    layouts_note: String,
    /// The lines for a manifest's annotations.
    annotations: String,
    /// The question as a `TrainingEstimate`.
    manifest: String,
    /// The same question on the command line.
    command: String,
}

/// A field that cannot be read.
#[derive(Debug, Serialize)]
struct Wrong {
    key: String,
    message: String,
}

/// A change, and the fields that make it.
#[derive(Debug, Serialize)]
struct Change {
    /// The change in words.
    #[serde(rename = "change")]
    words: String,
    needs: String,
    days: String,
    fields: BTreeMap<&'static str, String>,
}

impl Change {
    fn of(advice: &Advice) -> Self {
        Self {
            words: advice.change.clone(),
            needs: advice.peak_bytes.to_string(),
            days: advice.days.map(figures::days).unwrap_or_default(),
            fields: fields(&advice.spec),
        }
    }
}

/// A question, as far as it can be read.
struct Read {
    settings: Vec<Setting>,
    days: Option<f64>,
    errors: Vec<Wrong>,
}

impl Read {
    fn of(question: &Question) -> Self {
        let mut read = Self { settings: Vec::new(), days: None, errors: Vec::new() };
        for (key, text) in question.fields.iter().filter(|(_, text)| !text.trim().is_empty()) {
            match settings::named(key, text.trim()) {
                Ok(setting) => read.settings.push(setting),
                Err(message) => read.errors.push(Wrong { key: key.clone(), message }),
            }
        }
        let days = question.days.trim().trim_end_matches("days").trim();
        match Decimal::parse(days) {
            _ if days.is_empty() => {}
            Ok(days) if days.micros > 0 => read.days = Some(days.as_f64()),
            _ => {
                let message = "days: write a number over zero, like 90".to_owned();
                read.errors.push(Wrong { key: "days".into(), message });
            }
        }
        read
    }
}

/// A question is no object that the gate could see, and its annotations are the fields of the form.
fn asked_by_the_form(entry: &mut Entry) {
    entry.gate = None;
    for input in &mut entry.judgement.inputs {
        if input.source.starts_with("annotation weighbridge.dev/") {
            "this form".clone_into(&mut input.source);
        }
    }
}

/// Answers a question.
///
/// # Errors
/// The serializer's. A judgement holds nothing that JSON cannot.
pub(super) fn answer(question: &Question, policy: &Policy) -> anyhow::Result<Answer> {
    let Read { settings, days, errors } = Read::of(question);
    let object = settings::described(&settings);
    let objects = [Object { value: object.clone(), place: None }];
    let around = Surroundings::default();
    let ask = Ask { quoting: Quoting::Everything, room: true, ..Ask::default() };
    let mut entries = batch::entries(&objects, &around, policy, &ask);
    entries.iter_mut().for_each(asked_by_the_form);
    let Some(entry) = entries.first().filter(|_| errors.is_empty()) else {
        return Ok(nothing(errors));
    };
    let stages = batch::stages(&entries, &objects, &around, policy, &ask).pop().unwrap_or_default();
    let judgement = &entry.judgement;
    let sheet = Sheet { entry, stages, scaled: scaling::scaled(&judgement.job, policy) };
    let html = [
        parts::decision(&sheet),
        parts::memory(&sheet),
        parts::instants(judgement),
        parts::stages(&sheet),
        parts::time(judgement),
        scaling::days_against_accelerators(&sheet.scaled, true),
    ];
    let details = parts::doubts(judgement, Form::Setting) + &parts::inputs(judgement);
    let (layouts, layouts_note) = layouts(&object, &settings, days, policy);
    Ok(Answer {
        errors,
        element: report::values(&entries)?.pop().unwrap_or_default(),
        spoken: format!("{}: {}", judgement.verdict.name(), judgement.message),
        html: html.concat(),
        details,
        advice: judgement.advice.iter().map(Change::of).collect(),
        layouts,
        layouts_note,
        annotations: settings.iter().map(|setting| setting.line() + "\n").collect(),
        manifest: serde_saphyr::to_string(&json!({
            "apiVersion": "weighbridge.dev/v1alpha1",
            "kind": "TrainingEstimate",
            "metadata": {"name": "calculated"},
            "spec": judgement.job,
        }))?,
        command: command(&settings),
    })
}

/// What a form without a training, or with a field that cannot be read, is answered.
fn nothing(errors: Vec<Wrong>) -> Answer {
    let begin = "Write a model and a type of GPU to begin.".to_owned();
    Answer {
        html: format!("<p>{begin}</p>\n"),
        spoken: errors.first().map_or(begin, |wrong| wrong.message.clone()),
        errors,
        details: String::new(),
        element: Value::Null,
        advice: Vec::new(),
        layouts: Vec::new(),
        layouts_note: String::new(),
        annotations: String::new(),
        manifest: String::new(),
        command: String::new(),
    }
}

fn fields(job: &TrainingJob) -> BTreeMap<&'static str, String> {
    settings::written(job).iter().map(|setting| (setting.key(), setting.text().to_owned())).collect()
}

/// The layouts that fit. A number of days asks for the smallest cluster that is in time, else the stated number counts.
fn layouts(object: &Value, settings: &[Setting], days: Option<f64>, policy: &Policy) -> (Vec<Value>, String) {
    let stated = |key: &str| settings.iter().find(|setting| setting.key() == key).map(Setting::text);
    if stated("gpu-type").is_none() || stated("model").or(stated("parameters")).is_none() {
        return (Vec::new(), "Name a model and a type of GPU, and layouts that fit are listed here.".into());
    }
    let count = stated("accelerator-count").and_then(|count| count.parse().ok());
    let question = plan::Question {
        days,
        accelerators: count.filter(|_| days.is_none()),
        layouts: LAYOUTS,
        ..plan::Question::default()
    };
    let planned = plan::plan(object, &Surroundings::default(), &policy.world(), &question);
    match planned.map(|plans| plans.planned.into_iter().next()) {
        Ok(Some(planned)) => {
            let note = planned.reason.clone().map(|reason| sentence(&reason));
            let note = note.or_else(|| {
                planned.stated_needs.map(|needs| {
                    format!(
                        "No layout with the written fields is sure to fit: the leanest needs {needs}. These are other layouts."
                    )
                })
            });
            let note = note.or_else(|| {
                let framework = planned.proposals.first().filter(|_| stated("framework").is_none())?.framework;
                Some(format!(
                    "The figures above are for the fields as written. The layouts choose what is open: the first is for {framework}."
                ))
            });
            (planned.proposals.iter().map(layout).collect(), note.unwrap_or_default())
        }
        Ok(None) => (Vec::new(), String::new()),
        Err(reason) => (Vec::new(), sentence(&reason)),
    }
}

/// A reason as a sentence.
fn sentence(reason: &str) -> String {
    let mut letters = reason.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters.filter(|letter| *letter != '`')).chain(['.']).collect()
}

fn layout(proposal: &Proposal) -> Value {
    let Proposal { layout, judgement, .. } = proposal;
    let (time, memory) = (judgement.time.as_ref(), judgement.memory.as_ref());
    let taken: BTreeMap<_, _> =
        fields(&proposal.job).into_iter().filter(|(key, _)| OF_A_LAYOUT.contains(key)).collect();
    let cost = judgement.cost.as_ref();
    json!({
        "gpus": proposal.count.usable,
        "words": words(layout, proposal.data),
        "needs": memory.map(|memory| memory.peak_bytes.to_string()),
        "days": time.and_then(|time| time.days).map(figures::days),
        "cost": cost.map(|cost| format!("{} {}", figures::count(cost.total.as_f64()), cost.currency)),
        "fields": taken,
    })
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

/// `weighbridge check --set model=llama-3-8b …`, as a shell takes it.
fn command(settings: &[Setting]) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "-_./,:%".contains(c);
    let word = |setting: &Setting| {
        let text = setting.text();
        let value = if text.chars().all(safe) {
            text.to_owned()
        } else {
            format!("'{}'", text.replace('\'', "'\\''"))
        };
        format!(" --set {}={value}", setting.key())
    };
    format!("weighbridge check{}", settings.iter().map(word).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(fields: &[(&str, &str)], days: &str) -> Answer {
        let fields = fields.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect();
        answer(&Question { fields, days: days.to_owned() }, &Policy::default()).unwrap()
    }

    const LARGE: &[(&str, &str)] = &[
        ("model", "llama-2-70b"),
        ("tokens", "2T"),
        ("gpu-type", "A800-80GB"),
        ("accelerator-count", "1024"),
        ("tensor-parallel", "4"),
        ("pipeline-parallel", "4"),
        ("sharding", "ddp"),
        ("framework", "megatron"),
        ("sequence-parallel", "true"),
        ("recompute", "selective"),
        ("attention", "flash"),
        ("precision", "bf16"),
        ("micro-batch-size", "1"),
        ("global-batch-size", "1024"),
        ("sequence-length", "4096"),
    ];

    #[test]
    fn what_is_advised_and_proposed_fits_when_it_is_taken_over() {
        let answer = of(LARGE, "");
        assert_eq!(answer.element["verdict"], "OutOfMemory", "{}", answer.spoken);
        assert!(!answer.advice.is_empty() && !answer.layouts.is_empty(), "{answer:?}");
        let taken = |fields: &BTreeMap<String, String>| {
            let mut all: BTreeMap<String, String> =
                LARGE.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect();
            all.extend(fields.clone());
            super::answer(&Question { fields: all, days: String::new() }, &Policy::default()).unwrap()
        };
        for change in &answer.advice {
            let fields = change.fields.iter().map(|(key, text)| ((*key).to_owned(), text.clone())).collect();
            assert_eq!(taken(&fields).element["verdict"], "Fits", "{change:?}");
        }
        for layout in &answer.layouts {
            let fields = serde_json::from_value(layout["fields"].clone()).unwrap();
            assert_eq!(taken(&fields).element["verdict"], "Fits", "{layout}");
        }
    }

    #[test]
    fn the_lines_to_take_away_ask_the_same_again() {
        let answer = of(LARGE, "");
        let annotations: BTreeMap<String, String> = serde_saphyr::from_str(&answer.annotations).unwrap();
        let fields: Vec<_> = annotations
            .iter()
            .map(|(key, text)| (key.strip_prefix("weighbridge.dev/").unwrap(), text.as_str()))
            .collect();
        assert_eq!(of(&fields, "").element["memory"], answer.element["memory"]);
        let manifest: Value = serde_saphyr::from_str(&answer.manifest).unwrap();
        let objects = [Object { value: manifest, place: None }];
        let entries = batch::entries(&objects, &Surroundings::default(), &Policy::default(), &Ask::default());
        let again = report::values(&entries).unwrap().pop().unwrap();
        assert_eq!(again["memory"]["peakBytes"], answer.element["memory"]["peakBytes"]);
        assert!(answer.command.contains("--set tokens=2T"), "{}", answer.command);
    }

    #[test]
    fn a_field_that_cannot_be_read_is_named_and_the_rest_waits() {
        let answer = of(&[("model", "llama-3-8b"), ("tensor-parallel", "two"), ("tp", "2")], "-3");
        let keys: Vec<_> = answer.errors.iter().map(|wrong| wrong.key.as_str()).collect();
        assert_eq!(keys, ["tensor-parallel", "tp", "days"]);
        assert_eq!(answer.element, Value::Null);
    }

    #[test]
    fn days_ask_for_the_smallest_cluster_in_time() {
        let fields: Vec<_> =
            LARGE.iter().filter(|(key, _)| ["model", "tokens", "gpu-type"].contains(key)).copied().collect();
        let answer = of(&fields, "90 days");
        let gpus = answer.layouts[0]["gpus"].as_u64().unwrap();
        assert!((500..1500).contains(&gpus), "{gpus}");
        assert!(of(&[], "").spoken.contains("Write a model"));
    }
}
