//! What an administrator pays.

use std::collections::BTreeMap;

use crate::units::Decimal;

/// What an administrator pays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prices {
    /// One accelerator, one hour, by its key in the catalogue.
    pub per_gpu_hour: BTreeMap<String, Decimal>,
    /// ISO 4217; none for US dollars.
    pub currency: Option<String>,
    /// Since when, or when it was last looked at.
    pub as_of: Option<String>,
}
