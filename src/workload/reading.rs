//! What is read of an object: a training job, where each of its values came from, and what is wrong with them.
//!
//! Most objects train nothing, and reading those must cost nothing. A kind that exists for training trains when it asks
//! for accelerators or is annotated, unless its command is a known benchmark. Any other kind trains when it asks for
//! accelerators and its command begins with a training launcher, or when an annotation of ours says so.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::Value;

use super::accelerator::{self, Request};
use super::annotations::Annotations;
use super::command;
use super::kinds::{self, Completed, Kind, PodGroup, Purpose};
use super::launch::{self, Offered, Program};
use super::provenance::Provenance;
use super::{Findings, printable, what_if};
use crate::hardware::{Catalogue, Vendor};
use crate::judge::Ask;
use crate::judgement::InputError;
use crate::surroundings::Surroundings;
use crate::units::Bytes;

/// Groups of pods, and sets of annotations, that are read at most: people have a handful.
const MAX_GROUPS: usize = 256;

/// What was read of an object that trains.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// Every value, and where it came from.
    pub provenance: Provenance,
    /// What is doubtful, one line each.
    pub warnings: Vec<String>,
    /// What could not be read.
    pub errors: Vec<InputError>,
    /// The reason that was given for an override.
    pub override_reason: Option<String>,
    /// What one accelerator offers, where the object or its nodes say more of that than the accelerator's name.
    pub offer: Option<Offer>,
    /// What the framework does where nothing is said: weaker than a known model's dimensions.
    pub(crate) defaults: Vec<Offered>,
    /// Why there is nothing more, where there is not.
    pub unread: Option<Unread>,
}

/// What one accelerator offers a process: a partition of it, or the memory that labels tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The memory.
    pub bytes: Bytes,
    /// Which part of the accelerator it is: `3g.40gb`; none where it is all of it.
    pub part: Option<String>,
    /// Its share of the accelerator's speed, in thousandths, where it is a part whose share is known.
    pub compute_milli: Option<u64>,
    /// Who says so.
    pub source: String,
}

/// Why an object that trains was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// It has more to read than was asked for.
    TooLarge,
    /// It refers to a workload that is not there.
    WorkloadNotFound,
    /// It trains what the estimate does not cover; what that is, in a few words.
    Beyond(&'static str),
    /// It trains on accelerators whose compilers lay memory out in ways that no rule here describes.
    Accelerator(Vendor),
}

impl Reading {
    pub(super) fn unread(why: Unread) -> Self {
        Self { unread: Some(why), ..Self::default() }
    }

    pub(super) fn take(&mut self, findings: Findings) {
        self.warnings.extend(findings.warnings);
        self.errors.extend(findings.errors);
        self.override_reason = self.override_reason.take().or(findings.override_reason);
    }
}

/// Reads an object; nothing where it does not train.
pub fn read(object: &Value, around: &Surroundings, catalogue: &Catalogue, ask: &Ask) -> Option<Reading> {
    if what_if::is_estimate(object) {
        return Some(what_if::read(object, around, catalogue, ask));
    }
    let kind = kinds::of(object)?;
    let (object, absent) = completed(kind, object, around);
    let groups = kind.pod_groups(&object);
    let requests = accelerator::requests(&groups, &around.documents, namespace(&object), catalogue);
    let inner = kind.inner_objects(&object);
    let annotations = all_annotations(&object, &inner, &groups, &requests);
    let mut reading = trains(kind, &object, absent.is_some(), &groups, &requests, &annotations)
        .then(|| workload(&object, kind, &groups, &requests, &annotations, around, catalogue, ask))?;
    reading.warnings.extend(absent.as_deref().map(not_there));
    Some(reading)
}

/// Reads a workload that somebody asks about, whether it trains or not.
pub(super) fn read_asked(
    object: &Value,
    around: &Surroundings,
    catalogue: &Catalogue,
    ask: &Ask,
) -> Option<Reading> {
    let kind = kinds::of(object)?;
    let (object, absent) = completed(kind, object, around);
    let groups = kind.pod_groups(&object);
    let requests = accelerator::requests(&groups, &around.documents, namespace(&object), catalogue);
    let inner = kind.inner_objects(&object);
    let annotations = all_annotations(&object, &inner, &groups, &requests);
    let mut reading = workload(&object, kind, &groups, &requests, &annotations, around, catalogue, ask);
    reading.warnings.extend(absent.as_deref().map(not_there));
    Some(reading)
}

