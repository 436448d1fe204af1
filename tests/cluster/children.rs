//! Pods that the real controllers make for a job: the job was weighed, so its pods pass.

use anyhow::Result;
use kube::api::ListParams;

use crate::controlplane::wait_until;
use crate::gate::{Gate, SOON, refusal};
use crate::jobs::{job, pod};

/// Sharded over 64 GPUs it fits; a pod's eight alone could never hold it.
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
async fn the_pods_of_an_admitted_job_pass_though_one_alone_would_not() -> Result<()> {
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
async fn an_owner_that_cannot_have_made_the_pod_does_not_help_it() -> Result<()> {
    let yard = Gate::shared().await?.yard().await?;
    let mut alone = pod("alone", LLAMA);
    alone["metadata"]["ownerReferences"] = serde_json::json!([{
        "apiVersion": "v1", "kind": "ConfigMap", "name": "none", "uid": "0b6ff2a6-6b3a-4a0e-9b59-0b6ff2a66b3a",
        "controller": true,
    }]);
    assert_eq!(refusal(yard.create(&alone).await?)?.code, 403);
    Ok(())
}
