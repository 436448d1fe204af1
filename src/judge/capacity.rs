//! What one accelerator of the job offers a process.
//!
//! The order is: the memory that the job gives, the pods' resource or the nodes' labels, the catalogue.

use crate::estimate::assume::Device;
use crate::hardware::{Accelerator, Catalogue};
use crate::job::{AnyField, Input, InputError, TrainingJob, field};
use crate::policy::Headroom;
use crate::printable::printable;
use crate::units::Bytes;
use crate::workload::Reading;

/// The accelerator, as far as it is known.
#[derive(Clone, Debug, Default)]
pub(super) struct Capacity<'c> {
    /// Its entry in the catalogue.
    pub(super) accelerator: Option<&'c Accelerator>,
    /// The name that the job gives.
    pub(super) given: Option<String>,
    /// The memory that it offers a process.
    pub(super) bytes: Option<Bytes>,
    /// The memory that the policy keeps free.
    pub(super) headroom: Bytes,
    /// Its name in messages, if that is not simply the accelerator's.
    pub(super) part: Option<String>,
    /// Its share of the accelerator's speed, in thousandths, if it is a part of one.
    pub(super) compute_milli: Option<u64>,
    /// The source of the offer, unless the job gives the memory.
    pub(super) input: Option<Input>,
    /// Why we cannot read the memory that the job gives.
    pub(super) error: Option<InputError>,
}

impl Capacity<'_> {
    /// Its name in messages: `A800-80GB`, or `3g.40gb of A100-80GB`.
    pub(super) fn name(&self) -> Option<String> {
        let whole =
            self.accelerator.map(|accelerator| accelerator.name.clone()).or_else(|| self.given.clone());
        match (&self.part, whole) {
            (Some(part), Some(whole)) => Some(format!("{part} of {whole}")),
            (part, whole) => whole.or_else(|| part.clone()),
        }
    }

    /// What the accelerator allows. One that is not known computes in bf16.
    pub(super) fn device(&self) -> Device {
        Device { bf16: self.accelerator.is_none_or(Accelerator::computes_in_bf16) }
    }

    /// The capacity minus the memory that an administrator keeps free.
    pub(super) fn below(mut self, headroom: Headroom) -> Self {
        if !headroom.is_none() {
            let offered = self.bytes;
            self.bytes = self.bytes.map(|bytes| headroom.below(bytes));
            self.headroom = offered.zip(self.bytes).map_or(Bytes::ZERO, |(offered, left)| offered - left);
            if let (Some(input), Some(bytes)) = (&mut self.input, self.bytes) {
                input.value = bytes.to_string();
                input.source = format!("{} less the policy's headroom", input.source);
            }
        }
        self
    }

    /// What to add if the capacity is unknown: the type, or the memory of an unknown type. A name that resembles a known one
    /// is probably misspelt, so the type comes first.
    pub(super) fn missing(&self, catalogue: &Catalogue) -> &'static [AnyField] {
        const KIND: AnyField = field::accelerator::KIND.erased();
        const MEMORY: AnyField = field::accelerator::MEMORY.erased();
        match &self.given {
            None => &[KIND],
            Some(name) if catalogue.nearest(name).is_empty() => &[MEMORY],
            Some(_) => &[KIND, MEMORY],
        }
    }
}

/// Finds the accelerator and what it offers.
pub(super) fn capacity<'c>(job: &TrainingJob, reading: &Reading, catalogue: &'c Catalogue) -> Capacity<'c> {
    let asked = job.accelerator.clone().unwrap_or_default();
    let accelerator = asked.kind.as_deref().and_then(|name| catalogue.find(name));
    let known = Capacity { accelerator, given: asked.kind, ..Capacity::default() };
    let input = |bytes: Bytes, source: &str| {
        Some(Input {
            field: field::accelerator::MEMORY.into(),
            value: bytes.to_string(),
            source: source.into(),
        })
    };
    if let Some(memory) = asked.memory {
        return match given(&memory) {
            Ok(bytes) => Capacity { bytes: Some(bytes), ..known },
            Err(problem) => {
                let field = field::accelerator::MEMORY.to_string();
                let message = format!("{field}: {problem}");
                Capacity { error: Some(InputError { field, message }), ..known }
            }
        };
    }
    if let Some(offer) = &reading.offer {
        return Capacity {
            bytes: Some(offer.bytes),
            part: offer.part.clone(),
            compute_milli: offer.compute_milli,
            input: input(offer.bytes, &offer.source.to_string()),
            ..known
        };
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

/// A memory that the job gives. A value below one GiB has lost its unit.
fn given(text: &str) -> Result<Bytes, String> {
    const LEAST: Bytes = Bytes::from_mib(1024);
    match Bytes::parse_quantity(text.trim()) {
        Ok(bytes) if bytes < LEAST => {
            Err(format!("\"{}\" is less than a GiB: write it with its unit, like 80Gi", printable(text, 32)))
        }
        Ok(bytes) => Ok(bytes),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_memory_below_a_gibibyte_has_lost_its_unit() {
        assert_eq!(given("1Gi"), Ok(Bytes::from_mib(1024)));
        assert_eq!(given(" 80Gi "), Ok(Bytes::from_mib(80 << 10)));
        let message = |text| given(text).unwrap_err();
        assert_eq!(message("80"), "\"80\" is less than a GiB: write it with its unit, like 80Gi");
        assert_eq!(message("1023Mi"), "\"1023Mi\" is less than a GiB: write it with its unit, like 80Gi");
    }
}
