//! Merges conditions, so that `lastTransitionTime` is the time at which a condition's status changed.
//!
//! The caller gives the time. An equal condition is kept byte for byte, so that an unchanged status compares equal.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// Not known.
    Unknown,
}

impl Holds {
    /// The API's word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// A condition without its time. [`merge`] finds the time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The condition's type: `FitsMemory`.
    pub kind: &'static str,
    /// Whether it holds.
    pub holds: Holds,
    /// Why, in one CamelCase word.
    pub reason: &'static str,
    /// The reason, for people.
    pub message: String,
}

/// The conditions of these findings. A condition of `previous` with the same status keeps its time, and one without a
/// finding is removed.
pub fn merge(
    previous: &[Condition],
    findings: Vec<Finding>,
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    let of = |finding: Finding| {
        let before = previous.iter().find(|c| c.type_ == finding.kind && c.status == finding.holds.name());
        Condition {
            last_transition_time: before.map_or(Time(now), |c| c.last_transition_time.clone()),
            message: finding.message,
            observed_generation: generation,
            reason: finding.reason.to_owned(),
            status: finding.holds.name().to_owned(),
            type_: finding.kind.to_owned(),
        }
    };
    findings.into_iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(holds: Holds, message: &str) -> Vec<Finding> {
        vec![Finding { kind: "FitsMemory", holds, reason: "Fits", message: message.into() }]
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_time_stays_while_the_status_is_the_same() {
        let first = merge(&[], fits(Holds::True, "50.2 GiB"), Some(1), at(100));
        let second = merge(&first, fits(Holds::True, "51.0 GiB"), Some(2), at(200));
        assert_eq!(second[0].last_transition_time, Time(at(100)));
        assert_eq!(second[0].message, "51.0 GiB");
        assert_eq!(second[0].observed_generation, Some(2));
    }

    #[test]
    fn a_changed_status_has_a_new_time() {
        let first = merge(&[], fits(Holds::True, ""), Some(1), at(100));
        let second = merge(&first, fits(Holds::False, ""), Some(1), at(200));
        assert_eq!(second[0].last_transition_time, Time(at(200)));
    }

    #[test]
    fn without_findings_there_are_no_conditions() {
        let first = merge(&[], fits(Holds::True, ""), Some(1), at(100));
        assert!(merge(&first, Vec::new(), Some(1), at(200)).is_empty());
    }
}
