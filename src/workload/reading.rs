//! What we read from an object: training jobs, the source of each value, and the errors.
//!
//! Most objects train nothing, and to read them must cost almost no time. A kind made for training trains if it asks
//! for accelerators or has annotations, unless its command is known for something else (a benchmark, a server, an
//! evaluation). Any other kind trains if it asks for accelerators and its command reaches a training launcher, or if
//! one of our annotations says something about a training (its hardware alone does not). The commands of an object
//! without accelerators are not read. An object that asks
//! for accelerators and does not train is set [aside](Aside), with the cause.
//!
//! A program that no reader recognises may train adapters on quantized weights: its method is open, unless a person
//! describes the training beside the model (parallelism, offload, optimizer).
//!
//! An object may start several trainings, one after the other or side by side. Each has its own reading, and the
//! annotations hold for all. If a part was not read ([`Gap`]), that part may train, so the object counts as training.
//!
//! A person may submit an object without permission to read the objects that it refers to: ConfigMaps, runtimes,
//! claims. Such an object is read twice, with the others and without them. A value found only in the first reading
//! comes from another object, whatever its path: an argument's `$(NAME)`, a script, a file, a default. The second
//! reading does not see the others, so it cannot reveal their values.

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
    Ask, Cause, Field, Gap, Hidden, InputError, Method, OpenField, Provenance, Quoting, Source, Understood,
    ValueOf as _, field,
};
use crate::kinds::deadline::{self, Limit};
use crate::kinds::host::Host;
use crate::kinds::requests::{self, Request};
use crate::kinds::{self, Kind, Kinds, PodGroup, Purpose};
use crate::printable::printable;
use crate::surroundings::Surroundings;
use crate::units::Bytes;

/// The most groups of pods, and sets of annotations, that are read. People have only a few.
const MAX_GROUPS: usize = 256;
/// The most trainings of one object that are judged. Trainings with the same deciding values count once.
const MOST_TRAININGS: usize = 16;

/// The reading of one training.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// Every value and its source.
    pub provenance: Provenance,
    /// The doubts, one line each.
    pub warnings: Vec<String>,
    /// Those of the doubts with which the training waits, or ends when it starts.
    pub contradictions: Vec<String>,
    /// The values that could not be read.
    pub errors: Vec<InputError>,
    /// The reason given for an override.
    pub override_reason: Option<String>,
    /// What one accelerator offers, if the object or its nodes say more than the accelerator's name.
    pub offer: Option<Offer>,
    /// The framework's defaults. They are weaker than a known model's dimensions.
    pub(crate) defaults: Vec<Claim>,
    /// The microbatches of a step that a rank computes one after the other, and their source.
    pub(crate) accumulation: Option<(u64, Source)>,
    /// The sequences of a microbatch of all ranks together, and their source.
    pub(crate) micro_batch_of_all: Option<(u64, Source)>,
    /// Fields that we cannot read, each with the value that needs the least memory.
    pub(crate) open: Vec<OpenField>,
    /// How the words of the launch were understood.
    pub(crate) understood: Understood,
    /// The time limit of the workload.
    pub limit: Option<Limit>,
    /// The pod with the first rank, and what it offers besides accelerators.
    pub pod: Option<PodOffer>,
    /// Why the object was not read, if it was not.
    pub unread: Option<Unread>,
    /// The part that was not read and may decide.
    pub gap: Option<Gap>,
    /// The place where the training starts: `container trainer`.
    pub place: String,
    /// Whether the training starts as we read it, whatever the unread part does.
    pub(crate) certain: bool,
    /// Whether a branch may start it, while other branches start something else.
    pub(crate) perhaps: bool,
    /// Whether all trainings of the other branches are judged as well.
    pub(crate) alternative: bool,
    /// The most accelerators it can have, if we do not know which pods take part.
    pub(crate) at_most: Option<u64>,
}

/// What one accelerator offers a process: a partition, or the memory in the labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The memory.
    pub bytes: Bytes,
    /// The part of the accelerator: `3g.40gb`. `None` for the whole accelerator.
    pub part: Option<String>,
    /// The part's share of the accelerator's speed, in thousandths, if it is known.
    pub compute_milli: Option<u64>,
    /// The source.
    pub source: Source,
}

/// A pod of the training, and what it offers besides accelerators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodOffer {
    /// Its accelerators.
    pub accelerators: u64,
    /// The pods of the training.
    pub pods: u64,
    /// Memory, shared memory and disks.
    pub host: Host,
    /// The memory of the roomiest node where it may be placed, if the nodes are known.
    pub node: Option<Bytes>,
}

impl PodOffer {
    /// The pod without the sizes that claims of volumes give.
    pub(crate) fn without_claims(&self) -> Self {
        let mut pod = self.clone();
        for mount in pod.host.mounts.iter_mut().filter(|mount| mount.elsewhere) {
            (mount.size, mount.elsewhere) = (None, false);
        }
        pod
    }
}

