//! The evidence for every mode of a framework, computed from the rows: `data/evidence.toml`.
//!
//! Rows count if nothing that matters is open and their counter is known. A residual is ln(measured / estimated), with
//! constants that were fitted without the row's party ([`constants::without_party`]). For a figure that includes memory
//! that no tensor owns, the spread of that memory is taken off first: it is added again for every job.
//!
//! `WEIGHBRIDGE_GENERATE=1 cargo test --test local accuracy::evidence` writes the file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::{LazyLock, Mutex};

use toml::Table;
use weighbridge::estimate::assume::Device;
use weighbridge::estimate::calibration::Calibration;
use weighbridge::estimate::estimate_rank;
use weighbridge::estimate::evidence::{Mode, is_counted};
use weighbridge::estimate::memory::Figure;
use weighbridge::job::{Rank, TrainingJob};
use weighbridge::judgement::Evidence;
use weighbridge::policy::World;
use weighbridge::score::{Counter, Measured, Scored, score_with};

use super::published::{self, Row};
use super::statistics::quantile;
use super::throughput::measured;
use super::{constants, devices, oracle, score};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/evidence.toml");

/// The least number of PyTorch's counts that check a mode.
const COUNTS: usize = 2;

/// One comparison of a mode with a measurement.
struct Compared {
    mode: Mode<'static>,
    party: String,
    /// Whether it is PyTorch's own count of allocated memory. Else the figure includes what the allocator keeps.
    count: bool,
    /// |ln(measured / estimated)|, less the spread of memory that no tensor owns.
    residual: f64,
}

/// All comparisons.
fn compared() -> &'static [Compared] {
    static COMPARED: LazyLock<Vec<Compared>> = LazyLock::new(|| {
        let counted = oracle::jobs().into_iter().map(|job| Compared {
            mode: mode(&job),
            party: "PyTorch's MemTracker".to_owned(),
            count: true,
            // Fake tensors have no allocator, context or library. `oracle` holds the errors, at most 0.14 %.
            residual: 0.0,
        });
        let published = score::published().iter().filter(|(_, run)| run.stated).filter_map(|(row, _)| {
            let measured = row.run.memory.filter(|measured| !measured.at_least)?;
            Some(compare(&row.party, &row.job, measured, without(row)))
        });
        let own = measured::runs().into_iter().filter(measured::Run::fits).flat_map(|run| {
            let job = run.job();
            [(Counter::Allocated, "allocated_gib"), (Counter::Process, "process_gib")].map(
                |(counter, column)| {
                    let gib = run.number(column);
                    let measured = Measured {
                        gib,
                        counter,
                        assumed: false,
                        step: 0.0,
                        last_stage: false,
                        at_least: false,
                    };
                    compare("weighbridge", &job, measured, Calibration::builtin())
                },
            )
        });
        counted.chain(published).chain(own).collect()
    });
    &COMPARED
}

/// The constants without the row's party, and the built-in evidence.
fn without(row: &Row) -> &'static Calibration {
    static KNOWN: Mutex<BTreeMap<String, &'static Calibration>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().expect("no test panics while it fits");
    known
        .entry(row.party.clone())
        .or_insert_with(|| Box::leak(Box::new(constants::without_party(&row.party, None))))
}

fn mode(job: &TrainingJob) -> Mode<'static> {
    let device = Device { bf16: devices::bf16(job) };
    let estimate = estimate_rank(job, device, Rank::Worst, Calibration::builtin()).expect("it has a size");
    Mode::of(&estimate.assumed.likely)
}

fn compare(
    party: &str,
    job: &TrainingJob,
    measured: Measured,
    calibration: &'static Calibration,
) -> Compared {
    let rank = if measured.last_stage { Rank::Last } else { Rank::Worst };
    let device = Device { bf16: devices::bf16(job) };
    let estimate = estimate_rank(job, device, rank, calibration).expect("it has a size");
    let plan = &estimate.assumed.likely;
    let figure = measured.counter.figure();
    let estimated = estimate.peak.figure(figure).as_gib();
    let half = measured.step / 2.0;
    let nearest = estimated.clamp(measured.gib - half, measured.gib + half);
    let unowned = match figure {
        Figure::Process | Figure::Needed => calibration.runtime_spread(plan),
        Figure::Allocated | Figure::Reserved => calibration.workspaces_spread(),
    };
    let unowned = unowned.as_gib() / estimated;
    let error = (nearest / estimated).ln();
    Compared {
        mode: Mode::of(plan),
        party: party.to_owned(),
        count: measured.counter == Counter::Allocated,
        residual: (error * error - unowned * unowned).max(0.0).sqrt(),
    }
}

/// The class of a mode by these comparisons.
fn class(mode: &Mode<'_>, known: &[&Compared]) -> Evidence {
    let own = known.iter().filter(|compared| compared.mode == *mode);
    let parties: BTreeSet<&str> = own.clone().map(|compared| compared.party.as_str()).collect();
    if parties.len() > 1 || own.filter(|compared| compared.count).count() >= COUNTS {
        return Evidence::Checked;
    }
    let framework = has_framework(mode, known) || is_counted(mode);
    if framework { Evidence::Derived } else { Evidence::Unchecked }
}

/// Whether another comparison is of the mode's framework.
fn has_framework(mode: &Mode<'_>, known: &[&Compared]) -> bool {
    let tells = |other: &Mode<'_>| other.framework == mode.framework && (other.experts || !mode.experts);
    known.iter().any(|compared| tells(&compared.mode))
}

/// The spread of these residuals: that of a normal distribution with the same 90 % quantile.
fn spread(residuals: &[f64]) -> Option<f64> {
    (!residuals.is_empty()).then(|| quantile(residuals, 0.90) / 1.645)
}

