//! What the verdicts were worth: predicted verdicts against outcomes.
//!
//! ```text
//! precision = predicted to run out and ran out / predicted to run out and ended
//! recall    = predicted to run out and ran out / ran out
//! ```
//!
//! Only workloads count that ran and that either completed or ran out of accelerator memory: any other end says nothing
//! about memory. A refused workload never runs. So precision is measured on the workloads that were admitted although
//! they were predicted to run out: by an override, in a mode that does not refuse, or while the webhook did not answer.

use std::collections::BTreeMap;

use crate::learn::outcome::Kind;

/// The workloads by verdict and outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    counts: BTreeMap<(String, Option<Kind>), usize>,
}

/// The verdict of a workload that is predicted to run out.
const OUT_OF_MEMORY: &str = "OutOfMemory";

/// A part of a whole. Both are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// The part.
    pub of: usize,
    /// The whole.
    pub all: usize,
}

impl Share {
    /// The share, if there is a whole.
    pub fn value(self) -> Option<f64> {
        (self.all > 0).then(|| self.of as f64 / self.all as f64)
    }
}

impl Tally {
    /// Counts a workload. It has no outcome while it runs or waits.
    pub fn add(&mut self, verdict: &str, outcome: Option<Kind>) {
        *self.counts.entry((verdict.to_owned(), outcome)).or_default() += 1;
    }

    /// The number of workloads with this verdict and outcome.
    pub fn count(&self, verdict: &str, outcome: Option<Kind>) -> usize {
        self.counts.get(&(verdict.to_owned(), outcome)).copied().unwrap_or_default()
    }

    /// All workloads.
    pub fn all(&self) -> usize {
        self.counts.values().sum()
    }

    /// Of the workloads that were predicted to run out and whose end says something, those that ran out.
    pub fn precision(&self) -> Share {
        let of = self.count(OUT_OF_MEMORY, Some(Kind::OutOfMemory));
        Share { of, all: of + self.count(OUT_OF_MEMORY, Some(Kind::Completed)) }
    }

    /// Of the workloads that ran out, those that were predicted to.
    pub fn recall(&self) -> Share {
        let ran_out = self.counts.iter().filter(|((_, outcome), _)| *outcome == Some(Kind::OutOfMemory));
        let all = ran_out.map(|(_, count)| count).sum();
        Share { of: self.count(OUT_OF_MEMORY, Some(Kind::OutOfMemory)), all }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn precision_and_recall_count_only_ends_that_tell_about_memory() {
        let mut tally = Tally::default();
        assert_eq!(tally.precision().value(), None);
        for (verdict, outcome, number) in [
            (OUT_OF_MEMORY, Some(Kind::OutOfMemory), 3),
            (OUT_OF_MEMORY, Some(Kind::Completed), 1),
            (OUT_OF_MEMORY, Some(Kind::Evicted), 5),
            (OUT_OF_MEMORY, None, 7),
            ("Fits", Some(Kind::OutOfMemory), 1),
            ("Unknown", Some(Kind::OutOfMemory), 2),
            ("Fits", Some(Kind::Completed), 20),
        ] {
            for _ in 0..number {
                tally.add(verdict, outcome);
            }
        }
        assert_eq!(tally.precision(), Share { of: 3, all: 4 });
        assert_eq!(tally.recall(), Share { of: 3, all: 6 });
        assert_eq!((tally.all(), tally.recall().value()), (39, Some(0.5)));
    }
}
