//! The jobs of a cluster on the terminal, and the same program as a plugin of kubectl: started as `kubectl-weighbridge`, it
//! answers `kubectl weighbridge …`. Both names have all commands.
//!
//! | command | answer |
//! | --- | --- |
//! | `why KIND/NAME` | why a job of the cluster has its verdict: the message, the memory, what would fit, and every input |
//! | `top` | the jobs of a namespace, or of all: those with the least room first |
//!
//! They read `TrainingEstimates` with the permissions of their user, and write nothing.

use std::ffi::OsStr;
use std::path::Path;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use kube::ResourceExt as _;

use super::estimates::{Cluster, Viewer};
use super::output::{print, style};
use crate::api::v1alpha1::TrainingEstimate;
use crate::pages::estimates;
use crate::report;
use crate::tls;
use crate::units::Bytes;

/// The name under which kubectl starts it, and how a person calls it then.
const PLUGIN: (&str, &str) = ("kubectl-weighbridge", "kubectl weighbridge");

/// The arguments of `why`.
#[derive(Args, Debug)]
pub(super) struct Why {
    /// The job, like pytorchjob/llama2-70b, or its estimate, like te/pytorchjob-llama2-70b
    #[arg(value_name = "KIND/NAME")]
    job: String,
    #[command(flatten)]
    cluster: Cluster,
}

/// The arguments of `top`.
#[derive(Args, Debug)]
pub(super) struct Top {
    /// All namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    #[command(flatten)]
    cluster: Cluster,
}

/// The command with the name by which it was started.
pub(super) fn named(command: clap::Command, program: Option<&OsStr>) -> clap::Command {
    let stem = program.map(Path::new).and_then(Path::file_stem).and_then(OsStr::to_str);
    let (started_as, called) = PLUGIN;
    if stem == Some(started_as) { command.name(called).bin_name(called) } else { command }
}

/// Explains the verdict of a job.
pub(super) fn why(arguments: &Why) -> anyhow::Result<ExitCode> {
    in_the_cluster(async { told_why(&arguments.job, &arguments.cluster).await })
}

/// Lists the jobs.
pub(super) fn top(arguments: &Top) -> anyhow::Result<ExitCode> {
    in_the_cluster(async { table(arguments.all_namespaces, &arguments.cluster).await })
}

fn in_the_cluster(work: impl Future<Output = anyhow::Result<String>>) -> anyhow::Result<ExitCode> {
    tls::install_provider();
    let text = tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)?;
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

async fn table(all: bool, cluster: &Cluster) -> anyhow::Result<String> {
    let viewer = Viewer::of(cluster).await?;
    let mut estimates = if all { viewer.of_all().await? } else { viewer.of_the_namespace().await? };
    estimates::sort(&mut estimates);
    if estimates.is_empty() {
        return Ok("No training jobs were found.\n".to_owned());
    }
    Ok(report::list(
        &[
            "NAMESPACE",
            "NAME",
            "MODEL",
            "GPUS",
            "ACCELERATOR",
            "PEAK",
            "OF",
            "FREE",
            "VERDICT",
            "DAYS",
            "GPU-HOURS",
            "COST",
        ],
        estimates.iter().map(line).collect(),
        style(),
    ))
}

fn line(estimate: &TrainingEstimate) -> Vec<String> {
    let status = estimate.status.clone().unwrap_or_default();
    let display = status.display.clone().unwrap_or_default();
    let free = estimates::free(&status).map(|free| format!("{}%", free / 10));
    let cells = [
        estimate.namespace(),
        Some(estimate.name_any()),
        display.model,
        display.gpus,
        display.accelerator,
        display.peak,
        display.of,
        free,
        status.verdict,
        display.days,
        display.gpu_hours,
        display.cost,
    ];
    cells
        .into_iter()
        .map(|cell| cell.filter(|text| !text.is_empty()).unwrap_or_else(|| "-".to_owned()))
        .collect()
}

async fn told_why(job: &str, cluster: &Cluster) -> anyhow::Result<String> {
    let Some((kind, name)) = job.split_once('/') else {
        bail!("write KIND/NAME, like pytorchjob/llama2-70b");
    };
    let estimates = Viewer::of(cluster).await?.of_the_namespace().await?;
    match estimates.iter().find(|estimate| is_of(estimate, kind, name)) {
        Some(estimate) => Ok(story(estimate)),
        None => bail!(
            "there is no estimate of {job}: if it was refused, it was not created; weighbridge check -f FILE explains it"
        ),
    }
}

/// Whether an estimate is meant: by the workload that it refers to, or by its own name.
fn is_of(estimate: &TrainingEstimate, kind: &str, name: &str) -> bool {
    let kind = kind.split('.').next().unwrap_or_default().to_lowercase();
    if ["te", "trainingestimate", "trainingestimates"].contains(&kind.as_str()) {
        return estimate.name_any() == name;
    }
    let workload = estimate.spec.workload_ref.as_ref();
    workload.is_some_and(|workload| {
        let own = workload.kind.to_lowercase();
        workload.name == name && (kind == own || kind.strip_suffix('s') == Some(&own))
    })
}

