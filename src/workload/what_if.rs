//! A `TrainingEstimate`: a training job written by hand, read from a workload by reference, or both.
//!
//! Its spec has the fields of a training job and `workloadRef`. Its own fields win over those of the workload. The
//! apiserver checks the spec against its schema. `check` reads it from a file, so each field is read by itself here,
//! and each wrong field is named with its path.

use serde_json::{Map, Value};

use super::others::Others;
use super::reading::{Found, Reading, Unread, read_asked};
use crate::hardware::Catalogue;
use crate::job::{Ask, Gap, InputError, Member, Source, field, keys, nearest_key};
use crate::kinds::Kinds;
use crate::printable::{complaint, printable};
use crate::surroundings::Surroundings;

/// The deepest nesting of groups, and the most fields.
const MAX_DEPTH: usize = 4;
const MAX_FIELDS: usize = 256;

/// Whether an object is a `TrainingEstimate`.
pub(super) fn is_estimate(object: &Value) -> bool {
    let text = |key| object.get(key).and_then(Value::as_str);
    text("apiVersion").is_some_and(|version| version.starts_with(keys::PREFIX))
        && text("kind") == Some("TrainingEstimate")
}

/// Reads an estimate and its workload: each training that the workload starts.
pub(super) fn read(
    object: &Value,
    around: &Surroundings,
    catalogue: &Catalogue,
    kinds: &Kinds,
    ask: &Ask,
) -> Found {
    let mut reading = Reading::default();
    let empty = Map::new();
    let spec = object.get("spec").and_then(Value::as_object).unwrap_or(&empty);
    own_fields(spec, &mut reading);
    let Some(reference) = spec.get("workloadRef").filter(|reference| !reference.is_null()) else {
        return Found::of(vec![reading], Others::default());
    };
    let Some(workload) = around.workloads.iter().find(|workload| is_meant(reference, object, workload))
    else {
        let name = reference.get("name").and_then(Value::as_str).unwrap_or_default();
        if reading.provenance.knows_any(field::MODEL) {
            let name = printable(name, 48);
            reading.warnings.push(format!("the workload {name} is not there; only the spec is read"));
        } else {
            reading.unread = Some(Unread::WorkloadNotFound);
        }
        return Found::of(vec![reading], Others::default());
    };
    let Found { trainings: below, others, .. } = read_asked(workload, around, catalogue, kinds, ask);
    if below.is_empty() {
        return Found::of(vec![reading], others);
    }
    Found::of(below.into_iter().map(|below| filled(reading.clone(), below)).collect(), others)
}

/// Adds the workload's values for the fields that the spec leaves open.
fn filled(mut reading: Reading, below: Reading) -> Reading {
    let own = reading.provenance.clone();
    // If the spec names another accelerator than the workload, its offer is that of the spec's accelerator.
    let other = [field::accelerator::KIND, field::accelerator::MEMORY];
    if !other.iter().any(|field| own.knows(*field)) {
        reading.offer = below.offer;
    }
    let own_model = own.knows(field::model::NAME);
    let defaults = below.defaults.into_iter();
    reading.defaults = defaults.filter(|d| !(own_model && field::MODEL.has(d.field))).collect();
    reading.accumulation = below.accumulation;
    reading.micro_batch_of_all = below.micro_batch_of_all;
    reading.open = below.open;
    reading.understood = below.understood;
    reading.at_most = below.at_most.filter(|_| !own.knows(field::accelerator::COUNT));
    reading.provenance.fill_from(below.provenance);
    reading.warnings.extend(below.warnings);
    reading.contradictions.extend(below.contradictions);
    reading.errors.extend(below.errors);
    reading.override_reason = below.override_reason;
    reading.limit = below.limit;
    reading.pod = below.pod;
    reading.unread = below.unread;
    (reading.place, reading.certain) = (below.place, below.certain);
    (reading.perhaps, reading.alternative) = (below.perhaps, below.alternative);
    let gap = reading.gap.take().or(below.gap);
    reading.leave_out(gap, &own);
    reading
}

/// Whether a workload is the one of a reference. Kind and name must match, and namespace and uid if both are known.
fn is_meant(reference: &Value, estimate: &Value, workload: &Value) -> bool {
    let text =
        |object: &'_ Value, pointer: &str| object.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let group = |api_version: Option<String>| {
        api_version
            .map(|version| version.split_once('/').map_or(String::new(), |(group, _)| group.to_owned()))
    };
    let unless_both_differ = |a: Option<String>, b: Option<String>| a.is_none() || b.is_none() || a == b;
    let name = text(reference, "/name");
    name.is_some()
        && name == text(workload, "/metadata/name")
        && text(reference, "/kind") == text(workload, "/kind")
        && unless_both_differ(group(text(reference, "/apiVersion")), group(text(workload, "/apiVersion")))
        && unless_both_differ(text(estimate, "/metadata/namespace"), text(workload, "/metadata/namespace"))
        && unless_both_differ(text(reference, "/uid"), text(workload, "/metadata/uid"))
}

/// Reads the fields of a training job, each by itself.
fn own_fields(spec: &Map<String, Value>, reading: &mut Reading) {
    let mut fields = 0;
    for (name, value) in spec.iter().filter(|(name, _)| *name != "workloadRef") {
        own_field(name, value, 1, &mut fields, reading);
    }
}

fn own_field(path: &str, value: &Value, depth: usize, fields: &mut usize, reading: &mut Reading) {
    *fields += 1;
    if *fields > MAX_FIELDS {
        reading.gap = Some(Gap::Fields);
        return;
    }
    let member = field::find(path);
    let problem = match (member, value) {
        (_, Value::Null) => return,
        (Some(Member::Field(field)), value) => match field.read(value) {
            Ok(value) => return reading.provenance.offer(field, value, Source::Spec),
            Err(problem) => problem,
        },
        (member, Value::Object(group)) if depth < MAX_DEPTH && (member.is_some() || !group.is_empty()) => {
            for (name, value) in group {
                own_field(&format!("{path}.{name}"), value, depth + 1, fields, reading);
            }
            return;
        }
        (Some(Member::Group(group)), value) => group.complaint(value),
        (None, _) => {
            let meant = nearest_key::nearest_field(path)
                .map(|field| format!("; did you mean spec.{field}?"))
                .unwrap_or_default();
            let warning = format!("the field spec.{} is not known and not read{meant}", printable(path, 64));
            return reading.warnings.push(warning);
        }
    };
    let message = format!("spec.{path}: {}", complaint(&problem, 160));
    reading.errors.push(InputError { field: format!("spec.{path}"), message });
}
