//! The accelerators that the pods ask for, and their number.
//!
//! ```text
//! number = Σ over groups of pods (what one pod asks for × pods), where the number of pods is known
//! type   = the nodes that a queue has assigned, else annotation, else node selector, else required node affinity, else
//!          the flavors of the Kueue queue, else the nodes that offer the resource, else the label of Ascend's
//!          controllers on the pods, else the resource's or the claim's own name
//! ```
//!
//! Several types may be allowed: an affinity with several values, or nodes of several kinds. Then the type with the
//! most memory is judged, and a warning says so. The scheduler may choose this type, and the worst mistake is to refuse
//! a job that would have fitted. For the same reason an unknown accelerator counts as larger than any other. If the
//! pods may also run on a node whose accelerator has no name, no type is assumed.
//!
//! The resource may be a part of an accelerator: a MIG slice, a core, a share with a memory limit. Or the nodes' labels
//! may give the memory. Then that is the capacity, not the catalogue's figure for the type. A node selector may ask for
//! any amount, even one that no accelerator of the type has. So an amount far above the catalogue's counts only if a
//! node of the cluster has these labels.

mod assigned;
mod participants;
pub(crate) mod placement;
mod queues;

pub(super) use assigned::{placed, templates};
pub(super) use participants::Participants;

use std::sync::Arc;

use serde_json::Value;

use super::{Offer, Reading};
use crate::hardware::labels::{self, Labelled, MEMORY, of_labels};
use crate::hardware::resources::ResourceKind;
use crate::hardware::{Accelerator, Catalogue, Vendor, partition};
use crate::job::{Provenance, Source, field};
use crate::kinds::requests::{Limit, Request};
use crate::printable::printable;
use crate::surroundings::{Node, Surroundings};
use crate::units::Bytes;

/// The schema's bound on the number of accelerators.
const MOST_ACCELERATORS: u64 = 10_000_000;
/// A label of pods that tells the chip's family.
const POD_LABEL: &str = "ring-controller.atlas";
/// Parts of keys that select a place and no accelerator.
const SELECT_PLACES: &[&str] =
    &["hostname", "zone", "region", "os", "arch", "nodegroup", "provisioner", "capacity"];
/// The most allowed types that a warning names.
const NAMED: usize = 3;

/// A type that the pods may get.
#[derive(Clone, Debug)]
struct Candidate<'c> {
    /// Its name for the catalogue.
    name: String,
    accelerator: Option<&'c Accelerator>,
    /// What it offers a process, if labels say more than the type.
    offer: Option<Offer>,
    source: Source,
}

