//! Children of workloads. The real controllers make pods for a judged job, and they pass. An object that only claims
//! to be a child is judged by itself.

use anyhow::{Context as _, Result};
use kube::api::{DynamicObject, ListParams, PostParams};
use serde_json::{Value, json};

use super::gate::{Gate, SOON, Yard, condition, create, refusal, weighbridge};
use super::jobs::{job, pod, pod_spec, pytorchjob};
use crate::controlplane::{ControlPlane, Options, Reach, Serve, Setup, wait_until};

/// A job that fits when it is sharded over 64 GPUs. The eight GPUs of one pod would not suffice.
const LLAMA: &[(&str, &str)] = &[
    ("model", "llama-2-70b"),
    ("sharding", "fsdp"),
    ("framework", "fsdp"),
    ("recompute", "full"),
    ("attention", "flash"),
    ("precision", "bf16"),
    ("micro-batch-size", "1"),
    ("sequence-length", "2048"),
    ("gpu-type", "H100-80GB"),
];

#[tokio::test]
async fn the_pods_of_an_admitted_job_pass_although_one_alone_would_be_refused() -> Result<()> {
    let yard = Gate::shared().await?.yard().await?;
    let alone = pod("alone", LLAMA);
    assert_eq!(refusal(yard.create(&alone).await?)?.code, 403);

    yard.admitted(&job("llama", 8, LLAMA)).await?;
    let pods = yard.of_the_kind_of(&alone)?;
    wait_until("the job's eight pods", SOON, || async {
        Ok(pods.list(&ListParams::default()).await?.items.len() == 8)
    })
    .await?;

    yard.estimate("job-llama").await?;
    let estimates = yard.estimates().list(&ListParams::default()).await?;
    assert_eq!(estimates.items.len(), 1, "a child has an estimate: {estimates:?}");
    Ok(())
}

#[tokio::test]
async fn a_pod_with_an_owner_of_an_unjudged_kind_is_judged_as_one_of_many() -> Result<()> {
    let yard = Gate::shared().await?.yard().await?;
    let owned = |name: &str, controller: bool, annotations: &[(&str, &str)]| {
        let mut pod = pod(name, annotations);
        pod["metadata"]["ownerReferences"] = serde_json::json!([{
            "apiVersion": "v1", "kind": "ConfigMap", "name": "none", "uid": "0b6ff2a6-6b3a-4a0e-9b59-0b6ff2a66b3a",
            "controller": controller,
        }]);
        pod
    };
    assert_eq!(refusal(yard.create(&owned("not-controlled", false, LLAMA)).await?)?.code, 403);

    // The number of pods that divide the states is not known. But each replica must fit into its pod.
    let one_of_many = owned("one-of-many", true, LLAMA);
    yard.admitted(&one_of_many).await?;
    assert_eq!(yard.audited("create", &one_of_many).await?["verdict"], "Unknown");
    let undivided: Vec<_> =
        LLAMA.iter().map(|(key, value)| (*key, if *key == "sharding" { "ddp" } else { *value })).collect();
    assert_eq!(refusal(yard.create(&owned("undivided", true, &undivided)).await?)?.code, 403);
    Ok(())
}

/// A job whose replicas are too large for any number of pods, because nothing is divided.
fn undivided() -> Vec<(&'static str, &'static str)> {
    LLAMA.iter().map(|(key, value)| (*key, if *key == "sharding" { "ddp" } else { *value })).collect()
}

fn owned(mut child: Value, owner: &DynamicObject) -> Value {
    let types = owner.types.clone().unwrap_or_default();
    child["metadata"]["ownerReferences"] = json!([{
        "apiVersion": types.api_version, "kind": types.kind, "name": owner.metadata.name,
        "uid": owner.metadata.uid, "controller": true,
    }]);
    child
}

/// A CronJob that never runs and does not train.
fn harmless_cron_job() -> Value {
    json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "harmless"},
        "spec": {"schedule": "0 0 1 1 *", "suspend": true, "jobTemplate": {"spec": {"template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "main", "image": "busybox"}]}}}}},
    })
}

/// A job that fits on one GPU.
const SMALL: &[(&str, &str)] = &[
    ("model", "llama-2-7b"),
    ("method", "lora"),
    ("gpu-type", "H100-80GB"),
    ("micro-batch-size", "1"),
    ("sequence-length", "1024"),
];

/// Waits until the owner is in the cache. Until then, the child passes with a note.
async fn is_refused_soon(yard: &Yard<'_>, child: &Value) -> Result<()> {
    let children = yard.of_the_kind_of(child)?;
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    wait_until("the child to be refused", SOON, || async {
        match children.create(&dry_run, &serde_json::from_value(child.clone())?).await {
            Err(kube::Error::Api(status)) => Ok(status.code == 403),
            other => Ok(other.map(|_| false)?),
        }
    })
    .await?;
    assert_eq!(refusal(yard.create(child).await?)?.code, 403);
    Ok(())
}

