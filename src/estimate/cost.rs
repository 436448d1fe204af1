//! The cost of training: accelerator-hours × the price of one, to the cent, with the interval of the hours.
//!
//! ```text
//! price = the job's, if given                 of the accelerator, or of the part of one, that the job asks for
//!       = the policy's × the part's share     if an administrator has set one
//!       = the list's × the part's share       otherwise, from the catalogue
//! ```
//!
//! Policy and catalogue give the price of a whole accelerator. A partition costs its share of the multiprocessors. A
//! price that the job does not give has a date, and the answer shows it.

use crate::hardware::ListPrice;
use crate::job::TrainingJob;
use crate::judgement::{Cost, PriceSource, Time};
use crate::policy::Prices;
use crate::units::Decimal;

/// The currency of the catalogue's prices, and the default.
const DOLLARS: &str = "USD";

/// The price of one accelerator of a job, or of the part that the job asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price {
    /// The price for one hour.
    pub per_gpu_hour: Decimal,
    /// The ISO 4217 code.
    pub currency: String,
    /// The date of the price, unless the job gave it.
    pub as_of: Option<String>,
    /// The source of the price.
    pub source: PriceSource,
}

/// The price that applies to the accelerator with this key, or to `share_milli` thousandths of it.
pub fn price(
    job: &TrainingJob,
    key: Option<&str>,
    share_milli: Option<u64>,
    prices: &Prices,
    list: Option<ListPrice>,
) -> Option<Price> {
    let given = job.price.as_ref();
    if let Some(per_gpu_hour) = given.and_then(|price| price.per_gpu_hour) {
        let currency = given.and_then(|price| price.currency.clone()).unwrap_or_else(|| DOLLARS.into());
        return Some(Price { per_gpu_hour, currency, as_of: None, source: PriceSource::Given });
    }
    let part = |whole: Decimal| Decimal {
        micros: share_milli.map_or(whole.micros, |share| part(whole.micros, share)),
    };
    if let Some(own) = key.and_then(|key| prices.per_gpu_hour.get(key)) {
        return Some(Price {
            per_gpu_hour: part(*own),
            currency: prices.currency.clone().unwrap_or_else(|| DOLLARS.into()),
            as_of: prices.as_of.clone(),
            source: PriceSource::Policy,
        });
    }
    list.map(|list| Price {
        per_gpu_hour: part(list.per_gpu_hour),
        currency: DOLLARS.into(),
        as_of: Some(list.as_of),
        source: PriceSource::Catalogue,
    })
}

/// `share_milli` thousandths of a price, rounded to four decimal places.
fn part(micros: u64, share_milli: u64) -> u64 {
    micros.saturating_mul(share_milli).saturating_add(50_000) / 100_000 * 100
}

/// The cost of a time at a price. `None` if the accelerator-hours are not known.
pub fn cost(time: &Time, price: Price) -> Option<Cost> {
    let of = |hours: f64| {
        let cents = (hours * price.per_gpu_hour.as_f64() * 100.0).round();
        Decimal { micros: (cents as u64).saturating_mul(10_000) }
    };
    let hours = time.gpu_hours?;
    Some(Cost {
        total: of(hours),
        total_low: of(time.gpu_hours_low.unwrap_or(hours)),
        total_high: of(time.gpu_hours_high.unwrap_or(hours)),
        per_gpu_hour: price.per_gpu_hour,
        currency: price.currency,
        as_of: price.as_of,
        source: price.source,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::job;

    fn decimal(text: &str) -> Decimal {
        Decimal::parse(text).unwrap()
    }

    fn list() -> ListPrice {
        ListPrice { per_gpu_hour: decimal("6.88"), as_of: "2026-07-20".into() }
    }

    fn own() -> Prices {
        let per_gpu_hour = BTreeMap::from([("h100".to_owned(), decimal("2.5"))]);
        Prices { per_gpu_hour, currency: Some("EUR".into()), as_of: Some("2026-11".into()) }
    }

    fn found(
        job: &TrainingJob,
        key: &str,
        share: Option<u64>,
    ) -> (String, String, Option<String>, PriceSource) {
        let price = price(job, Some(key), share, &own(), Some(list())).unwrap();
        (price.per_gpu_hour.to_string(), price.currency, price.as_of, price.source)
    }

    #[test]
    fn the_order_of_prices_is_job_policy_catalogue() {
        let price = job::Price { per_gpu_hour: Some(decimal("1.8")), currency: None };
        let job = TrainingJob { price: Some(price), ..TrainingJob::default() };
        let without_price = TrainingJob::default();
        let text = str::to_owned;
        assert_eq!(found(&job, "h100", Some(428)), (text("1.8"), text("USD"), None, PriceSource::Given));
        let date = Some(text("2026-11"));
        assert_eq!(
            found(&without_price, "h100", None),
            (text("2.5"), text("EUR"), date, PriceSource::Policy)
        );
        let date = Some(text("2026-07-20"));
        assert_eq!(
            found(&without_price, "h200", None),
            (text("6.88"), text("USD"), date, PriceSource::Catalogue)
        );
    }

    #[test]
    fn a_partition_costs_its_share() {
        assert_eq!(found(&TrainingJob::default(), "h200", Some(428)).0, "2.9446");
    }

    #[test]
    fn the_cost_has_the_interval_of_the_hours() {
        let time = Time {
            gpu_hours: Some(100.0),
            gpu_hours_low: Some(80.0),
            gpu_hours_high: Some(130.004),
            ..Time::default()
        };
        let price = price(&TrainingJob::default(), None, None, &Prices::default(), Some(list())).unwrap();
        let cost = cost(&time, price).unwrap();
        let totals = [cost.total_low, cost.total, cost.total_high].map(|total| total.to_string());
        assert_eq!(totals, ["550.4", "688", "894.43"]);
    }
}
