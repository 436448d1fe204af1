//! The cost of training, and the source of the hourly price. The key names are those that `check -o json` promises.

use serde::Serialize;

use crate::units::Decimal;

/// The cost of training.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Cost {
    /// For all accelerator-hours, with two decimals.
    pub total: Decimal,
    /// For the accelerator-hours at the interval's lower end.
    pub total_low: Decimal,
    /// For the accelerator-hours at its upper end.
    pub total_high: Decimal,
    /// The price of one accelerator for one hour.
    pub per_gpu_hour: Decimal,
    /// ISO 4217.
    pub currency: String,
    /// The price's date, if the policy or the catalogue gives the price. `None` if the job gives it.
    pub as_of: Option<String>,
    /// The source of the price.
    pub source: PriceSource,
}

/// A source of a price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum PriceSource {
    /// The workload.
    Given,
    /// The policy.
    Policy,
    /// The catalogue: list prices of the providers.
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