/// Reads the requests of the pods, and the nodes where they may be placed.
pub(super) fn read(
    reading: &mut Reading,
    object: &Value,
    requests: &[Request<'_>],
    around: &Surroundings,
    catalogue: &Catalogue,
) {
    count(&mut reading.provenance, requests);
    if let Some(assigned) = assigned::offered(requests, around, catalogue) {
        reading.provenance.forget(field::accelerator::KIND);
        reading.provenance.forget(field::accelerator::MEMORY);
        offer(reading, catalogue, &assigned);
    }
    for request in requests {
        let mut candidates = selected(request, around, catalogue, &mut reading.warnings);
        if candidates.is_empty() && !reading.provenance.knows(field::accelerator::KIND) {
            candidates = queues::offered(object, &request.resource, &around.documents, catalogue);
        }
        if candidates.is_empty() && !reading.provenance.knows(field::accelerator::KIND) {
            candidates = offered(request, around, catalogue);
        }
        reading.warnings.extend(several(&candidates));
        let largest = largest(candidates).or_else(|| named_by_pod(request, catalogue));
        if let Some(largest) = largest.or_else(|| named_by_resource(request, catalogue)) {
            offer(reading, catalogue, &largest);
        } else if !reading.provenance.knows(field::accelerator::KIND) {
            reading.warnings.extend(unread_selector(request, catalogue));
        }
        let card = reading.provenance.text(field::accelerator::KIND).and_then(|name| catalogue.find(name));
        reading.warnings.extend(doubts(request, card));
        // All ranks need the same memory. The pod with the smallest offer decides.
        reading.offer = least(reading.offer.take(), part(request, card, catalogue));
    }
}

/// How many accelerators all pods ask for, if their number is known.
pub(super) fn number(requests: &[Request<'_>]) -> Option<u64> {
    requests.iter().try_fold(0u64, |sum, r| Some(sum.saturating_add(r.per_pod.saturating_mul(r.pods?))))
}

fn count(provenance: &mut Provenance, requests: &[Request<'_>]) {
    let Some(first) = requests.first() else { return };
    let single = requests.len() == 1 && first.pods == Some(1);
    let limits = format!("limits {}", first.resource);
    let source = Source::Field(if single { limits.clone() } else { format!("{limits} × replicas") });
    if let Some(all) = number(requests) {
        provenance.offer(field::accelerator::COUNT, all.min(MOST_ACCELERATORS), source);
    }
    // Pods with one accelerator each may share a node. A pod with several has its own part of a node.
    let most = requests.iter().map(|request| request.per_pod).max().unwrap_or(1);
    if (2..=1024).contains(&most) && !provenance.knows(field::accelerator::PER_NODE) {
        provenance.offer(field::accelerator::PER_NODE, most, Source::Field(limits));
    }
}

/// The types that the node selector or the required affinity allows.
fn selected<'c>(
    request: &Request<'_>,
    around: &Surroundings,
    catalogue: &'c Catalogue,
    warnings: &mut Vec<String>,
) -> Vec<Candidate<'c>> {
    let template = request.template;
    let label = |key: &str| placement::selector(template, key);
    if let Some(mut found) = of_labels(catalogue, label) {
        let is_there = || around.nodes.iter().any(|node| placement::admits(template, node));
        if found.overstates(catalogue)
            && !is_there()
            && let Some(believed) = of_labels(catalogue, |key| label(key).filter(|_| key != MEMORY))
        {
            let card = believed.accelerator.map_or("accelerator", |card| card.name.as_str());
            warnings.push(format!("the node selector's {MEMORY} is more than a {card} has: it is ignored"));
            found = believed;
        }
        return vec![candidate(&found, catalogue, field("node selector", &found))];
    }
    if let Some((cards, memory, key)) = labels::allowed(catalogue, label) {
        let source = || Source::Field(format!("node selector {key}"));
        return cards.into_iter().map(|card| of_card(card, memory, source())).collect();
    }
    let own = |(key, value)| of_own_label(catalogue, "node selector", key, value);
    if let Some(found) = placement::selectors(template).find_map(own) {
        return vec![found];
    }
    if placement::is_long(template) {
        return Vec::new();
    }
    let of_term = |term| {
        let named = placement::allowed(term).filter_map(|(key, value)| {
            let found = of_labels(catalogue, |wanted| (wanted == key).then_some(value));
            let found = found.map(|found| candidate(&found, catalogue, field("node affinity", &found)));
            found.or_else(|| of_own_label(catalogue, "node affinity", key, value))
        });
        named.collect::<Vec<_>>()
    };
    let terms: Vec<_> = placement::terms(template).map(of_term).collect();
    if terms.iter().any(Vec::is_empty) { Vec::new() } else { terms.concat() }
}

/// The types of the nodes that offer the resource and where the pods may be placed. Empty if one of these nodes has no
/// type.
fn offered<'c>(request: &Request<'_>, around: &Surroundings, catalogue: &'c Catalogue) -> Vec<Candidate<'c>> {
    around
        .nodes
        .iter()
        .filter(|node| node.allocatable.get(&request.resource).is_some_and(|count| *count > 0))
        .filter(|node| placement::admits(request.template, node))
        .map(|node| of_labels(catalogue, |key| node.labels.get(key)))
        .map(|found| {
            let found = found?;
            Some(candidate(&found, catalogue, Source::Nodes { label: found.label.to_owned() }))
        })
        .collect::<Option<_>>()
        .unwrap_or_default()
}

/// The memory of the roomiest node where the pods may be placed. `None` if a node does not tell its memory.
pub(super) fn roomiest_node(request: &Request<'_>, around: &Surroundings) -> Option<Bytes> {
    let asks = |node: &&Arc<Node>| node.allocatable.get(&request.resource).is_some_and(|count| *count > 0);
    let nodes = around.nodes.iter().filter(asks).filter(|node| placement::admits(request.template, node));
    nodes.map(|node| node.memory).collect::<Option<Vec<_>>>()?.into_iter().max()
}

/// What a label names whose key people choose themselves.
fn of_own_label<'c>(catalogue: &'c Catalogue, what: &str, key: &str, value: &str) -> Option<Candidate<'c>> {
    let accelerator = labels::of_own_label(catalogue, key, value)?;
    let source = Source::Field(format!("{what} {}", printable(key, 64)));
    let names_it = catalogue.find(value).is_some();
    let name = if names_it { printable(value, 64) } else { accelerator.name.clone() };
    Some(Candidate { name, accelerator: Some(accelerator), offer: None, source })
}

