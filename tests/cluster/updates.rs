//! Updates of an existing job. Only an update that makes a job hopeless is refused.

use anyhow::Result;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use super::gate::{Gate, SOON, Yard, refusal};
use super::jobs::{fitting, hopeless, pytorchjob, ruin, sharded};
use crate::controlplane::{wait_until, wait_until_refused};

/// A hopeless job that was admitted before its namespace enforced.
async fn hopeless_from_before(gate: &Gate) -> Result<(Yard<'_>, Value)> {
    let yard = gate.yard_in_mode(Some("warn")).await?;
    let job = hopeless("llama")?;
    yard.admitted(&job).await?;
    let namespaces = kube::Api::<k8s_openapi::api::core::v1::Namespace>::all(yard.client.clone());
    let enforce = json!({"metadata": {"labels": {"weighbridge.dev/mode": "enforce"}}});
    namespaces.patch(yard.name(), &PatchParams::default(), &Patch::Merge(&enforce)).await?;
    wait_until_refused(yard.control_plane, yard.name()).await?;
    Ok((yard, job))
}

/// A job that leaves the choice of its accelerator to the queue.
fn of_any_accelerator() -> Value {
    pytorchjob(
        "llama",
        1,
        &[
            ("parameters", "13B"),
            ("tensor-parallel", "8"),
            ("sequence-length", "2048"),
            ("micro-batch-size", "1"),
        ],
    )
}

#[tokio::test]
async fn a_queue_may_change_suspend_and_add_a_node_selector() -> Result<()> {
    let yard = Gate::shared().await?.yard().await?.by_kueue()?;
    let mut job = fitting("llama")?;
    job["spec"]["runPolicy"] = json!({"suspend": true});
    yard.admitted(&job).await?;

    let started = yard.change_admitted(&job, &json!({"spec": {"runPolicy": {"suspend": false}}})).await?;
    assert_eq!(started.data["spec"]["runPolicy"]["suspend"], false);
    yard.change_admitted(&job, &node_selector(&[("pool", "a800")])).await?;
    Ok(())
}

#[tokio::test]
async fn a_queue_may_set_a_node_selector_that_makes_the_job_hopeless() -> Result<()> {
    let yard = Gate::shared().await?.yard().await?.by_kueue()?;
    let job = of_any_accelerator();
    yard.admitted(&job).await?;
    yard.change_admitted(&job, &node_selector(&[("nvidia.com/gpu.product", "Tesla-T4")])).await?;
    let noted = yard.audited("patch", &job).await?;
    assert_eq!((noted["would-deny"].as_str(), noted["update"].as_str()), ("true", "same-job"));
    yard.estimate_that("pytorchjob-llama", "OutOfMemory").await?;
    Ok(())
}

#[tokio::test]
async fn only_a_queue_may_set_a_node_selector_that_makes_a_job_hopeless() -> Result<()> {
    let yard = Gate::shared().await?.yard().await?;
    let mut job = of_any_accelerator();
    job["spec"]["runPolicy"] = json!({"suspend": true});
    yard.admitted(&job).await?;
    let mut start = node_selector(&[("nvidia.com/gpu.product", "Tesla-T4")]);
    assert_eq!(refusal(yard.change(&job, &start).await?)?.code, 403, "while it is suspended");
    start["spec"]["runPolicy"] = json!({"suspend": false});
    assert_eq!(refusal(yard.change(&job, &start).await?)?.code, 403, "and when it starts");

    // Every other way to choose a node is judged the same, and admitted if the job still fits.
    let affinity = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [{"matchExpressions": [
            {"key": "nvidia.com/gpu.product", "operator": "In", "values": ["Tesla-T4"]}]}]}}});
    let change =
        json!({"spec": {"pytorchReplicaSpecs": {"Master": {"template": {"spec": {"affinity": affinity}}}}}});
    assert_eq!(refusal(yard.change(&job, &change).await?)?.code, 403);
    yard.change_admitted(&job, &node_selector(&[("nvidia.com/gpu.product", "NVIDIA-H200")])).await?;
    yard.change_admitted(&job, &json!({"spec": {"runPolicy": {"suspend": false}}})).await?;
    Ok(())
}

#[tokio::test]
async fn a_queue_may_write_back_the_whole_object_with_its_node_selector() -> Result<()> {
    let yard = Gate::shared().await?.yard().await?.by_kueue()?;
    let job = of_any_accelerator();
    yard.admitted(&job).await?;
    // Like a client with Go types writes it: with default values.
    let mut change = node_selector(&[("nvidia.com/gpu.product", "Tesla-T4")]);
    change["spec"]["runPolicy"] = json!({"cleanPodPolicy": "None", "schedulingPolicy": {}});
    change["spec"]["pytorchReplicaSpecs"]["Master"]["restartPolicy"] = json!("OnFailure");
    yard.change_admitted(&job, &change).await?;
    assert_eq!(yard.audited("patch", &job).await?["update"], "same-job");

    // An account that also changes the job itself is judged.
    let mut both = ruin();
    both["spec"] = node_selector(&[("nvidia.com/gpu.product", "Tesla-V100-SXM2-16GB")])["spec"].clone();
    let other = fitting("mistral")?;
    yard.admitted(&other).await?;
    assert_eq!(refusal(yard.change(&other, &both).await?)?.code, 403);
    Ok(())
}

