//! The tables, as text.

use std::fmt::Write as _;

use super::published::Outcome;
use super::score::{Comparison, Scored};
use super::statistics::{area_within, median, quantile};
use weighbridge::judgement::Verdict;

/// A table's line for a group of comparisons.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    pub(crate) specifications: usize,
    pub(crate) median: f64,
    pub p95: f64,
    pub(crate) worst_under: f64,
    pub(crate) bias: f64,
    pub(crate) coverage: f64,
    /// The median width of the interval, relative to the estimate.
    pub(crate) width: f64,
}

/// Summarizes comparisons.
pub(crate) fn line<'a>(comparisons: impl Iterator<Item = &'a Comparison>) -> Line {
    line_by(comparisons, Comparison::error)
}

fn line_by<'a>(comparisons: impl Iterator<Item = &'a Comparison>, error: fn(&Comparison) -> f64) -> Line {
    let all: Vec<_> = comparisons.collect();
    let errors: Vec<f64> = all.iter().map(|c| error(c)).collect();
    let sizes: Vec<f64> = errors.iter().map(|e| e.abs()).collect();
    let covered = all.iter().filter(|c| c.is_covered()).count();
    let widths: Vec<f64> = all.iter().map(|c| (c.upper - c.lower) / c.estimated).collect();
    Line {
        specifications: all.len(),
        median: median(&sizes),
        p95: quantile(&sizes, 0.95),
        worst_under: errors.iter().copied().fold(0.0, f64::min),
        bias: median(&errors),
        coverage: covered as f64 / all.len().max(1) as f64,
        width: median(&widths),
    }
}

const HEAD: &str = "group                                          n   median |e|    p95   worst under    bias  covered   width";

/// The accuracy by groups of `key`.
pub(crate) fn accuracy(title: &str, scored: &[&Scored], key: impl Fn(&Scored) -> String) -> String {
    let mut groups: std::collections::BTreeMap<String, Vec<Comparison>> = std::collections::BTreeMap::new();
    for one in scored {
        if let Some(figure) = one.figure {
            groups.entry(key(one)).or_default().push(figure);
        }
    }
    let mut text = format!("\n{title}\n{HEAD}\n");
    let all: Vec<Comparison> = groups.values().flatten().copied().collect();
    let lines = groups.iter().map(|(name, group)| (name.as_str(), line(group.iter())));
    let as_read = line_by(all.iter(), Comparison::error_as_read);
    let totals = [("all", line(all.iter())), ("all, readings in whole GB taken as exact", as_read)];
    for (name, l) in lines.chain(totals) {
        let percent = |x: f64| x * 100.0;
        let _ = writeln!(
            text,
            "{name:<43}{:>5}{:>11.1} %{:>6.1}{:>11.1} %{:>9.1}{:>8.0} %{:>7.0} %",
            l.specifications,
            percent(l.median),
            percent(l.p95),
            percent(l.worst_under),
            percent(l.bias),
            percent(l.coverage),
            percent(l.width)
        );
    }
    text
}

/// Fits and out-of-memory runs against the product's verdict.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Confusion {
    pub(crate) fits: usize,
    pub(crate) fits_warned: usize,
    pub(crate) fits_denied: usize,
    pub(crate) ooms: usize,
    pub(crate) ooms_warned: usize,
    pub(crate) ooms_denied: usize,
    pub(crate) clear_ooms: usize,
    pub(crate) clear_ooms_denied: usize,
}

/// The need over capacity at which an out-of-memory run should be denied.
const CLEAR: f64 = 1.15;

pub(crate) fn confusion<'a>(scored: impl Iterator<Item = &'a Scored>) -> Confusion {
    let mut c = Confusion::default();
    for one in scored {
        let Some(judged) = one.judged else { continue };
        let denied = usize::from(judged.verdict == Verdict::OutOfMemory);
        let warned = usize::from(judged.verdict != Verdict::Fits);
        match one.outcome {
            Outcome::Fits => {
                c.fits += 1;
                c.fits_warned += warned;
                c.fits_denied += denied;
            }
            Outcome::Oom => {
                c.ooms += 1;
                c.ooms_warned += warned;
                c.ooms_denied += denied;
                // If a field that matters is open, the real need of the run is unknown.
                if judged.fullness >= CLEAR && one.stated {
                    c.clear_ooms += 1;
                    c.clear_ooms_denied += denied;
                }
            }
        }
    }
    c
}

pub(crate) fn verdicts(scored: &[Scored]) -> String {
    let mut text = "\nverdicts                       fits  warned  denied     oom  warned  denied   of need ≥ 1.15: denied\n"
        .to_owned();
    let mut sources: Vec<&str> = scored.iter().map(|s| s.source).collect();
    sources.dedup();
    for source in sources.iter().copied().chain(["all"]) {
        let c = confusion(scored.iter().filter(|s| source == "all" || s.source == source));
        let _ = writeln!(
            text,
            "{source:<28}{:>7}{:>8}{:>8}{:>8}{:>8}{:>8}{:>13}{:>10}",
            c.fits,
            c.fits_warned,
            c.fits_denied,
            c.ooms,
            c.ooms_warned,
            c.ooms_denied,
            c.clear_ooms,
            c.clear_ooms_denied
        );
    }
    let (area, low, high, pairs) = area(scored);
    let _ = writeln!(text, "AUC within publication and device {area:.3} ({low:.3}–{high:.3}), {pairs} pairs");
    text
}

/// The area under the curve within a publication and a device, by probability, then by fullness.
pub(crate) fn area(scored: &[Scored]) -> (f64, f64, f64, usize) {
    let mut groups: std::collections::BTreeMap<String, (Vec<f64>, Vec<f64>)> =
        std::collections::BTreeMap::new();
    for one in scored {
        let Some(judged) = one.judged else { continue };
        let rank = judged.probability + 1e-6 * judged.fullness;
        // A row's name begins with its publication. A file may hold several publications.
        let publication = one.name.split('-').next().unwrap_or_default();
        let group = groups.entry(format!("{publication} {}", one.device)).or_default();
        match one.outcome {
            Outcome::Oom => group.0.push(rank),
            Outcome::Fits => group.1.push(rank),
        }
    }
    area_within(&groups.into_values().collect::<Vec<_>>())
}
