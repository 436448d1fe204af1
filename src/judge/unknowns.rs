//! What is missing, and what hangs on it.
//!
//! A field that nobody gave matters where it could decide: the accelerator is not known, or the leanest reading of the
//! job is not sure to run out and the heaviest is not sure to fit. Then every open field with a swing that people would
//! notice is listed, the heaviest first, and the warnings say how much each is worth.

use crate::estimate::{Estimate, Swing};
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
) -> Vec<Swing> {
    if let Some(capacity) = capacity {
        let (lean, heavy) = need.extremes_above(capacity);
        if lean >= rules.deny_at || heavy < rules.warn_at {
            return Vec::new();
        }
    }
    estimate.swings().into_iter().filter(|swing| swing.total() >= NOTABLE).collect()
}

/// One line for each of the heaviest.
pub(super) fn warnings(deciding: &[Swing]) -> impl Iterator<Item = String> {
    deciding.iter().take(NAMED).map(warning)
}

/// `attention unstated: up to 42.0 GiB more`, and the like.
fn warning(swing: &Swing) -> String {
    let field = word(swing.field);
    match (swing.less >= NOTABLE, swing.more >= NOTABLE) {
        (true, true) => format!("{field} unstated: from {} less to {} more", swing.less, swing.more),
        (true, false) => format!("{field} unstated: up to {} less", swing.less),
        (false, _) => format!("{field} unstated: up to {} more", swing.more),
    }
}

/// A field as a person would write it: its annotation's key, where there is one.
pub(super) fn word(field: &str) -> &str {
    annotations::of_field(field).unwrap_or(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_says_in_which_direction_it_could_go() {
        let swing = |less, more| Swing {
            field: "attention",
            less: Bytes::from_gib(less),
            more: Bytes::from_gib(more),
        };
        assert_eq!(warning(&swing(0.0, 42.0)), "attention unstated: up to 42.0 GiB more");
        assert_eq!(warning(&swing(12.5, 0.1)), "attention unstated: up to 12.5 GiB less");
        assert_eq!(warning(&swing(1.0, 2.0)), "attention unstated: from 1.0 GiB less to 2.0 GiB more");
    }

    #[test]
    fn fields_are_named_by_their_annotations_where_there_is_one() {
        assert_eq!(word("batch.sequenceLength"), "sequence-length");
        assert_eq!(word("loss"), "loss");
    }
}
