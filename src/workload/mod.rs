//! 1. The request: an object as Kubernetes holds it, read into a [`TrainingJob`].
//!
//! [`read`] asks the sources in this order, the stronger one first: annotations of the workload; annotations of the pod
//! templates that ask for accelerators; the `training` block; arguments, configuration files and environment of the
//! command; requests of the pods. The fields of a `TrainingEstimate` come before everything that is read from its
//! workload.

pub mod accelerator;
pub mod annotations;
mod others;
mod reading;
mod what_if;

pub use reading::{Aside, Offer, PodOffer, Reading, Readings, Unread, read};

use crate::job::InputError;

/// What was found besides values: doubts, and values that cannot be read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Findings {
    pub(crate) warnings: Vec<String>,
    pub(crate) errors: Vec<InputError>,
    pub(crate) override_reason: Option<String>,
}

impl Findings {
    /// An error in another object is not an error of this one. From this error on, a warning replaces it and quotes
    /// nothing.
    fn admit_from(&mut self, known: usize, annotations: annotations::Annotations<'_>) {
        if annotations.are_elsewhere() {
            let errors = self.errors.split_off(known.min(self.errors.len()));
            self.warnings.extend(errors.into_iter().map(|error| format!("{} cannot be read", error.field)));
        }
    }
}