fn node_selector(labels: &[(&str, &str)]) -> Value {
    let labels: serde_json::Map<_, _> =
        labels.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
    json!({"spec": {"pytorchReplicaSpecs": {"Master": {"template": {"spec": {"nodeSelector": labels}}}}}})
}

#[tokio::test]
async fn a_job_that_was_hopeless_before_may_be_changed() -> Result<()> {
    let (yard, job) = hopeless_from_before(Gate::shared().await?).await?;
    yard.change_admitted(&job, &json!({"spec": {"runPolicy": {"suspend": true}}})).await?;
    yard.change_admitted(&job, &json!({"metadata": {"labels": {"kueue.x-k8s.io/queue-name": "research"}}}))
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_change_of_metadata_that_no_rule_reads_is_answered_unjudged() -> Result<()> {
    let (yard, job) = hopeless_from_before(Gate::shared().await?).await?;
    for change in [
        json!({"metadata": {"labels": {"team": "research"}}}),
        json!({"metadata": {"annotations": {"note": "ours"}}}),
    ] {
        yard.asked(async { Ok(yard.change(&job, &change).await??) }).await?;
        let noted = yard.audited("patch", &job).await?;
        assert_eq!(noted, std::collections::BTreeMap::new(), "{change}");
    }
    Ok(())
}

#[tokio::test]
async fn a_change_that_makes_a_fitting_job_hopeless_is_refused() -> Result<()> {
    let yard = Gate::shared().await?.yard().await?;
    let job = fitting("llama")?;
    let created = yard.admitted(&job).await?;

    let status = refusal(yard.change(&job, &ruin()).await?)?;
    assert_eq!(status.code, 403);
    assert!(status.message.contains(" GiB per GPU ("), "{}", status.message);
    let kept = yard.of_the_kind_of(&job)?.get("llama").await?;
    assert_eq!(kept.metadata.annotations, created.metadata.annotations);
    Ok(())
}

#[tokio::test]
async fn a_change_that_makes_a_hopeless_job_fit_is_admitted() -> Result<()> {
    let (yard, job) = hopeless_from_before(Gate::shared().await?).await?;
    let repaired = fitting("llama")?;
    yard.change_admitted(&job, &json!({"metadata": repaired["metadata"], "spec": repaired["spec"]})).await?;
    yard.estimate_that("pytorchjob-llama", "Fits").await?;
    Ok(())
}

#[tokio::test]
async fn an_object_that_is_being_deleted_may_always_lose_its_finalizer() -> Result<()> {
    let yard = Gate::shared().await?.yard().await?;
    let mut job = fitting("llama")?;
    job["metadata"]["finalizers"] = json!(["test/hold"]);
    yard.admitted(&job).await?;
    let jobs = yard.of_the_kind_of(&job)?;
    jobs.delete("llama", &DeleteParams::default()).await?;

    // The same change makes it hopeless. It would be refused for a job that is not being deleted.
    let mut change = ruin();
    change["metadata"]["finalizers"] = Value::Null;
    yard.change(&job, &change).await??;
    wait_until("the job to be gone", SOON, || async { Ok(jobs.get_opt("llama").await?.is_none()) }).await
}

#[tokio::test]
async fn a_finalizer_of_a_hopeless_job_can_be_removed() -> Result<()> {
    let (yard, job) = hopeless_from_before(Gate::shared().await?).await?;
    let jobs = yard.of_the_kind_of(&job)?;
    let hold = json!({"metadata": {"finalizers": ["test/hold"]}});
    yard.asked(async { Ok(yard.change(&job, &hold).await??) }).await?;
    jobs.delete("llama", &DeleteParams::default()).await?;
    yard.change(&job, &json!({"metadata": {"finalizers": null}})).await??;
    wait_until("the job to be gone", SOON, || async { Ok(jobs.get_opt("llama").await?.is_none()) }).await
}

#[tokio::test]
async fn removing_gpus_that_a_sharded_job_needs_is_refused() -> Result<()> {
    let yard = Gate::shared().await?.yard().await?;
    let job = sharded(16);
    yard.admitted(&job).await?;
    let fewer = json!({"spec": {"pytorchReplicaSpecs": {"Worker": null}}});
    assert_eq!(refusal(yard.change(&job, &fewer).await?)?.code, 403);
    Ok(())
}
