//! The accuracy of the calibrated constants on models and sources from which they were not taken.
//!
//! Every constant of `data/calibration.toml` that moves a figure is fitted again without the rows of one model, and
//! without those of one source. Then the excluded rows are scored with it. A figure is almost linear in a constant, so
//! the constant with the smallest Σ |ln(measured / estimated)| is the weighted median of the rows' own best values. If
//! no other source has such a row, the entry for any framework applies, as for a job of a new source without this
//! entry.

use std::collections::BTreeSet;

use toml::{Table, Value};
use weighbridge::estimate::assume::Device;
use weighbridge::estimate::calibration::Calibration;
use weighbridge::estimate::estimate_rank;
use weighbridge::estimate::memory::{self, Peak};
use weighbridge::estimate::plan::Plan;
use weighbridge::job::Rank;
use weighbridge::model::Parameters;

use super::published::{self, Row};
use super::score::meant;
use super::shown::{Shown, show};
use super::statistics::{median, quantile};
use super::{devices, rules};

/// A constant: table, entry of the table, key.
#[derive(Clone, Debug, PartialEq)]
struct Constant {
    table: &'static str,
    entry: Option<usize>,
    key: &'static str,
    label: String,
    value: f64,
}

/// One row's estimate as a linear function of the constants, in GiB.
struct Linear {
    /// The publication. A file may hold several.
    source: String,
    model: String,
    measured: f64,
    estimated: f64,
    slopes: Vec<f64>,
    /// For each constant, the figure with the next entry that applies.
    elsewhere: Vec<f64>,
}

/// The group of a row, for rows that are excluded together.
type Key = fn(&Linear) -> String;

/// The smallest number of rows for a meaningful error, and the largest allowed median.
const ENOUGH: usize = 20;
const MEDIAN_AT_MOST: f64 = 0.07;

const KEYS: &[(&str, &[&str])] = &[
    ("runtime", &["base_mib", "communicator_mib"]),
    ("allocator", &["slack"]),
    ("workspaces", &["mib"]),
    ("dispatchers", &["deepep_mib", "hybridep_mib", "alltoall_slack_bytes", "alltoall_slack_at_most_mib"]),
    ("varying_lengths", &["logit_bytes"]),
];

fn file() -> Table {
    toml::from_str(include_str!("../../data/calibration.toml")).expect("calibration.toml is valid")
}

fn constants(file: &Table) -> Vec<Constant> {
    let number = |value: &Value| value.as_float().or(value.as_integer().map(|i| i as f64));
    let mut found = Vec::new();
    for (table, keys) in KEYS {
        let entries: Vec<(Option<usize>, &Value)> = match &file[*table] {
            Value::Array(entries) => entries.iter().enumerate().map(|(i, e)| (Some(i), e)).collect(),
            one => vec![(None, one)],
        };
        for (entry, values) in entries {
            for key in *keys {
                let Some(value) = values.get(key).and_then(number) else { continue };
                let framework = values.get("framework").and_then(Value::as_str).unwrap_or_default();
                let devices = values.get("accelerators").map_or("", |a| a[0].as_str().unwrap_or_default());
                let label = format!("{table} {framework} {devices} {key}");
                found.push(Constant { table, entry, key, label, value });
            }
        }
    }
    found
}

fn with(file: &Table, constant: &Constant, value: f64) -> Calibration {
    let mut changed = file.clone();
    let table = &mut changed[constant.table];
    let entry = match constant.entry {
        Some(index) => &mut table[index],
        None => table,
    };
    let slot = &mut entry[constant.key];
    *slot = if slot.is_integer() { Value::Integer(value as i64) } else { Value::Float(value) };
    Value::Table(changed).try_into().expect("only a number changed")
}

/// The calibration without a framework's own entry.
fn without(file: &Table, constant: &Constant) -> Option<Calibration> {
    let index = constant.entry?;
    let mut changed = file.clone();
    let entries = changed[constant.table].as_array_mut()?;
    if entries[index].get("framework").and_then(Value::as_str) == Some("any") {
        return None;
    }
    entries.remove(index);
    Value::Table(changed).try_into().ok()
}

fn peak(plan: &Plan, last: bool, calibration: &Calibration) -> Peak {
    if !last {
        return memory::peak(plan, calibration);
    }
    let stage = plan.stage(plan.pipeline.saturating_sub(1));
    memory::stage_peak(plan, &Parameters::of(&plan.shape), calibration, stage)
}

fn linear(rows: &[Row], changed: &[(f64, Calibration)], without: &[Option<Calibration>]) -> Vec<Linear> {
    let of = |row: &Row| {
        let (kind, measured) = row.figure?;
        let rank = if row.last_rank { Rank::Last } else { Rank::Worst };
        let estimate = estimate_rank(&row.job, Device { bf16: devices::bf16(&row.job) }, rank).ok()?;
        let figure = meant(row, kind);
        if !rules::is_stated(&estimate, figure) {
            return None;
        }
        let plan = &estimate.assumed.likely;
        let at = |c: &Calibration| peak(plan, row.last_rank, c).figure(figure).as_gib();
        let estimated = at(Calibration::builtin());
        let slopes = changed.iter().map(|(by, calibration)| (at(calibration) - estimated) / by).collect();
        let elsewhere = without.iter().map(|c| c.as_ref().map_or(f64::NAN, at)).collect();
        let model = format!("{} {}", row.source, serde_json::to_string(&row.job.model).unwrap_or_default());
        let publication = row.name.split('-').next().unwrap_or_default();
        let source = format!("{} {publication}", row.source);
        Some(Linear { source, model, measured, estimated, slopes, elsewhere })
    };
    rows.iter().filter_map(of).collect()
}

