//! What training costs, and who says what an hour costs, in the key names that `check -o json` promises.

use serde::Serialize;

use crate::units::Decimal;

/// What training costs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cost {
    /// For all accelerator-hours, with two decimals.
    pub total: Decimal,
    /// For the accelerator-hours at the interval's lower end.
    pub total_low: Decimal,
    /// For those at its upper end.
    pub total_high: Decimal,
    /// One accelerator, one hour.
    pub per_gpu_hour: Decimal,
    /// ISO 4217.
    pub currency: String,
    /// The price's date, where it is the policy's or the catalogue's; none where the price was given.
    pub as_of: Option<String>,
    /// Who gave the price.
    pub source: PriceSource,
}

/// Who gave a price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum PriceSource {
    /// The workload.
    Given,
    /// The policy.
    Policy,
    /// The catalogue: the providers' list prices.
    Catalogue,
}

impl PriceSource {
    /// The source's word, as the status shows it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Given => "Given",
            Self::Policy => "Policy",
            Self::Catalogue => "Catalogue",
        }
    }
}
