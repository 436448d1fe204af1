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
async fn an_owner_that_nobody_judges_leaves_the_pod_to_be_judged_as_one_of_many() -> Result<()> {
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

    // Among how many pods the states are divided is not known; whether one replica of them fits, is.
    let one_of_many = owned("one-of-many", true, LLAMA);
    yard.admitted(&one_of_many).await?;
    assert_eq!(yard.audited("create", &one_of_many).await?["verdict"], "Unknown");
    let undivided: Vec<_> =
        LLAMA.iter().map(|(key, value)| (*key, if *key == "sharding" { "ddp" } else { *value })).collect();
    assert_eq!(refusal(yard.create(&owned("undivided", true, &undivided)).await?)?.code, 403);
    Ok(())
}
