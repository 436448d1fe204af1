//! The estimates of admitted jobs, and of specs without a job.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use kube::api::{DeleteParams, ListParams};
use serde_json::{Value, json};

use super::gate::{Gate, SOON, Yard, condition, refusal, weighbridge};
use super::jobs::{example, fitting, hopeless, named, pytorchjob};
use crate::controlplane::wait_until;

const GIB: f64 = 1024.0 * 1024.0 * 1024.0;

#[tokio::test]
async fn the_estimate_of_a_fitting_job_shows_memory_and_time() -> Result<()> {
    let yard = Gate::shared().await?.yard().await?;
    let created = yard.admitted(&fitting("llama2-70b")?).await?;
    let estimate = yard.estimate("pytorchjob-llama2-70b").await?;

    let owner = &estimate["metadata"]["ownerReferences"][0];
    assert_eq!((&owner["kind"], &owner["controller"]), (&json!("PyTorchJob"), &json!(true)));
    assert_eq!(owner["uid"].as_str(), created.metadata.uid.as_deref());
    assert_eq!(estimate["spec"]["workloadRef"]["uid"].as_str(), created.metadata.uid.as_deref());

    let status = &estimate["status"];
    assert_eq!(status["verdict"], "Fits", "{status}");
    assert_eq!(status["observedGeneration"], estimate["metadata"]["generation"]);
    assert_eq!(status["display"]["gpus"], "1024");
    assert!(is_an_a800(status["display"]["accelerator"].as_str().unwrap_or_default()), "{status}");
    let gib =
        |figure: &str| status["memory"][figure].as_f64().map(|bytes| bytes / GIB).context(figure.to_owned());
    assert!((20.0..60.0).contains(&gib("peakBytes")?), "{}", status["memory"]);
    assert!((79.0..79.5).contains(&gib("capacityBytes")?), "{}", status["memory"]);
    assert!(gib("lowerBytes")? < gib("peakBytes")? && gib("peakBytes")? < gib("upperBytes")?);
    // 6 × 70e9 × 2e12 FLOPs on 1024 × 312 TFLOP/s at 40 % take 76 days; attention is on top.
    let days = status["time"]["seconds"].as_f64().context("no time")? / 86_400.0;
    assert!((76.0..90.0).contains(&days), "{days} days");

    for (kind, expected) in [("Ready", "True"), ("FitsMemory", "True"), ("WithinDeadline", "Unknown")] {
        let condition = condition(&estimate, kind);
        assert_eq!(condition["status"], expected, "{kind}: {condition}");
        assert_eq!(condition["observedGeneration"], estimate["metadata"]["generation"], "{kind}");
    }
    Ok(())
}

