//! One job: the first piece of advice that can be written, written and judged again.
//!
//! ```text
//! an estimate      the field of its spec
//! a workload       1. the program: the option that gives the value, or a new option in the list of arguments
//!                  2. the annotation, if there is one, or if the program cannot be changed
//! ```
//!
//! Nothing is believed: the text is read and judged again as `check` does. An edit counts only if the job then fits, has the
//! advised values, and every other stated field is as before. The program is judged without the annotations of the changed
//! fields, so an annotation never hides a program that does something else. Where only the annotation could be written, the
//! report says so: the program has to be changed by hand.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use serde_json::Value;

use super::edit::{self, Edit};
use super::tree::{Id, Tree};
use super::words;
use crate::batch::settings::{self, Setting, quoted};
use crate::batch::{self, Object};
use crate::cli::input;
use crate::job::keys::PREFIX;
use crate::job::{Ask, Quoting, TrainingJob};
use crate::judgement::{Advice, Verdict};
use crate::policy::Policy;
use crate::report::Entry;
use crate::surroundings::Surroundings;

/// Changes of other settings are another training, and are written only if they are asked for by number.
const OF_THE_TRAINING: &[&str] = &["method", "sequence-length", "global-batch-size"];
/// Changes of the hardware are made where pods are scheduled.
const OF_THE_HARDWARE: &[&str] = &["accelerator-count", "gpu-type"];

/// Options of a script behind which new ones are tried.
const ANCHORS: usize = 6;

/// A text in its stream.
pub(super) struct Context<'a> {
    /// The name of the text's file.
    pub(super) name: &'a str,
    /// The objects of the other files.
    pub(super) others: &'a [Value],
    /// The policy.
    pub(super) policy: &'a Policy,
}

/// A job that was changed.
#[derive(Debug)]
pub(super) struct Fixed {
    /// The new text.
    pub(super) text: String,
    /// The judgement before.
    pub(super) before: Entry,
    /// The judgement after.
    pub(super) after: Entry,
    /// The advice.
    pub(super) change: String,
    /// What is left to do by hand, one sentence each.
    pub(super) by_hand: Vec<String>,
}

/// What became of an object.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The object is no training job.
    NoJob,
    /// It fits, or there is no advice.
    Nothing(Box<Entry>),
    /// A value of it cannot be read.
    Invalid(Box<Entry>),
    /// It was changed.
    Fixed(Box<Fixed>),
    /// It does not fit, and no advice could be written.
    Cannot(Box<Entry>, Vec<String>),
}

impl Context<'_> {
    /// The objects of a text. None if any of it cannot be read.
    pub(super) fn objects(&self, text: &str) -> Option<Vec<Value>> {
        let input = input::of_text(self.name, text);
        let readable = input.unreadable.is_empty() && input.skipped.is_empty();
        readable.then(|| input.objects.into_iter().map(|object| object.value).collect())
    }

    /// The judgements of an object among the others.
    fn entries(&self, values: &[Value], number: usize, ask: &Ask) -> Vec<Entry> {
        let all: Vec<Value> = values.iter().chain(self.others).cloned().collect();
        let around = Surroundings::of(&all, &self.policy.kinds);
        let object = values.get(number).map(|value| Object { value: value.clone(), place: None });
        batch::entries(object.as_slice(), &around, self.policy, ask)
    }

    /// The judgement of an object among the others. None if there is not exactly one.
    fn judged(&self, values: &[Value], number: usize, ask: &Ask) -> Option<Entry> {
        let mut entries = self.entries(values, number, ask);
        (entries.len() == 1).then(|| entries.pop()).flatten()
    }
}

