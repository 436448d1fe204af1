//! How jobs ended, what that teaches about the next one, and the report.

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use weighbridge::api::history::TrainingHistory;

use super::gate::{Gate, MAY_OVERRIDE, SOON, Yard, refusal, weighbridge};
use super::jobs::{annotated, fitting, hopeless};
use crate::controlplane::{ControlPlane, Reach, Serve, Setup, wait_until};

const ENDED: &str = "2026-03-02T00:00:00Z";

/// Sets the status that a job's own controller would set at its end.
pub(crate) async fn end(yard: &Yard<'_>, job: &Value, condition: &str) -> Result<()> {
    let condition =
        json!({"type": condition, "status": "True", "lastTransitionTime": ENDED, "lastUpdateTime": ENDED});
    let status =
        json!({"startTime": "2026-03-01T00:00:00Z", "conditions": [condition], "replicaStatuses": {}});
    let name = job["metadata"]["name"].as_str().context("no name")?;
    let patch = Patch::Merge(json!({"status": status}));
    yard.of_the_kind_of(job)?.patch_status(name, &PatchParams::default(), &patch).await?;
    Ok(())
}

/// A pod of the job whose container wrote this at its end.
async fn failed_pod(yard: &Yard<'_>, job: &DynamicObject, message: &str) -> Result<()> {
    let job = serde_json::to_value(job)?;
    let template = &job["spec"]["pytorchReplicaSpecs"]["Worker"]["template"];
    let name = job["metadata"]["name"].as_str().context("no name")?;
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": format!("{name}-worker-0"), "ownerReferences": [{
            "apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob", "name": name, "uid": job["metadata"]["uid"],
            "controller": true,
        }]},
        "spec": template["spec"],
    });
    yard.create(&pod).await??;
    let terminated = json!({"exitCode": 1, "reason": "Error", "message": message, "finishedAt": ENDED});
    let container = json!({
        "name": template["spec"]["containers"][0]["name"], "image": "none", "imageID": "", "ready": false,
        "restartCount": 0, "state": {"terminated": terminated},
    });
    let patch = Patch::Merge(json!({"status": {"phase": "Failed", "containerStatuses": [container]}}));
    let pods: Api<Pod> = Api::namespaced(yard.client.clone(), yard.name());
    pods.patch_status(&format!("{name}-worker-0"), &PatchParams::default(), &patch).await?;
    Ok(())
}

#[tokio::test]
async fn a_job_whose_pod_ran_out_of_memory_shows_it_with_the_evidence() -> Result<()> {
    let yard = Gate::shared().await?.yard().await?;
    let job = fitting("llama2-70b")?;
    let created = yard.admitted(&job).await?;
    yard.estimate("pytorchjob-llama2-70b").await?;
    failed_pod(
        &yard,
        &created,
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB. token=abc",
    )
    .await?;
    let ran_out = |estimate: &Value| estimate["status"]["outcome"]["kind"] == "OutOfMemory";
    let estimate = yard.estimate_when("pytorchjob-llama2-70b", ran_out).await?;
    let outcome = &estimate["status"]["outcome"];
    assert_eq!(outcome["reason"], "CUDA out of memory", "{outcome}");
    assert_eq!(outcome["at"], ENDED);
    assert!(!estimate.to_string().contains("token=abc"), "the rest of the message is kept: {estimate}");

    end(&yard, &job, "Failed").await?;
    let ended = |estimate: &Value| estimate["status"]["progress"]["outcome"] == "Failed";
    let estimate = yard.estimate_when("pytorchjob-llama2-70b", ended).await?;
    assert_eq!(estimate["status"]["outcome"]["kind"], "OutOfMemory");
    let labels = [("verdict", "Fits"), ("outcome", "OutOfMemory")];
    wait_until("the outcome to be counted", SOON, || async {
        Ok(yard.serve.metrics().await?.sum("weighbridge_outcomes_total", &labels) > 0.5)
    })
    .await?;
    // Without --history nothing is remembered.
    assert_eq!(estimate["status"]["history"], Value::Null);
    Ok(())
}

/// The histories of a namespace.
pub(crate) fn histories(yard: &Yard<'_>) -> Api<DynamicObject> {
    Api::namespaced_with(yard.client.clone(), yard.name(), &ApiResource::erase::<TrainingHistory>(&()))
}

