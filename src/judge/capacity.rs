//! What one accelerator of the job offers a process.
//!
//! In this order: the memory that the job gives, what the pods' resource or the nodes' labels say, and the catalogue.

use crate::hardware::{Accelerator, Catalogue};
use crate::judgement::{Input, InputError};
use crate::units::Bytes;
use crate::workload::{Reading, TrainingJob};

/// The accelerator, as far as it is known.
#[derive(Clone, Debug, Default)]
pub(super) struct Capacity<'c> {
    /// Its entry in the catalogue.
    pub(super) accelerator: Option<&'c Accelerator>,
    /// The name that was given.
    pub(super) given: Option<String>,
    /// What it offers a process.
    pub(super) bytes: Option<Bytes>,
    /// Where that comes from, where nobody gave it.
    pub(super) input: Option<Input>,
    /// Why the memory that was given cannot be read.
    pub(super) error: Option<InputError>,
}

impl Capacity<'_> {
    /// As messages name it.
    pub(super) fn name(&self) -> Option<&str> {
        self.accelerator.map(|accelerator| accelerator.name.as_str()).or(self.given.as_deref())
    }
}

/// Finds the accelerator and what it offers.
pub(super) fn capacity<'c>(job: &TrainingJob, reading: &Reading, catalogue: &'c Catalogue) -> Capacity<'c> {
    let asked = job.accelerator.clone().unwrap_or_default();
    let accelerator = asked.kind.as_deref().and_then(|name| catalogue.find(name));
    let known = Capacity { accelerator, given: asked.kind, ..Capacity::default() };
    let input = |bytes: Bytes, source: &str| {
        Some(Input { field: "accelerator.memory".into(), value: bytes.to_string(), source: source.into() })
    };
    if let Some(memory) = asked.memory {
        return match Bytes::parse_quantity(&memory) {
            Ok(bytes) => Capacity { bytes: Some(bytes), ..known },
            Err(error) => {
                let message = format!("accelerator.memory: {error}");
                let field = "accelerator.memory".into();
                Capacity { error: Some(InputError { field, message }), ..known }
            }
        };
    }
    if let Some((bytes, source)) = &reading.capacity {
        return Capacity { bytes: Some(*bytes), input: input(*bytes, source), ..known };
    }
    match accelerator {
        Some(accelerator) => {
            let bytes = accelerator.usable();
            let source = format!("catalogue {}", accelerator.key);
            Capacity { bytes: Some(bytes), input: input(bytes, &source), ..known }
        }
        None => known,
    }
}
