//! The text of a judgement: lines for people, and the bounds of every list and string.

use crate::estimate::Estimate;
use crate::hardware::Catalogue;
use crate::job::keys::{self, PREFIX};
use crate::job::{TrainingJob, field};
use crate::judgement::{Judgement, Memory, Verdict};
use crate::model::{Parameters, known};
use crate::printable::printable;
use crate::units::Count;
use crate::verdict::{self, Decision, Offer};

use super::capacity::Capacity;
use super::shown::Shown;
use super::unknowns;

const MAX_INPUTS: usize = 96;
const MAX_MISSING: usize = 32;
const MAX_WARNINGS: usize = 16;
const MAX_ERRORS: usize = 64;
const MAX_ADVICE: usize = 5;
const LONGEST_VALUE: usize = 64;
const LONGEST: usize = 256;

/// The first line: the need, the capacity, and what would fit or what is missing. `sought` says whether advice was.
pub(super) fn message(
    sought: bool,
    decision: &Decision,
    memory: &Memory,
    shown: &Shown<'_>,
    judgement: &Judgement,
) -> String {
    let name = shown.capacity().name().unwrap_or_else(|| "accelerator".into());
    let headroom = shown.capacity().headroom;
    let offered = memory.capacity_bytes.map(|bytes| Offer { name: &name, bytes, headroom });
    let peak = memory.peak_bytes;
    let need = |lower| verdict::need(peak, lower, memory.upper_bytes, offered);
    match decision.verdict {
        Verdict::Unknown if judgement.swings.is_empty() => {
            format!(
                "{}; training of this objective was not compared with measurements",
                need(memory.least_bytes)
            )
        }
        Verdict::Unknown => {
            format!(
                "{}; what is missing decides: {}",
                need(memory.least_bytes),
                unknowns::named(&judgement.swings)
            )
        }
        Verdict::OutOfMemory => {
            let mut need = verdict::refused_need(peak, memory.least_bytes, offered);
            if offered.is_none() {
                need.push_str(", more than its accelerator offers");
            }
            let nothing = if sought && judgement.advice.is_empty() { "; no near change fits" } else { "" };
            verdict::denial(&need, &changes(judgement)) + nothing
        }
        Verdict::Tight => {
            format!("may run out: {}", verdict::denial(&need(memory.lower_bytes), &changes(judgement)))
        }
        Verdict::Fits => fits(need(memory.lower_bytes), memory, offered, judgement),
        Verdict::NotTraining | Verdict::Unrecognised => need(memory.lower_bytes),
    }
}

/// The line of a job that fits. If unstated fields could take it above the capacity, it names them instead of a large number.
fn fits(need: String, memory: &Memory, offered: Option<Offer<'_>>, judgement: &Judgement) -> String {
    let above = offered.filter(|offer| memory.upper_bytes > offer.bytes);
    let named = unknowns::keys(&judgement.swings);
    match (above, named.as_slice()) {
        (None, _) | (Some(_), []) => need,
        (Some(offer), [one]) => {
            let need = verdict::open_need(memory.peak_bytes, memory.lower_bytes, offer);
            format!("{need}; {one} is not stated, and could take it above that")
        }
        (Some(offer), [one, other, ..]) => {
            let need = verdict::open_need(memory.peak_bytes, memory.lower_bytes, offer);
            format!("{need}; {one} and {other} are not stated, and could take it above that")
        }
    }
}

fn changes(judgement: &Judgement) -> Vec<String> {
    judgement.advice.iter().map(|advice| advice.change.clone()).collect()
}

/// The line if the capacity is unknown.
pub(super) fn no_accelerator(
    memory: &Memory,
    capacity: &Capacity<'_>,
    shown: &Shown<'_>,
    catalogue: &Catalogue,
) -> String {
    let need = verdict::need(memory.peak_bytes, memory.lower_bytes, memory.upper_bytes, None);
    match &capacity.given {
        None => {
            let key = keys::of_field(field::accelerator::KIND);
            format!("{need}; the accelerator is not known: add {PREFIX}{key}")
        }
        Some(_) if shown.hides(field::accelerator::KIND) => {
            format!(
                "{need}; the accelerator that {} names is not known",
                shown.named(field::accelerator::KIND)
            )
        }
        Some(given) => {
            let nearest = catalogue.nearest(given).join(", ");
            let or = if nearest.is_empty() { String::new() } else { format!("; did you mean {nearest}?") };
            format!("{need}; the accelerator {} is not known{or}", printable(given, LONGEST_VALUE))
        }
    }
}

