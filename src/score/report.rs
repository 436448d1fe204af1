//! The summary of many runs: the accuracy by source, the gate's decisions, and the reliability of its probabilities.

use std::collections::BTreeMap;

use serde::Serialize;

use super::statistics::{self, median, quantile};
use super::{Comparison, Need, Outcome, Scored};
use crate::judgement::Verdict;

/// The edges of the bins of predicted probability.
const EDGES: [f64; 8] = [0.0, 0.05, 0.2, 0.5, 0.8, 0.9, 0.95, 1.0];

/// The summary of all runs.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The memory, by source and of all.
    pub memory: Vec<Group>,
    /// The speed, by source and of all.
    pub tokens_per_second_per_gpu: Vec<Group>,
    /// The hours, by source and of all.
    pub gpu_hours: Vec<Group>,
    /// The gate's decisions, by source and of all.
    pub gate: Vec<Gate>,
    /// Predicted probabilities against outcomes.
    pub reliability: Vec<Bin>,
    /// How well the probabilities tell runs that fit from runs that ran out, on one source's accelerator. `None` if no
    /// source has both.
    pub area: Option<Area>,
    /// Every run.
    pub runs: Vec<Scored>,
}

/// The comparisons of one source. Ratios, not percent.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Group {
    /// The source, or `all`.
    pub source: String,
    /// The number of runs.
    pub runs: usize,
    /// The median of the absolute errors.
    pub median: f64,
    /// The 95 % quantile of the absolute errors.
    pub p95: f64,
    /// The median of the errors. Negative means underestimated.
    pub bias: f64,
    /// The lowest error, at most 0.
    pub worst_under: f64,
    /// The share of runs within the 90 % interval, if there are intervals.
    pub covered: Option<f64>,
    /// The median width of the interval, relative to the estimate.
    pub width: Option<f64>,
}

/// The area under the ROC curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Area {
    /// The share of pairs in which the run that ran out has the higher probability.
    pub area: f64,
    /// The lower end of the 95 % interval.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// The pairs of a run that ran out and a run that fits, of the same source and accelerator.
    pub pairs: usize,
}

/// The gate's decisions on the runs of one source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Gate {
    /// The source, or `all`.
    pub source: String,
    /// Runs that fit.
    pub fits: usize,
    /// Runs that fit but were refused: each is a mistake.
    pub fits_refused: usize,
    /// Runs that fit and were admitted with a warning.
    pub fits_warned: usize,
    /// Runs that fit and were not judged, because fields are missing.
    pub fits_unknown: usize,
    /// Runs that ran out of memory.
    pub ooms: usize,
    /// Runs that ran out of memory and were refused.
    pub ooms_refused: usize,
    /// Runs that ran out of memory and were admitted with a warning.
    pub ooms_warned: usize,
    /// Runs that ran out of memory and were not judged, because fields are missing.
    pub ooms_unknown: usize,
    /// Runs that ran out of memory, leave nothing open that matters, and need 1.15 times the memory or more.
    pub clear_ooms: usize,
    /// These, if they were refused.
    pub clear_ooms_refused: usize,
}

/// The need over the memory from which a stated run that ran out should be refused.
const CLEAR: f64 = 1.15;

/// Runs whose probability is in one range.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Bin {
    /// The lower end of the range.
    pub from: f64,
    /// The upper end of the range.
    pub to: f64,
    /// The number of runs.
    pub runs: usize,
    /// The mean of the probabilities.
    pub predicted: f64,
    /// The share of runs that ran out of memory.
    pub ran_out: f64,
}

impl Report {
    /// Summarizes these runs.
    pub fn of(runs: Vec<Scored>) -> Self {
        Self {
            memory: groups(&runs, |run| run.memory),
            tokens_per_second_per_gpu: groups(&runs, |run| run.tokens_per_second_per_gpu),
            gpu_hours: groups(&runs, |run| run.gpu_hours),
            gate: gate(&runs),
            reliability: reliability(&runs),
            area: area(&runs),
            runs,
        }
    }
}

