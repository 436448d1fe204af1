//! Fields that we cannot read, each with the value that needs the least memory. A script may train only adapters. An
//! unknown file may offload.
//!
//! The estimate takes the usual value of such a field. If the job runs out, it is judged again with all of these fields
//! at their leanest. Only a job that runs out both times surely runs out. A default is the usual value, and leaves the
//! field open.

use serde_json::Value;

use crate::job::{AnyField, Provenance, TrainingJob};

/// The open fields, each with its leanest value.
#[derive(Debug, Default)]
pub(crate) struct Open {
    fields: Vec<(AnyField, Value)>,
    provenance: Option<Box<Provenance>>,
}

/// The open fields that no source gives. Must be called before defaults are taken.
pub(crate) fn still_open(open: Vec<(AnyField, Value)>, provenance: &Provenance) -> Vec<(AnyField, Value)> {
    open.into_iter().filter(|(field, _)| !provenance.knows(*field)).collect()
}

impl Open {
    /// These fields, and everything else that is known of the job. If a field is open twice, its first value counts.
    pub(crate) fn of(mut open: Vec<(AnyField, Value)>, provenance: &Provenance) -> Self {
        let mut known = Vec::new();
        open.retain(|(field, _)| {
            let first = !known.contains(field);
            known.push(*field);
            first
        });
        let provenance = (!open.is_empty()).then(|| Box::new(provenance.clone()));
        Self { fields: open, provenance }
    }

    /// The job with every open field at its leanest. `None` if no field is open.
    pub(crate) fn leanest(&self) -> Option<TrainingJob> {
        self.with(&self.fields)
    }

    /// Each open field, and the job with that field alone at its leanest.
    pub(crate) fn each(&self) -> impl Iterator<Item = (AnyField, TrainingJob)> {
        let alone = |open: &(AnyField, Value)| Some((open.0, self.with(std::slice::from_ref(open))?));
        self.fields.iter().filter_map(alone)
    }

    fn with(&self, fields: &[(AnyField, Value)]) -> Option<TrainingJob> {
        let mut provenance = self.provenance.as_deref()?.clone();
        for (field, value) in fields {
            provenance.override_with(*field, value.clone());
        }
        Some(provenance.job())
    }
}
