//! Nodes: if a job names no accelerator, the nodes' accelerators count.

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Node;
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;

use super::gate::{SOON, Yard, refusal, weighbridge};
use super::jobs::{pod, pytorchjob};
use crate::controlplane::{ControlPlane, Options, Reach, Serve, Setup, wait_until};

/// Workloads that name their accelerator.
const STATED: usize = 40;

#[tokio::test]
async fn a_job_that_names_no_accelerator_is_judged_by_the_nodes() -> Result<()> {
    // A control plane of its own, because all tests of one share its nodes.
    let options = Options { controller_manager: false, ..Options::standard()? };
    let control_plane = ControlPlane::start(options).await?;
    let serve = Serve::start(&control_plane, weighbridge(), Setup::new("nodes", Reach::Everything)).await?;
    let yard = Yard::new(&control_plane, &serve, control_plane.namespace(&[]).await?)?;

    let job = |name: &str| pytorchjob(name, 1, &[("parameters", "13B"), ("tensor-parallel", "8")]);
    yard.admitted(&job("early")).await?;
    let estimate = yard.estimate_that("pytorchjob-early", "Unknown").await?;
    assert_eq!(estimate["status"]["reason"], "UnknownAccelerator", "{}", estimate["status"]);

    // A node with the labels of GPU feature discovery and the resources of the device plugin.
    let labels = json!({"nvidia.com/gpu.product": "Tesla-T4", "nvidia.com/gpu.memory": "15360", "nvidia.com/gpu.count": "8"});
    let node = serde_json::from_value(json!({"metadata": {"name": "t4", "labels": labels}}))?;
    let nodes: Api<Node> = Api::all(control_plane.admin()?);
    nodes.create(&PostParams::default(), &node).await?;
    let offered = json!({"nvidia.com/gpu": "8"});
    let status = Patch::Merge(json!({"status": {"capacity": offered, "allocatable": offered}}));
    nodes.patch_status("t4", &PatchParams::default(), &status).await?;

    // The old job is judged again, and a new one is refused.
    yard.estimate_that("pytorchjob-early", "OutOfMemory").await?;
    let refusal_status = refusal(yard.create(&job("late")).await?)?;
    assert!(refusal_status.code == 403 && refusal_status.message.contains("T4"), "{refusal_status}");
    serve.stop().await
}

#[tokio::test]
async fn where_a_pod_landed_decides_from_then_on() -> Result<()> {
    let options = Options { controller_manager: false, ..Options::standard()? };
    let control_plane = ControlPlane::start(options).await?;
    let nodes: Api<Node> = Api::all(control_plane.admin()?);
    let offered = json!({"nvidia.com/gpu": "8"});
    for (name, product) in [("large", "NVIDIA-H200"), ("small", "Tesla-T4")] {
        let node = serde_json::from_value(json!({
            "metadata": {"name": name, "labels": {"nvidia.com/gpu.product": product}},
            "status": {"capacity": offered, "allocatable": offered},
        }))?;
        nodes.create(&PostParams::default(), &node).await?;
    }
    let serve = Serve::start(&control_plane, weighbridge(), Setup::new("landed", Reach::Everything)).await?;
    let yard = Yard::new(&control_plane, &serve, control_plane.namespace(&[]).await?)?;
    let job = pytorchjob("mixed", 1, &[("parameters", "13B"), ("tensor-parallel", "8")]);
    let created = yard.admitted(&job).await?;
    let before = yard.estimate("pytorchjob-mixed").await?;
    ensure!(before["status"]["verdict"] != "OutOfMemory", "judged on the largest card: {}", before["status"]);

    let mut landed = pod("mixed-master-0", &[]);
    landed["spec"]["nodeName"] = json!("small");
    landed["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob", "name": "mixed", "uid": created.metadata.uid,
        "controller": true,
    }]);
    yard.create(&landed).await??;
    let after = yard.estimate_that("pytorchjob-mixed", "OutOfMemory").await?;
    ensure!(
        after["status"]["message"].as_str().is_some_and(|line| line.contains("T4")),
        "{}",
        after["status"]
    );
    serve.stop().await
}

#[tokio::test]
async fn a_label_that_changes_no_judgement_reconciles_nothing() -> Result<()> {
    let options = Options { controller_manager: false, ..Options::standard()? };
    let control_plane = ControlPlane::start(options).await?;
    let nodes: Api<Node> = Api::all(control_plane.admin()?);
    let offered = json!({"nvidia.com/gpu": "8"});
    let node = |name: &str, product: &str| {
        serde_json::from_value(json!({
            "metadata": {"name": name, "labels": {"nvidia.com/gpu.product": product}},
            "status": {"capacity": offered, "allocatable": offered},
        }))
    };
    nodes.create(&PostParams::default(), &node("a", "NVIDIA-H200")?).await?;
    let serve = Serve::start(&control_plane, weighbridge(), Setup::new("labels", Reach::Everything)).await?;
    let yard = Yard::new(&control_plane, &serve, control_plane.namespace(&[]).await?)?;

    // Most workloads name their accelerator; one depends on the nodes.
    for number in 0..STATED {
        let stated = [("parameters", "13B"), ("tensor-parallel", "8"), ("gpu-type", "H100-80GB")];
        yard.admitted(&pytorchjob(&format!("stated-{number}"), 1, &stated)).await?;
    }
    let by_nodes = |name: &str| pytorchjob(name, 1, &[("parameters", "13B"), ("tensor-parallel", "8")]);
    yard.admitted(&by_nodes("by-nodes")).await?;
    yard.estimate("pytorchjob-by-nodes").await?;
    for number in 0..STATED {
        yard.estimate(&format!("pytorchjob-stated-{number}")).await?;
    }
    let before = when_idle(&serve).await?;

    // Heartbeats in a label, then a change that matters. When it is seen, the heartbeats were seen too.
    for beat in 0..5 {
        let label = Patch::Merge(json!({"metadata": {"labels": {"heartbeat": beat.to_string()}}}));
        nodes.patch("a", &PatchParams::default(), &label).await?;
    }
    let product = Patch::Merge(json!({"metadata": {"labels": {"nvidia.com/gpu.product": "Tesla-T4"}}}));
    nodes.patch("a", &PatchParams::default(), &product).await?;
    yard.estimate_that("pytorchjob-by-nodes", "OutOfMemory").await?;
    let more = reconciliations(&serve).await? - before;
    ensure!(more < 20.0, "{more} reconciliations");

    // For a workload that names the label, the label matters.
    let mut choosy = by_nodes("choosy");
    for role in
        choosy["spec"]["pytorchReplicaSpecs"].as_object_mut().into_iter().flatten().map(|(_, role)| role)
    {
        role["template"]["spec"]["nodeSelector"] = json!({"heartbeat": "4"});
    }
    let status = refusal(yard.create(&choosy).await?)?;
    assert!(status.code == 403 && status.message.contains("T4"), "{status}");
    serve.stop().await
}

async fn reconciliations(serve: &Serve) -> Result<f64> {
    Ok(serve.metrics().await?.sum("controller_runtime_reconcile_total", &[]))
}

/// The number of reconciliations, once it has not changed for a while.
async fn when_idle(serve: &Serve) -> Result<f64> {
    let seen = std::cell::Cell::new((0.0, 0));
    wait_until("the controller to be idle", SOON, || async {
        let (before, times) = seen.get();
        let now = reconciliations(serve).await?;
        seen.set((now, if now > before { 0 } else { times + 1 }));
        Ok(seen.get().1 > 20)
    })
    .await?;
    Ok(seen.get().0)
}
