//! 1. What was asked: an object as Kubernetes holds it, read into a [`TrainingJob`].

pub mod kinds;
mod training_job;

pub use training_job::*;
