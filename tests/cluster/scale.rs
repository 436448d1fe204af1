//! `kubectl scale` and autoscalers: the job is judged with its new number of pods.

use anyhow::Result;
use k8s_openapi::api::autoscaling::v1::Scale;
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::gate::{Gate, Yard, refusal};
use super::jobs::{annotated, sharded};
use crate::controlplane::wait_until_refused;

async fn scale(yard: &Yard<'_>, job: &Value, workers: u64) -> Result<kube::Result<Scale>> {
    let number = json!({"spec": {"replicas": workers}});
    let api = yard.of_the_kind_of(job)?;
    Ok(api.patch_scale("llama", &PatchParams::default(), &Patch::Merge(&number)).await)
}

#[tokio::test]
async fn a_job_that_is_scaled_below_its_need_is_refused() -> Result<()> {
    let yard = Gate::shared().await?.yard().await?;
    let job = sharded(16);
    yard.admitted(&job).await?;

    let status = refusal(scale(&yard, &job, 0).await?)?;
    assert_eq!(status.code, 403);
    assert!(
        status.message.contains("scaled from 15 to 0, this PyTorchJob runs out of GPU memory"),
        "{status:?}"
    );
    // A user who may scale a job may lack the permission to read it.
    assert!(!status.message.contains("GiB"), "{}", status.message);
    let kept = yard.of_the_kind_of(&job)?.get("llama").await?;
    assert_eq!(kept.data["spec"]["pytorchReplicaSpecs"]["Worker"]["replicas"], 15);

    let typed = ["scale", "pytorchjob/llama", "--replicas=0", "-n", yard.name()];
    let output = yard.control_plane.kubectl()?.run(&typed).await?;
    assert!(!output.status.success() && output.stderr.contains("scaled from 15 to 0"), "{}", output.stderr);
    Ok(())
}

#[tokio::test]
async fn a_job_that_is_scaled_and_still_fits_is_admitted() -> Result<()> {
    let yard = Gate::shared().await?.yard().await?;
    let job = sharded(16);
    yard.admitted(&job).await?;
    yard.asked(async { Ok(scale(&yard, &job, 14).await??) }).await?;
    let noted = yard.audited("patch", &job).await?;
    assert_eq!((noted["verdict"].as_str(), noted["scale"].as_str()), ("Fits", "15 to 14"));
    let kept = yard.of_the_kind_of(&job)?.get("llama").await?;
    assert_eq!(kept.data["spec"]["pytorchReplicaSpecs"]["Worker"]["replicas"], 14);
    Ok(())
}

#[tokio::test]
async fn a_job_that_was_hopeless_before_may_be_scaled() -> Result<()> {
    let yard = Gate::shared().await?.yard_in_mode(Some("warn")).await?;
    let job = annotated(sharded(2), &[("sharding", "ddp")]);
    yard.admitted(&job).await?;
    let namespaces = Api::<Namespace>::all(yard.client.clone());
    let enforce = json!({"metadata": {"labels": {"weighbridge.dev/mode": "enforce"}}});
    namespaces.patch(yard.name(), &PatchParams::default(), &Patch::Merge(&enforce)).await?;
    wait_until_refused(yard.control_plane, yard.name()).await?;

    yard.asked(async { Ok(scale(&yard, &job, 0).await??) }).await?;
    assert_eq!(yard.audited("patch", &job).await?["update"], "already-so");
    Ok(())
}
