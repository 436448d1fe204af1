//! What training costs: accelerator-hours × the price of one, to the cent.
//!
//! The price is the user's where given, else the catalogue's list price, whose date is part of the answer.

use crate::judgement::Cost;
use crate::units::Decimal;
use crate::workload::TrainingJob;

/// A price of one accelerator for one hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListPrice {
    /// In US dollars.
    pub per_gpu_hour: Decimal,
    /// When the list was read: `2026-07-20`.
    pub as_of: String,
}

/// The cost of `gpu_hours`; none without a price.
pub fn cost(job: &TrainingJob, gpu_hours: f64, list: Option<ListPrice>) -> Option<Cost> {
    let given = job.price.as_ref();
    let own = given.and_then(|price| price.per_gpu_hour).map(|price| (price, None));
    let (per_gpu_hour, as_of) = own.or_else(|| list.map(|list| (list.per_gpu_hour, Some(list.as_of))))?;
    let cents = (gpu_hours * per_gpu_hour.as_f64() * 100.0).round();
    let currency = given.and_then(|price| price.currency.clone()).unwrap_or_else(|| "USD".into());
    Some(Cost {
        total: Decimal { micros: (cents as u64).saturating_mul(10_000) },
        per_gpu_hour,
        currency,
        as_of,
    })
}
