//! The answer to the fields of the form: the judgement as `check` gives it, the layouts as `plan` gives them, and the lines
//! to take away. A pure function.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::batch::settings::{self, Setting};
use crate::batch::{self, Object};
use crate::job::{Ask, Quoting};
use crate::pages::{Sheet, parts, scaling};
use crate::policy::Policy;
use crate::report::{self, Entry, Form};
use crate::surroundings::Surroundings;
use crate::units::Decimal;

use super::choices::{Asked, Choice, Layouts, advised, layouts};

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
#[derive(Debug, Default, Serialize)]
pub(super) struct Answer {
    /// The fields that cannot be read. With one of them there is no answer.
    errors: Vec<Wrong>,
    /// The fields that are not known, a sentence each. They are not used.
    unknown: Vec<String>,
    /// The element of `check -o json`. Null if a field cannot be read.
    element: Value,
    /// The decision in one sentence, for people who do not see the page change.
    spoken: String,
    /// The drawings and tables.
    html: String,
    /// What is missing, and where each input came from.
    details: String,
    /// Changes that fit.
    advice: Vec<Choice>,
    /// Layouts that fit.
    layouts: Layouts,
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

/// A question, as far as it can be read.
struct Read {
    settings: Vec<Setting>,
    days: Option<f64>,
    errors: Vec<Wrong>,
    unknown: Vec<String>,
}

impl Read {
    fn of(question: &Question) -> Self {
        let mut read = Self { settings: Vec::new(), days: None, errors: Vec::new(), unknown: Vec::new() };
        for (key, text) in question.fields.iter().filter(|(_, text)| !text.trim().is_empty()) {
            if let Err(message) = settings::known(key) {
                read.unknown.push(format!("Not used: {}", Form::Page.told(&message)));
                continue;
            }
            match settings::named(key, text.trim()) {
                Ok(setting) => read.settings.push(setting),
                Err(message) => {
                    read.errors.push(Wrong { key: key.clone(), message: Form::Page.told(&message) });
                }
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
    let Read { settings, days, errors, unknown } = Read::of(question);
    let object = settings::described(&settings);
    let objects = [Object { value: object.clone(), place: None }];
    let around = Surroundings::default();
    let ask = Ask { quoting: Quoting::Everything, room: true, ..Ask::default() };
    let mut entries = batch::entries(&objects, &around, policy, &ask);
    entries.iter_mut().for_each(asked_by_the_form);
    let Some(entry) = entries.first().filter(|_| errors.is_empty()) else {
        return Ok(nothing(errors, unknown));
    };
    let stages = batch::stages(&entries, &objects, &around, policy, &ask).pop().unwrap_or_default();
    let judgement = &entry.judgement;
    let sheet = Sheet { form: Form::Page, ..Sheet::of(entry, stages, policy) };
    let html = [
        parts::decision(&sheet),
        parts::memory(&sheet),
        parts::instants(judgement),
        parts::stages(&sheet),
        parts::time(&sheet),
        scaling::days_against_accelerators(&sheet.scaled, true),
    ];
    let details = parts::doubts(&sheet) + &parts::inputs(judgement);
    let asked = Asked { object: &object, settings: &settings, days, judgement };
    let layouts = layouts(&asked, policy);
    let spoken = if layouts.leads {
        format!("{}: {}", layouts.heading, layouts.note)
    } else {
        format!("{}: {}", judgement.verdict.name(), Form::Page.told(&judgement.message))
    };
    Ok(Answer {
        errors,
        unknown,
        element: report::values(&entries)?.pop().unwrap_or_default(),
        spoken,
        html: html.concat(),
        details,
        advice: advised(&asked),
        layouts,
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
fn nothing(errors: Vec<Wrong>, unknown: Vec<String>) -> Answer {
    let begin = "Write a model and a type of GPU to begin.".to_owned();
    let names: Vec<_> = errors.iter().map(|wrong| wrong.key.replace('-', " ")).collect();
    let spoken = match names.as_slice() {
        [] => begin.clone(),
        [one] => format!("Not updated: 1 field cannot be read: {one}."),
        several => {
            format!("Not updated: {} fields cannot be read: {}.", several.len(), several.join(", "))
        }
    };
    Answer { html: format!("<p>{begin}</p>\n"), spoken, errors, unknown, ..Answer::default() }
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

    /// The answer after a choice was taken over.
    fn after(fields: &[(&str, &str)], choice: &Choice, days: &str) -> Answer {
        let mut all: BTreeMap<&str, &str> = fields.iter().copied().collect();
        all.extend(choice.fields.iter().map(|(key, text)| (*key, text.as_str())));
        of(&all.into_iter().collect::<Vec<_>>(), days)
    }

    /// The fields of the worked case with these keys.
    fn only(keys: &[&str]) -> Vec<(&'static str, &'static str)> {
        LARGE.iter().filter(|(key, _)| keys.contains(key)).copied().collect()
    }

    #[test]
    fn what_is_taken_over_has_the_figures_of_its_line() {
        let small = [("model", "llama-3-8b"), ("gpu-type", "H100"), ("accelerator-count", "16")];
        let other = [("data-parallel", "3"), ("recompute-layers", "2"), ("target-days", "400")];
        let with_other = [only(&["model", "tokens", "gpu-type"]), other.to_vec()].concat();
        for (fields, days, advised) in [
            (LARGE.to_vec(), "", true),
            (only(&["model", "tokens", "gpu-type"]), "90", false),
            (with_other, "90", false),
            ([small.as_slice(), &[("method", "lora")]].concat(), "", false),
            (small.to_vec(), "", true),
        ] {
            let answer = of(&fields, days);
            assert_eq!(advised, !answer.advice.is_empty(), "{fields:?}: {}", answer.spoken);
            assert!(!answer.layouts.choices.is_empty(), "{fields:?}: {}", answer.layouts.note);
            for choice in answer.advice.iter().chain(&answer.layouts.choices) {
                let after = after(&fields, choice, days);
                assert_eq!(after.element["verdict"], "Fits", "{fields:?} {choice:?}: {}", after.spoken);
                let needs = format!("needs {} per GPU", choice.needs);
                assert!(after.spoken.contains(&needs), "{fields:?} {choice:?}: {}", after.spoken);
                assert!(!after.layouts.leads, "{fields:?} {choice:?}");
            }
        }
    }

    #[test]
    fn days_put_the_layouts_first_until_the_form_states_one() {
        let fields = only(&["model", "tokens", "gpu-type"]);
        let answer = of(&fields, "90 days");
        let first = &answer.layouts.choices[0];
        assert!(
            answer.layouts.leads && answer.spoken.starts_with("Choose a layout: 90 days need "),
            "{answer:?}"
        );
        let gpus: u64 = first.gpus.parse().unwrap();
        assert!((500..1500).contains(&gpus), "{gpus}");
        assert!(!of(&fields, "").layouts.leads);
        // A cluster on which it fits, but not in time, is no answer either.
        let late = [
            ("accelerator-count", "64"),
            ("pipeline-parallel", "8"),
            ("tensor-parallel", "8"),
            ("sharding", "distributed-optimizer"),
            ("recompute", "full"),
        ];
        let settled: Vec<_> = LARGE
            .iter()
            .filter(|(key, _)| late.iter().all(|(other, _)| other != key))
            .copied()
            .chain(late)
            .collect();
        let late = of(&settled, "90");
        assert_eq!(late.element["verdict"], "Fits", "{}", late.spoken);
        assert!(late.layouts.leads, "{}", late.spoken);
    }

    #[test]
    fn the_page_names_its_own_fields() {
        for (fields, part) in [
            (vec![("model", "llama-3-8b")], "add “gpu type”"),
            (vec![("model", "llama-9-9b"), ("gpu-type", "H100")], "“parameters”"),
            (vec![("model", "llama-3-8b"), ("gpu-type", "H100"), ("accelerator-count", "8")], "method: "),
        ] {
            let answer = of(&fields, "");
            let page = [&answer.spoken, &answer.html, &answer.details, &answer.layouts.note]
                .map(String::as_str)
                .concat();
            assert!(page.contains(part), "{fields:?}: {page}");
            for foreign in ["weighbridge.dev/", "--set", "`weighbridge", "command"] {
                assert!(!page.contains(foreign), "{fields:?}: {foreign}: {page}");
            }
        }
        assert!(of(&[], "").spoken.contains("Write a model"));
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
        let answer = of(&[("model", "llama-3-8b"), ("tensor-parallel", "two")], "-3");
        let keys: Vec<_> = answer.errors.iter().map(|wrong| wrong.key.as_str()).collect();
        assert_eq!(keys, ["tensor-parallel", "days"]);
        assert_eq!(answer.element, Value::Null);
        assert_eq!(answer.spoken, "Not updated: 2 fields cannot be read: tensor parallel, days.");
    }

    #[test]
    fn a_field_that_is_not_known_is_named_and_the_rest_is_answered() {
        let answer = of(&[("modle", "llama-3-8b"), ("parameters", "8B"), ("gpu-type", "H100")], "");
        assert_eq!(answer.unknown, ["Not used: the field modle is not known; did you mean model?"]);
        assert!(answer.errors.is_empty() && answer.element["verdict"].is_string(), "{answer:?}");
    }
}
