//! Estimates and judges every row like a user's job.

use std::collections::BTreeMap;

use weighbridge::estimate::assume::Device;
use weighbridge::estimate::estimate_rank;
use weighbridge::estimate::memory::Figure;
use weighbridge::job::{Framework, Rank, TrainingJob};
use weighbridge::judgement::Verdict;
use weighbridge::policy::Rules;
use weighbridge::units::Bytes;
use weighbridge::verdict::decide;

use super::published::{Measured, Outcome, Row};
use super::statistics::median;
use super::{devices, rules};

/// One specification with its measured and its estimated figure.
#[derive(Clone, Debug)]
pub(crate) struct Scored {
    pub(crate) source: &'static str,
    pub(crate) name: String,
    pub(crate) framework: Option<Framework>,
    pub(crate) experts: bool,
    /// Whether the dimensions are given, not only a size.
    pub(crate) dimensions: bool,
    /// Whether all fields that matter are known.
    pub(crate) stated: bool,
    pub(crate) device: String,
    pub(crate) outcome: Outcome,
    pub(crate) figure: Option<Comparison>,
    pub(crate) judged: Option<Judged>,
}

/// A measured figure with the estimate of the same figure of the same rank, in GiB.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Comparison {
    pub(crate) kind: Measured,
    pub(crate) measured: f64,
    /// The step to which the measured figure is rounded.
    pub(crate) reading: f64,
    pub(crate) estimated: f64,
    pub(crate) lower: f64,
    pub(crate) upper: f64,
}

impl Comparison {
    /// Estimated / measured − 1; negative means underestimated. A reading in whole GB stands for all values that round
    /// to it, so the estimate is compared with the nearest of them.
    pub(crate) fn error(&self) -> f64 {
        let half = self.reading / 2.0;
        self.estimated / self.estimated.clamp(self.measured - half, self.measured + half) - 1.0
    }

    /// The same for the exact reading.
    pub(crate) fn error_as_read(&self) -> f64 {
        self.estimated / self.measured - 1.0
    }

    pub(crate) fn is_covered(&self) -> bool {
        (self.lower..=self.upper).contains(&self.measured)
    }
}

/// The product's judgement of the run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Judged {
    pub(crate) verdict: Verdict,
    pub(crate) probability: f64,
    /// The need over the device's memory.
    pub(crate) fullness: f64,
}

/// Scores rows. Equal specifications count once, with the median of their measurements.
pub(crate) fn score(rows: &[Row]) -> Vec<Scored> {
    let mut groups: BTreeMap<String, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        groups.entry(specification(row)).or_default().push(row);
    }
    groups.values().filter_map(|group| score_one(group)).collect()
}

fn specification(row: &Row) -> String {
    let job = serde_json::to_string(&row.job).expect("a job is plain data");
    format!("{}|{:?}|{:?}|{}|{job}", row.source, row.figure.map(|f| f.0), row.outcome, row.last_rank)
}

pub(crate) fn score_one(group: &[&Row]) -> Option<Scored> {
    let row = group.first()?;
    let device = Device { bf16: devices::bf16(&row.job) };
    let rank = if row.last_rank { Rank::Last } else { Rank::Worst };
    let estimate =
        estimate_rank(&row.job, device, rank).unwrap_or_else(|error| panic!("{}: {error}", row.name));
    let measured: Vec<f64> = group.iter().filter_map(|row| row.figure).map(|(_, gib)| gib).collect();
    let meant = row.figure.map_or(Figure::Needed, |(kind, _)| meant(row, kind));
    let figure = row.figure.map(|(kind, _)| {
        let (lower, upper) = estimate.distribution(meant).bounds();
        Comparison {
            kind,
            measured: median(&measured),
            reading: row.reading,
            estimated: estimate.peak.figure(meant).as_gib(),
            lower: lower.as_gib(),
            upper: upper.as_gib(),
        }
    });
    Some(Scored {
        source: row.source,
        name: row.name.clone(),
        framework: row.job.framework,
        experts: estimate.assumed.likely.shape.experts.is_some(),
        dimensions: has_dimensions(&row.job),
        stated: row.figure.is_none_or(|(kind, _)| kind != Measured::Unstated)
            && rules::is_stated(&estimate, meant),
        device: row.job.accelerator.as_ref().and_then(|a| a.kind.clone()).unwrap_or_default(),
        outcome: row.outcome,
        figure,
        judged: devices::capacity(&row.job).map(|capacity| judge(&row.job, device, capacity)),
    })
}

/// The estimated figure that corresponds to the measurement. A source that does not name its counter read the device's
/// memory, except torchtune, which logs only PyTorch's counters.
pub(crate) fn meant(row: &Row, kind: Measured) -> Figure {
    match kind {
        Measured::Allocated => Figure::Allocated,
        Measured::Reserved => Figure::Reserved,
        Measured::Unstated if row.job.framework == Some(Framework::Torchtune) => Figure::Reserved,
        Measured::Process | Measured::Unstated => Figure::Process,
    }
}

/// The worst rank decides, whichever rank the source logged.
fn judge(job: &TrainingJob, device: Device, capacity: Bytes) -> Judged {
    let estimate = estimate_rank(job, device, Rank::Worst).expect("it was estimated before");
    let decision = decide(&estimate.distribution(Figure::Needed), capacity, &Rules::default());
    Judged {
        verdict: decision.verdict,
        probability: decision.probability,
        fullness: estimate.peak.needed.as_f64() / capacity.as_f64(),
    }
}

fn has_dimensions(job: &TrainingJob) -> bool {
    let given = job.model.as_ref().is_some_and(|m| m.layers.is_some() && m.hidden_size.is_some());
    given && job.batch.as_ref().is_some_and(|b| b.sequence_length.is_some() && b.micro_batch_size.is_some())
}
