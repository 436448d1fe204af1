//! Claims of volumes: their size is read where claims may be read, and is never shown.

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::Api;
use kube::api::PostParams;
use serde_json::json;

use super::jobs::pytorchjob;
use super::workloads::Place;

#[tokio::test]
async fn a_claim_that_is_too_small_for_a_save_is_named_without_its_size() -> Result<()> {
    let place = Place::shared().await?;
    let yard = place.yard().await?;
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(place.control_plane.admin()?, yard.name());
    let claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "checkpoints"},
        "spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "61Gi"}}},
    });
    claims.create(&PostParams::default(), &serde_json::from_value(claim)?).await?;
    let mut job = pytorchjob(
        "llama",
        1,
        &[
            ("model", "llama-2-7b"),
            ("sharding", "fsdp"),
            ("framework", "fsdp"),
            ("recompute", "full"),
            ("attention", "flash"),
            ("precision", "bf16"),
            ("micro-batch-size", "1"),
            ("sequence-length", "2048"),
            ("gpu-type", "H100-80GB"),
            ("checkpoint-directory", "/out/run"),
            ("checkpoint-states", "all"),
        ],
    );
    let pod = &mut job["spec"]["pytorchReplicaSpecs"]["Master"]["template"]["spec"];
    pod["volumes"] = json!([{"name": "out", "persistentVolumeClaim": {"claimName": "checkpoints"}}]);
    pod["containers"][0]["volumeMounts"] = json!([{"name": "out", "mountPath": "/out"}]);
    pod["containers"][0]["resources"]["limits"]["memory"] = json!("900Gi");
    yard.admitted(&job).await?;
    // The estimate may be older than the claim in the cache. It is judged again when the claim is read.
    let is_compared = |estimate: &serde_json::Value| {
        let message = estimate["status"]["storage"]["message"].as_str().unwrap_or_default();
        message.contains("the claim checkpoints")
    };
    let estimate = yard.estimate_when("pytorchjob-llama", is_compared).await?;
    let storage = &estimate["status"]["storage"];
    ensure!(storage["verdict"] == "OutOfMemory", "{storage}");
    let message = storage["message"].as_str().context("no message")?;
    ensure!(message.ends_with("more than the claim checkpoints has"), "{message}");
    ensure!(!storage.to_string().contains("61") && storage.get("limitBytes").is_none(), "{storage}");
    // What the request itself gives is still told.
    let host = &estimate["status"]["host"];
    ensure!(host["message"].as_str().is_some_and(|message| message.contains("900.0 GiB")), "{host}");
    Ok(())
}
