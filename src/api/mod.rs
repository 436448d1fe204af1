//! The `TrainingEstimate`: the resource in which a judgement is kept, and in which a what-if is asked.
//!
//! [`v1alpha1`] holds the types; [`definition`] makes the `CustomResourceDefinition` of them, with the bounds and the
//! rules that types can't express; [`status`] turns a judgement into the status, and [`conditions`] keeps the
//! moments at which its conditions changed. [`roles`] says who may read and write it.

mod bounds;
pub mod conditions;
mod course;
pub mod definition;
mod display;
pub mod roles;
pub mod status;
pub mod v1alpha1;
mod validations;