/// Fits the constants `free` on `rows`, one after the other, in a few rounds.
fn refit(rows: &[&Linear], constants: &[Constant], free: &[usize]) -> Vec<f64> {
    let mut values: Vec<f64> = constants.iter().map(|c| c.value).collect();
    for _ in 0..8 {
        for &k in free {
            let mut asked: Vec<(f64, f64)> = rows
                .iter()
                .filter(|row| row.slopes[k] > 0.0)
                .map(|row| {
                    let without = evaluate(row, constants, &values) - row.slopes[k] * values[k];
                    ((row.measured - without) / row.slopes[k], row.slopes[k] / row.measured)
                })
                .collect();
            asked.sort_by(|a, b| a.0.total_cmp(&b.0));
            let half = asked.iter().map(|a| a.1).sum::<f64>() / 2.0;
            let mut below = 0.0;
            if let Some((value, _)) = asked.iter().find(|(_, weight)| {
                below += weight;
                below >= half
            }) {
                values[k] = value.max(0.0);
            }
        }
    }
    values
}

fn evaluate(row: &Linear, constants: &[Constant], values: &[f64]) -> f64 {
    let moved: f64 = row.slopes.iter().zip(constants).zip(values).map(|((s, c), v)| s * (v - c.value)).sum();
    row.estimated + moved
}

/// A table's cell for a set of errors: the median and the 95 % quantile of their absolute values, their bias, and the
/// standard deviation of a 90 % interval of that width, in percent.
fn summary(errors: &[f64]) -> String {
    let sizes: Vec<f64> = errors.iter().map(|e| e.abs()).collect();
    if errors.is_empty() {
        return "-".to_owned();
    }
    format!(
        "{:>5.1} {:>5.1} {:>+6.1} {:>4.1}",
        100.0 * median(&sizes),
        100.0 * quantile(&sizes, 0.95),
        100.0 * median(errors),
        100.0 * quantile(&sizes, 0.90) / 1.645
    )
}

/// The errors of every group of `key`, with the constants `free` fitted on the other groups.
fn left_out(rows: &[&Linear], constants: &[Constant], free: &[usize], key: Key) -> Vec<f64> {
    let groups: BTreeSet<String> = rows.iter().map(|row| key(row)).collect();
    let mut errors = Vec::new();
    for group in groups {
        let (own, rest): (Vec<&Linear>, Vec<&Linear>) = rows.iter().partition(|row| key(row) == group);
        if !rest.is_empty() {
            let values = refit(&rest, constants, free);
            errors.extend(own.iter().map(|row| evaluate(row, constants, &values) / row.measured - 1.0));
        }
    }
    errors
}

#[test]
fn the_constants_hold_where_they_were_not_measured() {
    let mut shown = Shown::new("unseen-constants");
    let file = file();
    let constants = constants(&file);
    let changed: Vec<(f64, Calibration)> = constants
        .iter()
        .map(|constant| {
            let by = (constant.value * 0.01).max(if constant.key.ends_with("mib") { 8.0 } else { 0.001 });
            (by, with(&file, constant, constant.value + by))
        })
        .collect();
    let removed: Vec<Option<Calibration>> = constants.iter().map(|c| without(&file, c)).collect();
    let rows = linear(&published::rows(), &changed, &removed);
    show!(
        shown,
        "\n{:<50}{:>4}{:>4}{:>4}{:>9}{:>9}{:>25}{:>25}{:>25}{:>25}",
        "constant",
        "n",
        "src",
        "mod",
        "value",
        "refit",
        "in sample",
        "model left out",
        "source left out",
        "without the entry"
    );
    let source: Key = |row| row.source.clone();
    let model: Key = |row| row.model.clone();
    for (k, constant) in constants.iter().enumerate() {
        let moved: Vec<&Linear> = rows.iter().filter(|row| row.slopes[k] > 0.0).collect();
        let count = |key: Key| moved.iter().map(|r| key(r)).collect::<BTreeSet<_>>().len();
        // The constants of one entry are fitted together.
        let same = |other: &Constant| other.table == constant.table && other.entry == constant.entry;
        let free: Vec<usize> = (0..constants.len()).filter(|other| same(&constants[*other])).collect();
        let now: Vec<f64> = moved.iter().map(|row| row.estimated / row.measured - 1.0).collect();
        let unseen = left_out(&moved, &constants, &free, model);
        let elsewhere: Vec<f64> =
            moved.iter().map(|r| r.elsewhere[k] / r.measured - 1.0).filter(|e| e.is_finite()).collect();
        show!(
            shown,
            "{:<50}{:>4}{:>4}{:>4}{:>9.2}{:>9.2}{:>25}{:>25}{:>25}{:>25}",
            constant.label,
            moved.len(),
            count(source),
            count(model),
            constant.value,
            refit(&moved, &constants, &free)[k],
            summary(&now),
            summary(&unseen),
            summary(&left_out(&moved, &constants, &free, source)),
            summary(&elsewhere),
        );
        if unseen.len() >= ENOUGH {
            let sizes: Vec<f64> = unseen.iter().map(|e| e.abs()).collect();
            assert!(median(&sizes) <= MEDIAN_AT_MOST, "{}: {}", constant.label, summary(&unseen));
        }
    }
    shown.end();
}
