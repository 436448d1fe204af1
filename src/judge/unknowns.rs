//! The open fields that could decide, and the memory that depends on each.
//!
//! A field that is not written matters where it could turn the verdict: the accelerator is not known, or the readings of
//! the job do not all run out and do not all fit. Every such field with a notable swing is listed, the heaviest first. The
//! warnings say how much each is worth and which annotation to add.
//!
//! Only the direction that decides counts. Where the likeliest reading runs out, it is how much less a field may mean;
//! where it fits, how much more; between the two, both together.

use crate::estimate::Estimate;
use crate::job::keys;
use crate::judgement::{Swing, Verdict};
use crate::policy::Rules;
use crate::units::Bytes;
use crate::verdict::{Distribution, decide};

/// Unknowns that warnings name at most; the rest is in the list.
const NAMED: usize = 4;

/// The open fields that could decide, the heaviest first, with the memory that depends on each: those that the estimate
/// leaves open, and those that we cannot read. The second are asked for only where they count.
pub(super) fn deciding(
    estimate: &Estimate,
    need: &Distribution,
    capacity: Option<Bytes>,
    rules: &Rules,
    unreadable: impl FnOnce() -> Vec<Swing>,
) -> Vec<Swing> {
    let verdict = |need: &Distribution, capacity| decide(need, capacity, rules).verdict;
    let mut decides = false;
    let mut measure: fn(&Swing) -> Bytes = |swing| swing.total();
    if let Some(capacity) = capacity {
        let (_, heavy) = need.extremes_above(capacity);
        let all = verdict(need, capacity);
        if all == Verdict::OutOfMemory || heavy < rules.warn_at {
            return Vec::new();
        }
        decides = all == Verdict::Unknown;
        measure = match verdict(&need.likeliest(), capacity) {
            Verdict::OutOfMemory => |swing| swing.less,
            Verdict::Fits => |swing| swing.more,
            _ => measure,
        };
    }
    let mut swings = unreadable();
    swings.extend(estimate.swings());
    swings.sort_by_key(|swing| std::cmp::Reverse(measure(swing)));
    let notable = swings.iter().filter(|swing| measure(swing) >= Swing::NOTABLE).copied().collect::<Vec<_>>();
    // Several small fields may decide together.
    if decides && notable.is_empty() { swings } else { notable }
}

/// One line for each of the heaviest: `attention unstated: up to 42.0 GiB more; add weighbridge.dev/attention`.
pub(super) fn warnings(deciding: &[Swing]) -> Vec<String> {
    heaviest(deciding, NAMED).iter().map(|(_, swing)| swing.warning()).collect()
}

/// The heaviest that a message names: `attention (up to 42.0 GiB more), method (up to 30.1 GiB less)`.
pub(super) fn named(deciding: &[Swing]) -> String {
    const NAMED: usize = 3;
    let named = heaviest(deciding, NAMED).into_iter().map(|(key, swing)| format!("{key} ({swing})"));
    named.collect::<Vec<_>>().join(", ")
}

/// The keys of the heaviest.
pub(super) fn keys(deciding: &[Swing]) -> Vec<&'static str> {
    heaviest(deciding, NAMED).into_iter().map(|(key, _)| key).collect()
}

/// The heaviest field of each key: one annotation may set several fields.
fn heaviest(deciding: &[Swing], at_most: usize) -> Vec<(&'static str, &Swing)> {
    let mut heaviest: Vec<(&str, &Swing)> = Vec::new();
    for swing in deciding {
        let key = keys::of_field(swing.field);
        if heaviest.len() < at_most && heaviest.iter().all(|(other, _)| *other != key) {
            heaviest.push((key, swing));
        }
    }
    heaviest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::keys::PREFIX;
    use crate::job::{AnyField, field};
    use crate::judgement::LONGEST_WARNING;

    #[test]
    fn the_key_of_every_field_is_whole_in_its_warning() {
        for field in field::SPEC.fields() {
            let swing = Swing { field, less: Bytes::from_gib(1000.0), more: Bytes::from_gib(1000.0) };
            let lines = warnings(&[swing]);
            let key = format!("add {PREFIX}{}", keys::of_field(field));
            assert!(lines[0].ends_with(&key) && lines[0].len() <= LONGEST_WARNING, "{lines:?}");
        }
    }

    #[test]
    fn a_warning_says_what_to_write() {
        let swing = |field: AnyField| Swing { field, less: Bytes::ZERO, more: Bytes::from_gib(42.0) };
        let fields = [
            field::ATTENTION.into(),
            field::offload::OPTIMIZER.into(),
            field::offload::PARAMETERS.into(),
            field::LOSS.into(),
        ];
        let swings = fields.map(swing);
        assert_eq!(
            warnings(&swings),
            [
                "attention unstated: up to 42.0 GiB more; add weighbridge.dev/attention",
                "offload unstated: up to 42.0 GiB more; add weighbridge.dev/offload",
                "loss unstated: up to 42.0 GiB more; add weighbridge.dev/loss",
            ]
        );
    }
}
