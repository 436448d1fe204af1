//! What is read of an object: a training job, where each of its values came from, and what is wrong with them.
//!
//! Most objects train nothing, and reading those must cost nothing. A kind that exists for training trains when it asks
//! for accelerators or is annotated, unless its command is a known benchmark. Any other kind trains when it asks for
//! accelerators and its command comes to a training launcher, or when an annotation of ours says so. Commands of objects
//! that ask for no accelerators are not looked at.
//!
//! A program that no reader recognises may train adapters on quantized weights: its method is open, unless a person
//! describes the training beside the model (parallelism, offload, optimizer).
//!
//! An object may start several trainings, one after the other or side by side. Each is a reading of its own: what is
//! annotated holds for all. Where something was not read ([`Gap`]), it may train, and the object trains as far as anybody
//! knows.
//!
//! Who submits an object need not be allowed to read what it refers to: ConfigMaps, runtimes, claims. An object that refers
//! to any is read twice: once with them, once as if none of them were there. What only the first reading says was born
//! elsewhere, by whatever way it came: an argument's `$(NAME)`, a script, a file, a default. The second reading knows
//! nothing of the others, so what it says can give away nothing of them.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::accelerator::{self, Participants};
use super::annotations::Annotations;
use super::others::{self, Others};
use super::{Findings, what_if};
use crate::command::{self, Commands, Launch};
use crate::frameworks::{self, Claim, Program, Training, Trees};
use crate::hardware::{Catalogue, Vendor};
use crate::job::{
    AnyField, Ask, Field, Gap, Hidden, InputError, Method, Provenance, Quoting, Source, ValueOf as _, field,
};
use crate::kinds::deadline::{self, Limit};
use crate::kinds::requests::{self, Request};
use crate::kinds::{self, Kind, Kinds, PodGroup, Purpose};
use crate::printable::printable;
use crate::surroundings::Surroundings;
use crate::units::Bytes;

/// Groups of pods, and sets of annotations, that are read at most: people have a handful.
const MAX_GROUPS: usize = 256;
/// Trainings of one object that are judged, at most: those that differ in what decides.
const MOST_TRAININGS: usize = 16;

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
    pub(crate) defaults: Vec<Claim>,
    /// Microbatches of a step that a rank computes one after the other, and who says so.
    pub(crate) accumulation: Option<(u64, Source)>,
    /// Fields that we cannot read, each with the value that needs the least memory.
    pub(crate) open: Vec<(AnyField, Value)>,
    /// How long the workload may run.
    pub limit: Option<Limit>,
    /// Why there is nothing more, where there is not.
    pub unread: Option<Unread>,
    /// What was not read and may decide.
    pub gap: Option<Gap>,
    /// Where the training is started: `container trainer`.
    pub place: String,
    /// Whether it is started as it is read, whatever was not read.
    pub(crate) certain: bool,
    /// Whether a branch may start it, and what is started otherwise differs.
    pub(crate) perhaps: bool,
    /// Whether all that the other branches start is judged as well.
    pub(crate) alternative: bool,
    /// How many accelerators it has at most, where it is not known which pods take part.
    pub(crate) at_most: Option<u64>,
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

/// All that was read of an object.
#[derive(Clone, Debug, Default)]
pub struct Readings {
    /// Each training that it starts; none where it does not train.
    pub trainings: Vec<Reading>,
    /// The same object's, read as if no other object were there; none where none was read, or all may be quoted.
    pub(crate) own: Option<Vec<Reading>>,
    /// How the other objects are named.
    pub(crate) hidden: Hidden,
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

    /// Whether a person describes a training rather than a model: how it is divided, where its states lie, or what steps.
    fn describes_a_training(&self) -> bool {
        let said = &self.provenance;
        said.knows_any(field::PARALLELISM) || said.knows_any(field::OFFLOAD) || said.knows(field::OPTIMIZER)
    }

    /// Something was not read. Where a person says all that decides, it is a warning.
    pub(super) fn leave_out(&mut self, gap: Option<Gap>, by_hand: &Provenance) {
        let any = |fields: &[Field<u32>]| fields.iter().any(|field| by_hand.knows(*field));
        let decided = by_hand.knows_any(field::MODEL)
            && any(&[field::batch::MICRO_BATCH_SIZE, field::batch::GLOBAL_BATCH_SIZE])
            && any(&[field::batch::SEQUENCE_LENGTH]);
        if decided {
            self.warnings.extend(gap.as_ref().map(ToString::to_string));
        } else {
            self.gap = gap;
        }
    }

    /// Whether another reading says the same of everything that decides.
    fn is_the_same(&self, other: &Self) -> bool {
        self.provenance.says_the_same(&other.provenance)
            && self.offer == other.offer
            && self.defaults == other.defaults
            && self.accumulation == other.accumulation
            && self.open == other.open
            && self.unread == other.unread
            && (self.certain, self.at_most) == (other.certain, other.at_most)
            && (self.perhaps, self.alternative) == (other.perhaps, other.alternative)
    }

