//! What training costs: accelerator-hours × the price of one, to the cent, with the interval of the hours.
//!
//! ```text
//! price = the job's, where given              of what the job asks for, be that a part of an accelerator
//!       = the policy's × the part's share     where an administrator has set one
//!       = the list's × the part's share       the catalogue's, else
//! ```
//!
//! A policy's and a catalogue's price is that of a whole accelerator; of a partition, its share of the multiprocessors is
//! paid. Prices that were not given with the job have a date, which is part of the answer.

use crate::hardware::ListPrice;
use crate::job::TrainingJob;
use crate::judgement::{Cost, PriceSource, Time};
use crate::policy::Prices;
use crate::units::Decimal;

/// The currency of the catalogue's prices, and of any that is given without one.
const DOLLARS: &str = "USD";

/// The price of what one accelerator of a job is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price {
    /// One accelerator, or the part of it that the job asks for, for one hour.
    pub per_gpu_hour: Decimal,
    /// ISO 4217.
    pub currency: String,
    /// Its date, where it was not given.
    pub as_of: Option<String>,
    /// Who gave it.
    pub source: PriceSource,
}

/// The price that holds: of the accelerator with this key, or of this many thousandths of it.
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

/// So many thousandths, rounded to four places.
fn part(micros: u64, share_milli: u64) -> u64 {
    micros.saturating_mul(share_milli).saturating_add(50_000) / 100_000 * 100
}

/// The cost of a time at a price; none where the accelerator-hours are not known.
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

    fn said(
        job: &TrainingJob,
        key: &str,
        share: Option<u64>,
    ) -> (String, String, Option<String>, PriceSource) {
        let price = price(job, Some(key), share, &own(), Some(list())).unwrap();
        (price.per_gpu_hour.to_string(), price.currency, price.as_of, price.source)
    }

    #[test]
    fn the_jobs_price_beats_the_policys_and_that_the_catalogues() {
        let price = job::Price { per_gpu_hour: Some(decimal("1.8")), currency: None };
        let job = TrainingJob { price: Some(price), ..TrainingJob::default() };
        let nobody = TrainingJob::default();
        let text = str::to_owned;
        assert_eq!(said(&job, "h100", Some(428)), (text("1.8"), text("USD"), None, PriceSource::Given));
        let date = Some(text("2026-11"));
        assert_eq!(said(&nobody, "h100", None), (text("2.5"), text("EUR"), date, PriceSource::Policy));
        let date = Some(text("2026-07-20"));
        assert_eq!(said(&nobody, "h200", None), (text("6.88"), text("USD"), date, PriceSource::Catalogue));
    }

    #[test]
    fn a_partition_costs_its_share() {
        assert_eq!(said(&TrainingJob::default(), "h200", Some(428)).0, "2.9446");
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