/// Changes an object of a text, if there is advice. `choice` is the number of the advice, from one.
pub(super) fn fix(
    context: &Context<'_>,
    text: &str,
    number: usize,
    choice: Option<usize>,
) -> anyhow::Result<Outcome> {
    let ask = Ask { quoting: Quoting::Everything, ..Ask::default() };
    let values = context.objects(text).context("the changed text cannot be read; nothing was written")?;
    let mut entries = context.entries(&values, number, &ask);
    entries.retain(|entry| entry.judgement.verdict.trains());
    let may_not_fit = |entry: &Entry| entry.judgement.verdict != Verdict::Fits;
    let several = entries.len() > 1;
    let at = entries.iter().position(may_not_fit).unwrap_or_default();
    if entries.is_empty() {
        return Ok(Outcome::NoJob);
    }
    let before = entries.swap_remove(at);
    let advice = before.judgement.advice.clone();
    if !before.judgement.errors.is_empty() {
        return Ok(Outcome::Invalid(before.into()));
    }
    if several && may_not_fit(&before) {
        let why =
            "it holds several jobs, and fix changes objects that hold one: change it by hand".to_owned();
        return Ok(Outcome::Cannot(before.into(), vec![why]));
    }
    if !may_not_fit(&before) || advice.is_empty() {
        return Ok(match before.judgement.verdict {
            Verdict::OutOfMemory => Outcome::Cannot(before.into(), vec!["no near change fits".to_owned()]),
            _ => Outcome::Nothing(before.into()),
        });
    }
    let (mut why, mut second) = (Vec::new(), None);
    let chosen = advice.iter().enumerate().filter(|(at, _)| choice.is_none_or(|choice| choice == at + 1));
    for (_, advice) in chosen {
        let task = Task { context, number, before: &before, advice, chosen: choice.is_some() };
        match task.done(text) {
            // The program was changed too: nothing is left to do.
            Ok(fixed) if fixed.by_hand.is_empty() => return Ok(Outcome::Fixed(fixed.into())),
            Ok(fixed) => second = second.or(Some(fixed)),
            Err(reason) => why.push(format!("{}: {reason}", advice.change)),
        }
    }
    if let Some(choice) = choice.filter(|choice| *choice > advice.len()) {
        why.push(format!("there is no advice {choice}, only {}", advice.len()));
    }
    Ok(match second {
        Some(fixed) => Outcome::Fixed(fixed.into()),
        None => Outcome::Cannot(before.into(), why),
    })
}

/// Why a change of the hardware is not written, and where to make it.
fn hardware(spec: &TrainingJob) -> String {
    let wanted = spec.accelerator.clone().unwrap_or_default();
    let number = wanted
        .count
        .map(|count| format!("{count} GPUs: set replicas and limits so that they multiply to it"));
    let kind = wanted.kind.map(|kind| format!("nodes with {kind}: change the node selector, or the queue"));
    let places: Vec<_> = number.into_iter().chain(kind).collect();
    format!("it needs other hardware, which fix does not write; by hand, {}", places.join(", and "))
}

/// One piece of advice for one object.
struct Task<'a> {
    context: &'a Context<'a>,
    number: usize,
    before: &'a Entry,
    advice: &'a Advice,
    chosen: bool,
}