    pub(super) fn take(&mut self, findings: Findings) {
        self.warnings.extend(findings.warnings);
        self.errors.extend(findings.errors);
        self.override_reason = self.override_reason.take().or(findings.override_reason);
    }
}

/// Reads an object: each training that it starts. Empty where it does not train.
pub fn read(
    object: &Value,
    around: &Surroundings,
    catalogue: &Catalogue,
    kinds: &Kinds,
    ask: &Ask,
) -> Readings {
    let read = |around: &Surroundings, asked| {
        if what_if::is_estimate(object) {
            return what_if::read(object, around, catalogue, kinds, ask);
        }
        of_workload(object, asked, around, catalogue, kinds, ask)
    };
    let (trainings, others) = read(around, false);
    if ask.quoting == Quoting::Everything || trainings.is_empty() || !others.are_in(around) {
        return Readings { trainings, ..Readings::default() };
    }
    // Whether it trains is known by now.
    let (own, named) = read(&around.without_others(), true);
    Readings { trainings, own: Some(own), hidden: others.named_as(named).hidden_among(around) }
}

/// Reads a workload that somebody asks about, whether it trains or not.
pub(super) fn read_asked(
    object: &Value,
    around: &Surroundings,
    catalogue: &Catalogue,
    kinds: &Kinds,
    ask: &Ask,
) -> (Vec<Reading>, Others) {
    of_workload(object, true, around, catalogue, kinds, ask)
}

fn of_workload(
    object: &Value,
    asked: bool,
    around: &Surroundings,
    catalogue: &Catalogue,
    kinds: &Kinds,
    ask: &Ask,
) -> (Vec<Reading>, Others) {
    let nothing = || (Vec::new(), Others::default());
    let Some(kind) = kinds.of(object) else { return nothing() };
    let Completed { object, by, absent, is_cut } = completed(kind, object, around);
    let object = object.as_ref();
    let groups = kind.pod_groups(object);
    let requests = requests::requests(&groups, &around.documents, namespace(object), catalogue);
    let groups_gap = (is_cut || kind.has_more_groups(object, groups.len())).then_some(Gap::Groups);
    let pods_gap = groups_gap.or_else(|| requests::gap(&groups, &requests, around, namespace(object)));
    let inner = kind.inner_objects(object);
    let annotations = all_annotations(object, &inner, &groups, &requests);
    let purpose = kind.purpose_of(object);
    let said = asked || annotations.iter().any(|annotations| annotations.speak_of_training());
    // What is not known may ask for accelerators.
    let absent_pods = absent.is_some() && purpose == Purpose::Training;
    // Most objects ask for none: their commands are not even looked at.
    if !said && requests.is_empty() && !absent_pods && pods_gap.is_none() {
        return nothing();
    }
    let others = others::of(&groups, by, namespace(object));
    // No ConfigMap is read but those that are listed.
    let listed = Surroundings { config_maps: Arc::new(others.config_maps(around)), ..around.shared() };
    let around = &listed;
    let entrypoint = kind.entrypoint.and_then(|entrypoint| entrypoint(object));
    let bytes = frameworks::bytes(&groups, entrypoint.as_ref());
    let Commands { launches, gap } =
        command::launches(&groups, entrypoint, &requests, around, namespace(object));
    let may_hide = gap.is_some() || matches!(pods_gap, Some(Gap::Groups | Gap::Containers));
    let is_open = may_hide || (absent_pods && requests.is_empty());
    if !said && !is_open && !trains(purpose, &launches) {
        return nothing();
    }
    let many = annotations.len().max(requests.len()) > MAX_GROUPS;
    let all = annotations.iter().map(|annotations| annotations.bytes()).fold(bytes, usize::saturating_add);
    let mut readings = if many || all > ask.max_bytes {
        vec![Reading::unread(Unread::TooLarge)]
    } else {
        let workload = Workload { object, kind, requests: &requests, launches: &launches, pods_gap, gap };
        workload.trainings(&annotations, around, catalogue)
    };
    for reading in &mut readings {
        reading.warnings.extend(absent.as_deref().map(not_there));
    }
    (readings, others)
}

/// An object with what it takes from its surroundings.
struct Completed<'a> {
    object: Cow<'a, Value>,
    /// The runtimes that it was completed by.
    by: Vec<String>,
    /// What of that is not there.
    absent: Option<String>,
    /// Whether it has more than is read.
    is_cut: bool,
}