#[tokio::test]
async fn a_child_of_an_owner_that_does_not_train_is_judged_by_itself() -> Result<()> {
    let yard = Gate::shared().await?.yard().await?;
    let cron_job = yard.create(&harmless_cron_job()).await??;
    is_refused_soon(&yard, &owned(job("of-a-cronjob", 1, &undivided()), &cron_job)).await?;

    let mut without_gpus = pytorchjob("without-gpus", 1, &[]);
    without_gpus["spec"]["pytorchReplicaSpecs"]["Master"]["template"]["spec"] = pod_spec(0);
    let without_gpus = yard.create(&without_gpus).await??;
    is_refused_soon(&yard, &owned(pod("of-a-pytorchjob", &undivided()), &without_gpus)).await?;

    // A child that fits by itself is admitted with any owner.
    yard.admitted(&owned(job("small", 1, SMALL), &cron_job)).await?;
    Ok(())
}

#[tokio::test]
async fn a_child_that_its_claimed_owner_did_not_make_is_judged_by_itself() -> Result<()> {
    let yard = Gate::shared().await?.yard().await?;
    let owner = yard.admitted(&pytorchjob("small", 1, SMALL)).await?;
    is_refused_soon(&yard, &owned(pod("huge", &undivided()), &owner)).await?;

    // Its own pods pass, even with the additions of operators and meshes.
    let mut made = owned(pod("small-master-0", &[]), &owner);
    made["spec"]["containers"][0]["env"] = json!([{"name": "MASTER_ADDR", "value": "localhost"}]);
    made["spec"]["containers"]
        .as_array_mut()
        .context("no containers")?
        .push(json!({"name": "proxy", "image": "none"}));
    yard.create(&made).await??;
    Ok(())
}

#[tokio::test]
async fn an_owner_of_a_kind_that_is_not_installed_does_not_count() -> Result<()> {
    let yard = Gate::shared().await?.yard().await?;
    let mut orphan = pod("orphan", &undivided());
    orphan["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "elastic.iml.github.io/v1alpha1", "kind": "ElasticJob", "name": "none",
        "uid": "0b6ff2a6-6b3a-4a0e-9b59-0b6ff2a66b3a", "controller": true,
    }]);
    assert_eq!(refusal(yard.create(&orphan).await?)?.code, 403);
    Ok(())
}

#[tokio::test]
async fn a_child_that_is_created_without_a_gate_under_an_idle_owner_is_marked() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    let namespace = control_plane.guarded_namespace("orphans", &[]).await?;
    let name = namespace.name().to_owned();
    let setup = Setup::new("orphans", Reach::Namespaces(vec![name.clone()]));
    let setup = Setup { failure_policy: "Ignore", ..setup };
    let setup = Serve::start(control_plane, weighbridge(), setup).await?.kill()?;
    let client = control_plane.admin()?;
    let owner = create(&client, &name, &harmless_cron_job()).await??;
    create(&client, &name, &owned(job("slipped", 1, &undivided()), &owner)).await??;

    let serve = Serve::start(control_plane, weighbridge(), setup).await?;
    let yard = Yard::new(control_plane, &serve, namespace)?;
    let estimate = yard.estimate_that("job-slipped", "OutOfMemory").await?;
    assert_eq!(condition(&estimate, "BypassedAdmission")["status"], "True", "{}", estimate["status"]);
    serve.stop().await
}

#[tokio::test]
async fn a_child_of_an_owner_that_does_not_exist_passes_and_is_marked() -> Result<()> {
    // No garbage collector runs here, so the child stays.
    let control_plane =
        ControlPlane::start(Options { controller_manager: false, ..Options::standard()? }).await?;
    let serve = Serve::start(&control_plane, weighbridge(), Setup::new("absent", Reach::Everything)).await?;
    let yard = Yard::new(&control_plane, &serve, control_plane.namespace(&[]).await?)?;
    let mut child = pod("child", &undivided());
    child["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob", "name": "none",
        "uid": "0b6ff2a6-6b3a-4a0e-9b59-0b6ff2a66b3a", "controller": true,
    }]);
    yard.asked(async { Ok(yard.create(&child).await??) }).await?;
    assert_eq!(yard.audited("create", &child).await?["owner"], "unknown");
    let estimate = yard.estimate_that("pod-child", "OutOfMemory").await?;
    assert_eq!(condition(&estimate, "BypassedAdmission")["status"], "True", "{}", estimate["status"]);
    serve.stop().await
}