/// The line if a name means accelerators with different memory.
pub(super) fn ambiguous(capacity: &Capacity<'_>, shown: &Shown<'_>, catalogue: &Catalogue) -> Option<String> {
    let given = capacity.given.as_deref().filter(|_| !shown.hides(field::accelerator::KIND))?;
    let variants = catalogue.variants(given);
    if variants.len() < 2 {
        return None;
    }
    let names: Vec<_> = variants.iter().take(3).map(|accelerator| accelerator.name.as_str()).collect();
    let judged = capacity.accelerator?.name.as_str();
    // For a label of the cluster's nodes, the line does not quote the label.
    let told = shown.capacity().given.as_deref() == Some(given);
    let given = if told { printable(given, 32) } else { "the accelerator".to_owned() };
    Some(format!("{given} may be {}; judged on {judged}", names.join(" or ")))
}

/// The line if we cannot estimate anything.
pub(super) fn no_model(name: Option<&str>, shown: &Shown<'_>) -> String {
    match name {
        Some(_) if shown.hides(field::model::NAME) => {
            let by = shown.named(field::model::NAME);
            format!(
                "the model that {by} names is not known: add {PREFIX}parameters, or its layers and hidden-size"
            )
        }
        Some(name) => {
            let nearest = known::nearest(name).join(" or ");
            let or = if nearest.is_empty() { String::new() } else { format!("; did you mean {nearest}?") };
            let otherwise = if nearest.is_empty() { ": add" } else { " Otherwise add" };
            format!(
                "the model {} is not known{or}{otherwise} {PREFIX}parameters, or its layers and hidden-size",
                printable(name, LONGEST_VALUE)
            )
        }
        None => format!("it is not stated which model is trained: add {PREFIX}model or {PREFIX}parameters"),
    }
}

/// The line if the dimensions and the number of parameters contradict each other. The dimensions win.
pub(super) fn size_disagrees(job: &TrainingJob, estimate: &Estimate) -> Option<String> {
    /// A larger difference is not just rounding.
    const ROUNDED: f64 = 0.15;
    let shape = &estimate.assumed.likely.shape;
    let given = job.model.as_ref()?.parameters?.0;
    let counted = Parameters::of(shape).total;
    let wrong = shape.declared.is_none() && (given as f64 / counted.max(1) as f64 - 1.0).abs() > ROUNDED;
    wrong.then(|| {
        format!("the dimensions make {} parameters, not {}", Count(counted).short(), Count(given).short())
    })
}

/// The line for a model with parts whose activations were never compared with a measurement.
pub(super) fn never_measured(estimate: &Estimate) -> Option<String> {
    let line = "this model's activations were never measured: only arithmetic can refuse it";
    (!estimate.assumed.likely.shape.is_checked()).then(|| line.to_owned())
}

/// The judgement within the bounds of a status. Long lists and long strings are cut.
pub(super) fn bounded(mut judgement: Judgement) -> Judgement {
    judgement.message = printable(&judgement.message, LONGEST);
    judgement.missing.truncate(MAX_MISSING);
    judgement.errors.truncate(MAX_ERRORS);
    judgement.advice.truncate(MAX_ADVICE);
    judgement.inputs.truncate(MAX_INPUTS);
    for input in &mut judgement.inputs {
        input.value = printable(&input.value, LONGEST_VALUE);
        input.source = printable(&input.source, LONGEST);
    }
    for error in &mut judgement.errors {
        error.field = printable(&error.field, LONGEST);
        error.message = printable(&error.message, LONGEST);
    }
    let mut warnings: Vec<String> = Vec::new();
    for warning in judgement.warnings {
        let line = printable(&warning, LONGEST);
        if warnings.len() < MAX_WARNINGS && !warnings.contains(&line) {
            warnings.push(line);
        }
    }
    judgement.warnings = warnings;
    judgement
}
