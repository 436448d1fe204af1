//! What is read of an object: a training job, where each of its values came from, and what is wrong with them.
//!
//! Most objects train nothing, and reading those must cost nothing. A kind that exists for training trains when it asks
//! for accelerators or is annotated, unless its command is a known benchmark. Any other kind trains when it asks for
//! accelerators and its command comes to a training launcher, or when an annotation of ours says so. Commands of objects
//! that ask for no accelerators are not looked at.
//!
//! Who submits an object need not be allowed to read what it refers to: ConfigMaps, runtimes, claims. An object that refers
//! to any is read twice: once with them, once as if none of them were there. What only the first reading says was born
//! elsewhere, by whatever way it came: an argument's `$(NAME)`, a script, a file, a default. The second reading knows
//! nothing of the others, so what it says can give away nothing of them.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::Value;

use super::accelerator::{self, Request};
use super::annotations::Annotations;
use super::command::{self, Launch};
use super::deadline::{self, Limit};
use super::kinds::{self, Completed, Kind, PodGroup, Purpose};
use super::launch::{self, Offered, Program};
use super::others::{self, Others};
use super::provenance::Provenance;
use super::source::Source;
use super::{Findings, printable, what_if};
use crate::hardware::{Catalogue, Vendor};
use crate::judge::{Ask, Quoting};
use crate::judgement::InputError;
use crate::surroundings::{ConfigMaps, Documents, Surroundings};
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
    /// Microbatches of a step that a rank computes one after the other, and who says so.
    pub(crate) accumulation: Option<(u64, Source)>,
    /// What may be so and is not said where it can be read, each field at its leanest.
    pub(crate) unsaid: Vec<(&'static str, Value)>,
    /// How long the workload may run.
    pub limit: Option<Limit>,
    /// Why there is nothing more, where there is not.
    pub unread: Option<Unread>,
    /// The other objects that were read for it.
    pub(crate) others: Others,
    /// The same object, read as if none of the others were there; none where none was, or all may be quoted.
    pub(crate) own: Option<Box<Reading>>,
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
    pub source: Source,
}

/// What is read beside the object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Around<'a> {
    /// All that is known.
    pub(super) all: &'a Surroundings,
    /// Whether other objects that it refers to count as if they were not there.
    alone: bool,
}

impl<'a> Around<'a> {
    fn config_maps(self, others: &'a Others, none: &'a ConfigMaps) -> &'a ConfigMaps {
        if self.alone { none } else { &others.config_maps }
    }

    fn documents(self, none: &'a Documents) -> &'a Documents {
        if self.alone { none } else { &self.all.documents }
    }
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
    let read = |asked, alone| {
        let around = Around { all: around, alone };
        if what_if::is_estimate(object) {
            return Some(what_if::read(object, around, catalogue, ask));
        }
        of_workload(object, asked, around, catalogue, ask)
    };
    let mut reading = read(false, false)?;
    if ask.quoting == Quoting::Request && reading.others.any() {
        let own = read(true, true).unwrap_or_default();
        reading.others.named_as_in(&own.others);
        reading.own = Some(Box::new(own));
    }
    Some(reading)
}

/// Reads a workload that somebody asks about, whether it trains or not.
pub(super) fn read_asked(
    object: &Value,
    around: Around<'_>,
    catalogue: &Catalogue,
    ask: &Ask,
) -> Option<Reading> {
    of_workload(object, true, around, catalogue, ask)
}

fn of_workload(
    object: &Value,
    asked: bool,
    around: Around<'_>,
    catalogue: &Catalogue,
    ask: &Ask,
) -> Option<Reading> {
    let kind = kinds::of(object)?;
    let (no_maps, no_documents) = (ConfigMaps::default(), Documents::default());
    let documents = around.documents(&no_documents);
    let Completing { object, by, absent } = completed(kind, object, around);
    let groups = kind.pod_groups(&object);
    let requests = accelerator::requests(&groups, documents, namespace(&object), catalogue);
    let inner = kind.inner_objects(&object);
    let annotations = all_annotations(&object, &inner, &groups, &requests);
    let purpose = kind.purpose_of(&object);
    let said = asked || annotations.iter().any(|annotations| annotations.speak_of_training());
    // What is not known may ask for accelerators.
    let may_ask = !requests.is_empty() || (absent.is_some() && purpose == Purpose::Training);
    // Most objects ask for none: their commands are not even looked at.
    if !said && !may_ask {
        return None;
    }
    let others = others::of(&groups, by, around.all, namespace(&object));
    let config_maps = around.config_maps(&others, &no_maps);
    let entrypoint = kind.entrypoint.and_then(|entrypoint| entrypoint(&object));
    let bytes = launch::bytes(&groups, entrypoint.as_ref());
    let launches = command::launches(&groups, entrypoint, &requests, config_maps, namespace(&object));
    if !said && !requests.is_empty() && !trains(purpose, &launches) {
        return None;
    }
    let many = annotations.len().max(requests.len()) > MAX_GROUPS;
    let all = annotations.iter().map(|annotations| annotations.bytes()).fold(bytes, usize::saturating_add);
    let mut reading = if many || all > ask.max_bytes {
        Reading::unread(Unread::TooLarge)
    } else {
        workload(&object, kind, &requests, &annotations, &launches, around.all, catalogue)
    };
    reading.warnings.extend(absent.as_deref().map(not_there));
    reading.others = others;
    Some(reading)
}

