//! The accuracy reached so far, in `bounds.toml`. It must not get worse.

use std::collections::BTreeMap;

use serde::Deserialize;
use weighbridge::estimate::assume::{Device, assume};
use weighbridge::estimate::estimate;
use weighbridge::estimate::evidence::{Divided, Mode};
use weighbridge::estimate::memory::Figure;
use weighbridge::job::Method;
use weighbridge::model::Parameters;
use weighbridge::score::{Comparison, Report, Scored};

use super::published::{self, Row};
use super::score;
use super::shown::{Shown, show};
use super::{devices, evidence};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bounds {
    stated: Stated,
    dimensions: Dimensions,
    interval: Interval,
    verdicts: Verdicts,
    reliability: Reliability,
    medians: BTreeMap<String, f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stated {
    specifications_at_least: usize,
    median: f64,
    p95: f64,
    worst_under: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Dimensions {
    median: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Interval {
    holds_at_least: f64,
    holds_at_most: f64,
    runs_of_a_source_at_least: usize,
    of_a_source_at_least: f64,
    /// Sources that are met worse.
    worse: BTreeMap<String, f64>,
    known_over_unknown_at_most: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reliability {
    above_at_least: f64,
    below_at_most: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Verdicts {
    fits_denied_at_most: usize,
    fits_warned_at_most: f64,
    ooms_warned_at_least: f64,
    clear_ooms_denied_at_least: f64,
    area_at_least: f64,
}

fn bounds() -> Bounds {
    toml::from_str(include_str!("bounds.toml")).expect("bounds.toml is valid")
}

/// The published runs of a kind, by the groups of `key`.
fn published(counts: impl Fn(&Row, &Scored) -> bool, key: impl Fn(&Row) -> String) -> Report {
    let runs = score::published().iter().filter(|(row, run)| counts(row, run));
    score::by(runs.map(|(row, run)| (key(row), run)))
}

/// All published runs by source, each scored without its own party.
fn unseen() -> Report {
    score::by(evidence::unseen().iter().map(|(row, run)| (row.run.source.clone(), run)))
}

#[test]
fn errors_on_published_memory_do_not_grow() {
    let mut shown = Shown::new("published-memory");
    let bounds = bounds();
    let by_source = |row: &Row| format!("{} {} {}", row.run.source, row.model(), row.counter());
    let stated = published(|row, run| run.stated && !row.held_out, by_source);
    let dimensions = published(|row, _| row.has_dimensions() && !row.held_out, by_source);
    let held_out = published(|row, run| run.stated && row.held_out, by_source);
    show!(shown, "Nothing that decides is unknown\n{}", score::memory(&stated));
    show!(shown, "With dimensions\n{}", score::memory(&dimensions));
    show!(
        shown,
        "Nothing that decides is unknown, and no constant is fitted on it\n{}",
        score::memory(&held_out)
    );

    let all = score::group(&stated.memory, "all");
    assert!(all.runs >= bounds.stated.specifications_at_least, "{all:?}");
    assert!(all.median <= bounds.stated.median && all.p95 <= bounds.stated.p95, "{all:?}");
    assert!(all.worst_under >= bounds.stated.worst_under, "{all:?}");
    let all = score::group(&dimensions.memory, "all");
    assert!(all.median <= bounds.dimensions.median, "{all:?}");
    let by_kind = published(|_, run| run.stated, |row| format!("{} {}", row.run.source, row.model()));
    for (name, median) in &bounds.medians {
        let group = score::group(&by_kind.memory, name);
        assert!(group.median <= *median, "{name}: {group:?}");
    }
    shown.end();
}

#[test]
fn the_interval_covers_its_share_of_runs_of_unseen_sources() {
    let mut shown = Shown::new("unseen-intervals");
    let bounds = bounds().interval;
    let report = unseen();
    show!(shown, "Each source without itself\n{}", score::memory(&report));
    let stated = evidence::unseen().iter().filter(|(_, run)| run.stated);
    let stated = score::by(stated.map(|(row, run)| (row.run.source.clone(), run)));
    show!(shown, "Each source without itself, nothing that decides is unknown\n{}", score::memory(&stated));
    let classes =
        evidence::unseen().iter().filter_map(|(_, run)| Some((run.evidence?.name().to_owned(), run)));
    show!(shown, "By class of evidence\n{}", score::memory(&score::by(classes)));
    let all = score::group(&report.memory, "all").covered.expect("there are intervals");
    assert!((bounds.holds_at_least..=bounds.holds_at_most).contains(&all), "{all}");
    for group in report.memory.iter().filter(|group| group.runs >= bounds.runs_of_a_source_at_least) {
        let least = bounds.worse.get(&group.source).unwrap_or(&bounds.of_a_source_at_least);
        assert!(group.covered.is_some_and(|covered| covered >= *least), "{group:?}");
    }
    shown.end();
}

/// The rule of thumb: 16 bytes a trained parameter and 2 a frozen one, divided among the ranks that share them. It leaves
/// out activations, the context and what the allocator keeps.
#[test]
fn a_rule_of_thumb_is_much_worse() {
    let mut shown = Shown::new("rule-of-thumb");
    let stated = score::published().iter().filter(|(_, run)| run.stated).filter_map(|(row, run)| {
        let device = Device { bf16: devices::bf16(&row.job) };
        let plan = assume(&row.job, device).expect("it has a size").likely;
        let parameters = Parameters::of(&plan.shape).total as f64 / (plan.tensor * plan.pipeline) as f64;
        let ranks = (plan.data * plan.context) as f64;
        let bytes = match Mode::of(&plan) {
            Mode { method: Method::QLoRA, .. } => 0.5,
            Mode { method: Method::LoRA, .. } => 2.0,
            Mode { divided: Divided::Nothing, .. } => 16.0,
            Mode { divided: Divided::States, .. } => 4.0 + 12.0 / ranks,
            Mode { divided: Divided::Everything, .. } => 16.0 / ranks,
        };
        let estimated = bytes * parameters / f64::from(1 << 30);
        let memory = Comparison { estimated, lower: None, upper: None, ..run.memory? };
        Some((row.run.source.clone(), Scored { memory: Some(memory), ..run.clone() }))
    });
    let stated: Vec<_> = stated.collect();
    let report = score::by(stated.iter().map(|(source, run)| (source.clone(), run)));
    show!(shown, "{}", score::memory(&report));
    let own = published(|_, run| run.stated, |row| row.run.source.clone());
    let median = |report: &Report| score::group(&report.memory, "all").median;
    assert!(median(&report) > 5.0 * median(&own));
    shown.end();
}

/// One torchtitan run of Llama 3 8B: with all published facts, and without version and recomputation.
#[test]
fn version_and_recomputation_narrow_the_interval() {
    let mut rows = published::rows().iter();
    let known = rows.find(|row| row.run.name.as_deref() == Some("torchtitan-0051")).expect("it is published");
    let mut unknown = known.job.clone();
    unknown.framework_version = None;
    unknown.recompute = None;
    unknown.compile = None;
    let width = |job| {
        let estimate = estimate(job, Device { bf16: true }).expect("it has dimensions");
        let (lower, upper) = estimate.distribution(Figure::Needed).bounds();
        (upper.as_f64() / lower.as_f64()).ln()
    };
    let ratio = width(&known.job) / width(&unknown);
    assert!(ratio <= bounds().interval.known_over_unknown_at_most, "{ratio:.2}");
}

#[test]
fn verdicts_match_published_outcomes() {
    let mut shown = Shown::new("published-verdicts");
    let bounds = bounds().verdicts;
    let report = published(|_, _| true, |row| row.run.source.clone());
    show!(shown, "{}", score::gate(&report));
    let all = report.gate.last().expect("there are runs");
    let share = |part: usize, of: usize| part as f64 / of.max(1) as f64;
    assert!(all.fits_refused <= bounds.fits_denied_at_most, "{all:?}");
    assert!(share(all.fits_troubled(), all.fits) <= bounds.fits_warned_at_most, "{all:?}");
    assert!(share(all.ooms_noticed(), all.ooms) >= bounds.ooms_warned_at_least, "{all:?}");
    assert!(share(all.clear_ooms_refused, all.clear_ooms) >= bounds.clear_ooms_denied_at_least, "{all:?}");
    assert!(report.area.is_some_and(|area| area.area >= bounds.area_at_least));
    shown.end();
}

/// Each source is judged without itself. The first and the last bin of the probabilities hold what they promise.
#[test]
fn probabilities_hold_for_unseen_sources() {
    let mut shown = Shown::new("unseen-verdicts");
    let report = unseen();
    show!(shown, "{}", score::gate(&report));
    let all = report.gate.last().expect("there are runs");
    assert!(all.fits_refused <= bounds().verdicts.fits_denied_at_most, "{all:?}");
    let bounds = bounds().reliability;
    let (first, last) = (report.reliability.first(), report.reliability.last());
    assert!(first.is_some_and(|bin| bin.to <= 0.05 && bin.ran_out <= bounds.below_at_most), "{first:?}");
    assert!(last.is_some_and(|bin| bin.from >= 0.95 && bin.ran_out >= bounds.above_at_least), "{last:?}");
    shown.end();
}
