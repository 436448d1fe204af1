//! What is missing, and what hangs on it.
//!
//! A field that nobody gave matters where it could decide: the accelerator is not known, or the leanest reading of the
//! job is not sure to run out and the heaviest is not sure to fit. Then every open field with a swing that people would
//! notice is listed, the heaviest first, and the warnings say how much each is worth.

use crate::estimate::Estimate;
use crate::judge::Rules;
use crate::units::Bytes;
use crate::verdict::Distribution;
use crate::workload::annotations;

/// The least swing that is listed.
const NOTABLE: Bytes = Bytes::from_mib(256);
/// Unknowns that warnings name at most; the rest is in the list.
const NAMED: usize = 4;

/// The open fields that could decide, the heaviest first, with what hangs on each.
pub(super) fn deciding(
    estimate: &Estimate,
    need: &Distribution,
    capacity: Option<Bytes>,
    rules: &Rules,
) -> Vec<(&'static str, Bytes)> {
    if let Some(capacity) = capacity {
        let (lean, heavy) = need.extremes_above(capacity);
        if lean >= rules.deny_at || heavy < rules.warn_at {
            return Vec::new();
        }
    }
    estimate.swings().into_iter().filter(|(_, swing)| *swing >= NOTABLE).collect()
}

/// One line for each of the heaviest: `attention unstated: up to 42.0 GiB more`.
pub(super) fn warnings(deciding: &[(&'static str, Bytes)]) -> impl Iterator<Item = String> {
    deciding.iter().take(NAMED).map(|(field, swing)| format!("{} unstated: up to {swing} more", word(field)))
}

/// A field as a person would write it: its annotation's key, where there is one.
pub(super) fn word(field: &str) -> &str {
    annotations::of_field(field).unwrap_or(field)
}
