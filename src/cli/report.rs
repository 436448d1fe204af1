//! `weighbridge report`: what the verdicts were worth in this cluster, from its estimates.
//!
//! Every estimate of a workload counts, with the verdict of the estimate alone and how the workload ended. Estimates
//! disappear with their workloads, so the report covers the workloads that still exist. The metric
//! `weighbridge_outcomes_total` counts all. A refused workload does not exist: `weighbridge_admission_reviews_total` counts
//! refusals.
//!
//! Exit status: 2 if the cluster cannot be asked, else 0.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Args;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, ListParams};
use serde_json::{Value, json};

use super::connection;
use super::output::{Format, print, style};
use crate::api::v1alpha1::TrainingEstimate;
use crate::learn::outcome::Kind;
use crate::learn::tally::{Share, Tally};
use crate::report;
use crate::tls;

/// How many estimates are read at a time.
const PAGE: u32 = 500;
/// The fewest observed workloads of a framework for a line of its own.
const FEWEST: usize = 5;
/// The most lines of each list.
const MOST_LINES: usize = 20;
const VERDICTS: [&str; 4] = ["Fits", "Tight", "OutOfMemory", "Unknown"];

/// The arguments of `report`.
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Exit status: 2 if the cluster cannot be asked, else 0.\n\nExamples:\n  weighbridge report\n  weighbridge \
                  report -n team-a -o json"
)]
pub(super) struct Arguments {
    /// The kubeconfig file of the cluster [default: the pod's service account, or kubectl's]
    #[arg(long, env = "WEIGHBRIDGE_KUBECONFIG", value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Only this namespace
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    /// The format of the report
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

/// What the report says of one workload.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    namespace: String,
    estimate: String,
    verdict: String,
    outcome: Option<Kind>,
    reason: String,
    /// Whether it is predicted to run out and exists.
    against_the_verdict: bool,
    /// Why it exists then: `Override`, `Mode`, `Bypass`.
    by: String,
    /// The framework, as the estimate has it.
    framework: String,
    /// Observed memory over the predicted figure of the process, in thousandths.
    ratio_milli: Option<i64>,
}

