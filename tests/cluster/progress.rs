//! The progress of a job: its expected end while it runs, the error of the estimate after it ended, and whether it
//! meets its deadline.

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use super::gate::{Gate, SOON, Yard, condition};
use super::jobs::{example, fitting};
use crate::controlplane::wait_until;

const DAY: i64 = 86_400;

/// Sets a status, as the job's own controller would.
async fn report(yard: &Yard<'_>, job: &Value, status: Value) -> Result<()> {
    let name = job["metadata"]["name"].as_str().context("no name")?;
    let patch = Patch::Merge(json!({"status": status}));
    yard.of_the_kind_of(job)?.patch_status(name, &PatchParams::default(), &patch).await?;
    Ok(())
}

fn second(moment: &Value) -> Result<i64> {
    let text = moment.as_str().context("no moment")?;
    Ok(text.parse::<k8s_openapi::jiff::Timestamp>()?.as_second())
}

#[tokio::test]
async fn a_running_job_has_an_expected_end_and_an_ended_job_has_the_error_of_it() -> Result<()> {
    let yard = Gate::shared().await?.yard().await?;
    let job = fitting("llama2-70b")?;
    yard.admitted(&job).await?;
    let name = "pytorchjob-llama2-70b";
    let before = yard.estimate(name).await?;
    assert_eq!(before["status"]["startTime"], Value::Null);
    let predicted = before["status"]["time"]["seconds"].as_i64().context("no time")?;

    // A start time alone is the time of creation: the pods may wait for days.
    let created = "2025-12-25T00:00:00Z";
    let is = |kind: &str, status: &str, at: &str| json!({"type": kind, "status": status, "lastTransitionTime": at, "lastUpdateTime": at});
    let conditions = json!([is("Created", "True", created)]);
    report(&yard, &job, json!({"startTime": created, "conditions": conditions, "replicaStatuses": {}}))
        .await?;
    let started = "2026-01-01T00:00:00Z";
    let conditions = json!([is("Created", "True", created), is("Running", "True", started)]);
    report(&yard, &job, json!({"startTime": created, "conditions": conditions, "replicaStatuses": {}}))
        .await?;
    let running = yard.estimate_when(name, |e| e["status"]["startTime"] == started).await?;
    let start = second(&running["status"]["startTime"])?;
    assert_eq!(second(&running["status"]["expectedCompletionTime"])? - start, predicted);
    let ends = ["earliestCompletionTime", "expectedCompletionTime", "latestCompletionTime"];
    let ends = ends.map(|end| second(&running["status"][end]).unwrap_or_default());
    assert!(ends.is_sorted() && ends[0] < ends[2], "{ends:?}");
    assert_eq!(running["status"]["progress"], Value::Null);

    let ended = "2026-03-02T00:00:00Z";
    let condition = |kind: &str| {
        let at =
            json!({"type": kind, "status": "True", "lastTransitionTime": ended, "lastUpdateTime": ended});
        json!([at])
    };
    let status =
        json!({"completionTime": ended, "conditions": condition("Succeeded"), "replicaStatuses": {}});
    report(&yard, &job, status).await?;
    let done = yard.estimate_when(name, |e| e["status"]["progress"] != Value::Null).await?;
    let progress = &done["status"]["progress"];
    assert_eq!(progress["outcome"], "Succeeded");
    assert_eq!(progress["actualSeconds"], json!(60 * DAY));
    let departure = (60.0 * DAY as f64 / predicted as f64 * 1000.0).round();
    assert_eq!(progress["departureMilli"].as_f64(), Some(departure), "{progress}");

    let events: Api<Event> = Api::namespaced(yard.client.clone(), yard.name());
    wait_until("the event about the end of the job", SOON, || async {
        let all = events.list(&ListParams::default()).await?.items;
        Ok(all.iter().any(|event| event.reason.as_deref() == Some("EstimateCompared")))
    })
    .await?;
    let counted = yard.serve.metrics().await?.sum("weighbridge_time_ratio_count", &[]);
    ensure!(counted > 0.5, "no histogram counts it");
    Ok(())
}