fn groups(runs: &[Scored], figure: impl Fn(&Scored) -> Option<Comparison>) -> Vec<Group> {
    let mut by_source: BTreeMap<&str, Vec<Comparison>> = BTreeMap::new();
    for run in runs {
        if let Some(comparison) = figure(run) {
            by_source.entry(&run.source).or_default().push(comparison);
        }
    }
    let all: Vec<Comparison> = by_source.values().flatten().copied().collect();
    let as_read: Vec<Comparison> = all.iter().map(|comparison| comparison.as_read()).collect();
    let rounded = all.iter().any(|comparison| comparison.step > 0.0);
    let sources = by_source.iter().map(|(source, comparisons)| (*source, comparisons.as_slice()));
    sources
        .chain([("all", all.as_slice())])
        .chain(rounded.then_some(("all, rounded figures as exact", as_read.as_slice())))
        .filter_map(|(source, comparisons)| group(source, comparisons))
        .collect()
}

fn group(source: &str, comparisons: &[Comparison]) -> Option<Group> {
    let errors: Vec<f64> = comparisons.iter().map(|comparison| comparison.error()).collect();
    let sizes: Vec<f64> = errors.iter().map(|error| error.abs()).collect();
    let widths: Vec<f64> = comparisons.iter().filter_map(|comparison| comparison.width()).collect();
    let held: Vec<bool> = comparisons.iter().filter_map(|comparison| comparison.is_covered()).collect();
    let covered = held.iter().filter(|held| **held).count() as f64 / held.len().max(1) as f64;
    Some(Group {
        source: source.to_owned(),
        runs: comparisons.len(),
        median: median(&sizes)?,
        p95: quantile(&sizes, 0.95)?,
        bias: median(&errors)?,
        worst_under: errors.iter().copied().fold(0.0, f64::min),
        covered: (!held.is_empty()).then_some(covered),
        width: median(&widths),
    })
}

fn gate(runs: &[Scored]) -> Vec<Gate> {
    let mut by_source: BTreeMap<&str, Gate> = BTreeMap::new();
    let mut all = Gate { source: "all".to_owned(), ..Gate::default() };
    for run in runs {
        let Some(outcome) = run.outcome else { continue };
        let own = by_source.entry(&run.source).or_default();
        own.source.clone_from(&run.source);
        own.count(outcome, run);
        all.count(outcome, run);
    }
    if by_source.is_empty() { Vec::new() } else { by_source.into_values().chain([all]).collect() }
}

impl Gate {
    fn count(&mut self, outcome: Outcome, run: &Scored) {
        let (runs, refused, warned, unknown) = match outcome {
            Outcome::Fits => {
                (&mut self.fits, &mut self.fits_refused, &mut self.fits_warned, &mut self.fits_unknown)
            }
            Outcome::Oom => {
                (&mut self.ooms, &mut self.ooms_refused, &mut self.ooms_warned, &mut self.ooms_unknown)
            }
        };
        *runs += 1;
        match run.verdict {
            Verdict::OutOfMemory => *refused += 1,
            Verdict::Tight => *warned += 1,
            Verdict::Unknown | Verdict::NotTraining | Verdict::Unrecognised => *unknown += 1,
            Verdict::Fits => {}
        }
        let clear = run.stated && run.need.and_then(Need::over_capacity).is_some_and(|need| need >= CLEAR);
        if clear && outcome == Outcome::Oom {
            self.clear_ooms += 1;
            self.clear_ooms_refused += usize::from(run.verdict == Verdict::OutOfMemory);
        }
    }

    /// Runs that fit and were not simply admitted.
    pub fn fits_troubled(&self) -> usize {
        self.fits_refused + self.fits_warned + self.fits_unknown
    }

    /// Runs that ran out of memory and were not simply admitted.
    pub fn ooms_noticed(&self) -> usize {
        self.ooms_refused + self.ooms_warned + self.ooms_unknown
    }
}