/// The whole reading of an object.
#[derive(Clone, Debug, Default)]
pub struct Readings {
    /// Each training that it starts. Empty if it does not train.
    pub trainings: Vec<Reading>,
    /// Why nothing of it is judged, if it asks for accelerators.
    pub aside: Option<Aside>,
    /// The readings of the same object without any other object. `None` if it refers to none, or if all values may be
    /// quoted.
    pub(crate) own: Option<Vec<Reading>>,
    /// The names of the other objects.
    pub(crate) hidden: Hidden,
}

/// What is known of an object that asks for accelerators and has no training to judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aside {
    /// Why there is none.
    pub cause: Cause,
    /// How many accelerators it asks for, if that is known and may be shown.
    pub accelerators: Option<u64>,
}

/// Why an object that trains was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// It is larger than the work that was allowed.
    TooLarge,
    /// It refers to a missing workload.
    WorkloadNotFound,
    /// The estimate does not cover what it trains.
    Beyond(Cause),
    /// Its accelerators have compilers whose memory layout we do not describe.
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

    /// A part was not read. If a person gives all values that decide, this is a warning.
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

    /// Whether another reading has the same value for everything that decides.
    fn is_the_same(&self, other: &Self) -> bool {
        self.provenance.says_the_same(&other.provenance)
            && self.offer == other.offer
            && self.defaults == other.defaults
            && self.accumulation == other.accumulation
            && self.micro_batch_of_all == other.micro_batch_of_all
            && self.open == other.open
            && self.contradictions == other.contradictions
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

/// Reads an object: each training that it starts. Empty if it does not train.
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
    let Found { trainings, others, mut aside } = read(around, false);
    if ask.quoting == Quoting::Everything || !others.are_in(around) {
        return Readings { trainings, aside, ..Readings::default() };
    }
    if trainings.is_empty() {
        // Another object may give the number.
        if let Some(aside) = &mut aside {
            aside.accelerators = None;
        }
        return Readings { aside, ..Readings::default() };
    }
    // At this point we know whether the object trains.
    let Found { trainings: own, others: named, .. } = read(&around.without_others(), true);
    Readings { trainings, aside, own: Some(own), hidden: others.named_as(named).hidden_among(around) }
}

/// What is found in an object.
#[derive(Default)]
pub(super) struct Found {
    /// Each training that it starts.
    pub(super) trainings: Vec<Reading>,
    /// The objects that it refers to.
    pub(super) others: Others,
    /// Why there is no training, if it asks for accelerators.
    aside: Option<Aside>,
}

impl Found {
    pub(super) fn of(trainings: Vec<Reading>, others: Others) -> Self {
        Self { trainings, others, aside: None }
    }
}

/// Reads a workload that a person asks about, whether it trains or not.
pub(super) fn read_asked(
    object: &Value,
    around: &Surroundings,
    catalogue: &Catalogue,
    kinds: &Kinds,
    ask: &Ask,
) -> Found {
    of_workload(object, true, around, catalogue, kinds, ask)
}

fn of_workload(
    object: &Value,
    asked: bool,
    around: &Surroundings,
    catalogue: &Catalogue,
    kinds: &Kinds,
    ask: &Ask,
) -> Found {
    let Some(kind) = kinds.of(object) else { return Found::default() };
    let completed = kind.completed(object, around);
    let (object, namespace, absent) = (&*completed.object, completed.namespace(), &completed.absent);
    let (groups, has_more) = completed.pod_groups(kind);
    let templates = accelerator::templates(&groups, &around.assigned);
    let groups = accelerator::placed(groups, &templates, &around.assigned);
    let requests = requests::requests(&groups, &around.documents, namespace, catalogue);
    let groups_gap = has_more.then_some(Gap::Groups);
    let pods_gap = groups_gap.or_else(|| requests::gap(&groups, &requests, around, namespace, catalogue));
    let inner = kind.inner_objects(object);
    let annotations = all_annotations(object, &inner, &groups, &requests);
    let purpose = kind.purpose_of(object);
    let said = asked || annotations.iter().any(|annotations| annotations.speak_of_training());
    // The unread part may ask for accelerators.
    let absent_pods = absent.is_some() && purpose == Purpose::Training;
    // Most objects ask for no accelerators. Their commands are not read.
    if !said && requests.is_empty() && !absent_pods && pods_gap.is_none() {
        return Found::default();
    }
    let others = others::of(&groups, completed.by.clone(), namespace);
    // Only the listed ConfigMaps are read.
    let listed = Surroundings { config_maps: Arc::new(others.config_maps(around)), ..around.shared() };
    let around = &listed;
    let entrypoint = kind.entrypoint.and_then(|entrypoint| entrypoint(object));
    let bytes = frameworks::bytes(&groups, entrypoint.as_ref());
    let Commands { mut launches, gap } = command::launches(&groups, entrypoint, &requests, around, namespace);
    if let (Some(folder), Some((model, _))) = (kind.model_folder, kind.model.and_then(|model| model(object)))
    {
        for launch in &mut launches {
            Arc::make_mut(&mut launch.downloads).add(folder, &model);
        }
    }
    let may_hide = gap.is_some() || matches!(pods_gap, Some(Gap::Groups | Gap::Containers));
    let is_open = may_hide || (absent_pods && requests.is_empty());
    if !said
        && !is_open
        && let Some(cause) = trains_nothing(purpose, kind, &launches)
    {
        let accelerators = accelerator::number(&requests).filter(|number| *number > 0);
        let aside = Aside { cause, accelerators };
        return Found { others, aside: Some(aside), ..Found::default() };
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
    Found::of(readings, others)
}

fn not_there(what: &str) -> String {
    format!("{what} is not known, so its settings of the pods are not read")
}

/// The annotations of the workload, then of the objects inside it, then of the pod templates that ask for accelerators.
/// If no template asks for any, then of all templates.
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

/// Why an object that asks for accelerators does not train, if it does not. A kind for training trains, unless its
/// program is known for something else; people also let it wait, and train in it by hand.
fn trains_nothing(purpose: Purpose, kind: &Kind, launches: &[Launch]) -> Option<Cause> {
    match (purpose, frameworks::program(launches, kind.commands)) {
        (_, Program::Training) | (Purpose::Training, Program::Unknown | Program::Nothing(Cause::Idle)) => {
            None
        }
        (Purpose::General, Program::Unknown) => Some(Cause::UnknownProgram),
        (_, Program::Nothing(cause)) => Some(cause),
    }
}

/// A workload, and what was found in it.
struct Workload<'a> {
    object: &'a Value,
    kind: &'a Kind,
    requests: &'a [Request<'a>],
    launches: &'a [Launch],
    /// The unread part of its pods.
    pods_gap: Option<Gap>,
    /// The unread part of its commands.
    gap: Option<Gap>,
}

