//! Fields that we cannot read, each with the value that needs the least memory: a script may train adapters alone, a file
//! that is not known may offload.
//!
//! The estimate takes the usual value of such a field. A job that runs out is judged a second time with all of them at
//! their leanest; only a job that runs out then as well is known to run out. A default is the usual value, and leaves the
//! field open.

use serde_json::Value;

use crate::job::{AnyField, Provenance, TrainingJob};

/// The open fields, and the job with all of them at their leanest.
#[derive(Debug, Default)]
pub(crate) struct Open {
    fields: Vec<AnyField>,
    leanest: Option<Box<TrainingJob>>,
}

/// Of the fields that the job may set, those that no source gives: to be asked before defaults are taken.
pub(crate) fn still_open(open: Vec<(AnyField, Value)>, provenance: &Provenance) -> Vec<(AnyField, Value)> {
    open.into_iter().filter(|(field, _)| !provenance.knows(*field)).collect()
}

impl Open {
    /// The job with these fields at their leanest, and all else as it is known.
    pub(crate) fn of(open: Vec<(AnyField, Value)>, provenance: &Provenance) -> Self {
        let mut leanest = None;
        let mut fields = Vec::new();
        for (field, value) in open {
            if !fields.contains(&field) {
                leanest.get_or_insert_with(|| provenance.clone()).override_with(field, value);
                fields.push(field);
            }
        }
        Self { fields, leanest: leanest.map(|provenance| Box::new(provenance.job())) }
    }

    /// The fields.
    pub(crate) fn fields(&self) -> impl Iterator<Item = AnyField> {
        self.fields.iter().copied()
    }

    /// The job at its leanest; none where no field is open.
    pub(crate) fn leanest(&self) -> Option<&TrainingJob> {
        self.leanest.as_deref()
    }
}