/// A card that labels allow which do not name it.
fn of_card(card: &Accelerator, memory: Option<Bytes>, source: Source) -> Candidate<'_> {
    let offer = memory.map(|memory| Offer {
        bytes: card.usable_of(memory),
        part: None,
        compute_milli: None,
        source: source.clone(),
    });
    Candidate { name: card.name.clone(), accelerator: Some(card), offer, source }
}

/// The selector that may name the accelerator and is not read, for a job without a known type.
fn unread_selector(request: &Request<'_>, catalogue: &Catalogue) -> Option<String> {
    let unread = |(key, _): &(&str, &str)| {
        labels::may_name(key)
            && !labels::is_read(catalogue, key)
            && !SELECT_PLACES.iter().any(|p| key.contains(p))
    };
    let (key, value) = placement::selectors(request.template).find(unread)?;
    let (key, value) = (printable(key, 40), printable(value, 24));
    Some(format!("the selector {key}={value} is not among the labels read"))
}

/// A label that the workload asks for, or has itself.
fn field(what: &str, found: &Labelled<'_>) -> Source {
    Source::Field(format!("{what} {}", found.label))
}

fn candidate<'c>(found: &Labelled<'c>, catalogue: &'c Catalogue, source: Source) -> Candidate<'c> {
    let key = |accelerator: &Accelerator| accelerator.key.clone();
    // The label's value, if it names an accelerator and not a machine.
    let name = match found.accelerator {
        Some(accelerator) if catalogue.find(&found.name).map(key) != Some(key(accelerator)) => {
            accelerator.name.clone()
        }
        _ => printable(&found.name, 253),
    };
    let tells_more = found.memory.is_some() || found.partition.is_some();
    let offer = found.usable(catalogue).filter(|_| tells_more).map(|bytes| Offer {
        bytes,
        part: found.partition.clone(),
        compute_milli: compute_milli(catalogue, found.accelerator, found.partition.as_deref()),
        source: source.clone(),
    });
    Candidate { name, accelerator: found.accelerator, offer, source }
}

/// The type in a label of the pods. Ascend's controllers read the chip's family from it.
fn named_by_pod<'c>(request: &Request<'_>, catalogue: &'c Catalogue) -> Option<Candidate<'c>> {
    let label = request.template.pointer("/metadata/labels")?.get(POD_LABEL)?.as_str()?;
    let found = of_labels(catalogue, |key| (key == POD_LABEL).then_some(label))?;
    let is_huawei = request.what.vendor == Vendor::Huawei;
    is_huawei.then(|| candidate(&found, catalogue, field("pod label", &found)))
}

/// The type in the resource's name: `huawei.com/Ascend910B3`.
fn named_by_resource<'c>(request: &Request<'c>, catalogue: &Catalogue) -> Option<Candidate<'c>> {
    let accelerator = request.what.accelerator?;
    let source = Source::Field(format!("limits {}", request.resource));
    // A bare name may mean several accelerators, and a warning says so.
    let own = request.resource.rsplit('/').next().filter(|name| catalogue.variants(name).len() > 1);
    let name = own.map_or_else(|| accelerator.name.clone(), |name| printable(name, 64));
    Some(Candidate { name, accelerator: Some(accelerator), offer: None, source })
}

/// The share of a card's speed that a partition has.
fn compute_milli(catalogue: &Catalogue, card: Option<&Accelerator>, profile: Option<&str>) -> Option<u64> {
    partition::on(catalogue, card?, profile?)?.compute_milli
}

