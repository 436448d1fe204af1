//! What may be so and is not said where it can be read: whether a script trains adapters alone, whether a file that
//! nobody knows offloads.
//!
//! The estimate takes the usual for it. A job that would run out is judged a second time with every such field at its
//! leanest; only if it runs out then as well is it known to run out. A default says what is usual, and leaves open what
//! may be otherwise.

use serde_json::Value;

use crate::job::{Provenance, TrainingJob};

/// The fields of which nothing is said, and the job with all of them at their leanest.
#[derive(Debug, Default)]
pub(crate) struct Unsaid {
    fields: Vec<&'static str>,
    leanest: Option<Box<TrainingJob>>,
}

/// Of all that may be so, what no source has said: to be asked before defaults are taken.
pub(crate) fn open(may: Vec<(&'static str, Value)>, provenance: &Provenance) -> Vec<(&'static str, Value)> {
    may.into_iter().filter(|(field, _)| !provenance.knows(field)).collect()
}

impl Unsaid {
    /// Of what is open, and all else that is known of the job.
    pub(crate) fn of(open: Vec<(&'static str, Value)>, provenance: &Provenance) -> Self {
        let mut leanest = None;
        let mut fields = Vec::new();
        for (field, value) in open {
            if !fields.contains(&field) {
                leanest.get_or_insert_with(|| provenance.clone()).suppose(field, value);
                fields.push(field);
            }
        }
        Self { fields, leanest: leanest.map(|provenance| Box::new(provenance.job())) }
    }

    /// The fields.
    pub(crate) fn fields(&self) -> impl Iterator<Item = String> {
        self.fields.iter().map(|field| (*field).to_owned())
    }

    /// The job at its leanest; none where nothing is left unsaid.
    pub(crate) fn leanest(&self) -> Option<&TrainingJob> {
        self.leanest.as_deref()
    }
}