pub(crate) async fn remembered(yard: &Yard<'_>, number: usize) -> Result<()> {
    let histories = histories(yard);
    wait_until("the run to be remembered", SOON, || async {
        Ok(histories.list(&ListParams::default()).await?.items.len() == number)
    })
    .await
}

#[tokio::test]
async fn a_job_is_judged_by_what_the_same_job_did_before() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    let namespace = control_plane.guarded_namespace("learning", &[]).await?;
    let other = control_plane.guarded_namespace("learning", &[]).await?;
    let reach = Reach::Namespaces(vec![namespace.name().to_owned(), other.name().to_owned()]);
    let arguments = vec!["--history=refuse".to_owned(), format!("--override-groups={MAY_OVERRIDE}")];
    let setup = Setup { arguments, ..Setup::new("learning", reach) };
    let serve = Serve::start(control_plane, weighbridge(), setup).await?;
    let yard = Yard::new(control_plane, &serve, namespace)?;
    let other = Yard::new(control_plane, &serve, other)?;

    // It should fit, and ran out.
    let first = fitting("first")?;
    let created = yard.admitted(&first).await?;
    yard.estimate("pytorchjob-first").await?;
    failed_pod(&yard, &created, "CUDA out of memory").await?;
    let ran_out = |estimate: &Value| estimate["status"]["outcome"]["kind"] == "OutOfMemory";
    yard.estimate_when("pytorchjob-first", ran_out).await?;
    end(&yard, &first, "Failed").await?;
    remembered(&yard, 1).await?;
    let again = fitting("again")?;
    wait_until("the same job to be refused", SOON, || async { Ok(yard.create(&again).await?.is_err()) })
        .await?;
    let status = refusal(yard.create(&again).await?)?;
    ensure!(
        status.code == 403
            && status.message.contains("the same job ran out of memory on 2026-03-02: CUDA out of memory"),
        "{}",
        status.message
    );
    // Another namespace learns nothing from that.
    other.admitted(&again).await?;

    // It should run out, somebody who may override submitted it, and it ran.
    let proven = annotated(hopeless("proven")?, &[("override", "measured")]);
    let user = control_plane.kubectl_as("dana", &["system:masters", MAY_OVERRIDE])?;
    let arguments = ["create", "-n", yard.name(), "-f", "-"];
    user.run_with_input(&arguments, &proven.to_string()).await?.success()?;
    let estimate = yard.estimate_that("pytorchjob-proven", "OutOfMemory").await?;
    assert_eq!(estimate["status"]["admittedBy"], "Override");
    end(&yard, &proven, "Succeeded").await?;
    remembered(&yard, 2).await?;
    let repeated = hopeless("repeated")?;
    wait_until("the same job to be admitted", SOON, || async { Ok(yard.create(&repeated).await?.is_ok()) })
        .await?;
    let estimate = yard.estimate_that("pytorchjob-repeated", "Fits").await?;
    let status = &estimate["status"];
    assert_eq!(
        (&status["reason"], &status["history"]["estimatedVerdict"]),
        (&json!("RanBefore"), &json!("OutOfMemory"))
    );
    assert_eq!(status["history"]["runs"], 1);
    wait_until("the contradiction to be counted", SOON, || async {
        Ok(serve.metrics().await?.sum("weighbridge_contradicted_estimates_total", &[]) > 0.5)
    })
    .await?;

    let output = tokio::process::Command::new(weighbridge())
        .args(["report", "-o", "json", "-n", yard.name(), "--kubeconfig"])
        .arg(control_plane.kubeconfig())
        .output()
        .await?;
    ensure!(output.status.success(), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout)?;
    assert_eq!(report[0]["precision"], json!({"of": 0, "all": 1, "value": 0.0}), "{report}");
    let by = &report[0]["admittedAgainstTheVerdict"];
    assert_eq!(by["override"], json!({"all": 1, "completed": 1, "ranOut": 0}), "{report}");
    assert_eq!(by["history"]["all"], 1, "{report}");
    assert_eq!(report[0]["recall"], json!({"of": 0, "all": 1, "value": 0.0}), "{report}");
    serve.stop().await
}
