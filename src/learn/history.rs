//! The history of a job: its last runs, and what they teach.
//!
//! ```text
//! runs that count = runs that completed or ran out of accelerator memory, the newest first
//! ran             = the newest run that counts completed
//! ran out         = the newest run that counts ran out of memory
//! ```
//!
//! The newest run decides, since a cluster changes: a new driver, a new node, a new image under an old name. A run that
//! failed in another way, that was evicted or is under way teaches nothing about memory.
//!
//! A history keeps the last [`MOST_RUNS`] runs, and a namespace the last [`MOST_HISTORIES`] histories. A run is known by its
//! workload's uid, so that an outcome that is found again is not counted twice.

use crate::learn::outcome::Kind;
use crate::units::Bytes;

/// The most runs of a history.
pub const MOST_RUNS: usize = 8;
/// The most histories of a namespace. The oldest is deleted for a new one.
pub const MOST_HISTORIES: usize = 500;

/// One run of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The workload's uid.
    pub uid: String,
    /// The workload: `pytorchjob/llama`.
    pub workload: String,
    /// Its end, in the API's format.
    pub at: String,
    /// The verdict of the estimate.
    pub verdict: String,
    /// The memory that it was predicted to need.
    pub predicted: Option<Bytes>,
    /// The most memory that one accelerator used.
    pub observed: Option<Bytes>,
    /// How it ended.
    pub outcome: Kind,
    /// The evidence: `CUDA out of memory`.
    pub reason: Option<String>,
    /// How long its pods ran.
    pub seconds: Option<i64>,
}

/// The runs after another one, the newest first. None if nothing changes.
pub fn with(runs: &[Run], new: Run) -> Option<Vec<Run>> {
    if runs.contains(&new) {
        return None;
    }
    let mut all: Vec<Run> = runs.iter().filter(|run| run.uid != new.uid).cloned().collect();
    all.push(new);
    // UTC times sort as texts.
    all.sort_by(|one, other| other.at.cmp(&one.at).then_with(|| one.uid.cmp(&other.uid)));
    all.truncate(MOST_RUNS);
    (all != runs).then_some(all)
}

/// What a history teaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lesson {
    /// The job ran.
    Ran {
        /// How many runs completed since one ran out.
        runs: usize,
        /// The most memory that one accelerator used in them.
        observed: Option<Bytes>,
    },
    /// The job ran out of memory.
    RanOut {
        /// When, in the API's format.
        at: String,
        /// The evidence: `CUDA out of memory`.
        reason: Option<String>,
    },
}

/// What runs teach, the newest first. None if no run counts.
pub fn lesson(runs: &[Run]) -> Option<Lesson> {
    let counts = |run: &&Run| matches!(run.outcome, Kind::Completed | Kind::OutOfMemory);
    let newest = runs.iter().find(counts)?;
    if newest.outcome == Kind::OutOfMemory {
        return Some(Lesson::RanOut { at: newest.at.clone(), reason: newest.reason.clone() });
    }
    let since = || runs.iter().filter(counts).take_while(|run| run.outcome == Kind::Completed);
    Some(Lesson::Ran { runs: since().count(), observed: since().filter_map(|run| run.observed).max() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(uid: &str, day: u32, outcome: Kind) -> Run {
        Run {
            uid: uid.to_owned(),
            workload: format!("job/{uid}"),
            at: format!("2026-01-{day:02}T00:00:00Z"),
            verdict: "Fits".to_owned(),
            predicted: None,
            observed: day.is_multiple_of(2).then(|| Bytes(day.into())),
            outcome,
            reason: None,
            seconds: None,
        }
    }

    fn history(outcomes: &[Kind]) -> Vec<Run> {
        let days = outcomes.iter().zip(1u32..);
        days.fold(Vec::new(), |runs, (outcome, day)| {
            with(&runs, run(&day.to_string(), day, *outcome)).unwrap()
        })
    }

    #[test]
    fn the_newest_run_that_counts_teaches() {
        use Kind::{Completed, Evicted, Failed, HostOutOfMemory, OutOfMemory};
        assert_eq!(lesson(&history(&[])), None);
        assert_eq!(lesson(&history(&[Failed, Evicted, HostOutOfMemory])), None);
        let ran = |runs, bytes: Option<u64>| Some(Lesson::Ran { runs, observed: bytes.map(Bytes) });
        assert_eq!(lesson(&history(&[Completed, Failed])), ran(1, None));
        assert_eq!(lesson(&history(&[Completed, OutOfMemory, Completed, Completed])), ran(2, Some(4)));
        let ran_out = Some(Lesson::RanOut { at: "2026-01-02T00:00:00Z".to_owned(), reason: None });
        assert_eq!(lesson(&history(&[Completed, OutOfMemory, Failed])), ran_out);
    }

    #[test]
    fn a_history_keeps_the_newest_runs_and_each_workload_once() {
        let many = history(&[Kind::Completed; MOST_RUNS + 4]);
        assert_eq!((many.len(), many[0].uid.as_str()), (MOST_RUNS, "12"));
        let again = run("12", 12, Kind::Completed);
        assert_eq!(with(&many, again), None, "nothing changes");
        let corrected = with(&many, run("12", 12, Kind::OutOfMemory)).unwrap();
        assert_eq!((corrected.len(), corrected[0].outcome), (MOST_RUNS, Kind::OutOfMemory));
        assert_eq!(with(&many, run("0", 1, Kind::Completed)), None, "older than all that are kept");
    }
}