/// The object with what it takes from its surroundings, and what of that is not there.
fn completed<'a>(kind: &Kind, object: &'a Value, around: &Surroundings) -> (Cow<'a, Value>, Option<String>) {
    match kind.complete {
        None => (Cow::Borrowed(object), None),
        Some(complete) => {
            let Completed { object, absent } = complete(object, around);
            (Cow::Owned(object), absent)
        }
    }
}

fn namespace(object: &Value) -> &str {
    object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default()
}

fn not_there(what: &str) -> String {
    format!("{what} is not known: what it says of the pods is not read")
}

/// The workload's annotations, then those of the objects inside of it, then those of the templates of pods that ask for accelerators; where none does, of all.
fn all_annotations<'a>(
    object: &'a Value,
    inner: &'a [(&'a Value, String)],
    groups: &'a [PodGroup<'a>],
    requests: &[Request<'_>],
) -> Vec<Annotations<'a>> {
    let asking: BTreeSet<&str> = requests.iter().map(|request| request.path).collect();
    let asks = |group: &PodGroup<'_>| asking.is_empty() || asking.contains(group.path.as_str());
    // A pod is its own template.
    let templates = groups.iter().filter(|group| !group.path.is_empty() && asks(group));
    let templates = templates.map(|group| Annotations::of(group.template, &group.path));
    let of_asking = |path: &str| asking.is_empty() || asking.iter().any(|asking| asking.starts_with(path));
    let inner = inner.iter().filter(|(_, path)| of_asking(path));
    let inner = inner.map(|(object, path)| Annotations::of(object, path));
    std::iter::once(Annotations::of(object, "")).chain(inner).chain(templates).collect()
}

fn trains(
    kind: &Kind,
    object: &Value,
    incomplete: bool,
    groups: &[PodGroup<'_>],
    requests: &[Request<'_>],
    annotations: &[Annotations<'_>],
) -> bool {
    if annotations.iter().any(|annotations| annotations.speak_of_training()) {
        return true;
    }
    let purpose = kind.purpose_of(object);
    if requests.is_empty() {
        // What is not known may ask for accelerators.
        return incomplete && purpose == Purpose::Training;
    }
    match (purpose, launch::program(groups)) {
        (_, Program::Launcher) | (Purpose::Training, Program::Python | Program::Other) => true,
        (_, Program::Benchmark) | (Purpose::General, Program::Python | Program::Other) => false,
    }
}

#[allow(clippy::too_many_arguments, reason = "what is known of the object, and what surrounds it")]
fn workload(
    object: &Value,
    kind: &Kind,
    groups: &[PodGroup<'_>],
    requests: &[Request<'_>],
    annotations: &[Annotations<'_>],
    around: &Surroundings,
    catalogue: &Catalogue,
    ask: &Ask,
) -> Reading {
    let bytes = annotations.iter().map(|annotations| annotations.bytes()).sum::<usize>();
    let many = annotations.len().max(requests.len()) > MAX_GROUPS;
    if many || bytes.saturating_add(launch::bytes(groups)) > ask.max_bytes {
        return Reading::unread(Unread::TooLarge);
    }
    let (mut reading, mut findings) = (Reading::default(), Findings::default());
    for annotations in annotations {
        let known = findings.errors.len();
        annotations.read_keys(&mut reading.provenance, &mut findings);
        findings.admit_from(known, *annotations);
        annotations.read_override(&mut findings);
    }
    for annotations in annotations {
        let known = findings.errors.len();
        annotations.read_block(&mut reading.provenance, &mut findings);
        findings.admit_from(known, *annotations);
    }
    reading.take(findings);
    let namespace = namespace(object);
    let entrypoint = kind.entrypoint.and_then(|entrypoint| entrypoint(object));
    let launches = command::launches(groups, entrypoint, requests, &around.config_maps, namespace);
    let said = launch::read(&launches);
    let annotated = reading.provenance.knows_any("model");
    reading.unread = said.beyond.filter(|_| !annotated).map(Unread::Beyond);
    reading.warnings.extend(said.warnings.iter().cloned());
    reading.defaults = said.offer_to(&mut reading.provenance);
    if let Some((name, path)) = kind.model.and_then(|model| model(object))
        && !reading.provenance.knows("model.name")
    {
        reading.provenance.offer("model.name", printable(&name, 256).into(), path);
    }
    // Neuron's compiler divides models among cores, and keeps what it likes.
    if requests.iter().any(|request| request.what.vendor == Vendor::AWS) {
        reading.unread = Some(Unread::Accelerator(Vendor::AWS));
    }
    accelerator::read(&mut reading, object, requests, around, catalogue);
    reading
}