/// Reads the estimates, and prints the report.
pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    tls::install_provider();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let lines = runtime.block_on(read(arguments))?;
    print(&match arguments.output {
        Format::Table => text_of(&lines),
        Format::Json => report::json(&[json_of(&lines)])?,
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn read(arguments: &Arguments) -> Result<Vec<Line>> {
    let client = connection::client(arguments.kubeconfig.as_deref()).await?;
    let resource = ApiResource::erase::<TrainingEstimate>(&());
    let estimates: Api<DynamicObject> = match &arguments.namespace {
        Some(namespace) => Api::namespaced_with(client, namespace, &resource),
        None => Api::all_with(client, &resource),
    };
    let mut lines = Vec::new();
    let mut page = ListParams::default().limit(PAGE);
    loop {
        let list = estimates.list(&page).await.context("the estimates cannot be read")?;
        lines.extend(list.items.iter().filter_map(line));
        match list.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = ListParams::default().limit(PAGE).continue_token(&token),
            None => return Ok(lines),
        }
    }
}

/// The line of an estimate. None for a what-if, and for one that is not judged yet.
fn line(estimate: &DynamicObject) -> Option<Line> {
    let data = &estimate.data;
    data.pointer("/spec/workloadRef")?;
    let text = |pointer: &str| data.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let verdict = text("/status/history/estimatedVerdict").or_else(|| text("/status/verdict"))?;
    Some(Line {
        namespace: estimate.metadata.namespace.clone().unwrap_or_default(),
        estimate: estimate.metadata.name.clone().unwrap_or_default(),
        against_the_verdict: verdict == "OutOfMemory",
        verdict,
        by: text("/status/admittedBy").unwrap_or_default(),
        outcome: text("/status/outcome/kind").as_deref().and_then(Kind::parse),
        reason: text("/status/outcome/reason").unwrap_or_default(),
        framework: framework(data).unwrap_or_default().to_owned(),
        ratio_milli: data.pointer("/status/observed/ratioMilli").and_then(Value::as_i64),
    })
}

/// The framework among the inputs of an estimate.
fn framework(data: &Value) -> Option<&str> {
    let inputs = data.pointer("/status/inputs")?.as_array()?;
    let input =
        inputs.iter().find(|input| input.get("field").and_then(Value::as_str) == Some("framework"))?;
    input.get("value")?.as_str()
}

fn tally(lines: &[Line]) -> Tally {
    let mut tally = Tally::default();
    for line in lines {
        tally.add(&line.verdict, line.outcome);
    }
    tally
}

/// The workloads that ran out although they were not predicted to.
fn missed(lines: &[Line]) -> impl Iterator<Item = &Line> {
    lines.iter().filter(|line| line.outcome == Some(Kind::OutOfMemory) && !line.against_the_verdict)
}

fn text_of(lines: &[Line]) -> String {
    let tally = tally(lines);
    let (precision, recall) = (
        share(tally.precision(), "predicted to run out, and of those ran out"),
        share(tally.recall(), "ran out, and of those were predicted to"),
    );
    let mut text = format!("{} workloads were judged and exist.\n\n{}\n", tally.all(), table_of(&tally));
    // Writing to a string does not fail.
    let _ = write!(text, "precision  {precision}\nrecall     {recall}\n");
    if let Some(ratios) = Ratios::of(lines) {
        let _ = writeln!(text, "memory     {ratios}");
    }
    for (framework, ratios) in by_framework(lines) {
        let _ = writeln!(text, "           {framework}: {ratios}");
    }
    let against: Vec<&Line> = lines.iter().filter(|line| line.against_the_verdict).collect();
    let missed: Vec<&Line> = missed(lines).collect();
    text.push_str(&section("Admitted although predicted to run out", &against));
    text.push_str(&section("Ran out although not predicted to", &missed));
    text
}

/// How many workloads of each verdict ended how.
fn table_of(tally: &Tally) -> String {
    let outcomes = || Kind::ALL.into_iter().map(Some).chain([None]);
    let rows = VERDICTS.iter().map(|verdict| {
        let counts = outcomes().map(|outcome| tally.count(verdict, outcome).to_string());
        std::iter::once((*verdict).to_owned()).chain(counts).collect()
    });
    let headings = outcomes().map(|outcome| match outcome {
        Some(Kind::Completed) => "COMPLETED",
        Some(Kind::Failed) => "FAILED",
        Some(Kind::Evicted) => "EVICTED",
        Some(Kind::Deadline) => "DEADLINE",
        Some(Kind::HostOutOfMemory) => "HOST-OOM",
        Some(Kind::OutOfMemory) => "OUT-OF-MEMORY",
        None => "NOT-ENDED",
    });
    let headings: Vec<_> = std::iter::once("PREDICTED").chain(headings).collect();
    report::list(&headings, rows.collect(), style())
}

/// The first of these workloads under a title, or nothing if there are none.
fn section(title: &str, lines: &[&Line]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let rows = lines.iter().take(MOST_LINES).map(|line| {
        let outcome = line.outcome.map_or("-", Kind::name);
        [&line.namespace, &line.estimate, &line.verdict, &line.by, outcome, &line.reason]
            .map(str::to_owned)
            .to_vec()
    });
    let headings = ["NAMESPACE", "ESTIMATE", "PREDICTED", "ADMITTED-BY", "OUTCOME", "EVIDENCE"];
    let list = report::list(&headings, rows.collect(), style());
    let more = match lines.len().saturating_sub(MOST_LINES) {
        0 => String::new(),
        more => format!("and {more} more\n"),
    };
    format!("\n{title} ({}):\n{list}{more}", lines.len())
}

/// Observed memory over the prediction: of how many workloads, and the least, middle and most of it in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ratios {
    workloads: usize,
    least: i64,
    median: i64,
    most: i64,
}

impl Ratios {
    fn of<'a>(lines: impl IntoIterator<Item = &'a Line>) -> Option<Self> {
        let mut all: Vec<i64> = lines.into_iter().filter_map(|line| line.ratio_milli).collect();
        all.sort_unstable();
        let (least, most) = (*all.first()?, *all.last()?);
        Some(Self { workloads: all.len(), least, median: *all.get(all.len() / 2)?, most })
    }
}

/// The ratios of each framework that has enough observed workloads.
fn by_framework(lines: &[Line]) -> Vec<(&str, Ratios)> {
    let frameworks: BTreeSet<&str> = lines.iter().map(|line| line.framework.as_str()).collect();
    let ratios = |framework: &str| Ratios::of(lines.iter().filter(|line| line.framework == framework));
    let named = frameworks.into_iter().filter(|framework| !framework.is_empty());
    let all = named.filter_map(|framework| Some((framework, ratios(framework)?)));
    all.filter(|(_, ratios)| ratios.workloads >= FEWEST).collect()
}

impl std::fmt::Display for Ratios {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let times = |milli: i64| milli as f64 / 1000.0;
        let (least, median, most) = (times(self.least), times(self.median), times(self.most));
        let workloads = self.workloads;
        write!(
            out,
            "{median:.2} times the prediction was in use (median of {workloads} observed, from {least:.2} to {most:.2})"
        )
    }
}

fn share(share: Share, counted: &str) -> String {
    match share.value() {
        Some(value) => format!("{:.0} % ({} of {} {counted})", value * 100.0, share.of, share.all),
        None => format!("unknown (none {counted})"),
    }
}