impl Task<'_> {
    fn done(&self, text: &str) -> Result<Fixed, String> {
        let wanted = self.wanted();
        let changes = |keys: &[&str]| wanted.iter().any(|setting| keys.contains(&setting.key()));
        let is_estimate = self.before.kind == "TrainingEstimate";
        if changes(OF_THE_HARDWARE) && !is_estimate {
            return Err(hardware(&self.advice.spec));
        }
        if changes(OF_THE_TRAINING) && !self.chosen {
            return Err("it is another training; --advice NUMBER writes it all the same".into());
        }
        let mut text = text.to_owned();
        let mut by_hand = Vec::new();
        for setting in &wanted {
            text = if is_estimate {
                self.in_the_spec(&text, setting).ok_or("its spec cannot be edited")?
            } else {
                let (changed, program) = self.in_the_workload(&text, setting)?;
                by_hand.extend(program);
                changed
            };
        }
        let after = self.verified(&text, &wanted)?;
        let change = self.advice.change.clone();
        Ok(Fixed { text, before: copy(self.before), after, change, by_hand })
    }

    /// The settings that make the change. A key that sets several fields keeps the others, and a stated degree of data
    /// parallelism follows the other degrees.
    fn wanted(&self) -> Vec<Setting> {
        let changed = settings::written(&self.advice.spec);
        let job = overlaid(&self.before.judgement.job, &self.advice.spec);
        let keys: BTreeSet<&str> = changed.iter().map(Setting::key).collect();
        let mut wanted: Vec<Setting> =
            settings::written(&job).into_iter().filter(|setting| keys.contains(setting.key())).collect();
        let (parallelism, accelerator) =
            (job.parallelism.unwrap_or_default(), job.accelerator.unwrap_or_default());
        let degrees = [parallelism.tensor, parallelism.pipeline, parallelism.context];
        let replica: u32 = degrees.iter().map(|degree| degree.unwrap_or(1).max(1)).product();
        let data = accelerator.count.map(|count| (count / replica.max(1)).max(1));
        if let (Some(stated), Some(data)) = (parallelism.data, data)
            && stated != data
        {
            wanted.extend(settings::named("data-parallel", &data.to_string()));
        }
        wanted
    }

    /// The judgement of the changed text, if it is as advised.
    fn verified(&self, text: &str, wanted: &[Setting]) -> Result<Entry, String> {
        let values = self.context.objects(text).ok_or("the changed text cannot be read")?;
        let ask = Ask { quoting: Quoting::Everything, ..Ask::default() };
        let after = self.context.judged(&values, self.number, &ask).ok_or("the changed job is not judged")?;
        let (old, new) = (stated(self.before), stated(&after));
        let missing =
            wanted.iter().find(|setting| new.get(setting.key()).map(String::as_str) != Some(setting.text()));
        if let Some(setting) = missing {
            return Err(format!("{} would not be {}", setting.key(), setting.text()));
        }
        let keys: BTreeSet<&str> = wanted.iter().map(Setting::key).collect();
        let other = old.iter().find(|(key, text)| !keys.contains(**key) && new.get(*key) != Some(text));
        match (other, after.judgement.verdict) {
            (Some((key, _)), _) => Err(format!("{key} would change too")),
            (None, Verdict::Fits) => Ok(after),
            (None, verdict) => Err(format!("the verdict would be {}", verdict.name())),
        }
    }

    fn in_the_spec(&self, text: &str, setting: &Setting) -> Option<String> {
        let mut text = text.to_owned();
        for (path, value) in setting.fields() {
            let tree = Tree::of(&text)?;
            let root = *tree.objects().get(self.number)?;
            let path: Vec<&str> = std::iter::once("spec").chain(path.split('.')).collect();
            let there = path.iter().try_fold(root, |at, name| tree.get(at, name));
            let written = match &value {
                Value::String(word) => quoted(word),
                other => other.to_string(),
            };
            let edit = match there.and_then(|id| tree.node(id)) {
                Some(node) => Edit { range: node.span.clone(), text: written },
                None => edit::inserted(&text, &tree, root, &path, &written)?,
            };
            text = edit::applied(&text, &[edit])?;
        }
        Some(text)
    }

    /// The text with the setting in the program and in the annotations, and what is left to do by hand.
    fn in_the_workload(&self, text: &str, setting: &Setting) -> Result<(String, Option<String>), String> {
        let key = format!("{PREFIX}{}", setting.key());
        let program = self.in_the_program(text, setting);
        let mut text = program.clone().unwrap_or_else(|| text.to_owned());
        let tree = Tree::of(&text).ok_or("it cannot be edited")?;
        let root = *tree.objects().get(self.number).ok_or("it cannot be edited")?;
        let annotated = tree.every(root, &key);
        let edits: Option<Vec<Edit>> = if annotated.is_empty() && program.is_some() {
            Some(Vec::new())
        } else if annotated.is_empty() {
            let path = ["metadata", "annotations", &key];
            edit::inserted(&text, &tree, root, &path, &quoted(setting.text())).map(|edit| vec![edit])
        } else {
            annotated.iter().map(|id| edit::replaced(&text, tree.node(*id)?, setting.text())).collect()
        };
        text =
            edits.and_then(|edits| edit::applied(&text, &edits)).ok_or("its annotations cannot be edited")?;
        let old = stated(self.before);
        let times = times(setting, &old);
        let left = match &program {
            None => {
                let (key, value) = (setting.key(), setting.text());
                let steps = times.map(|times| {
                    format!(", with {times} times the steps of accumulation, so that the global batch stays")
                });
                let steps = steps.unwrap_or_default();
                Some(format!("the annotation only says {key}={value}: make the program run so{steps}"))
            }
            Some(program) if times.is_some() => {
                let new = self.program(program, setting).map(|read| stated(&read)).unwrap_or_default();
                let changed = (!keeps_batch(&old, &new)).then(|| global_batch(&old).zip(global_batch(&new)));
                changed.map(|batches| match batches {
                    Some((old, new)) => format!("the global batch is now {new}, and was {old}"),
                    None => "the global batch may be smaller now".to_owned(),
                })
            }
            Some(_) => None,
        };
        Ok((text, left))
    }

    /// The text with the setting in the program: unchanged if it has the value already. None if it could not be written.
    fn in_the_program(&self, text: &str, setting: &Setting) -> Option<String> {
        let read = self.program(text, setting)?;
        let now = stated(&read);
        if now.get(setting.key()).map(String::as_str) == Some(setting.text()) {
            return Some(text.to_owned());
        }
        let words = read.judgement.words.as_ref()?;
        let doubts = words.unknown.len() + words.open.len();
        let tree = Tree::of(text)?;
        let source = read.judgement.inputs.iter().find(|input| setting.covers(input.field));
        let source = source.map(|input| input.source.as_str()).unwrap_or_default();
        let mut candidates: Vec<Vec<Edit>> = Vec::new();
        if let (Some((place, option)), Some(old)) = (source.rsplit_once(": "), now.get(setting.key())) {
            let places = self.places(&tree, place);
            let old = words::spellings(setting.key(), old);
            for spelling in words::spellings(setting.key(), setting.text()) {
                // Only the present value is replaced, so a label of the same name stays.
                let new = |text: &str| {
                    old.iter().any(|old| old.eq_ignore_ascii_case(text)).then(|| spelling.clone())
                };
                let edits = behind(&tree, text, &places, option, new);
                let more = accumulated(&tree, text, &places, setting, &now);
                candidates.extend(more.map(|more| [edits.clone(), more].concat()));
                for option in kept_batch(setting, &now).into_iter().filter(|_| words.is_listed) {
                    for at in self.insertions(&tree, text, &read, &[option]) {
                        candidates.push([edits.clone(), at].concat());
                    }
                }
                candidates.push(edits);
            }
        }
        // A program without a list may refuse an option that it does not show.
        let added = words::options(setting.key(), setting.text());
        for options in added.into_iter().filter(|_| words.is_listed) {
            for option in kept_batch(setting, &now) {
                let both = [options.as_slice(), &[option]].concat();
                candidates.extend(self.insertions(&tree, text, &read, &both));
            }
            candidates.extend(self.insertions(&tree, text, &read, &options));
        }
        let before: BTreeMap<_, _> = now.iter().filter(|(key, _)| **key != setting.key()).collect();
        candidates.into_iter().filter(|edits| !edits.is_empty()).find_map(|edits| {
            let changed = edit::applied(text, &edits)?;
            let read = self.program(&changed, setting)?;
            let words = read.judgement.words.as_ref()?;
            let new = stated(&read);
            let is_wanted = new.get(setting.key()).map(String::as_str) == Some(setting.text());
            let kept = before.iter().all(|(key, text)| new.get(**key) == Some(*text));
            let is_same = self.chosen || times(setting, &now).is_none() || keeps_batch(&now, &new);
            (is_wanted && kept && is_same && words.unknown.len() + words.open.len() <= doubts)
                .then_some(changed)
        })
    }

    /// The ways to give a program more options: at the end of a list of arguments, or behind an option of a script.
    fn insertions(&self, tree: &Tree, text: &str, read: &Entry, options: &[String]) -> Vec<Vec<Edit>> {
        let Some(root) = tree.objects().get(self.number).copied() else { return Vec::new() };
        let lists = tree.sequences(root);
        let mut ways = Vec::new();
        for name in ["args", "command"] {
            let of_name = lists.iter().filter(|(list, _)| list == name);
            let edits: Option<Vec<Edit>> =
                of_name.map(|(_, id)| edit::appended(text, tree, *id, options)).collect();
            ways.extend(edits.filter(|edits| !edits.is_empty()));
        }
        let places = self.places(tree, "");
        let words = format!(" {}", options.join(" "));
        let sources = read.judgement.inputs.iter().filter_map(|input| input.source.rsplit_once(": "));
        let anchors = sources.filter(|(_, option)| option.starts_with("--")).take(ANCHORS);
        ways.extend(anchors.filter_map(|(_, option)| behind_value(tree, text, &places, option, &words)));
        ways
    }

    /// The object as its program alone describes the setting: without our annotations of it.
    fn program(&self, text: &str, setting: &Setting) -> Option<Entry> {
        let mut values = self.context.objects(text)?;
        let object = values.get_mut(self.number)?;
        without(object, &format!("{PREFIX}{}", setting.key()));
        let ask = Ask { advice: false, quoting: Quoting::Everything, ..Ask::default() };
        self.context.judged(&values, self.number, &ask)
    }

    /// The nodes in which a source's text stands: a ConfigMap of the stream, or the object's commands.
    fn places(&self, tree: &Tree, source: &str) -> Vec<Id> {
        let objects = tree.objects();
        let file = source.strip_prefix("ConfigMap ").and_then(|rest| rest.split(" key ").next());
        let text = |id: Id, key: &str| tree.get(id, key).and_then(|id| tree.text(id));
        let is_file = |id: &Id| {
            let name = tree.get(*id, "metadata").and_then(|metadata| text(metadata, "name"));
            text(*id, "kind") == Some("ConfigMap") && name == file
        };
        if file.is_some() {
            return objects.into_iter().filter(is_file).filter_map(|id| tree.get(id, "data")).collect();
        }
        let own = objects.get(self.number).map(|root| tree.sequences(*root)).unwrap_or_default();
        let of_commands =
            own.into_iter().filter(|(name, _)| ["command", "args", "env"].contains(&name.as_str()));
        of_commands.map(|(_, id)| id).collect()
    }
}