fn completed<'a>(kind: &Kind, object: &'a Value, around: &Surroundings) -> Completed<'a> {
    match kind.complete {
        None => Completed { object: Cow::Borrowed(object), by: Vec::new(), absent: None, is_cut: false },
        Some(complete) => {
            let kinds::Completed { object, by, absent, is_cut } = complete(object, around);
            Completed { object: Cow::Owned(object), by, absent, is_cut }
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
    match (purpose, frameworks::program(launches)) {
        (_, Program::Launcher) | (Purpose::Training, Program::Python | Program::Other) => true,
        (_, Program::Benchmark) | (Purpose::General, Program::Python | Program::Other) => false,
    }
}

/// A workload, with what was found of it.
struct Workload<'a> {
    object: &'a Value,
    kind: &'a Kind,
    requests: &'a [Request<'a>],
    launches: &'a [Launch],
    /// What was not read of the pods that it asks for.
    pods_gap: Option<Gap>,
    /// What was not read of its commands.
    gap: Option<Gap>,
}

impl Workload<'_> {
    /// Every training that it starts, those of the same inputs once.
    fn trainings(
        &self,
        annotations: &[Annotations<'_>],
        around: &Surroundings,
        catalogue: &Catalogue,
    ) -> Vec<Reading> {
        let annotated = annotated(annotations);
        let (trainings, mut more) = frameworks::trainings(self.launches);
        let mut readings: Vec<Reading> = Vec::new();
        let mut trees = Trees::default();
        for training in &trainings {
            let reading = self.training(annotated.clone(), training, &mut trees, around, catalogue);
            if readings.iter().any(|known| known.is_the_same(&reading)) {
                continue;
            }
            if readings.len() >= MOST_TRAININGS {
                more = true;
                break;
            }
            readings.push(reading);
        }
        let gap = self.pods_gap.clone().or_else(|| self.gap.clone()).or(more.then_some(Gap::Trainings));
        for reading in &mut readings {
            let of_files = reading.gap.take();
            reading.leave_out(gap.clone().or(of_files), &annotated.provenance);
        }
        readings
    }

    fn training(
        &self,
        mut reading: Reading,
        training: &Training<'_>,
        trees: &mut Trees,
        around: &Surroundings,
        catalogue: &Catalogue,
    ) -> Reading {
        let mut participants = self.participants(&reading.provenance, training);
        let mut said = frameworks::read(training, self.launches, &participants.requests, trees);
        if participants.are_too_few_for(said.divides_among()) {
            participants = Participants { at_most: participants.at_most, ..Participants::all(self.requests) };
            said = frameworks::read(training, self.launches, &participants.requests, trees);
        }
        let requests = participants.requests.as_slice();
        reading.place.clone_from(&said.place);
        reading.certain = self.pods_gap.is_none() && training.launch.is_some_and(|launch| !launch.behind_gap);
        reading.perhaps = training.perhaps;
        reading.alternative = training.alternative;
        reading.at_most = participants.at_most;
        reading.gap = said.gap.take();
        reading.accumulation = said.accumulation.take();
        reading.open = std::mem::take(&mut said.open);
        if !training.is_read() && !reading.describes_a_training() {
            reading.open.push((field::finetuning::METHOD.erased(), Method::QLoRA.json()));
        }
        if reading.provenance.knows(field::parallelism::SHARDING) {
            // An author who annotates how the states are kept would annotate that they are kept elsewhere.
            reading.open.retain(|(field, _)| !field::OFFLOAD.has(*field));
        }
        let annotated = reading.provenance.knows_any(field::MODEL);
        reading.unread = said.beyond.filter(|_| !annotated).map(Unread::Beyond);
        reading.warnings.extend(participants.warning);
        reading.warnings.extend(said.warnings.iter().cloned());
        reading.defaults = said.offer_to(&mut reading.provenance);
        if let Some((name, path)) = self.kind.model.and_then(|model| model(self.object))
            && !reading.provenance.knows(field::model::NAME)
        {
            reading.provenance.offer(
                field::model::NAME,
                printable(&name, 256),
                Source::Field(path.to_owned()),
            );
        }
        // Neuron's compiler divides models among cores, and keeps what it likes.
        if requests.iter().any(|request| request.what.vendor == Vendor::AWS) {
            reading.unread = Some(Unread::Accelerator(Vendor::AWS));
        }
        reading.limit = deadline::read(self.object, self.kind, &self.kind.pod_groups(self.object));
        accelerator::read(&mut reading, self.object, requests, around, catalogue);
        reading
    }

    /// The pods that take part in a training. Who annotates how it is divided counts all of them.
    fn participants(&self, annotated: &Provenance, training: &Training<'_>) -> Participants<'_> {
        let launch = training.launch.filter(|_| !annotated.knows_any(field::PARALLELISM));
        let connects = self.kind.tells_pods_of_each_other(self.object);
        Participants::of(launch, self.launches, self.requests, connects, self.gap.is_some())
    }
}

/// What is annotated.
fn annotated(annotations: &[Annotations<'_>]) -> Reading {
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
    reading
}
