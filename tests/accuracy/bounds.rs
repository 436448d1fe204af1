//! What has been reached, and must not be lost.

use weighbridge::workload::Framework;

use crate::published::{self, Measured};
use crate::score::{Scored, score};
use crate::table;

fn kind(one: &Scored) -> &'static str {
    if one.experts { "experts" } else { "dense" }
}

fn figure(one: &Scored) -> String {
    one.figure.map_or_else(String::new, |f| format!("{:?}", f.kind).to_lowercase())
}

fn framework(one: &Scored) -> &'static str {
    one.framework.map_or("unstated", Framework::name)
}

#[test]
fn published_figures() {
    let scored = score(&published::rows());
    let all: Vec<&Scored> = scored.iter().collect();
    let stated: Vec<&Scored> = scored.iter().filter(|s| s.stated).collect();
    let dimensions: Vec<&Scored> = scored.iter().filter(|s| s.dimensions).collect();
    let by_source = |s: &Scored| format!("{} {} {}", s.source, kind(s), figure(s));
    println!("{}", table::accuracy("everything stated, by source", &stated, by_source));
    println!("{}", table::accuracy("with dimensions, by source", &dimensions, by_source));
    println!("{}", table::accuracy("all, by source", &all, by_source));
    println!(
        "{}",
        table::accuracy("all, by framework and kind", &all, |s| format!("{} {}", framework(s), kind(s)))
    );
    println!("{}", table::verdicts(&scored));
}

/// `cargo test --test accuracy every_row -- --ignored --nocapture`: every row, tab-separated.
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
            "ROW\t{}\t{}\t{}\t{}\t{}\t{}\t{:?}\t{figure}\t{measured:.3}\t{estimated:.3}\t{lower:.3}\t{upper:.3}\t{verdict}\t{probability:.3}\t{fullness:.3}",
            one.source,
            one.name,
            framework(&one),
            kind(&one),
            if one.stated { "stated" } else { "open" },
            if one.dimensions { "dimensions" } else { "size" },
            one.outcome,
        );
    }
    let _ = Measured::Unstated;
}

/// `ROW=name cargo test --test accuracy one_row -- --ignored --nocapture`: what one row is made of.
#[test]
#[ignore = "prints; there is nothing to fail"]
fn one_row() {
    let name = std::env::var("ROW").unwrap_or_default();
    for row in published::rows().iter().filter(|row| row.name == name) {
        let rank = if row.last_rank {
            weighbridge::estimate::Rank::Last
        } else {
            weighbridge::estimate::Rank::Worst
        };
        let device = weighbridge::estimate::assume::Device { bf16: true };
        let estimate = weighbridge::estimate::estimate_rank(&row.job, device, rank).unwrap();
        println!("{:#?}\n{:#?}\n{:?}", estimate.assumed.likely, estimate.peak, estimate.swings());
    }
}
