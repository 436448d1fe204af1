//! The `TrainingEstimate`: a resource that holds a judgement, or asks for a what-if.
//!
//! [`v1alpha1`] holds the types, and [`course`] the times of a workload. [`definition`] makes the `CustomResourceDefinition` from them, with the bounds and
//! the rules that types cannot express. [`status`] turns a judgement into the status, and [`conditions`] keeps the
//! times at which its conditions changed. [`history`] is the record of a job's runs, and [`observed`] what its pods used. [`roles`] are the roles to read and
//! write both.

mod bounds;
pub mod conditions;
pub mod course;
pub mod definition;
mod display;
pub mod history;
pub mod observed;
pub mod roles;
pub mod status;
pub mod v1alpha1;
mod validations;