/// What a pod may use of an accelerator, if that is only a part of it. With the source.
fn part(request: &Request<'_>, card: Option<&Accelerator>, catalogue: &Catalogue) -> Option<Offer> {
    let whole = card.map(Accelerator::usable);
    let limits = |resource: &str| Source::Field(format!("limits {resource}"));
    let offer = |bytes, source| Offer { bytes, part: None, compute_milli: None, source };
    match &request.what.kind {
        ResourceKind::Partition(slice) => {
            let on_card = card.and_then(|card| partition::on(catalogue, card, &slice.profile));
            let slice = on_card.unwrap_or_else(|| slice.clone());
            Some(Offer {
                part: Some(slice.profile),
                compute_milli: slice.compute_milli,
                ..offer(slice.memory, limits(&request.resource))
            })
        }
        ResourceKind::Core { per_chip } => Some(Offer {
            part: Some("core".into()),
            compute_milli: Some(1000 / (*per_chip).max(1)),
            ..offer(whole?.share(*per_chip), limits(&request.resource))
        }),
        _ => {
            let (limit, source) = request.limit.as_ref()?;
            let bytes = match limit {
                Limit::Bytes(bytes) => whole.map_or(*bytes, |whole| whole.min(*bytes)),
                Limit::Percent(percent) => whole?.scale(*percent as f64 / 100.0),
            };
            Some(offer(bytes, Source::Field(source.clone())))
        }
    }
}

fn least(one: Option<Offer>, other: Option<Offer>) -> Option<Offer> {
    one.into_iter().chain(other).min_by_key(|offer| offer.bytes)
}

/// Doubts about the resource.
fn doubts(request: &Request<'_>, card: Option<&Accelerator>) -> Vec<String> {
    let resource = printable(&request.resource, 48);
    let mut doubts = Vec::new();
    if matches!(request.what.kind, ResourceKind::Shared) {
        doubts.push(format!("{resource} is shared: what other pods hold is not counted"));
    }
    if let Some(card) = card.filter(|card| card.vendor != request.what.vendor) {
        let (vendor, maker) = (request.what.vendor, card.vendor);
        doubts
            .push(format!("{resource} is a resource of {vendor}, but the {} is made by {maker}", card.name));
    }
    doubts
}

/// The warning if more than one type is allowed.
fn several(candidates: &[Candidate<'_>]) -> Option<String> {
    let mut names: Vec<&str> = candidates.iter().map(Candidate::shown).collect();
    names.sort_unstable();
    names.dedup();
    if names.len() < 2 {
        return None;
    }
    let most = largest(candidates.to_vec())?;
    let more = if names.len() > NAMED { ", …" } else { "" };
    names.truncate(NAMED);
    Some(format!("may run on {}{more}; judged on {}, the largest", names.join(", "), most.shown()))
}

/// The type with the most memory or with unknown memory. If there are several, the first.
fn largest(candidates: Vec<Candidate<'_>>) -> Option<Candidate<'_>> {
    let usable = |candidate: &Candidate<'_>| match &candidate.offer {
        Some(offer) => offer.bytes,
        None => candidate.accelerator.map_or(Bytes(u64::MAX), Accelerator::usable),
    };
    candidates.into_iter().rev().max_by_key(usable)
}

impl Candidate<'_> {
    /// Its name in warnings. For the cluster's values, only the name in the catalogue.
    fn shown(&self) -> &str {
        match self.accelerator {
            Some(accelerator) => &accelerator.name,
            None if self.source.is_of_the_cluster() => "an accelerator that is not known",
            None => &self.name,
        }
    }
}

/// Takes a type, unless a stronger source has already named it, perhaps in other words.
fn offer(reading: &mut Reading, catalogue: &Catalogue, candidate: &Candidate<'_>) {
    let named = reading.provenance.text(field::accelerator::KIND);
    let agrees = named.is_none_or(|named| same(catalogue, named, &candidate.name));
    if named.is_none() || !agrees {
        reading.provenance.offer(field::accelerator::KIND, candidate.name.clone(), candidate.source.clone());
    }
    if agrees {
        reading.offer = least(reading.offer.take(), candidate.offer.clone());
    }
}

/// Whether two names mean the same accelerator, or one name is the other with more detail: `A100-80GB` and
/// `NVIDIA-A100-PCIE-80GB`.
fn same(catalogue: &Catalogue, one: &str, other: &str) -> bool {
    let key = |name: &str| catalogue.find(name).map(|accelerator| accelerator.key.clone());
    let parts = |name: &str| -> Vec<String> {
        let parts = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty());
        parts.map(str::to_ascii_lowercase).collect()
    };
    let (a, b) = (parts(one), parts(other));
    let within = |few: &[String], many: &[String]| few.iter().all(|part| many.contains(part));
    (key(one).is_some() && key(one) == key(other)) || within(&a, &b) || within(&b, &a)
}
