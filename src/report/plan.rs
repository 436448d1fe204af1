//! The layouts of a plan: a line each, the best first, and below them what the numbers rest on.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Value, json};

use super::columns::{self, Columns, Line};
use super::{Style, figures, width};
use crate::advise::count::Count;
use crate::judgement::Judgement;
use crate::plan::{Goal, Layout, Planned, Proposal};
use crate::units::{gpus, span};

const COLUMNS: Columns<'_, 14> = Columns {
    headings: [
        "NAME",
        "ACCELERATOR",
        "GPUS",
        "DAYS",
        "INTERVAL",
        "GPU-HOURS",
        "COST",
        "MFU",
        "PEAK",
        "FREE",
        "LAYOUT",
        "SHARDING",
        "RECOMPUTE",
        "BATCH",
    ],
    // What the days are worth, only their interval shows.
    expendable: &["GPU-HOURS", "BATCH", "SHARDING", "MFU", "COST", "NAME"],
    hidden: &[],
};

/// What the columns mean.
const LEGEND: &str = "LAYOUT: degrees of tensor (tp), pipeline (pp), context (cp), expert (ep) and data parallel (dp). BATCH: \
                      sequences of a micro-batch, and of a step. FREE: the share of the memory that the estimate leaves.";

/// The plans of a named job.
#[derive(Debug)]
pub struct PlanEntry {
    /// The object's name, if it has one.
    pub name: Option<String>,
    /// The plan for one type of accelerator.
    pub planned: Planned,
}

/// The entries as a table with explanations. Empty if there are no entries.
pub fn plan_table(entries: &[PlanEntry], style: Style) -> String {
    let lines = entries.iter().flat_map(|entry| {
        let of_entry = move |proposal| line(entry, proposal);
        entry.planned.proposals.iter().map(of_entry)
    });
    let several = entries.iter().any(|entry| entry.name != entries.first().and_then(|e| e.name.clone()));
    let mut hidden = if several { Vec::new() } else { vec!["NAME"] };
    let proposals = || entries.iter().flat_map(|entry| &entry.planned.proposals);
    if proposals().all(|proposal| proposal.judgement.cost.is_none()) {
        hidden.push("COST");
    }
    if proposals().all(|proposal| proposal.judgement.time.as_ref().and_then(|time| time.days).is_none()) {
        hidden.extend(["DAYS", "INTERVAL", "GPU-HOURS"]);
    }
    let shown = Columns { hidden: &hidden, ..COLUMNS };
    let mut text = columns::table(&shown, lines, style);
    let mut say = |line: &str| text.push_str(&width::broken(line, 0, 2, style.width));
    for (number, entry) in entries.iter().enumerate() {
        if number == 0 && entries.iter().any(|entry| !entry.planned.proposals.is_empty()) {
            say("");
        }
        let name = entry.name.as_deref().filter(|_| several).map(|name| format!("{name} on "));
        let subject = format!("{}{}", name.unwrap_or_default(), entry.planned.accelerator);
        for sentence in explained(&entry.planned) {
            say(&super::printable(&format!("{subject}: {sentence}")));
        }
    }
    if let Some(first) = proposals().next() {
        say(&assumptions(first));
        say(LEGEND);
    }
    text
}

fn line(entry: &PlanEntry, proposal: &Proposal) -> Line<14> {
    let Proposal { judgement, layout, .. } = proposal;
    let (time, memory) = (judgement.time.as_ref(), judgement.memory.as_ref());
    let range =
        time.and_then(|time| Some(figures::days(time.days_low?) + "–" + &figures::days(time.days_high?)));
    let free = memory.and_then(|memory| {
        let capacity = memory.capacity_bytes?;
        Some(format!("{:.0}%", (1.0 - memory.peak_bytes.as_f64() / capacity.as_f64().max(1.0)) * 100.0))
    });
    let cost = judgement.cost.as_ref();
    let batch = judgement.job.batch.as_ref();
    let cells = [
        entry.name.clone(),
        Some(entry.planned.accelerator.clone()),
        Some(proposal.count.usable.to_string()),
        time.and_then(|time| time.days).map(figures::days),
        range,
        time.and_then(|time| time.gpu_hours).map(figures::count),
        cost.map(|cost| format!("{}\u{a0}{}", figures::count(cost.total.as_f64()), cost.currency)),
        time.map(|time| format!("{:.0}%", time.mfu * 100.0)),
        memory.map(|memory| figures::memory(memory.peak_bytes)),
        free,
        Some(degrees(layout, proposal.data)),
        Some(layout.sharding.word().to_owned()),
        Some(layout.recompute.word().to_owned()),
        batch
            .and_then(|batch| batch.global_batch_size)
            .map(|global| format!("{}/{global}", layout.micro_batch)),
    ];
    Line { verdict: judgement.verdict, cells }
}