#[tokio::test]
async fn the_estimate_has_the_figures_of_check_for_the_same_file() -> Result<()> {
    let yard = Gate::shared().await?.yard().await?;
    for (file, name) in [
        ("pytorchjob-llama2-70b.yaml", "pytorchjob-llama2-70b"),
        ("job-llama3-8b-lora.yaml", "job-llama3-8b-lora"),
    ] {
        let path = format!("{}/examples/{file}", env!("CARGO_MANIFEST_DIR"));
        let output = Command::new(weighbridge()).args(["check", "-o", "json", &path]).output()?;
        let output: Value = serde_json::from_slice(&output.stdout)?;
        yard.admitted(&example(file)?).await?;
        let status = yard.estimate(name).await?["status"].take();
        assert_eq!(status["verdict"], output[0]["verdict"], "{file}");
        for figure in ["peakBytes", "lowerBytes", "upperBytes", "capacityBytes"] {
            assert_eq!(status["memory"][figure], output[0]["memory"][figure], "{figure} of {file}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn kubectl_shows_the_figures_in_columns() -> Result<()> {
    let yard = Gate::shared().await?.yard().await?;
    yard.admitted(&fitting("llama2-70b")?).await?;
    yard.estimate("pytorchjob-llama2-70b").await?;
    let table = yard.control_plane.kubectl()?.run(&["get", "te", "-n", yard.name()]).await?.success()?;
    let mut rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let heads = rows.next().context("no heading")?;
    assert_eq!(heads.join(" "), "NAME MODEL GPUS ACCELERATOR PEAK OF VERDICT DAYS GPU-HOURS AGE");
    let row = rows.next().context("no row")?;
    assert_eq!(row.len(), heads.len(), "a cell is empty in:\n{table}");
    assert_eq!(row[..3], ["pytorchjob-llama2-70b", "llama-2-70b", "1024"]);
    assert!(is_an_a800(row[3]), "{table}");
    assert!(row[4].ends_with("Gi") && row[5].starts_with("79.") && row[6] == "Fits", "{table}");
    assert!(row[8].ends_with('M'), "1024 GPUs for months are millions of hours: {table}");
    Ok(())
}

#[tokio::test]
async fn an_unknown_model_is_admitted_and_its_estimate_lists_the_missing_fields() -> Result<()> {
    let yard = Gate::shared().await?.yard().await?;
    yard.admitted(&pytorchjob("mystery", 2, &[("model", "acme/frontier-x"), ("gpu-type", "H100-80GB")]))
        .await?;
    let estimate = yard.estimate("pytorchjob-mystery").await?;
    let status = &estimate["status"];
    assert_eq!(
        (&status["verdict"], &status["reason"]),
        (&json!("Unknown"), &json!("UnknownModel")),
        "{status}"
    );
    let missing = status["missing"].as_array().context("nothing is missing")?;
    assert!(missing.iter().any(|m| m.as_str().is_some_and(|m| m == "parameters")), "{missing:?}");
    assert_eq!(condition(&estimate, "FitsMemory")["status"], "Unknown");
    Ok(())
}

#[tokio::test]
async fn a_job_that_is_too_large_to_read_is_admitted_with_a_warning() -> Result<()> {
    let yard = Gate::shared().await?.yard().await?;
    let mut job = fitting("huge")?;
    let arguments = vec![format!("--name={}", "x".repeat(1000)); 1200];
    // Both annotations together would be too large for etcd.
    let replicas = &mut job["spec"]["pytorchReplicaSpecs"];
    replicas["Worker"] = json!(null);
    replicas["Master"]["template"]["spec"]["containers"][0]["args"] = json!(arguments);
    yard.admitted(&job).await?;
    let estimate = yard.estimate("pytorchjob-huge").await?;
    let status = &estimate["status"];
    assert_eq!((&status["verdict"], &status["reason"]), (&json!("Unknown"), &json!("TooLarge")), "{status}");
    Ok(())
}

#[tokio::test]
async fn a_job_whose_json_is_six_times_its_length_is_judged() -> Result<()> {
    let yard = Gate::shared().await?.yard().await?;
    // An argument that no reader knows, so that the judged part stays small.
    let mut job = hopeless("escaped")?;
    job["metadata"]["annotations"]["note"] = json!("&".repeat(250_000));
    let env = json!([{"name": "TEXT", "value": "<".repeat(1_000_000)}]);
    job["spec"]["pytorchReplicaSpecs"]["Master"]["template"]["spec"]["containers"][0]["env"] = env;
    assert_eq!(refusal(yard.create(&job).await?)?.code, 403);
    Ok(())
}

#[tokio::test]
async fn a_job_that_does_not_train_has_no_estimate() -> Result<()> {
    let yard = Gate::shared().await?.yard().await?;
    let mut server = super::jobs::job("server", 1, &[]);
    server["spec"]["template"]["spec"]["containers"][0]["command"] = json!(["vllm", "serve", "llama"]);
    yard.asked(async { Ok(yard.create(&server).await??) }).await?;
    // The controller handles workloads in order, so the estimate of a later job proves that it has handled this one.
    yard.admitted(&fitting("later")?).await?;
    yard.estimate("pytorchjob-later").await?;
    assert_eq!(yard.estimates().list(&ListParams::default()).await?.items.len(), 1);
    Ok(())
}

#[tokio::test]
async fn an_estimate_without_a_job_gets_a_status() -> Result<()> {
    let yard = Gate::shared().await?.yard().await?;
    yard.create(&example("trainingestimate-what-if.yaml")?).await??;
    let estimate = yard.estimate("llama2-70b-on-512-h100").await?;
    assert_eq!(estimate["status"]["verdict"], "Fits", "{}", estimate["status"]);
    assert_eq!(estimate["status"]["display"]["gpus"], "512");

    // Another spec in the same object: the status follows the spec.
    let four = json!({"spec": {"parallelism": {"tensor": 1, "pipeline": 1, "sequence": null}}});
    yard.change(&example("trainingestimate-what-if.yaml")?, &four).await??;
    let estimate = yard.estimate("llama2-70b-on-512-h100").await?;
    assert_eq!(estimate["metadata"]["generation"], 2);
    assert_eq!(estimate["status"]["verdict"], "OutOfMemory", "{}", estimate["status"]);
    Ok(())
}

#[tokio::test]
async fn fields_that_a_user_adds_to_an_estimate_override_the_job() -> Result<()> {
    let yard = Gate::shared().await?.yard().await?;
    yard.admitted(&fitting("llama2-70b")?).await?;
    let before = yard.estimate("pytorchjob-llama2-70b").await?;
    let slower = json!({"spec": {"efficiency": {"mfuPercent": "20"}}});
    yard.change(&before, &slower).await??;
    let after = yard.estimate("pytorchjob-llama2-70b").await?;
    let seconds = |estimate: &Value| estimate["status"]["time"]["seconds"].as_f64().unwrap_or_default();
    assert!(
        (1.9..2.1).contains(&(seconds(&after) / seconds(&before))),
        "half the speed is not twice the time"
    );
    Ok(())
}

#[tokio::test]
async fn deleting_a_job_deletes_its_estimate() -> Result<()> {
    let yard = Gate::shared().await?.yard().await?;
    let job = fitting("llama2-70b")?;
    yard.admitted(&job).await?;
    yard.estimate("pytorchjob-llama2-70b").await?;
    yard.of_the_kind_of(&job)?.delete("llama2-70b", &DeleteParams::background()).await?;
    gone(&yard, "pytorchjob-llama2-70b").await
}

#[tokio::test]
async fn a_deleted_estimate_is_created_again_while_its_job_exists() -> Result<()> {
    let yard = Gate::shared().await?.yard().await?;
    yard.admitted(&fitting("llama2-70b")?).await?;
    let first = yard.estimate("pytorchjob-llama2-70b").await?;
    yard.estimates().delete("pytorchjob-llama2-70b", &DeleteParams::default()).await?;
    wait_until("another estimate", SOON, || async {
        let another = yard.estimate("pytorchjob-llama2-70b").await?;
        Ok(another["metadata"]["uid"] != first["metadata"]["uid"])
    })
    .await
}

#[tokio::test]
async fn two_kinds_with_the_same_name_have_an_estimate_each() -> Result<()> {
    let yard = Gate::shared().await?.yard().await?;
    yard.admitted(&named(fitting("")?, "twins")).await?;
    yard.admitted(&named(example("job-llama3-8b-lora.yaml")?, "twins")).await?;
    yard.estimate("pytorchjob-twins").await?;
    yard.estimate("job-twins").await?;
    Ok(())
}

/// Fields that only a judgement with figures has.
const FIGURES: [&str; 5] = ["memory", "time", "cost", "advice", "oomProbabilityMilli"];

/// No figure is left, in the status or in its columns. The column of missing fields holds none.
fn has_no_figures(status: &Value) -> Result<()> {
    let figures = FIGURES.iter().copied().filter(|figure| !status[*figure].is_null());
    let columns = status["display"].as_object().into_iter().flat_map(|columns| columns.keys());
    let left: Vec<&str> =
        figures.chain(columns.map(String::as_str).filter(|column| *column != "missing")).collect();
    ensure!(left.is_empty(), "{left:?} are left in {status}");
    Ok(())
}

#[tokio::test]
async fn an_estimate_whose_job_is_deleted_reports_it_and_keeps_no_figure() -> Result<()> {
    let yard = Gate::shared().await?.yard().await?;
    let job = fitting("llama2-70b")?;
    yard.admitted(&job).await?;
    // An estimate that a user created, which outlives the job.
    let asked = json!({
        "apiVersion": "weighbridge.dev/v1alpha1", "kind": "TrainingEstimate", "metadata": {"name": "by-hand"},
        "spec": {"workloadRef": {"apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob", "name": "llama2-70b"}},
    });
    yard.create(&asked).await??;
    let fits = yard.estimate_that("by-hand", "Fits").await?;
    assert_eq!(fits["status"]["display"]["gpus"], "1024");
    yard.of_the_kind_of(&job)?.delete("llama2-70b", &DeleteParams::background()).await?;
    let gone = yard.estimate_that("by-hand", "Unknown").await?;
    assert_eq!(gone["status"]["reason"], "WorkloadNotFound", "{}", gone["status"]);
    assert_eq!(condition(&gone, "FitsMemory")["status"], "Unknown");
    has_no_figures(&gone["status"])?;

    // The job is created again, and the figures return.
    yard.admitted(&job).await?;
    let again = yard.estimate_that("by-hand", "Fits").await?;
    assert_eq!(again["status"]["display"], fits["status"]["display"]);
    Ok(())
}

#[tokio::test]
async fn an_estimate_whose_job_becomes_unknown_keeps_no_figure() -> Result<()> {
    let yard = Gate::shared().await?.yard().await?;
    let job = fitting("llama2-70b")?;
    yard.admitted(&job).await?;
    yard.estimate_that("pytorchjob-llama2-70b", "Fits").await?;
    let mut spec = super::jobs::pod_spec(0);
    spec["containers"][0]["command"] = json!(["sleep", "infinity"]);
    spec["nodeSelector"] = Value::Null;
    let idle = json!({
        "metadata": {"annotations": null},
        "spec": {"pytorchReplicaSpecs": {"Worker": null, "Master": {"template": {"spec": spec}}}},
    });
    yard.change(&job, &idle).await??;
    // A PyTorchJob counts as training with any command.
    let after = yard.estimate_that("pytorchjob-llama2-70b", "Unknown").await?;
    assert_eq!(condition(&after, "FitsMemory")["status"], "Unknown");
    has_no_figures(&after["status"])
}

#[tokio::test]
async fn an_estimate_that_loses_its_spec_keeps_no_figure() -> Result<()> {
    let yard = Gate::shared().await?.yard().await?;
    let question = example("trainingestimate-what-if.yaml")?;
    yard.create(&question).await??;
    yard.estimate_that("llama2-70b-on-512-h100", "Fits").await?;
    let fields = question["spec"].as_object().context("no spec")?.keys();
    let nothing: serde_json::Map<String, Value> = fields.map(|field| (field.clone(), Value::Null)).collect();
    yard.change(&question, &json!({"spec": nothing})).await??;
    let after = yard.estimate("llama2-70b-on-512-h100").await?;
    assert_ne!(after["status"]["verdict"], "Fits", "{}", after["status"]);
    has_no_figures(&after["status"])
}

/// The catalogue's key includes the form factor.
fn is_an_a800(key: &str) -> bool {
    key.starts_with("a800-") && key.ends_with("80gb")
}

async fn gone(yard: &Yard<'_>, name: &str) -> Result<()> {
    let estimates = yard.estimates();
    wait_until(&format!("{name} to be gone"), SOON, || async { Ok(estimates.get_opt(name).await?.is_none()) })
        .await
}
