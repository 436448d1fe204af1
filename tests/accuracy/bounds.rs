//! The accuracy reached so far, in `bounds.toml`. It must not get worse.

use std::collections::BTreeMap;

use serde::Deserialize;
use weighbridge::estimate::assume::Device;
use weighbridge::estimate::estimate_rank;
use weighbridge::estimate::memory::Figure;
use weighbridge::job::{Framework, Rank};

use super::published::{self, Row};
use super::score::{Comparison, Scored, score};
use super::shown::{Shown, show};
use super::table::{self, Line};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bounds {
    stated: Stated,
    dimensions: Dimensions,
    interval: Interval,
    verdicts: Verdicts,
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
    specifications_at_least: usize,
    holds_at_least: f64,
    holds_at_most: f64,
    known_over_unknown_at_most: f64,
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

fn kind(one: &Scored) -> &'static str {
    if one.experts { "experts" } else { "dense" }
}

fn figure(one: &Scored) -> String {
    one.figure.map_or_else(String::new, |f| format!("{:?}", f.kind).to_lowercase())
}

fn framework(one: &Scored) -> &'static str {
    one.framework.map_or("unstated", Framework::name)
}

fn line_of<'a>(scored: impl Iterator<Item = &'a Scored>) -> Line {
    let comparisons: Vec<Comparison> = scored.filter_map(|one| one.figure).collect();
    table::line(comparisons.iter())
}

#[test]
fn errors_on_published_memory_do_not_grow() {
    let mut shown = Shown::new("published-memory");
    let scored = score(&published::rows());
    let bounds = bounds();
    let by_source = |one: &Scored| format!("{} {} {}", one.source, kind(one), figure(one));
    let stated: Vec<&Scored> = scored.iter().filter(|one| one.stated).collect();
    let dimensions: Vec<&Scored> = scored.iter().filter(|one| one.dimensions).collect();
    show!(shown, "{}", table::accuracy("nothing that decides is unknown, by source", &stated, by_source));
    show!(shown, "{}", table::accuracy("with dimensions, by source", &dimensions, by_source));

    let all = line_of(stated.iter().copied());
    assert!(all.specifications >= bounds.stated.specifications_at_least, "{all:?}");
    assert!(all.median <= bounds.stated.median && all.p95 <= bounds.stated.p95, "{all:?}");
    assert!(all.worst_under >= bounds.stated.worst_under, "{all:?}");
    let all = line_of(dimensions.iter().copied());
    assert!(all.median <= bounds.dimensions.median, "{all:?}");
    for (name, median) in &bounds.medians {
        let group = line_of(stated.iter().copied().filter(|o| format!("{} {}", o.source, kind(o)) == *name));
        assert!(group.median <= *median, "{name}: {group:?}");
    }
    shown.end();
}

#[test]
fn the_interval_covers_its_share_of_published_runs() {
    let mut shown = Shown::new("published-intervals");
    let scored = score(&published::rows());
    let bounds = bounds().interval;
    let all: Vec<&Scored> = scored.iter().collect();
    let name = |one: &Scored| format!("{} {}", framework(one), kind(one));
    show!(shown, "{}", table::accuracy("all, by framework and kind", &all, name));
    let names: std::collections::BTreeSet<String> = scored.iter().map(name).collect();
    for group in names {
        let line = line_of(scored.iter().filter(|one| name(one) == group));
        if line.specifications >= bounds.specifications_at_least {
            // Among two dozen specifications, one more inside is chance, not a sign that the interval is too wide.
            let most = bounds.holds_at_most + 1.0 / line.specifications as f64;
            let holds = (bounds.holds_at_least..=most).contains(&line.coverage);
            assert!(holds, "{group}: {line:?}");
        }
    }
    shown.end();
}

/// One torchtitan run of Llama 3 8B: with all published facts, and without version and recomputation.
#[test]
fn version_and_recomputation_narrow_the_interval() {
    let rows = published::rows();
    let known: &Row = rows.iter().find(|row| row.name == "torchtitan-0051").expect("it is published");
    let mut unknown = known.job.clone();
    unknown.framework_version = None;
    unknown.recompute = None;
    unknown.compile = None;
    let width = |job| {
        let estimate = estimate_rank(job, Device { bf16: true }, Rank::Worst).expect("it has dimensions");
        let (lower, upper) = estimate.distribution(Figure::Needed).bounds();
        (upper.as_f64() / lower.as_f64()).ln()
    };
    let ratio = width(&known.job) / width(&unknown);
    assert!(ratio <= bounds().interval.known_over_unknown_at_most, "{ratio:.2}");
}

#[test]
fn verdicts_match_published_outcomes() {
    let mut shown = Shown::new("published-verdicts");
    let scored = score(&published::rows());
    let bounds = bounds().verdicts;
    show!(shown, "{}", table::verdicts(&scored));
    let all = table::confusion(scored.iter());
    let share = |part: usize, of: usize| part as f64 / of.max(1) as f64;
    assert!(all.fits_denied <= bounds.fits_denied_at_most, "{all:?}");
    assert!(share(all.fits_warned, all.fits) <= bounds.fits_warned_at_most, "{all:?}");
    assert!(share(all.ooms_warned, all.ooms) >= bounds.ooms_warned_at_least, "{all:?}");
    assert!(share(all.clear_ooms_denied, all.clear_ooms) >= bounds.clear_ooms_denied_at_least, "{all:?}");
    assert!(table::area(&scored).0 >= bounds.area_at_least);
    shown.end();
}

/// `cargo test --test local every_row -- --ignored --nocapture`: every specification, tab-separated.
#[test]
#[ignore = "prints; there is nothing to fail"]
fn every_row() {
    for one in score(&published::rows()) {
        let (figure, numbers) = one.figure.map_or(("-".to_owned(), [0.0; 4]), |f| {
            (format!("{:?}", f.kind), [f.measured, f.estimated, f.lower, f.upper])
        });
        let [measured, estimated, lower, upper] = numbers;
        let (verdict, probability, fullness) = one
            .judged
            .map_or(("-".to_owned(), 0.0, 0.0), |j| (format!("{:?}", j.verdict), j.probability, j.fullness));
        println!(
            "ROW\t{}\t{}\t{}\t{}\t{}\t{}\t{:?}\t{figure}\t{measured:.3}\t{estimated:.3}\t{lower:.3}\t{upper:.3}\t\
             {verdict}\t{probability:.3}\t{fullness:.3}",
            one.source,
            one.name,
            framework(&one),
            kind(&one),
            if one.stated { "stated" } else { "open" },
            if one.dimensions { "dimensions" } else { "size" },
            one.outcome,
        );
    }
}
