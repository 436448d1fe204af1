//! 1. What was asked: an object as Kubernetes holds it, read into a [`TrainingJob`].
//!
//! [`read`] asks in this order, the stronger source first: annotations of the workload, annotations of the templates of
//! the pods that ask for accelerators, the `training` block, what the command says by arguments,
//! configuration files and environment, and what the pods ask for. A `TrainingEstimate`'s own
//! fields come before all that is read from the workload that it refers to.

pub mod accelerator;
pub mod annotations;
mod others;
mod reading;
mod what_if;

pub use reading::{Offer, Reading, Readings, Unread, read};

use crate::job::InputError;

/// What was found besides values: what is doubtful, and what cannot be read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Findings {
    pub(crate) warnings: Vec<String>,
    pub(crate) errors: Vec<InputError>,
    pub(crate) override_reason: Option<String>,
}

impl Findings {
    /// What is wrong with another object is no fault of this one: from this error on, a warning that quotes nothing.
    fn admit_from(&mut self, known: usize, annotations: annotations::Annotations<'_>) {
        if annotations.are_elsewhere() {
            let errors = self.errors.split_off(known.min(self.errors.len()));
            self.warnings.extend(errors.into_iter().map(|error| format!("{} cannot be read", error.field)));
        }
    }
}