impl Workload<'_> {
    /// Every training that it starts. Trainings with the same inputs count once.
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
        reading.micro_batch_of_all = said.micro_batch_of_all.take();
        reading.open = std::mem::take(&mut said.open);
        reading.understood = std::mem::take(&mut said.understood);
        if !training.is_read() && !reading.describes_a_training() {
            reading.open.push(OpenField {
                field: field::finetuning::METHOD.erased(),
                leanest: Some(Method::QLoRA.json()),
                heaviest: None,
                although_given: false,
            });
        }
        if reading.provenance.knows(field::parallelism::SHARDING) {
            // If a person annotates the sharding, the annotations would name offloading too.
            reading.open.retain(|open| !field::OFFLOAD.has(open.field));
        }
        let annotated = reading.provenance.knows_any(field::MODEL);
        reading.unread = said.beyond.filter(|_| !annotated).map(Unread::Beyond);
        reading.warnings.extend(participants.warning);
        reading.warnings.extend(said.warnings.iter().cloned());
        reading.contradictions.extend(said.contradictions.iter().cloned());
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
        // Neuron's compiler divides a model among cores, and decides itself what to keep.
        if requests.iter().any(|request| request.what.vendor == Vendor::AWS) {
            reading.unread = Some(Unread::Accelerator(Vendor::AWS));
        }
        reading.limit = deadline::read(self.object, self.kind, &self.kind.pod_groups(self.object));
        reading.pod = pod_of(requests, around, kinds::namespace(self.object).unwrap_or_default());
        accelerator::read(&mut reading, self.object, requests, around, catalogue);
        reading
    }

    /// The pods that take part in a training. If the annotations give the parallelism, they count all pods.
    fn participants(&self, annotated: &Provenance, training: &Training<'_>) -> Participants<'_> {
        let launch = training.launch.filter(|_| !annotated.knows_any(field::PARALLELISM));
        let connects = self.kind.tells_pods_of_each_other(self.object);
        Participants::of(launch, self.launches, self.requests, connects, self.gap.is_some())
    }
}

/// The fullest pod of a training, and what it offers.
fn pod_of(requests: &[Request<'_>], around: &Surroundings, namespace: &str) -> Option<PodOffer> {
    let request = requests.iter().rev().max_by_key(|request| request.per_pod)?;
    let pods = requests.iter().map(|request| request.pods.unwrap_or(1)).fold(0u64, u64::saturating_add);
    let documents = &around.documents;
    Some(PodOffer {
        accelerators: request.per_pod,
        pods: pods.max(1),
        host: Host::of(request.template, request.path, &request.resource, documents, namespace)?,
        node: accelerator::roomiest_node(request, around),
    })
}

/// The annotated values.
fn annotated(annotations: &[Annotations<'_>]) -> Reading {
    let (mut reading, mut findings) = (Reading::default(), Findings::default());
    for annotations in annotations {
        let known = findings.errors.len();
        annotations.read_keys(&mut reading.provenance, &mut findings);
        findings.admit_from(known, *annotations);
        // The right to override is checked for the person who submits this object, not for the author of another one.
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