/// `tp4,pp4,dp57`: the degrees over 1, and that of data parallelism.
fn degrees(layout: &Layout, data: u64) -> String {
    let model =
        [("tp", layout.tensor), ("pp", layout.pipeline), ("cp", layout.context), ("ep", layout.expert)];
    let model = model.iter().filter(|(_, degree)| *degree > 1);
    let mut words: Vec<_> = model.map(|(name, degree)| format!("{name}{degree}")).collect();
    words.push(format!("dp{data}"));
    words.join(",")
}

fn explained(planned: &Planned) -> Vec<String> {
    let mut sentences = Vec::new();
    if let Some(needs) = planned.stated_needs.filter(|_| !planned.proposals.is_empty()) {
        sentences.push(format!(
            "no layout with the written fields is sure to fit: the leanest needs {needs} a GPU; these are other layouts"
        ));
    }
    match (planned.count(), &planned.reason, planned.goal) {
        (Some(count), _, Goal::Days(days)) => {
            sentences.push(days_need(days, count));
        }
        (Some(count), _, Goal::Fits) => {
            sentences.push(match count.usable {
                1 => "1 GPU is enough for the training to fit".to_owned(),
                number => format!("{} are the fewest on which the training fits", gpus(number)),
            });
        }
        (None, Some(reason), Goal::Days(days)) => {
            sentences.push(format!("no plan for {}: {reason}", span(days)));
        }
        (None, Some(reason), Goal::Accelerators(number)) => {
            sentences.push(format!("no plan for {}: {reason}", gpus(number)));
        }
        (None, Some(reason), _) => sentences.push(format!("no plan: {reason}")),
        _ => {}
    }
    if planned.undivided {
        sentences.push(
            "the model's layers are not known, so only data parallel layouts are tried: add --set layers=80 and --set \
             hidden-size=8192, or name the model"
                .to_owned(),
        );
    }
    if let Some(layers) = planned.without_stages {
        sentences.push(format!(
            "{layers} layers cannot be divided into equal stages, so no pipeline is tried: stages that differ may need less time"
        ));
    }
    if let Some(fewest) = planned.fewest {
        sentences
            .push(format!("{fewest} GPUs are the fewest on which the training fits: try --gpus {fewest}"));
    }
    sentences
}

/// `90 days need 765 GPUs, 768 in whole replicas and whole nodes`.
pub(crate) fn days_need(days: f64, count: Count) -> String {
    format!("{} need {}", span(days), numbers(count))
}

/// The numbers of accelerators, from the least that is fast enough to the one that is proposed. Equal ones are one.
fn numbers(count: Count) -> String {
    let mut numbers = gpus(count.least);
    if count.whole > count.least {
        let _ = write!(numbers, ", {} in whole replicas and whole nodes", count.whole);
    }
    if count.usable > count.whole {
        let _ = write!(numbers, ", {} to share the global batch evenly and fit", count.usable);
    }
    numbers
}

/// What every line assumes, in one sentence.
fn assumptions(proposal: &Proposal) -> String {
    let job = &proposal.job;
    let batch = job.batch.clone().unwrap_or_default();
    let mut assumed = vec![format!("framework {}", proposal.framework)];
    assumed.extend(batch.sequence_length.map(|tokens| format!("sequences of {tokens} tokens")));
    assumed.extend(job.precision.map(|precision| precision.word().to_owned()));
    assumed.extend(job.optimizer.map(|optimizer| optimizer.word().to_owned()));
    assumed.extend(job.attention.map(|attention| format!("{} attention", attention.word())));
    assumed.extend(job.loss.map(|loss| format!("{} loss", loss.word())));
    assumed.extend(
        batch
            .packing
            .map(|packed| if packed { "packed samples" } else { "samples that are not packed" }.to_owned()),
    );
    let method = job.finetuning.as_ref().and_then(|finetuning| finetuning.method);
    assumed.extend(method.map(|method| format!("method {}", method.word())));
    format!(
        "The first line is for {}. -o yaml writes that job, and check gives the same figures for it.",
        assumed.join(", ")
    )
}

