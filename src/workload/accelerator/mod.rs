//! Which accelerators the pods ask for, and how many.
//!
//! ```text
//! number = Σ over groups of pods (what one pod asks for × pods)
//! type   = annotation, else node selector, else required node affinity, else the nodes that offer the resource
//! ```
//!
//! Where several types are allowed (an affinity with several values, nodes of several kinds), the one with the most
//! memory is judged, and a warning says so: the scheduler may still choose it, and to turn away what would have fitted
//! is the worst mistake of all.

mod placement;
mod requests;

pub use requests::{Request, requests};

use super::provenance::Provenance;
use super::{Reading, printable};
use crate::hardware::labels::{Labelled, of_labels};
use crate::hardware::{Accelerator, Catalogue};
use crate::surroundings::Surroundings;

/// The schema's bound on the number of accelerators.
const MOST_ACCELERATORS: u64 = 10_000_000;
/// Allowed types that a warning names at most.
const NAMED: usize = 3;

/// A type that the pods may get.
#[derive(Clone, Debug)]
struct Candidate<'c> {
    /// As the catalogue is asked for it.
    name: String,
    accelerator: Option<&'c Accelerator>,
    source: String,
}

/// Reads what the pods ask for, and where they may be placed.
pub(super) fn read(
    reading: &mut Reading,
    requests: &[Request<'_>],
    around: &Surroundings,
    catalogue: &Catalogue,
) {
    count(&mut reading.provenance, requests);
    for request in requests {
        let mut candidates = selected(request, catalogue);
        if candidates.is_empty() && !reading.provenance.knows("accelerator.type") {
            candidates = offered(request, around, catalogue);
        }
        if let Some(warning) = several(&candidates) {
            reading.warnings.push(warning);
        }
        if let Some(largest) = largest(candidates) {
            offer(&mut reading.provenance, catalogue, &largest);
        }
    }
}

fn count(provenance: &mut Provenance, requests: &[Request<'_>]) {
    let Some(first) = requests.first() else { return };
    let all = requests.iter().fold(0u64, |sum, r| sum.saturating_add(r.per_pod.saturating_mul(r.pods)));
    let single = requests.len() == 1 && first.pods == 1;
    let limits = format!("limits {}", first.resource);
    let source = if single { limits.clone() } else { format!("{limits} × replicas") };
    provenance.offer("accelerator.count", all.min(MOST_ACCELERATORS).into(), &source);
    // Pods of one accelerator each may share a node; of pods with several, each has its own part of one.
    let most = requests.iter().map(|request| request.per_pod).max().unwrap_or(1);
    if (2..=1024).contains(&most) && !provenance.knows("accelerator.perNode") {
        provenance.offer("accelerator.perNode", most.into(), &limits);
    }
}

/// The types that the node selector, or the required affinity, allows.
fn selected<'c>(request: &Request<'_>, catalogue: &'c Catalogue) -> Vec<Candidate<'c>> {
    let template = request.template;
    if let Some(found) = of_labels(catalogue, |key| placement::selector(template, key)) {
        return vec![candidate(found, catalogue, "node selector")];
    }
    placement::terms(template)
        .flat_map(placement::allowed)
        .filter_map(|(key, value)| of_labels(catalogue, |wanted| (wanted == key).then_some(value)))
        .map(|found| candidate(found, catalogue, "node affinity"))
        .collect()
}

/// The types of the nodes that offer the resource and on which the pods may be placed.
fn offered<'c>(request: &Request<'_>, around: &Surroundings, catalogue: &'c Catalogue) -> Vec<Candidate<'c>> {
    around
        .nodes
        .iter()
        .filter(|node| node.allocatable.get(&request.resource).is_some_and(|count| *count > 0))
        .filter(|node| placement::admits(request.template, node))
        .filter_map(|node| of_labels(catalogue, |key| node.labels.get(key).map(String::as_str)))
        .map(|found| candidate(found, catalogue, "nodes' label"))
        .collect()
}

fn candidate<'c>(found: Labelled<'c>, catalogue: &'c Catalogue, from: &str) -> Candidate<'c> {
    let source = format!("{from} {}", found.label);
    let key = |accelerator: &Accelerator| accelerator.key.clone();
    // The label's value, where it is a name of the accelerator and not of a machine.
    let name = match found.accelerator {
        Some(accelerator) if catalogue.find(&found.name).map(key) != Some(key(accelerator)) => {
            accelerator.name.clone()
        }
        _ => printable(&found.name, 253),
    };
    Candidate { name, accelerator: found.accelerator, source }
}

/// What to say where more than one type is allowed.
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

/// The one with the most memory; of several the first.
fn largest(candidates: Vec<Candidate<'_>>) -> Option<Candidate<'_>> {
    candidates.into_iter().rev().max_by_key(|candidate| candidate.accelerator.map(Accelerator::usable))
}

impl Candidate<'_> {
    fn shown(&self) -> &str {
        self.accelerator.map_or(self.name.as_str(), |accelerator| &accelerator.name)
    }
}

/// Takes a type, unless a stronger source has named it already, perhaps in other words.
fn offer(provenance: &mut Provenance, catalogue: &Catalogue, candidate: &Candidate<'_>) {
    let named = provenance.text("accelerator.type");
    if !named.is_some_and(|named| same(catalogue, named, &candidate.name)) {
        provenance.offer("accelerator.type", candidate.name.clone().into(), &candidate.source);
    }
}

/// Whether two names mean the same accelerator, or one of them is the other with more detail: `A100-80GB` and
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