/// The object with what it takes from its surroundings.
struct Completing<'a> {
    object: Cow<'a, Value>,
    /// What it was completed by.
    by: Vec<String>,
    /// What of it is not there.
    absent: Option<String>,
}

fn completed<'a>(kind: &Kind, object: &'a Value, around: Around<'_>) -> Completing<'a> {
    match kind.complete {
        None => Completing { object: Cow::Borrowed(object), by: Vec::new(), absent: None },
        Some(complete) if around.alone => {
            let Completed { object, by, absent } = complete(object, &Surroundings::default());
            Completing { object: Cow::Owned(object), by, absent }
        }
        Some(complete) => {
            let Completed { object, by, absent } = complete(object, around.all);
            Completing { object: Cow::Owned(object), by, absent }
        }
    }
}

fn namespace(object: &Value) -> &str {
    object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default()
}

fn not_there(what: &str) -> String {
    format!("{what} is not known: what it says of the pods is not read")
}

/// The workload's annotations, then those of the objects inside of it, then those of the templates of pods that ask for
/// accelerators; where none does, of all.
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

/// Whether what asks for accelerators trains.
fn trains(purpose: Purpose, launches: &[Launch]) -> bool {
    match (purpose, launch::program(launches)) {
        (_, Program::Launcher) | (Purpose::Training, Program::Python | Program::Other) => true,
        (_, Program::Benchmark) | (Purpose::General, Program::Python | Program::Other) => false,
    }
}

fn workload(
    object: &Value,
    kind: &Kind,
    requests: &[Request<'_>],
    annotations: &[Annotations<'_>],
    launches: &[Launch],
    around: &Surroundings,
    catalogue: &Catalogue,
) -> Reading {
    let (mut reading, mut findings) = (Reading::default(), Findings::default());
    for annotations in annotations {
        let known = findings.errors.len();
        annotations.read_keys(&mut reading.provenance, &mut findings);
        findings.admit_from(known, *annotations);
        // Who may override is asked of who submits this object, not of who wrote another.
        if !annotations.are_elsewhere() {
            annotations.read_override(&mut findings);
        }
    }
    for annotations in annotations {
        let known = findings.errors.len();
        annotations.read_block(&mut reading.provenance, &mut findings);
        findings.admit_from(known, *annotations);
    }
    reading.take(findings);
    let mut said = launch::read(launches, requests);
    reading.accumulation = said.accumulation.take();
    reading.unsaid = std::mem::take(&mut said.unsaid);
    if reading.provenance.knows("parallelism.sharding") {
        // Whoever annotates how the states are kept would annotate that they are kept elsewhere.
        reading.unsaid.retain(|(field, _)| !field.starts_with("offload."));
    }
    let annotated = reading.provenance.knows_any("model");
    reading.unread = said.beyond.filter(|_| !annotated).map(Unread::Beyond);
    reading.warnings.extend(said.warnings.iter().cloned());
    reading.defaults = said.offer_to(&mut reading.provenance);
    if let Some((name, path)) = kind.model.and_then(|model| model(object))
        && !reading.provenance.knows("model.name")
    {
        reading.provenance.offer("model.name", printable(&name, 256).into(), Source::Field(path.to_owned()));
    }
    // Neuron's compiler divides models among cores, and keeps what it likes.
    if requests.iter().any(|request| request.what.vendor == Vendor::AWS) {
        reading.unread = Some(Unread::Accelerator(Vendor::AWS));
    }
    reading.limit = deadline::read(object, kind, &kind.pod_groups(object));
    accelerator::read(&mut reading, object, requests, around, catalogue);
    reading
}
