//! What may be so and is not said where it can be read: whether a script trains adapters alone, whether a file that
//! no table knows offloads.
//!
//! The estimate takes the usual for it, and the leanest reading of the job takes every such field at its leanest: a job
//! is known to run out only if it runs out then as well. A default says what is usual, and leaves open what may be
//! otherwise.

use serde_json::Value;

use crate::job::{Provenance, TrainingJob};

/// The fields of which nothing is said, each at its leanest, and all else that is known of the job.
#[derive(Debug, Default)]
pub(crate) struct Unsaid {
    open: Vec<(&'static str, Value)>,
    provenance: Option<Box<Provenance>>,
}

/// Of all that may be so, what no source has said: to be asked before defaults are taken.
pub(crate) fn open(may: Vec<(&'static str, Value)>, provenance: &Provenance) -> Vec<(&'static str, Value)> {
    may.into_iter().filter(|(field, _)| !provenance.knows(field)).collect()
}

impl Unsaid {
    /// Of what is open, and all else that is known of the job.
    pub(crate) fn of(mut open: Vec<(&'static str, Value)>, provenance: &Provenance) -> Self {
        let mut fields = Vec::new();
        open.retain(|(field, _)| {
            let first = !fields.contains(field);
            fields.push(*field);
            first
        });
        let provenance = (!open.is_empty()).then(|| Box::new(provenance.clone()));
        Self { open, provenance }
    }

    /// The job with every such field at its leanest; none where nothing is left unsaid.
    pub(crate) fn leanest(&self) -> Option<TrainingJob> {
        self.supposing(&self.open)
    }

    /// Each such field, and the job with that field alone at its leanest.
    pub(crate) fn each(&self) -> impl Iterator<Item = (&'static str, TrainingJob)> {
        let alone =
            |open: &(&'static str, Value)| Some((open.0, self.supposing(std::slice::from_ref(open))?));
        self.open.iter().filter_map(alone)
    }

    fn supposing(&self, open: &[(&'static str, Value)]) -> Option<TrainingJob> {
        let mut provenance = self.provenance.as_deref()?.clone();
        for (field, value) in open {
            provenance.suppose(field, value.clone());
        }
        Some(provenance.job())
    }
}
