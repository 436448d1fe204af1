//! The accuracy of predicted throughput and accelerator-hours on models, origins and accelerators that the coefficients
//! were not fitted on.
//!
//! `complete` rows state the model's dimensions, the division of the work, microbatch, batch and sequence. `balanced`
//! is the mean of the origins' means. The baseline is the first rule of thumb of this project: six operations per
//! parameter and token at 30 % of the half-precision peak. vTrain's own errors on its rows are those that it publishes,
//! for one node and for several.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::json;
use weighbridge::estimate::assume::Device;
use weighbridge::estimate::estimate;
use weighbridge::estimate::time::{Coefficients, time};
use weighbridge::job::{Ask, Model, Precision, TrainingJob};
use weighbridge::judge::judge;
use weighbridge::model::{Parameters, Shape};
use weighbridge::policy::{ObservedSpeed, World};
use weighbridge::surroundings::Surroundings;

use super::shown::{Shown, show};
use super::statistics::median;
use super::throughput::file::{self, Fitting};
use super::throughput::hours::{self, Run};
use super::throughput::rows::{MEASURED, Row, sources};
use super::throughput::{fit, spread};

const NINETY_PERCENT: f64 = 1.645;

static FITTING: LazyLock<Fitting> = LazyLock::new(file::fitting);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bounds {
    throughput: BTreeMap<String, Bound>,
    experts: BTreeMap<String, Bound>,
    hours: HoursBound,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bound {
    mape: f64,
    median: f64,
    balanced: f64,
    holds_at_least: f64,
    holds_at_most: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HoursBound {
    within_a_quarter: f64,
    median: f64,
    holds_at_least: f64,
    holds_at_most: f64,
    factor_at_most: f64,
}

fn bounds() -> Bounds {
    toml::from_str(include_str!("time.toml")).expect("time.toml is valid")
}

/// The relative error of a residual in logarithms.
fn error(residual: f64) -> f64 {
    (residual.exp() - 1.0).abs()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// A set of predictions and their intervals, by row.
struct Predictions {
    name: &'static str,
    residuals: Vec<f64>,
    spreads: Vec<f64>,
}

/// The errors of one origin, and whether each is inside its interval.
#[derive(Default)]
struct OfOrigin {
    errors: Vec<f64>,
    held: Vec<f64>,
}

/// The rows of a line.
type Keep<'a> = &'a dyn Fn(&Row) -> bool;

/// A line of a table.
struct Line {
    rows: usize,
    mape: f64,
    median: f64,
    balanced: f64,
    /// The share of rows inside the interval, by row and by origin.
    holds: f64,
    holds_balanced: f64,
}

fn line(rows: &[Row], predictions: &Predictions, keep: Keep<'_>) -> Line {
    let mut by_origin: BTreeMap<&str, OfOrigin> = BTreeMap::new();
    let (mut errors, mut held) = (Vec::new(), Vec::new());
    for ((row, residual), spread) in rows.iter().zip(&predictions.residuals).zip(&predictions.spreads) {
        if row.laid_out && keep(row) {
            let inside = f64::from(u8::from(residual.abs() <= NINETY_PERCENT * spread));
            let of_origin = by_origin.entry(&row.origin).or_default();
            of_origin.errors.push(error(*residual));
            of_origin.held.push(inside);
            errors.push(error(*residual));
            held.push(inside);
        }
    }
    let means = |part: fn(&OfOrigin) -> &[f64]| {
        mean(&by_origin.values().map(|of_origin| mean(part(of_origin))).collect::<Vec<_>>())
    };
    Line {
        rows: errors.len(),
        mape: mean(&errors),
        median: median(&errors),
        balanced: means(|of_origin| &of_origin.errors),
        holds: mean(&held),
        holds_balanced: means(|of_origin| &of_origin.held),
    }
}

/// Predictions in sample and with whole groups held out, each with the spread of the facts that are then known.
fn predictions() -> [Predictions; 4] {
    let Fitting { rows, samples, names, fitted, held_out } = &*FITTING;
    let spread_of = Coefficients::builtin().spread.clone();
    let frameworks: Vec<Option<String>> = rows.iter().map(spread::framework).collect();
    let spreads = |group: Option<&dyn Fn(&Row) -> String>| -> Vec<f64> {
        let mut seen: BTreeMap<(&str, &str), BTreeSet<String>> = BTreeMap::new();
        for (row, framework) in rows.iter().zip(&frameworks) {
            let of = group.map_or_else(String::new, |group| group(row));
            seen.entry(("accelerator", &row.accelerator.key)).or_default().insert(of.clone());
            seen.entry(("generation", spread::generation(row))).or_default().insert(of.clone());
            if let Some(framework) = framework {
                seen.entry(("framework", framework)).or_default().insert(of);
            }
        }
        // A fact is known if rows of another group have it. Without groups, if any row has it.
        let known = |what: &str, name: &str| {
            let groups = seen.get(&(what, name)).map_or(0, BTreeSet::len);
            if group.is_some() { groups > 1 } else { groups > 0 }
        };
        rows.iter()
            .zip(samples)
            .zip(&frameworks)
            .map(|((row, sample), framework)| {
                let framework = framework.as_deref().filter(|name| known("framework", name));
                let accelerator = known("accelerator", &row.accelerator.key);
                let generation = known("generation", spread::generation(row));
                spread_of.of(spread::known(row, sample, framework, (accelerator, generation)))
            })
            .collect()
    };
    let inside = samples.iter().map(|sample| fit::predict(sample, names, fitted) - sample.measured).collect();
    [
        Predictions { name: "in sample", residuals: inside, spreads: spreads(None) },
        Predictions { name: "models", residuals: held_out.models.clone(), spreads: spreads(None) },
        Predictions {
            name: "origins",
            residuals: held_out.origins.clone(),
            spreads: spreads(Some(&|row: &Row| row.origin.clone())),
        },
        Predictions {
            name: "accelerators",
            residuals: held_out.accelerators.clone(),
            spreads: spreads(Some(&|row: &Row| row.accelerator.key.clone())),
        },
    ]
}

/// The errors of a cluster.
struct Told {
    runs: usize,
    /// Of nothing but the prediction.
    before: f64,
    /// If one run of another model is known: the mean over all pairs.
    after: f64,
    /// If the mean of all its runs is known: what no rate of the whole cluster can mend.
    apart: f64,
}

/// The errors of each cluster with enough runs and models. The residuals are of held-out origins.
fn told<'a>(rows: &'a [Row], residuals: &[f64]) -> BTreeMap<(&'a str, &'a str, String), Told> {
    type Cluster<'r> = (&'r str, &'r str, String);
    let mut clusters: BTreeMap<Cluster<'_>, Vec<(&str, f64)>> = BTreeMap::new();
    for (row, residual) in rows.iter().zip(residuals).filter(|(row, _)| row.complete && row.laid_out) {
        let framework = spread::framework(row).unwrap_or_default();
        let cluster = clusters.entry((&row.source, &row.accelerator.key, framework)).or_default();
        cluster.push((&row.model, *residual));
    }
    let exponent = ObservedSpeed::exponent(1.0);
    let of = |runs: Vec<(&str, f64)>| {
        let before = mean(&runs.iter().map(|(_, residual)| error(*residual)).collect::<Vec<_>>());
        let pairs = runs.iter().flat_map(|(model, residual)| {
            let others = runs.iter().filter(move |(other, _)| other != model);
            others.map(move |(_, known)| error(residual - exponent * known))
        });
        let common = mean(&runs.iter().map(|(_, residual)| *residual).collect::<Vec<_>>());
        let apart = mean(&runs.iter().map(|(_, residual)| error(residual - common)).collect::<Vec<_>>());
        Told { runs: runs.len(), before, after: mean(&pairs.collect::<Vec<_>>()), apart }
    };
    clusters
        .into_iter()
        .filter(|(_, runs)| {
            runs.len() >= 8 && runs.iter().map(|(model, _)| model).collect::<BTreeSet<_>>().len() >= 3
        })
        .map(|(cluster, runs)| (cluster, of(runs)))
        .collect()
}

/// The lines of [`told`], and their mean.
fn show_told(shown: &mut Shown, rows: &[Row], residuals: &[f64]) {
    show!(
        shown,
        "\ntold one run of another model of the same source, accelerator and framework: MAPE before -> after; told the mean of all"
    );
    let clusters = told(rows, residuals);
    for ((source, accelerator, framework), Told { runs, before, after, apart }) in &clusters {
        show!(
            shown,
            "{source:16} {accelerator:16} {framework:18} {runs:5} {:6.1}% {:6.1}% {:6.1}%",
            100.0 * before,
            100.0 * after,
            100.0 * apart
        );
    }
    let over = |part: fn(&Told) -> f64| 100.0 * mean(&clusters.values().map(part).collect::<Vec<_>>());
    show!(
        shown,
        "{:57} {:6.1}% {:6.1}% {:6.1}%",
        "all",
        over(|told| told.before),
        over(|told| told.after),
        over(|told| told.apart)
    );
}

/// Six operations per parameter and token at 30 % of the half-precision peak.
fn rule_of_thumb(row: &Row) -> f64 {
    let model = row.job.model.clone().unwrap_or_default();
    let shape = Shape::complete(&model, 2048, 50_000, 1.0).expect("it has a size");
    let active = Parameters::of(&shape).active as f64;
    let peak = row.accelerator.peak(Precision::BF16).or(row.accelerator.peak(Precision::FP16));
    let rate = peak.expect("it has a rate").0 as f64;
    (0.3 * rate / (6.0 * active)).ln() - row.measured.ln()
}

/// ln predicted − ln measured, on the path of a user's job.
fn of_product(row: &Row) -> f64 {
    let device = Device { bf16: row.accelerator.computes_in_bf16() };
    let estimate = estimate(&row.job, device).expect("a shape");
    let taken = time(&row.job, estimate.running(), row.accelerator.into()).expect("a rate");
    taken.tokens_per_second_per_gpu.ln() - row.measured.ln()
}

fn published(row: &Row) -> bool {
    row.complete && row.source != MEASURED
}

fn experts(row: &Row) -> bool {
    row.job.model.as_ref().is_some_and(|model| model.experts.is_some())
}

#[test]
fn errors_on_published_throughput_do_not_grow() {
    let mut shown = Shown::new("published-throughput");
    let rows = &FITTING.rows;
    let predictions = predictions();
    let thumb = Predictions {
        name: "6PD at 30 %",
        residuals: rows.iter().map(rule_of_thumb).collect(),
        spreads: vec![0.0; rows.len()],
    };
    let kinds: [(&str, Keep<'_>); 5] = [
        ("complete", &published),
        ("complete, dense", &|row| published(row) && !experts(row)),
        ("complete, dense, without vtrain-s", &|row| {
            published(row) && !experts(row) && row.source != "vtrain-s"
        }),
        ("complete, experts", &|row| published(row) && experts(row)),
        ("measured for this project", &|row| row.source == MEASURED),
    ];
    show!(
        shown,
        "held out        rows of                            rows   MAPE  median  balanced  90 % holds: rows, origins"
    );
    for set in predictions.iter().chain([&thumb]) {
        for (kind, keep) in kinds {
            let Line { rows, mape, median, balanced, holds, holds_balanced } = line(rows, set, keep);
            show!(
                shown,
                "{:15} {kind:34} {rows:5} {:5.1}% {:6.1}% {:8.1}% {:10.1}% {:7.1}%",
                set.name,
                100.0 * mape,
                100.0 * median,
                100.0 * balanced,
                100.0 * holds,
                100.0 * holds_balanced
            );
        }
    }
    show!(
        shown,
        "\nMAPE by source   rows  in sample  models  origins  accelerators  6PD at 30 %  vTrain's own  90 % holds, origins"
    );
    let origins_of = sources();
    let with_rows: BTreeSet<&str> =
        rows.iter().filter(|row| row.laid_out).map(|row| row.source.as_str()).collect();
    for source in with_rows {
        let of = |set: &Predictions| 100.0 * line(rows, set, &|row| row.source == source).mape;
        let own = match source {
            "vtrain-s" => "8.37%",
            "vtrain-m" => "14.73%",
            _ => "",
        };
        let count = rows.iter().filter(|row| row.laid_out && row.source == source).count();
        let [inside, models, origins, accelerators] = predictions.each_ref().map(of);
        let holds = 100.0 * line(rows, &predictions[2], &|row| row.source == source).holds;
        show!(
            shown,
            "{source:16} {count:5} {inside:9.1}% {models:6.1}% {origins:7.1}% {accelerators:12.1}% {:11.1}%  {own:7} {holds:5.0}% {}",
            of(&thumb),
            origins_of.source[source].from,
        );
    }
    show_told(&mut shown, rows, &predictions[2].residuals);
    show!(shown, "");
    for (rule, left_out) in &origins_of.left_out {
        assert!(rows.iter().all(|row| !left_out.contains(&row.name)), "{rule}");
        show!(shown, "left out: {:3} rows, {rule}", left_out.len());
    }
    let unknown: Vec<f64> =
        rows.iter().filter(|row| !row.laid_out).map(|row| error(of_product(row))).collect();
    show!(
        shown,
        "\ndivision of the work unknown, as a planner's: {} rows, MAPE {:.1}%, median {:.1}%",
        unknown.len(),
        100.0 * mean(&unknown),
        100.0 * median(&unknown)
    );
    let Bounds { throughput, experts: of_experts, .. } = bounds();
    let dense = throughput.into_iter().map(|(name, bound)| (name, bound, false));
    for (name, bound, with) in dense.chain(of_experts.into_iter().map(|(name, bound)| (name, bound, true))) {
        let set = predictions.iter().find(|set| set.name == name).expect("a set of that name");
        let all = line(rows, set, &|row| published(row) && experts(row) == with);
        assert!(all.mape <= bound.mape, "{name}: MAPE {}", all.mape);
        assert!(all.median <= bound.median, "{name}: median {}", all.median);
        assert!(all.balanced <= bound.balanced, "{name}: balanced {}", all.balanced);
        let holds = (bound.holds_at_least..=bound.holds_at_most).contains(&all.holds);
        assert!(holds, "{name}: the interval holds {}", all.holds);
    }
    shown.end();
}

/// The program makes the same file again.
#[test]
fn the_program_makes_the_same_coefficients_again() {
    let made: toml::Table = toml::from_str(&file::text(&FITTING)).expect("it is valid");
    let kept: toml::Table = toml::from_str(include_str!("../../data/time.toml")).expect("it is valid");
    let mut stale = Vec::new();
    for (table, values) in &made {
        let kept = kept.get(table).unwrap_or_else(|| panic!("{table} is missing"));
        for (key, value) in values.as_table().expect("a table") {
            let same = match (value.as_float(), kept.get(key).and_then(toml::Value::as_float)) {
                (Some(value), Some(kept)) => (value - kept).abs() <= 0.01 + 0.01 * kept.abs(),
                (None, _) => kept.get(key).is_some(),
                _ => false,
            };
            if !same {
                stale.push(format!("{table}.{key} is {value}"));
            }
        }
    }
    assert!(stale.is_empty(), "run `make fit-time`: {}", stale.join(", "));
}

/// ln(predicted / published hours) of each scored or printed run, from a fit without the run and from a fit without its
/// publisher.
struct OfRun {
    run: Run,
    itself: f64,
    publishers: f64,
}

fn of_runs(job: fn(&Run) -> TrainingJob) -> Vec<OfRun> {
    let runs: Vec<Run> = hours::runs().into_iter().filter(hours::fitted_on).collect();
    let points: Vec<_> =
        runs.iter().map(|run| hours::point(run, &job(run), &FITTING.names, &FITTING.fitted)).collect();
    let (itself, publishers) = (hours::residuals(&points, false), hours::residuals(&points, true));
    let both = itself.into_iter().zip(publishers);
    runs.into_iter().zip(both).map(|(run, (itself, publishers))| OfRun { run, itself, publishers }).collect()
}

#[test]
fn errors_on_published_hours_do_not_grow() {
    let mut shown = Shown::new("published-hours");
    let spread = Coefficients::builtin().planner.spread;
    let factor = (NINETY_PERCENT * spread).exp();
    let (named, sized) = (of_runs(Run::named), of_runs(Run::sized));
    show!(
        shown,
        "published hours out of model, tokens, accelerators, by a fit without the run | without its publisher's | the same \
         by the model's size alone; 90 % within a factor {factor:.2}"
    );
    for run in hours::runs() {
        let name = format!("{} ({})", run.model, run.name);
        let of = |set: &[OfRun]| set.iter().position(|known| known.run.name == run.name);
        let percent = |left: f64| 100.0 * (left.exp() - 1.0);
        match (of(&named), run.hours, &run.left_out) {
            (Some(at), Some(hours), _) => show!(
                shown,
                "{name:70} {hours:10.0} h  {:+6.1} % | {:+6.1} % | {:+6.1} % {}",
                percent(named[at].itself),
                percent(named[at].publishers),
                percent(sized[at].itself),
                if run.derived { "derived from days" } else { "" }
            ),
            (_, _, Some(rule)) => show!(shown, "{name:70} left out: {rule}"),
            _ => show!(shown, "{name:70} left out: no hours"),
        }
    }
    let bound = bounds().hours;
    let mut score = |label: &str, set: &[OfRun], keep: fn(&Run) -> bool, of: fn(&OfRun) -> f64| {
        let left: Vec<f64> = set.iter().filter(|of_run| keep(&of_run.run)).map(of).collect();
        let errors: Vec<f64> = left.iter().map(|left| error(*left)).collect();
        let within = mean(&errors.iter().map(|e| f64::from(u8::from(*e <= 0.25))).collect::<Vec<_>>());
        let holds = mean(
            &left.iter().map(|l| f64::from(u8::from(l.abs() <= NINETY_PERCENT * spread))).collect::<Vec<_>>(),
        );
        show!(
            shown,
            "{label:45} {:3} runs: within a quarter {:.0} %, median {:.1} %, the interval holds {:.0} %",
            left.len(),
            100.0 * within,
            100.0 * median(&errors),
            100.0 * holds
        );
        (within, median(&errors), holds)
    };
    let stated: fn(&Run) -> bool = |run| !run.derived;
    let scored = [
        score("stated by the source", &named, stated, |of| of.itself),
        score("stated, publisher unseen", &named, stated, |of| of.publishers),
    ];
    score("stated, by size alone", &sized, stated, |of| of.itself);
    score("stated, by size alone, publisher unseen", &sized, stated, |of| of.publishers);
    score("derived ones too", &named, |_| true, |of| of.itself);
    score("derived ones too, publisher unseen", &named, |_| true, |of| of.publishers);
    score("derived ones too, by size alone", &sized, |_| true, |of| of.itself);
    for (within, median, holds) in scored {
        assert!(within >= bound.within_a_quarter && median <= bound.median, "{within} {median}");
        assert!((bound.holds_at_least..=bound.holds_at_most).contains(&holds), "the interval holds {holds}");
    }
    assert!(factor <= bound.factor_at_most, "a factor of {factor}");
    shown.end();
}

/// The product and the formula of the hold-out agree, with all coefficients.
#[test]
fn the_product_and_the_tables_agree_on_throughput() {
    let Fitting { rows, samples, names, fitted, .. } = &*FITTING;
    for (row, sample) in rows.iter().zip(samples).filter(|(row, _)| row.complete).step_by(50) {
        let ratio = of_product(row) + sample.measured - fit::predict(sample, names, fitted);
        assert!(ratio.abs() < 0.02, "{}: {ratio}", row.name);
    }
}

/// The answer of `weighbridge check` is the one that the tables score. It includes goodput and startup, and counts no
/// loss twice.
#[test]
fn the_product_and_the_tables_agree_on_hours() {
    let planner = &Coefficients::builtin().planner;
    for run in hours::runs().into_iter().filter(hours::fitted_on) {
        let mut job = run.named();
        if let Some(known) = run.known() {
            job.model = Some(Model { name: Some(known.name.clone()), ..Model::default() });
        }
        let object = json!({
            "apiVersion": "weighbridge.dev/v1alpha1",
            "kind": "TrainingEstimate",
            "metadata": {"name": run.name},
            "spec": job,
        });
        let judgement = judge(&object, &Surroundings::default(), &World::built_in(), &Ask::default());
        let answered = judgement.time.as_ref().and_then(|time| time.gpu_hours);
        let answered = answered.unwrap_or_else(|| panic!("{}: {:?}", run.name, judgement.errors));
        let scored = hours::point(&run, &run.named(), &FITTING.names, &FITTING.fitted).residual(planner);
        let ratio = (answered / run.hours.expect("it has hours")).ln() - scored;
        assert!(ratio.abs() < 0.02, "{}: {answered} h, {ratio}", run.name);
    }
}

/// `cargo test --test local throughput_as_lines -- --ignored --nocapture`: every row, with ln(predicted / measured) in sample
/// and without its origin, and the seconds of its terms.
#[test]
#[ignore = "prints; there is nothing to fail"]
fn throughput_as_lines() {
    let Fitting { rows, samples, names, fitted, held_out } = &*FITTING;
    for (at, (row, sample)) in rows.iter().zip(samples).enumerate() {
        let inside = fit::predict(sample, names, fitted) - sample.measured;
        let line = json!({
            "name": row.name, "source": row.source, "model": row.model, "accelerator": row.accelerator.key,
            "complete": row.complete, "laidOut": row.laid_out, "experts": experts(row), "inSample": inside,
            "withoutOrigin": held_out.origins[at], "job": row.job, "work": format!("{:?}", sample.work),
        });
        println!("{line}");
    }
}
