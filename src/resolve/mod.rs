//! 2. From a reading to a job: every value that follows from the values read, the strongest source first.
//!
//! ```text
//! values read ─► known model, named or usual, or given one ─► open fields ─► defaults of the framework ─► batches ─► policy
//! ```
//!
//! A field is [open] if the job may set it in a place that we cannot read. This is decided before defaults are taken. A
//! default is the usual value, and leaves the field open.

mod batches;
mod known_model;
pub(crate) mod open;

use crate::job::{Model, OpenField, Source, TrainingJob, field};
use crate::model::known::{self, Known};
use crate::policy::Rules;
use crate::workload::Reading;

use open::{Open, still_open};

/// A reading with all values that follow from it.
pub(crate) struct Resolved {
    pub(crate) reading: Reading,
    /// The fields that we cannot read.
    pub(crate) open: Open,
    /// The model, if its name is known.
    pub(crate) model: Option<&'static Known>,
}

/// Resolves a reading under an administrator's rules. `given`: the dimensions of a model whose name is not known.
pub(crate) fn resolve(mut reading: Reading, rules: &Rules, given: Option<&Model>) -> Resolved {
    // A framework's own default model has the dimensions of its name, too.
    let usual = reading.defaults.iter().find(|claim| claim.field == field::model::NAME && given.is_none());
    let named = reading.provenance.text(field::model::NAME);
    let model = named.or_else(|| usual?.value.as_str()).and_then(known::find);
    if let Some(model) = model {
        known_model::fill(&mut reading.provenance, model, &mut reading.warnings);
    } else if let Some(given) = given {
        let job = TrainingJob { model: Some(given.clone()), ..TrainingJob::default() };
        for (field, value) in job.values() {
            reading.provenance.offer(field, value, Source::Model("config.json".to_owned()));
        }
    }
    let mut open = still_open(std::mem::take(&mut reading.open), &reading.provenance);
    if let Some(at_most) = reading.at_most {
        open.push(OpenField {
            field: field::accelerator::COUNT.erased(),
            leanest: Some(at_most.into()),
            heaviest: None,
            although_given: false,
        });
    }
    for claim in std::mem::take(&mut reading.defaults) {
        reading.provenance.assume(claim.field, claim.value, claim.source);
    }
    if let Some((sequences, source)) = &reading.micro_batch_of_all {
        batches::divide(&mut reading.provenance, *sequences, source);
    }
    if let Some((steps, source)) = &reading.accumulation {
        batches::fill(&mut reading.provenance, *steps, source);
    }
    let open = Open::of(open, &reading.provenance);
    if let Some(percent) = rules.mfu_percent {
        reading.provenance.assume(field::efficiency::MFU_PERCENT, percent, Source::Policy);
    }
    Resolved { reading, open, model }
}
