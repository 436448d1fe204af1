//! A price of the catalogue.

use crate::units::Decimal;

/// A price of one accelerator for one hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListPrice {
    /// In US dollars.
    pub per_gpu_hour: Decimal,
    /// When the list was read: `2026-07-20`.
    pub as_of: String,
}