/// The status of an estimate as a person reads it, on one screen and a list of inputs.
fn story(estimate: &TrainingEstimate) -> String {
    let status = estimate.status.clone().unwrap_or_default();
    let gib = |bytes: i64| Bytes(u64::try_from(bytes).unwrap_or_default()).to_string();
    let mut lines =
        vec![format!("{}: {}", estimate.name_any(), status.verdict.as_deref().unwrap_or("not judged yet"))];
    lines.extend(status.message.iter().map(|message| format!("  {message}")));
    if let Some(memory) = &status.memory {
        lines.push(format!("  Peak: {}, on {}", memory.instant, memory.worst_rank));
        for part in &memory.components {
            lines.push(format!("    {:<24}{:>12}", part.name, gib(part.bytes)));
        }
        lines.push(format!("    {:<24}{:>12}", "needed", gib(memory.peak_bytes)));
    }
    if let Some(observed) = &status.observed {
        let ratio =
            observed.ratio_milli.map(|milli| format!(", {:.2} times the prediction", milli as f64 / 1000.0));
        let (used, metric) = (gib(observed.peak_bytes), &observed.source);
        lines.push(format!("  Observed: {used} in use{}, by {metric}", ratio.unwrap_or_default()));
        let pods = observed.pods.iter();
        lines.extend(pods.map(|pod| format!("    {:<24}{:>12}", pod.name, gib(pod.peak_bytes))));
    }
    if let Some(history) = &status.history
        && let (Some(runs), Some(lower), Some(upper)) =
            (history.runs, history.lower_bytes, history.upper_bytes)
    {
        let (lower, upper, s) = (gib(lower), gib(upper), if runs == 1 { "" } else { "s" });
        let name = &history.name;
        lines.push(format!(
            "  History: needs {lower} to {upper}, by what {runs} earlier run{s} used ({name})"
        ));
    }
    let mut section = |heading: &str, items: Vec<String>| {
        if !items.is_empty() {
            lines.push(format!("  {heading}:"));
            lines.extend(items.into_iter().map(|item| format!("    {item}")));
        }
    };
    let advice = status.advice.iter();
    section(
        "Would fit",
        advice.map(|advice| format!("{}: {}", advice.change, gib(advice.peak_bytes))).collect(),
    );
    section("Missing", status.missing.iter().map(|key| format!("weighbridge.dev/{key}")).collect());
    section("Warnings", status.warnings.clone());
    let inputs = status.inputs.iter();
    section(
        "Inputs",
        inputs.map(|input| format!("{}: {} ({})", input.field, input.value, input.source)).collect(),
    );
    lines.iter().map(|line| report::printable(line).into_owned() + "\n").collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn estimate() -> TrainingEstimate {
        serde_json::from_value(json!({
            "apiVersion": "weighbridge.dev/v1alpha1", "kind": "TrainingEstimate",
            "metadata": {"name": "pytorchjob-a", "namespace": "n"},
            "spec": {"workloadRef": {"apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob", "name": "a"}},
            "status": {
                "verdict": "Tight", "message": "may run out: needs 75.0 GiB\u{1b}[31m",
                "memory": {
                    "peakBytes": 75_i64 << 30, "lowerBytes": 70_i64 << 30, "upperBytes": 80_i64 << 30, "allocatedBytes": 1,
                    "reservedBytes": 1, "processBytes": 1, "capacityBytes": 80_i64 << 30, "worstRank": "every rank",
                    "instant": "loss", "components": [{"name": "weights", "bytes": 75_i64 << 30}],
                },
                "observed": {"peakBytes": 72_i64 << 30, "ratioMilli": 980, "source": "DCGM_FI_DEV_FB_USED"},
                "history": {
                    "name": "h-0f", "estimatedVerdict": "Tight", "runs": 3, "peakBytes": 72_i64 << 30,
                    "lowerBytes": 70_i64 << 30, "upperBytes": 76_i64 << 30,
                },
                "missing": ["attention"], "warnings": [], "inputs": [], "advice": [], "conditions": [],
            },
        }))
        .unwrap()
    }

    #[test]
    fn it_has_the_name_by_which_it_is_started() {
        for (program, name) in [
            ("kubectl-weighbridge", "kubectl weighbridge"),
            ("/usr/local/bin/kubectl-weighbridge", "kubectl weighbridge"),
            ("weighbridge", "weighbridge"),
            ("kubectl", "weighbridge"),
        ] {
            let command = named(clap::Command::new("weighbridge"), Some(OsStr::new(program)));
            assert_eq!(command.get_name(), name, "{program}");
        }
        assert_eq!(named(clap::Command::new("weighbridge"), None).get_name(), "weighbridge");
    }

    #[test]
    fn a_job_is_found_by_its_kind_and_name_or_by_its_estimate() {
        let estimate = estimate();
        for (kind, name, found) in [
            ("pytorchjob", "a", true),
            ("PyTorchJobs", "a", true),
            ("pytorchjobs.kubeflow.org", "a", true),
            ("te", "pytorchjob-a", true),
            ("job", "a", false),
            ("pytorchjob", "b", false),
        ] {
            assert_eq!(is_of(&estimate, kind, name), found, "{kind}/{name}");
        }
    }

    #[test]
    fn the_story_has_the_message_the_parts_and_what_is_missing() {
        let story = story(&estimate());
        for part in [
            "pytorchjob-a: Tight",
            "needs 75.0 GiB",
            "weights",
            "weighbridge.dev/attention",
            "72.0 GiB in use, 0.98 times",
            "needs 70.0 GiB to 76.0 GiB, by what 3 earlier runs used (h-0f)",
        ] {
            assert!(story.contains(part), "{story}");
        }
        assert!(!story.contains('\u{1b}'));
        assert_eq!(line(&estimate())[7], "6%");
    }
}
