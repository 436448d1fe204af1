//! Fields that we cannot read, each with the values that need the least and the most memory. A script may train only
//! adapters. An unknown file may offload. An unread option may lengthen the sequences.
//!
//! The estimate takes the usual value of such a field. The job is judged again with all of these fields at their
//! leanest: only a job that runs out both times surely runs out. And with all of them at their heaviest: that is the upper
//! bound. A default is the usual value, and leaves the field open.

use serde_json::Value;

use crate::job::{AnyField, OpenField, Provenance, TrainingJob};

/// The open fields.
#[derive(Debug, Default)]
pub(crate) struct Open {
    fields: Vec<OpenField>,
    provenance: Option<Box<Provenance>>,
}

/// The open fields that no source gives, and those that an unread word may give another value. Must be called before
/// defaults are taken.
pub(crate) fn still_open(open: Vec<OpenField>, provenance: &Provenance) -> Vec<OpenField> {
    let given = |field| provenance.source(field);
    let stays = |open: &OpenField| match given(open.field) {
        None => true,
        Some(source) => open.although_given && !source.is_by_hand(),
    };
    open.into_iter().filter(stays).collect()
}

impl Open {
    /// These fields, and everything else that is known of the job. If a field is open twice, its first values count.
    pub(crate) fn of(mut open: Vec<OpenField>, provenance: &Provenance) -> Self {
        let mut known = Vec::new();
        open.retain(|open| {
            let first = !known.contains(&open.field);
            known.push(open.field);
            first
        });
        let provenance = (!open.is_empty()).then(|| Box::new(provenance.clone()));
        Self { fields: open, provenance }
    }

    /// Whether every field could be read.
    pub(crate) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The job with every open field at its leanest. `None` if no field has one.
    pub(crate) fn leanest(&self) -> Option<TrainingJob> {
        self.with(self.fields.iter().filter_map(|open| Some((open.field, open.leanest.as_ref()?))))
    }

    /// The job with every open field at its heaviest. `None` if no field has one.
    pub(crate) fn heaviest(&self) -> Option<TrainingJob> {
        self.with(self.fields.iter().filter_map(|open| Some((open.field, open.heaviest.as_ref()?))))
    }

    /// Each open field, and the jobs with that field alone at its leanest and at its heaviest.
    pub(crate) fn each(&self) -> impl Iterator<Item = (AnyField, [Option<TrainingJob>; 2])> {
        let alone = |open: &OpenField, value: &Option<Value>| {
            self.with(value.as_ref().map(|value| (open.field, value)).into_iter())
        };
        self.fields
            .iter()
            .map(move |open| (open.field, [alone(open, &open.leanest), alone(open, &open.heaviest)]))
    }

    fn with<'v>(&self, fields: impl Iterator<Item = (AnyField, &'v Value)>) -> Option<TrainingJob> {
        let mut fields = fields.peekable();
        fields.peek()?;
        let mut provenance = self.provenance.as_deref()?.clone();
        for (field, value) in fields {
            provenance.override_with(field, value.clone());
        }
        Some(provenance.job())
    }
}
