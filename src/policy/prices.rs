//! The prices of accelerators.

use std::collections::BTreeMap;

use crate::units::Decimal;

/// The prices of accelerators.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prices {
    /// The price of one accelerator for one hour, by its key in the catalogue.
    pub per_gpu_hour: BTreeMap<String, Decimal>,
    /// The currency's ISO 4217 code. `None` means US dollars.
    pub currency: Option<String>,
    /// The date of the prices.
    pub as_of: Option<String>,
}
