//! 3. What is there: accelerators, and what one of them offers a process.

use crate::units::{Bytes, FlopRate};
use crate::workload::Precision;

/// One accelerator, as a process sees it: a die where a resource unit is a die.
#[derive(Clone, Debug)]
pub struct Accelerator {
    /// The catalogue's key: `a800-sxm4-80gb`.
    pub key: String,
    /// As messages name it: `A800-80GB`.
    pub name: String,
    /// The device's total memory, as the driver reports it.
    pub memory: Bytes,
    /// What driver and firmware keep of it.
    pub reserve: Bytes,
    /// Dense peak rates by precision; none where the format is not supported.
    pub peak: Vec<(Precision, FlopRate)>,
}

impl Accelerator {
    /// What one process can address: memory less the driver's reserve.
    pub fn usable(&self) -> Bytes {
        self.memory - self.reserve
    }

    /// The dense peak rate of a precision; none where the format is not supported.
    pub fn peak(&self, precision: Precision) -> Option<FlopRate> {
        self.peak.iter().find(|(p, _)| *p == precision).map(|(_, rate)| *rate)
    }
}

/// All that is known beforehand: accelerators, prices, models, calibration.
#[derive(Debug, Default)]
pub struct Catalogue {}

impl Catalogue {
    /// The catalogue that is compiled in, from the files under `data/`.
    pub fn builtin() -> &'static Self {
        static BUILTIN: Catalogue = Catalogue {};
        &BUILTIN
    }
}
