//! What is missing, and what hangs on it.
//!
//! A field that nobody gave matters where it could decide: the accelerator is not known, or the leanest reading of the
//! job is not sure to run out and the heaviest is not sure to fit. Then every open field with a swing that people would
//! notice is listed, the heaviest first, and the warnings say how much each is worth.

use crate::estimate::Estimate;
use crate::job::{AnyField, keys};
use crate::judgement::Swing;
use crate::policy::Rules;
use crate::units::Bytes;
use crate::verdict::Distribution;

/// Unknowns that warnings name at most; the rest is in the list.
const NAMED: usize = 4;

/// The open fields that could decide, the heaviest first, with what hangs on each.
pub(super) fn deciding(
    estimate: &Estimate,
    need: &Distribution,
    capacity: Option<Bytes>,
    rules: &Rules,
) -> Vec<Swing> {
    if let Some(capacity) = capacity {
        let (lean, heavy) = need.extremes_above(capacity);
        if lean >= rules.deny_at || heavy < rules.warn_at {
            return Vec::new();
        }
    }
    estimate.swings().into_iter().filter(|swing| swing.total() >= Swing::NOTABLE).collect()
}

/// One line for each of the heaviest: `attention unstated: up to 42.0 GiB more`.
pub(super) fn warnings(deciding: &[Swing]) -> impl Iterator<Item = String> {
    deciding.iter().take(NAMED).map(|swing| format!("{} unstated: {swing}", word(swing.field)))
}

/// A field as a person would write it: its annotation's key, where there is one.
pub(super) fn word(field: AnyField) -> &'static str {
    keys::of_field(field).unwrap_or(field.path())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::field;

    #[test]
    fn fields_are_named_by_their_annotations_where_there_is_one() {
        assert_eq!(word(field::batch::SEQUENCE_LENGTH.into()), "sequence-length");
        assert_eq!(word(field::LOSS.into()), "loss");
    }
}