#[tokio::test]
async fn the_time_between_suspensions_adds_up() -> Result<()> {
    let yard = Gate::shared().await?.yard().await?;
    let job = fitting("llama2-70b")?;
    yard.admitted(&job).await?;
    let name = "pytorchjob-llama2-70b";
    let predicted = yard.estimate(name).await?["status"]["time"]["seconds"].as_i64().context("no time")?;
    let is = |kind: &str, status: &str, at: &str| json!({"type": kind, "status": status, "lastTransitionTime": at, "lastUpdateTime": at});
    let conditions = |all: Value| json!({"conditions": all, "replicaStatuses": {}});
    let first = json!([is("Running", "True", "2026-01-01T00:00:00Z")]);
    report(&yard, &job, conditions(first)).await?;
    yard.estimate_when(name, |e| e["status"]["runningSince"] == "2026-01-01T00:00:00Z").await?;

    let held =
        [is("Running", "False", "2026-01-03T00:00:00Z"), is("Suspended", "True", "2026-01-03T00:00:00Z")];
    report(&yard, &job, conditions(json!(held))).await?;
    yard.change(&job, &json!({"spec": {"runPolicy": {"suspend": true}}})).await??;
    let held = yard.estimate_when(name, |e| e["status"]["runningSeconds"] == 2 * DAY).await?;
    assert_eq!(held["status"]["expectedCompletionTime"], Value::Null, "{}", held["status"]);

    yard.change(&job, &json!({"spec": {"runPolicy": {"suspend": false}}})).await??;
    let again = json!([is("Running", "True", "2026-02-01T00:00:00Z")]);
    report(&yard, &job, conditions(again)).await?;
    let resumed = yard.estimate_when(name, |e| e["status"]["runningSince"] == "2026-02-01T00:00:00Z").await?;
    let end = second(&resumed["status"]["expectedCompletionTime"])?;
    assert_eq!(end - second(&json!("2026-02-01T00:00:00Z"))?, predicted - 2 * DAY);
    Ok(())
}

#[tokio::test]
async fn a_job_that_cannot_meet_its_deadline_is_admitted_with_a_warning() -> Result<()> {
    let yard = Gate::shared().await?.yard().await?;
    let mut job = fitting("hurried")?;
    job["spec"]["runPolicy"] = json!({"activeDeadlineSeconds": 10 * DAY});
    yard.admitted(&job).await?;
    let estimate = yard.estimate("pytorchjob-hurried").await?;
    let found = condition(&estimate, "WithinDeadline");
    assert_eq!((&found["status"], &found["reason"]), (&json!("False"), &json!("TooSlowAtBest")), "{found}");
    assert_eq!(estimate["status"]["deadline"]["seconds"], json!(10 * DAY));
    let warnings = estimate["status"]["warnings"].to_string();
    assert!(warnings.contains("activeDeadlineSeconds allows 10 days"), "{warnings}");

    // kubectl shows the webhook's warning.
    let mut another = job.clone();
    another["metadata"]["name"] = json!("hurried-too");
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("job.json");
    std::fs::write(&file, another.to_string())?;
    let file = file.to_str().context("a path that is not UTF-8")?;
    let created = yard.control_plane.kubectl()?.run(&["create", "-n", yard.name(), "-f", file]).await?;
    assert!(format!("{created:?}").contains("activeDeadlineSeconds allows 10 days"), "{created:?}");
    Ok(())
}

#[tokio::test]
async fn the_deadline_of_an_estimate_is_met_or_not() -> Result<()> {
    let yard = Gate::shared().await?.yard().await?;
    let question = example("trainingestimate-what-if.yaml")?;
    yard.create(&question).await??;
    for (days, holds) in [("1000", "True"), ("1", "False")] {
        yard.change(&question, &json!({"spec": {"target": {"days": days}}})).await??;
        let estimate = yard.estimate("llama2-70b-on-512-h100").await?;
        assert_eq!(condition(&estimate, "WithinDeadline")["status"], holds, "{days} days");
    }
    Ok(())
}
