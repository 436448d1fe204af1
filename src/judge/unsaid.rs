//! What may be so and is not said where it can be read: whether a script trains adapters alone, whether a file that
//! nobody knows offloads.
//!
//! The estimate takes the usual for it. A job that would run out is judged a second time with every such field at its
//! leanest; only if it runs out then as well is it known to run out.

use serde_json::Value;

use crate::workload::TrainingJob;
use crate::workload::provenance::Provenance;

/// The fields of which nothing is said, and the job with all of them at their leanest.
#[derive(Debug, Default)]
pub(super) struct Unsaid {
    fields: Vec<&'static str>,
    leanest: Option<Box<TrainingJob>>,
}

impl Unsaid {
    /// Of all that may be so, what no source has said.
    pub(super) fn of(may: Vec<(&'static str, Value)>, provenance: &Provenance) -> Self {
        let mut leanest = None;
        let mut fields = Vec::new();
        for (field, value) in may {
            if !provenance.knows(field) && !fields.contains(&field) {
                leanest.get_or_insert_with(|| provenance.clone()).assume(field, value, "unsaid");
                fields.push(field);
            }
        }
        Self { fields, leanest: leanest.map(|provenance| Box::new(provenance.job())) }
    }

    /// The fields.
    pub(super) fn fields(&self) -> impl Iterator<Item = String> {
        self.fields.iter().map(|field| (*field).to_owned())
    }

    /// The job at its leanest; none where nothing is left unsaid.
    pub(super) fn leanest(&self) -> Option<&TrainingJob> {
        self.leanest.as_deref()
    }
}
