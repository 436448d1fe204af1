//! Judges the objects of a stream: each workload that asks for accelerators once, with the other objects as its
//! surroundings.

mod annotations;
mod argo;
mod other_kinds;
pub(crate) mod settings;
mod stages;

use std::collections::BTreeSet;
use std::num::NonZero;
use std::panic::resume_unwind;

use serde_json::Value;

use crate::cluster::claimed_owner;
use crate::job::{Ask, InputError};
use crate::judge::judge;
use crate::judgement::{Judgement, Reason, Verdict};
use crate::kinds::Kinds;
use crate::policy::Policy;
use crate::report::{Entry, Forecast, Place};
use crate::surroundings::Surroundings;
use other_kinds::Other;
pub use stages::stages;

/// An object of a stream.
#[derive(Clone, Debug)]
pub struct Object {
    /// The object.
    pub value: Value,
    /// Where it stands, if it was read from a file.
    pub place: Option<Place>,
}

/// A thread judges at least this many objects.
const OF_A_THREAD: usize = 64;

/// Judges the objects that ask for accelerators. All objects are also surroundings.
pub fn entries(objects: &[Object], around: &Surroundings, policy: &Policy, ask: &Ask) -> Vec<Entry> {
    let judged = without_children(objects, policy).into_iter();
    judged.flat_map(|object| judge_object(object, around, policy, ask)).collect()
}

/// The same entries, judged on all processors.
pub(crate) fn entries_of_many(
    objects: &[Object],
    around: &Surroundings,
    policy: &Policy,
    ask: &Ask,
) -> Vec<Entry> {
    let judged = without_children(objects, policy);
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    let threads = processors.min(judged.len() / OF_A_THREAD);
    if threads < 2 {
        return judged.into_iter().flat_map(|object| judge_object(object, around, policy, ask)).collect();
    }
    let judge = |part: &[&Object]| -> Vec<Entry> {
        part.iter().flat_map(|object| judge_object(object, around, policy, ask)).collect()
    };
    std::thread::scope(|scope| {
        let parts = judged.chunks(judged.len().div_ceil(threads));
        let running: Vec<_> = parts.map(|part| scope.spawn(move || judge(part))).collect();
        let ended =
            running.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
        ended.flatten().collect()
    })
}

/// The objects without the children of others.
fn without_children<'o>(objects: &'o [Object], policy: &Policy) -> Vec<&'o Object> {
    let uids = objects.iter().filter_map(|object| object.value.pointer("/metadata/uid")?.as_str()).collect();
    objects.iter().filter(|object| !is_child_of(&object.value, &uids, &policy.kinds)).collect()
}

/// Whether the object is a child of one of these objects, by their uids. Then only the owner is judged.
fn is_child_of(object: &Value, uids: &BTreeSet<&str>, kinds: &Kinds) -> bool {
    let owner = kinds.of(object).and_then(|kind| claimed_owner(kinds, kind, object));
    owner.is_some_and(|(owner, _)| owner.uid.is_some_and(|uid| uids.contains(uid.as_str())))
}

/// The judgement of an object, or of each of its pods if its kind is not judged as a whole. Empty if it asks for no
/// accelerators.
fn judge_object(
    Object { value: object, place }: &Object,
    around: &Surroundings,
    policy: &Policy,
    ask: &Ask,
) -> Vec<Entry> {
    let judge_in = |object: &Value, around: &Surroundings| judge(object, around, &policy.world(), ask);
    let own = judge_in(object, around);
    let is_told = |judgement: &Judgement| judgement.verdict.trains() || judgement.cause.is_some();
    let judgements = if is_told(&own) {
        vec![own]
    } else if policy.kinds.of(object).is_some() {
        Vec::new()
    } else {
        match other_kinds::read(object, &policy.kinds, &policy.catalogue) {
            Some(Other::Aside(judgement)) => vec![*judgement],
            Some(Other::Started { judged, around: beside }) => {
                let around = around.with(&beside, &policy.kinds);
                let judge = |object: &Value| judge_in(object, &around);
                let judged = judged.iter().map(|started| other_kinds::sourced(judge(started), object));
                judged.filter(is_told).collect()
            }
            None => Vec::new(),
        }
    };
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let entry = |judgement| {
        let judgement = malformed(judgement, annotations::errors(object));
        Entry {
            name: text("/metadata/name").or_else(|| text("/metadata/generateName")),
            namespace: text("/metadata/namespace"),
            kind: text("/kind").unwrap_or_default(),
            api_version: text("/apiVersion").unwrap_or_default(),
            place: place.clone(),
            gate: gate(object, &judgement, around, policy),
            judgement,
        }
    };
    judgements.into_iter().map(entry).collect()
}

/// What the gate would do with the object. `None` for a kind that it does not see, such as an estimate.
fn gate(object: &Value, judgement: &Judgement, around: &Surroundings, policy: &Policy) -> Option<Forecast> {
    let kind = policy.kinds.of(object)?;
    let namespace = object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or("default");
    let exempt = policy.exemptions.namespace(namespace);
    let exempt = exempt.or_else(|| policy.exemptions.pods(kind, object, around, &policy.catalogue));
    Some(match exempt {
        Some(_) => Forecast::NotJudged,
        None => Forecast::of(judgement, policy.mode, policy.unknown, policy.unrecognised),
    })
}

/// The apiserver would refuse the object for these errors, so nothing else about it counts.
fn malformed(judgement: Judgement, errors: Vec<InputError>) -> Judgement {
    let Some(first) = errors.first() else { return judgement };
    Judgement {
        message: first.message.clone(),
        errors: errors.into_iter().chain(judgement.errors).collect(),
        inputs: judgement.inputs,
        job: judgement.job,
        summary: judgement.summary,
        override_reason: judgement.override_reason,
        ..Judgement::without_figures(Verdict::Unknown, Reason::Malformed)
    }
}