/// By probability. The need decides between equal probabilities.
fn area(runs: &[Scored]) -> Option<Area> {
    /// A source, and the accelerator.
    type Key<'r> = (&'r str, Option<&'r str>);
    let mut groups: BTreeMap<Key<'_>, (Vec<f64>, Vec<f64>)> = BTreeMap::new();
    for run in runs {
        let need = run.need.and_then(Need::over_capacity);
        let (Some(probability), Some(need)) = (run.oom_probability, need) else { continue };
        let group = groups.entry((&run.source, run.accelerator.as_deref())).or_default();
        match run.outcome {
            Some(Outcome::Oom) => group.0.push(probability + 1e-6 * need),
            Some(Outcome::Fits) => group.1.push(probability + 1e-6 * need),
            None => {}
        }
    }
    let groups: Vec<_> = groups.into_values().collect();
    let (area, low, high, pairs) = statistics::area_within(&groups)?;
    Some(Area { area, low, high, pairs })
}

fn reliability(runs: &[Scored]) -> Vec<Bin> {
    let judged: Vec<(f64, Outcome)> =
        runs.iter().filter_map(|run| Some((run.oom_probability?, run.outcome?))).collect();
    let bins = EDGES.iter().zip(EDGES.iter().skip(1)).map(|(from, to)| {
        // The last bin includes its upper edge.
        let inside: Vec<_> = judged
            .iter()
            .filter(|(probability, _)| {
                probability >= from && (probability < to || (*to >= 1.0 && *probability >= 1.0))
            })
            .collect();
        let share = |sum: f64| sum / inside.len().max(1) as f64;
        Bin {
            from: *from,
            to: *to,
            runs: inside.len(),
            predicted: share(inside.iter().map(|(probability, _)| probability).sum()),
            ran_out: share(inside.iter().filter(|(_, outcome)| *outcome == Outcome::Oom).count() as f64),
        }
    });
    bins.filter(|bin| bin.runs > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(source: &str, outcome: Outcome, verdict: Verdict, probability: f64, estimated: f64) -> Scored {
        let memory = Comparison { lower: Some(8.0), upper: Some(11.0), ..Comparison::exact(10.0, estimated) };
        Scored {
            source: source.to_owned(),
            name: None,
            outcome: Some(outcome),
            verdict,
            oom_probability: Some(probability),
            need: Some(Need { estimated, lower: estimated, upper: estimated, capacity: Some(10.0) }),
            evidence: None,
            framework: None,
            accelerator: None,
            stated: true,
            memory: Some(memory),
            tokens_per_second_per_gpu: None,
            gpu_hours: None,
            missing: Vec::new(),
        }
    }

    #[test]
    fn runs_are_summarized_by_source_and_together() {
        let report = Report::of(vec![
            run("a", Outcome::Fits, Verdict::Fits, 0.01, 9.0),
            run("a", Outcome::Fits, Verdict::OutOfMemory, 1.0, 20.0),
            run("b", Outcome::Oom, Verdict::Tight, 0.96, 10.0),
        ]);
        let lines: Vec<_> = report.memory.iter().map(|group| (group.source.as_str(), group.runs)).collect();
        assert_eq!(lines, [("a", 2), ("b", 1), ("all", 3)]);
        assert!((report.memory[0].median - 0.55).abs() < 1e-12);
        assert!((report.memory[0].worst_under + 0.1).abs() < 1e-12);
        let all = report.gate.last().unwrap();
        assert_eq!((all.fits, all.fits_refused, all.ooms, all.ooms_warned), (2, 1, 1, 1));
        assert_eq!((all.fits_troubled(), all.ooms_noticed(), all.clear_ooms), (1, 1, 0));
        assert!(report.area.is_none(), "no source has both outcomes");
        let bins: Vec<_> = report.reliability.iter().map(|bin| (bin.from, bin.runs, bin.ran_out)).collect();
        assert_eq!(bins, [(0.0, 1, 0.0), (0.95, 2, 0.5)]);
    }

    #[test]
    fn an_empty_report_has_no_lines() {
        let report = Report::of(Vec::new());
        assert!(report.memory.is_empty() && report.gate.is_empty() && report.reliability.is_empty());
    }
}