fn json_of(lines: &[Line]) -> Value {
    let tally = tally(lines);
    let outcomes = || Kind::ALL.into_iter().map(Some).chain([None]);
    let of_verdict = |verdict: &str| {
        let counts = outcomes().map(|outcome| {
            let name = outcome.map_or("NotEnded", Kind::name);
            (name.to_owned(), json!(tally.count(verdict, outcome)))
        });
        Value::Object(counts.collect())
    };
    let counts = VERDICTS.iter().map(|verdict| ((*verdict).to_owned(), of_verdict(verdict)));
    let ratios = |ratios: Ratios| {
        json!({
            "workloads": ratios.workloads, "least": ratios.least, "median": ratios.median, "most": ratios.most,
        })
    };
    let of_frameworks = by_framework(lines).into_iter().map(|(name, of)| (name.to_owned(), ratios(of)));
    let share = |share: Share| json!({"of": share.of, "all": share.all, "value": share.value()});
    let of_admitted = |by: &str| {
        let lines = || lines.iter().filter(|line| line.against_the_verdict && line.by == by);
        let ended = |outcome| lines().filter(|line| line.outcome == Some(outcome)).count();
        json!({"all": lines().count(), "completed": ended(Kind::Completed), "ranOut": ended(Kind::OutOfMemory)})
    };
    json!({
        "workloads": tally.all(),
        "admittedAgainstTheVerdict": {
            "override": of_admitted("Override"), "mode": of_admitted("Mode"), "bypass": of_admitted("Bypass"),
            "history": of_admitted(""),
        },
        "outcomes": Value::Object(counts.collect()),
        "precision": share(tally.precision()),
        "recall": share(tally.recall()),
        "observedOverPredictedMilli": Ratios::of(lines).map(ratios),
        "observedOverPredictedMilliByFramework": Value::Object(of_frameworks.collect()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimate(name: &str, status: &Value) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "weighbridge.dev/v1alpha1", "kind": "TrainingEstimate",
            "metadata": {"name": name, "namespace": "team"},
            "spec": {"workloadRef": {"kind": "Job"}}, "status": status,
        }))
        .unwrap()
    }

    #[test]
    fn verdicts_are_compared_with_outcomes() {
        let outcome = |kind: &str, reason: &str| json!({"kind": kind, "reason": reason});
        let estimates = [
            estimate(
                "a",
                &json!({"verdict": "OutOfMemory", "admittedBy": "Override", "outcome": outcome("OutOfMemory", "CUDA out of memory")}),
            ),
            estimate(
                "b",
                &json!({"verdict": "Fits", "outcome": outcome("OutOfMemory", "CUDA out of memory")}),
            ),
            // The history saved it, and the estimate was wrong.
            estimate(
                "c",
                &json!({"verdict": "Fits", "history": {"estimatedVerdict": "OutOfMemory"}, "outcome": outcome("Completed", "")}),
            ),
            estimate(
                "d",
                &json!({"verdict": "Fits", "outcome": outcome("Completed", ""), "observed": {"ratioMilli": 940}}),
            ),
            estimate("e", &json!({"verdict": "Unknown", "observed": {"ratioMilli": 1060}})),
            estimate("f", &json!({})),
        ];
        let lines: Vec<Line> = estimates.iter().filter_map(line).collect();
        insta::assert_snapshot!(text_of(&lines));
        assert_eq!(json_of(&lines)["precision"], json!({"of": 1, "all": 2, "value": 0.5}));
        assert_eq!(json_of(&lines)["recall"], json!({"of": 1, "all": 2, "value": 0.5}));
    }

    #[test]
    fn a_framework_with_enough_observed_workloads_has_its_own_ratio() {
        let of = |number: usize, framework: &str, milli: i64| {
            let inputs = json!([{"field": "framework", "value": framework, "source": "command"}]);
            let status = json!({"verdict": "Fits", "inputs": inputs, "observed": {"ratioMilli": milli}});
            line(&estimate(&format!("{framework}-{number}"), &status)).unwrap()
        };
        let ratios = [900, 901, 902, 903, 904];
        let mut lines: Vec<Line> =
            ratios.iter().enumerate().map(|(number, milli)| of(number, "Megatron", *milli)).collect();
        lines.extend((0..4).map(|number| of(number, "FSDP", 1200)));
        let by = by_framework(&lines);
        assert_eq!(
            by.iter().map(|(name, ratios)| (*name, ratios.median)).collect::<Vec<_>>(),
            [("Megatron", 902)]
        );
        let line = "           Megatron: 0.90 times the prediction was in use (median of 5 observed, from 0.90 to 0.90)";
        assert!(text_of(&lines).contains(line), "{}", text_of(&lines));
        assert_eq!(json_of(&lines)["observedOverPredictedMilliByFramework"]["Megatron"]["workloads"], 5);
    }

    #[test]
    fn a_what_if_is_no_workload() {
        let mut asked = estimate("a", &json!({"verdict": "Fits"}));
        asked.data["spec"] = json!({});
        assert_eq!(line(&asked), None);
    }
}
