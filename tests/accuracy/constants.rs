//! The constants of `data/calibration.toml` that move a figure, and the published rows as functions of them.
//!
//! A figure is almost linear in a constant, so the constant with the smallest Σ |ln(measured / estimated)| is the weighted
//! median of the rows' own best values.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use toml::{Table, Value};
use weighbridge::estimate::assume::Device;
use weighbridge::estimate::calibration::Calibration;
use weighbridge::estimate::estimate_rank;
use weighbridge::estimate::memory::{self, Peak};
use weighbridge::estimate::plan::Plan;
use weighbridge::job::Rank;
use weighbridge::model::Parameters;
use weighbridge::score::Scored;

use super::published::Row;
use super::{devices, score};

/// A constant: table, entry of the table, key.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Constant {
    pub(super) table: &'static str,
    pub(super) entry: Option<usize>,
    pub(super) key: &'static str,
    pub(super) label: String,
    pub(super) value: f64,
}

/// One row's estimate as a linear function of the constants, in GiB.
pub(super) struct Linear {
    /// The party that measured.
    pub(super) source: String,
    pub(super) model: String,
    pub(super) measured: f64,
    pub(super) estimated: f64,
    pub(super) slopes: Vec<f64>,
    /// For each constant, the figure with the next entry that applies.
    pub(super) elsewhere: Vec<f64>,
}

/// The constants, and all stated rows.
pub(super) struct Fitting {
    pub(super) constants: Vec<Constant>,
    pub(super) rows: Vec<Linear>,
}

/// The built-in constants, and all stated rows as functions of them.
pub(super) fn fitting() -> &'static Fitting {
    static FITTING: LazyLock<Fitting> = LazyLock::new(|| {
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
        let rows = linear(&changed, &removed);
        Fitting { constants, rows }
    });
    &FITTING
}

/// The calibration as it would be without a party's rows, and with this evidence. The constants that its rows move are fitted again on the rows
/// of the others. If no other party's row moves any constant of an entry, the entry is left out, so that the next one
/// applies. Any other constant that no other party's row moves keeps its value: its term comes from a framework's code.
pub(super) fn without_party(party: &str, evidence: Option<Table>) -> Calibration {
    let Fitting { constants, rows } = fitting();
    let (own, rest): (Vec<&Linear>, Vec<&Linear>) = rows.iter().partition(|row| row.source == party);
    let moves = |rows: &[&Linear], k: usize| rows.iter().any(|row| row.slopes[k] > 0.0);
    let free: Vec<usize> = (0..constants.len()).filter(|k| moves(&own, *k)).collect();
    let values = refit(&rest, constants, &free);
    let mut file = file();
    let mut lost = BTreeSet::new();
    for &k in &free {
        let constant = &constants[k];
        if moves(&rest, k) {
            set(&mut file, constant, values[k]);
        } else if let (Some(entry), false) = (constant.entry, is_for_any(&file, constant)) {
            lost.insert((constant.table, entry));
        }
    }
    for (table, entry) in lost.into_iter().rev() {
        file[table].as_array_mut().expect("it has entries").remove(entry);
    }
    if let Some(evidence) = evidence {
        file.insert("evidence".to_owned(), Value::Table(evidence));
    }
    Value::Table(file).try_into().expect("only numbers, entries and the evidence changed")
}

fn is_for_any(file: &Table, constant: &Constant) -> bool {
    let entry = constant.entry.map(|entry| &file[constant.table][entry]);
    entry.and_then(|entry| entry.get("framework")?.as_str()) == Some("any")
}

fn set(file: &mut Table, constant: &Constant, value: f64) {
    let table = &mut file[constant.table];
    let entry = match constant.entry {
        Some(index) => &mut table[index],
        None => table,
    };
    let slot = &mut entry[constant.key];
    *slot = if slot.is_integer() { Value::Integer(value as i64) } else { Value::Float(value) };
}

const KEYS: &[(&str, &[&str])] = &[
    ("runtime", &["base_mib", "communicator_mib"]),
    ("allocator", &["slack"]),
    ("workspaces", &["mib"]),
    ("dispatchers", &["hybridep_mib", "alltoall_slack_bytes", "alltoall_slack_at_most_mib"]),
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
    set(&mut changed, constant, value);
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

fn linear(changed: &[(f64, Calibration)], without: &[Option<Calibration>]) -> Vec<Linear> {
    let of = |(row, scored): &(&Row, Scored)| {
        let measured = row.run.memory.filter(|_| scored.stated && !row.held_out)?;
        let rank = if measured.last_stage { Rank::Last } else { Rank::Worst };
        let device = Device { bf16: devices::bf16(&row.job) };
        let estimate = estimate_rank(&row.job, device, rank, Calibration::builtin()).ok()?;
        let figure = measured.counter.figure();
        let plan = &estimate.assumed.likely;
        let at = |c: &Calibration| peak(plan, measured.last_stage, c).figure(figure).as_gib();
        let estimated = at(Calibration::builtin());
        let slopes = changed.iter().map(|(by, calibration)| (at(calibration) - estimated) / by).collect();
        let elsewhere = without.iter().map(|c| c.as_ref().map_or(f64::NAN, at)).collect();
        let model = serde_json::to_string(&row.job.model).unwrap_or_default();
        Some(Linear {
            source: row.party.clone(),
            model: format!("{} {model}", row.run.source),
            measured: measured.gib,
            estimated,
            slopes,
            elsewhere,
        })
    };
    score::published().iter().filter_map(of).collect()
}

/// Fits the constants `free` on `rows`, one after the other, in a few rounds.
pub(super) fn refit(rows: &[&Linear], constants: &[Constant], free: &[usize]) -> Vec<f64> {
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

pub(super) fn evaluate(row: &Linear, constants: &[Constant], values: &[f64]) -> f64 {
    let moved: f64 = row.slopes.iter().zip(constants).zip(values).map(|((s, c), v)| s * (v - c.value)).sum();
    row.estimated + moved
}