/// The widest. The next party may be like the one that is met worst.
fn widest(spreads: &[f64]) -> f64 {
    spreads.iter().copied().fold(0.0, f64::max)
}

/// The root of the mean square.
fn together(spreads: &[f64]) -> f64 {
    (spreads.iter().map(|spread| spread * spread).sum::<f64>() / spreads.len().max(1) as f64).sqrt()
}

/// The residuals of the known parties, by party.
fn by_party<'a>(known: &[&'a Compared]) -> BTreeMap<&'a str, Vec<&'a Compared>> {
    let mut parties: BTreeMap<&str, Vec<&Compared>> = BTreeMap::new();
    for compared in known {
        parties.entry(&compared.party).or_default().push(compared);
    }
    parties
}

/// The spread of each party's residuals: of counts of allocated memory, or of figures that include what the allocator
/// keeps.
fn spreads(known: &[&Compared], counts: bool) -> Vec<f64> {
    let of = |party: &Vec<&Compared>| {
        let own: Vec<f64> = party.iter().filter(|one| one.count == counts).map(|one| one.residual).collect();
        spread(&own)
    };
    by_party(known).values().filter_map(of).collect()
}

/// The evidence as the file has it, without a party.
fn file(without: Option<&str>) -> String {
    let known: Vec<&Compared> =
        compared().iter().filter(|compared| Some(compared.party.as_str()) != without).collect();
    let others_know = |compared: &&Compared| {
        let others: Vec<&Compared> =
            known.iter().copied().filter(|other| other.party != compared.party).collect();
        has_framework(&compared.mode, &others)
    };
    let mut text = HEAD.to_owned();
    let known_frameworks: Vec<&Compared> = known.iter().copied().filter(others_know).collect();
    let [derived, unchecked] = [&known_frameworks, &known].map(|own| {
        let allocated = widest(&spreads(own, true));
        // What the allocator keeps never narrows a spread.
        [allocated, widest(&spreads(own, false)).max(allocated)]
    });
    let _ = writeln!(text, "\n[spread]\nderived = {}\nunchecked = {}", written(derived), written(unchecked));
    let modes: BTreeSet<Mode<'static>> = known.iter().map(|compared| compared.mode).collect();
    for mode in modes {
        let own: Vec<&Compared> = known.iter().copied().filter(|compared| compared.mode == mode).collect();
        let counts = own.iter().filter(|compared| compared.count).count();
        let class = class(&mode, &known);
        let Mode { framework, divided, method, recompute, experts } = mode;
        let names: Vec<String> =
            by_party(&own).iter().map(|(party, rows)| format!("\"{party}\" = {}", rows.len())).collect();
        let [of_allocated, of_kept] = derived;
        let with = |of_class: f64, counts: bool| {
            let mut all = spreads(&own, counts);
            all.push(of_class);
            together(&all)
        };
        let allocated = with(of_allocated, true);
        let _ = writeln!(
            text,
            "\n[[mode]]\nframework = \"{framework}\"\ndivided = \"{divided:?}\"\nmethod = \"{method}\"\n\
             recompute = \"{recompute}\"\nexperts = {experts}\nclass = \"{class:?}\"\ncounts = {counts}\n\
             parties = {{ {} }}\nspread = {}",
            names.join(", "),
            written([allocated, with(of_kept, false).max(allocated)])
        );
    }
    text
}

fn written([allocated, kept]: [f64; 2]) -> String {
    format!("{{ allocated = {allocated:.3}, kept = {kept:.3} }}")
}

const HEAD: &str = "\
# How far each mode of a framework was compared with measurements, and the spread of the comparisons. Made from the rows of
# `tests/accuracy` by `WEIGHBRIDGE_GENERATE=1 cargo test --test local accuracy::evidence`; src/estimate/evidence.rs has the rules.
";

/// The built-in calibration, or as it would be without a party.
pub(super) fn calibration(without: &Row) -> &'static Calibration {
    static KNOWN: Mutex<BTreeMap<String, &'static Calibration>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().expect("no test panics while it fits");
    known.entry(without.party.clone()).or_insert_with(|| {
        let evidence: Table = toml::from_str(&file(Some(&without.party))).expect("it is valid");
        Box::leak(Box::new(constants::without_party(&without.party, Some(evidence))))
    })
}

/// Every published run, scored without its own party.
pub(super) fn unseen() -> &'static [(&'static Row, Scored)] {
    static SCORED: LazyLock<Vec<(&'static Row, Scored)>> = LazyLock::new(|| {
        let world = World::built_in();
        published::rows().iter().map(|row| (row, score_with(&row.run, &world, calibration(row)))).collect()
    });
    &SCORED
}

#[test]
fn the_file_of_evidence_is_what_the_rows_give() {
    let computed = file(None);
    if std::env::var_os("WEIGHBRIDGE_GENERATE").is_some() {
        std::fs::write(FILE, &computed).expect("it can be written");
    }
    let written = std::fs::read_to_string(FILE).expect("it is there");
    assert!(written == computed, "data/evidence.toml is stale: see its first lines");
}

/// `cargo test --test local unseen_runs_as_lines -- --ignored --nocapture`: every run, scored without its own party.
#[test]
#[ignore = "prints; there is nothing to fail"]
fn unseen_runs_as_lines() {
    for (row, run) in unseen() {
        let (party, mode) = (&row.party, format!("{:?}", mode(&row.job)));
        println!("{}", serde_json::json!({"party": party, "mode": mode, "run": run}));
    }
    for compared in compared() {
        let Compared { mode, party, count, residual } = compared;
        println!(
            "{}",
            serde_json::json!({"compared": format!("{mode:?}"), "party": party, "count": count, "residual": residual})
        );
    }
}