/// Replaces every value of an option in these places.
fn behind(
    tree: &Tree,
    text: &str,
    places: &[Id],
    option: &str,
    value: impl Fn(&str) -> Option<String>,
) -> Vec<Edit> {
    let mut edits: Vec<Edit> = Vec::new();
    for place in places {
        let scalars = tree.scalars(*place);
        for (at, id) in scalars.iter().enumerate() {
            let Some(node) = tree.node(*id) else { continue };
            let Some(written) = text.get(node.span.clone()) else { continue };
            for found in words::values(written, option) {
                let edit = if found.is_name_alone {
                    let next = scalars.get(at + 1);
                    let old = next.and_then(|next| tree.text(*next));
                    let node = next.and_then(|next| tree.node(*next));
                    old.and_then(&value).and_then(|new| edit::replaced(text, node?, &new))
                } else {
                    let range = node.span.start + found.range.start..node.span.start + found.range.end;
                    let old = text.get(range.clone());
                    old.and_then(&value).map(|text| Edit { range, text })
                };
                edits.extend(edit.filter(|edit| !edits.contains(edit)));
            }
        }
    }
    edits
}

/// New words behind the value of an option that stands once, within a script. None if it stands in several places.
fn behind_value(tree: &Tree, text: &str, places: &[Id], option: &str, words: &str) -> Option<Vec<Edit>> {
    let mut edits = behind(tree, text, places, option, |_| Some(words.to_owned()));
    let edit = edits.pop().filter(|_| edits.is_empty())?;
    Some(vec![Edit { range: edit.range.end..edit.range.end, text: words.to_owned() }])
}