/// Every key is always present. A value that is not known is null.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Element<'a> {
    schema_version: u32,
    name: Option<&'a str>,
    accelerator: &'a str,
    target_days: Option<f64>,
    gpus: Option<u64>,
    gpus_by_arithmetic: Option<u64>,
    gpus_in_whole_replicas: Option<u64>,
    no_number: Option<&'a str>,
    stated_layout_needs_bytes: Option<u64>,
    layouts: Vec<Value>,
    #[serde(flatten)]
    judgement: &'a Judgement,
}

/// The entries as JSON values.
///
/// # Errors
/// The serializer's error. A judgement holds nothing that JSON cannot.
pub fn plan_values(entries: &[PlanEntry]) -> serde_json::Result<Vec<Value>> {
    let element = |entry: &'_ PlanEntry| {
        let planned = &entry.planned;
        serde_json::to_value(Element {
            schema_version: super::json::SCHEMA_VERSION,
            name: entry.name.as_deref(),
            accelerator: &planned.accelerator,
            target_days: match planned.goal {
                Goal::Days(days) => Some(days),
                _ => None,
            },
            gpus: planned.count().map(|count| count.usable),
            gpus_by_arithmetic: planned.count().map(|count| count.least),
            gpus_in_whole_replicas: planned.count().map(|count| count.whole),
            no_number: planned.reason.as_deref(),
            stated_layout_needs_bytes: planned.stated_needs.map(|bytes| bytes.0),
            layouts: planned.proposals.iter().map(layout_value).collect(),
            judgement: &planned.judgement,
        })
    };
    entries.iter().map(element).collect()
}

fn layout_value(proposal: &Proposal) -> Value {
    let Proposal { layout, judgement, .. } = proposal;
    let (time, memory) = (judgement.time.as_ref(), judgement.memory.as_ref());
    json!({
        "gpus": proposal.count.usable,
        "tensor": layout.tensor,
        "pipeline": layout.pipeline,
        "context": layout.context,
        "expert": layout.expert,
        "data": proposal.data,
        "sharding": layout.sharding.name(),
        "recompute": layout.recompute.name(),
        "microBatchSize": layout.micro_batch,
        "globalBatchSize": judgement.job.batch.as_ref().and_then(|batch| batch.global_batch_size),
        "framework": proposal.framework,
        "peakBytes": memory.map(|memory| memory.peak_bytes),
        "capacityBytes": memory.and_then(|memory| memory.capacity_bytes),
        "days": time.and_then(|time| time.days),
        "daysLow": time.and_then(|time| time.days_low),
        "daysHigh": time.and_then(|time| time.days_high),
        "gpuHours": time.and_then(|time| time.gpu_hours),
        "mfu": time.map(|time| time.mfu),
        "cost": judgement.cost,
        "spec": proposal.job,
    })
}

/// The best layout of each entry as a `TrainingEstimate`, which `check` and the cluster read.
///
/// # Errors
/// The serializer's error.
pub fn plan_estimates(entries: &[PlanEntry]) -> serde_json::Result<Vec<Value>> {
    let best = entries.iter().filter_map(|entry| Some((entry, entry.planned.proposals.first()?)));
    best.map(|(entry, proposal)| {
        let name = entry.name.as_deref().unwrap_or("plan");
        let name = format!("{name}-on-{}-{}", proposal.count.usable, entry.planned.accelerator);
        let name: String =
            name.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        Ok(json!({
            "apiVersion": "weighbridge.dev/v1alpha1",
            "kind": "TrainingEstimate",
            "metadata": {"name": name},
            "spec": serde_json::to_value(&proposal.job)?,
        }))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_are_equal_are_told_once() {
        let of = |least, whole, usable| numbers(Count { least, whole, usable });
        assert_eq!(of(776, 776, 776), "776 GPUs");
        assert_eq!(of(936, 944, 944), "936 GPUs, 944 in whole replicas and whole nodes");
        assert_eq!(
            of(809, 816, 1024),
            "809 GPUs, 816 in whole replicas and whole nodes, 1024 to share the global batch evenly and fit"
        );
        assert_eq!(of(16, 16, 24), "16 GPUs, 24 to share the global batch evenly and fit");
    }
}
