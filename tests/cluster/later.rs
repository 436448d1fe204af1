//! An object that a workload refers to may be created later. Then the workload is judged again.

use anyhow::{Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _};
use kube::api::{DeleteParams, ListParams, PostParams};
use serde_json::{Value, json};

use super::gate::{SOON, Yard, refusal};
use super::workloads::Place;
use crate::controlplane::wait_until;

/// A 70B model on eight GPUs, which runs out of memory.
const SCRIPT: &str = "torchrun --nproc_per_node=8 pretrain_gpt.py --num-layers 80 --hidden-size 8192 \
                      --num-attention-heads 64 --ffn-hidden-size 28672 --seq-length 4096 \
                      --max-position-embeddings 4096 --micro-batch-size 4 --bf16\n";

fn config_map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"run.sh": SCRIPT}})
}

/// A job or pod with eight GPUs that runs a script of a ConfigMap.
fn scripted(kind: &str, name: &str, config_map: &str) -> Value {
    let pod = json!({
        "restartPolicy": "Never",
        "nodeSelector": {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"},
        "volumes": [{"name": "code", "configMap": {"name": config_map}}],
        "containers": [{
            "name": "main", "image": "none", "command": ["bash", "/code/run.sh"],
            "volumeMounts": [{"name": "code", "mountPath": "/code"}],
            "resources": {"limits": {"nvidia.com/gpu": "8"}},
        }],
    });
    match kind {
        "Pod" => json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": pod}),
        _ => json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
                    "spec": {"suspend": true, "template": {"spec": pod}}}),
    }
}

#[tokio::test]
async fn a_config_map_that_is_created_later_has_its_workloads_judged_again() -> Result<()> {
    let yard = Place::shared().await?.yard().await?;
    for kind in ["Job", "Pod"] {
        yard.create(&scripted(kind, "early", "code")).await??;
    }
    yard.create(&config_map("code")).await??;
    yard.estimate_that("job-early", "OutOfMemory").await?;
    yard.estimate_that("pod-early", "OutOfMemory").await?;
    Ok(())
}

#[tokio::test]
async fn a_claim_that_is_created_later_has_its_workload_judged_again() -> Result<()> {
    let yard = Place::shared().await?.yard().await?;
    let mut job = scripted("Job", "early", "code");
    let pod = &mut job["spec"]["template"]["spec"];
    pod["volumes"] = json!([]);
    pod["resourceClaims"] = json!([{"name": "gpus", "resourceClaimTemplateName": "gpus"}]);
    let words: Vec<&str> = SCRIPT.split_whitespace().collect();
    pod["containers"] = json!([{"name": "main", "image": "none", "command": words,
                                "resources": {"claims": [{"name": "gpus"}]}}]);
    yard.create(&job).await??;
    let device = json!({"name": "gpus", "exactly": {"deviceClassName": "gpu.nvidia.com", "count": 8}});
    let template = json!({
        "apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaimTemplate", "metadata": {"name": "gpus"},
        "spec": {"spec": {"devices": {"requests": [device]}}},
    });
    yard.create(&template).await??;
    yard.estimate_that("job-early", "OutOfMemory").await?;
    Ok(())
}

#[tokio::test]
async fn the_config_maps_of_one_namespace_cannot_take_the_room_of_another() -> Result<()> {
    let place = Place::shared().await?;
    let (alice, bob) = (place.yard().await?, place.yard().await?);
    let left_out = || async {
        let metrics = place.serve.metrics().await?;
        Ok::<_, anyhow::Error>(metrics.sum("weighbridge_documents_left_out", &[("resource", "configmaps")]))
    };
    fill(&alice, 80).await?;
    wait_until("alice's ConfigMaps to fill their share", SOON, || async { Ok(left_out().await? > 0.5) })
        .await?;

    bob.create(&config_map("code")).await??;
    wait_until("a job of bob's to be refused by its script", SOON, || async {
        Ok(refusal(bob.create(&scripted("Job", "new", "code")).await?).is_ok_and(|status| status.code == 403))
    })
    .await?;

    // A document that had no room is read again when there is room.
    let maps = alice.of_the_kind_of(&config_map("a"))?;
    let some = ListParams::default().limit(1);
    while left_out().await? > 0.5 {
        let listed = maps.list(&some).await?;
        let Some(name) = listed.items.first().and_then(|map| map.metadata.name.clone()) else { break };
        maps.delete(&name, &DeleteParams::default()).await?;
    }
    let remaining = maps.list_metadata(&ListParams::default()).await?.items.len();
    ensure!(remaining > 40, "only {remaining} of alice's ConfigMaps find room");
    Ok(())
}

/// Creates a number of ConfigMaps of one mebibyte each.
async fn fill(yard: &Yard<'_>, number: usize) -> Result<()> {
    let maps = yard.of_the_kind_of(&config_map("a"))?;
    let text = "x".repeat((1 << 20) - 1_000);
    let requests = futures::stream::iter((0..number).map(|number| {
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("large-{number}")},
                            "data": {"a": text}});
        let maps = &maps;
        async move {
            maps.create(&PostParams::default(), &serde_json::from_value(object)?).await?;
            Ok::<_, anyhow::Error>(())
        }
    }));
    requests.buffer_unordered(4).try_collect().await
}