/// How many times smaller a micro-batch becomes.
fn times(setting: &Setting, now: &BTreeMap<&'static str, String>) -> Option<u64> {
    if setting.key() != "micro-batch-size" {
        return None;
    }
    let old: u64 = now.get("micro-batch-size")?.parse().ok()?;
    let new: u64 = setting.text().parse().ok()?;
    old.checked_div(new).filter(|times| *times > 1)
}

/// The global batch of stated fields. A job that does not state it takes one microbatch a step.
fn global_batch(stated: &BTreeMap<&'static str, String>) -> Option<u64> {
    let number = |key: &str| stated.get(key)?.parse::<u64>().ok();
    let replica = ["tensor-parallel", "pipeline-parallel", "context-parallel"];
    let replica = replica.iter().filter_map(|key| number(key)).fold(1, u64::saturating_mul);
    let data = number("data-parallel").or_else(|| number("accelerator-count")?.checked_div(replica));
    number("global-batch-size").or_else(|| data?.checked_mul(number("micro-batch-size")?))
}

/// Whether the global batch is known to stay.
fn keeps_batch(now: &BTreeMap<&'static str, String>, new: &BTreeMap<&'static str, String>) -> bool {
    global_batch(now).is_some() && global_batch(now) == global_batch(new)
}

/// The options that would keep the global batch for a smaller micro-batch.
fn kept_batch(setting: &Setting, now: &BTreeMap<&'static str, String>) -> Vec<String> {
    times(setting, now).map(|times| words::keeping_the_batch(times, global_batch(now))).unwrap_or_default()
}

/// More microbatches for a smaller micro-batch, so that the global batch stays.
fn accumulated(
    tree: &Tree,
    text: &str,
    places: &[Id],
    setting: &Setting,
    now: &BTreeMap<&'static str, String>,
) -> Option<Vec<Edit>> {
    let times = times(setting, now)?;
    let more = |text: &str| text.parse::<u64>().ok()?.checked_mul(times).map(|number| number.to_string());
    words::ACCUMULATION.iter().find_map(|name| {
        let edits = behind(tree, text, places, name, more);
        (!edits.is_empty()).then_some(edits)
    })
}

/// A job with the fields of another over its own.
fn overlaid(job: &TrainingJob, over: &TrainingJob) -> TrainingJob {
    fn lay(at: &mut Value, over: Value) {
        match (at, over) {
            (Value::Object(at), Value::Object(over)) => {
                over.into_iter().for_each(|(key, value)| lay(at.entry(key).or_insert(Value::Null), value));
            }
            (at, value) => *at = value,
        }
    }
    let mut tree = serde_json::to_value(job).unwrap_or_default();
    lay(&mut tree, serde_json::to_value(over).unwrap_or_default());
    serde_json::from_value(tree).unwrap_or_default()
}

/// The stated fields of a job, as annotations write them.
fn stated(entry: &Entry) -> BTreeMap<&'static str, String> {
    let written = settings::written(&entry.judgement.job);
    written.iter().map(|setting| (setting.key(), setting.text().to_owned())).collect()
}

/// Removes an annotation wherever it stands.
fn without(value: &mut Value, key: &str) {
    let mut waiting = vec![value];
    while let Some(value) = waiting.pop() {
        match value {
            Value::Object(map) => {
                map.remove(key);
                waiting.extend(map.values_mut());
            }
            Value::Array(items) => waiting.extend(items.iter_mut()),
            _ => {}
        }
    }
}

fn copy(entry: &Entry) -> Entry {
    Entry {
        name: entry.name.clone(),
        namespace: entry.namespace.clone(),
        kind: entry.kind.clone(),
        api_version: entry.api_version.clone(),
        place: entry.place.clone(),
        gate: entry.gate,
        judgement: entry.judgement.clone(),
    }
}
