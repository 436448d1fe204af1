//! Refusals at the gate, and their texts.

use anyhow::{Context as _, Result};
use kube::api::{ListParams, PostParams};

use serde_json::json;

use super::gate::{Gate, SOON, refusal};
use super::jobs::{fitting, hopeless, pod, pytorchjob};
use crate::controlplane::wait_until;

#[tokio::test]
async fn a_pytorchjob_that_would_run_out_of_memory_is_refused_with_figures() -> Result<()> {
    let yard = Gate::shared().await?.yard().await?;
    let job = hopeless("llama")?;

    let status = refusal(yard.create(&job).await?)?;
    assert_eq!((status.code, status.reason.as_str()), (403, "Forbidden"));
    let line = status.message.lines().next().unwrap_or_default();
    for part in [
        "denied the request: pytorchjob/llama needs ",
        " GiB per GPU (",
        "an A800-80GB offers 79.",
        " GiB; ",
        " fits",
    ] {
        assert!(line.contains(part), "no {part:?} in: {line}");
    }
    assert!(yard.of_the_kind_of(&job)?.get_opt("llama").await?.is_none(), "it was created");
    Ok(())
}

#[tokio::test]
async fn the_owner_of_a_deployment_sees_why_its_pods_are_refused() -> Result<()> {
    let yard = Gate::shared().await?.yard().await?;
    // Whatever the number of pods: nothing is divided, so each pod alone needs more than its GPU offers.
    let undivided = [
        ("model", "llama-2-70b"),
        ("sharding", "ddp"),
        ("framework", "fsdp"),
        ("method", "full"),
        ("recompute", "full"),
        ("attention", "flash"),
        ("precision", "bf16"),
        ("micro-batch-size", "1"),
        ("sequence-length", "2048"),
        ("gpu-type", "H100-80GB"),
    ];
    let mut template = pod("none", &undivided);
    template["metadata"]["labels"] = json!({"app": "train"});
    template["spec"].as_object_mut().context("no spec")?.remove("restartPolicy");
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "train"},
        "spec": {
            "selector": {"matchLabels": {"app": "train"}},
            "template": {"metadata": template["metadata"], "spec": template["spec"]},
        },
    });
    yard.create(&deployment).await??;
    let deployments = yard.of_the_kind_of(&deployment)?;
    wait_until("the Deployment to say why", SOON, || async {
        let found = serde_json::to_value(deployments.get("train").await?)?;
        let conditions = found["status"]["conditions"].as_array().cloned().unwrap_or_default();
        Ok(conditions.iter().any(|condition| {
            condition["type"] == "ReplicaFailure"
                && condition["message"].as_str().is_some_and(|line| line.contains("GiB per GPU (at least"))
        }))
    })
    .await
}

#[tokio::test]
async fn kubectl_shows_a_refusal_in_one_line() -> Result<()> {
    let yard = Gate::shared().await?.yard().await?;
    let arguments = ["create", "-n", yard.name(), "-f", "-"];
    let output =
        yard.control_plane.kubectl()?.run_with_input(&arguments, &hopeless("llama")?.to_string()).await?;
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(output.stdout, "");
    let line = output.stderr.trim_end();
    assert!(
        line.starts_with("Error from server (Forbidden): error when creating \"STDIN\": admission webhook ")
    );
    assert!(!line.contains('\n') && line.contains(" GiB per GPU ("), "{line}");
    Ok(())
}

#[tokio::test]
async fn size_parallelism_and_gpu_type_suffice_for_a_refusal() -> Result<()> {
    let yard = Gate::shared().await?.yard().await?;
    // 70e9 parameters over 8 GPUs: the states alone take 130 GiB on each.
    let job = pytorchjob(
        "llama",
        1,
        &[
            ("parameters", "70B"),
            ("tensor-parallel", "4"),
            ("pipeline-parallel", "2"),
            ("gpu-type", "A800-80GB"),
        ],
    );
    let status = refusal(yard.create(&job).await?)?;
    assert_eq!(status.code, 403);
    assert!(status.message.contains("offers 79."), "{}", status.message);
    Ok(())
}

#[tokio::test]
async fn a_job_with_only_size_parallelism_and_gpu_type_has_a_wide_interval() -> Result<()> {
    let yard = Gate::shared().await?.yard().await?;
    let job = pytorchjob(
        "llama",
        16,
        &[
            ("parameters", "70B"),
            ("tensor-parallel", "8"),
            ("pipeline-parallel", "8"),
            ("gpu-type", "H100-80GB"),
        ],
    );
    yard.admitted(&job).await?;
    let estimate = yard.estimate("pytorchjob-llama").await?;
    let memory = &estimate["status"]["memory"];
    let (Some(lower), Some(upper)) = (memory["lowerBytes"].as_f64(), memory["upperBytes"].as_f64()) else {
        anyhow::bail!("no interval in {memory}");
    };
    assert!(upper > 1.5 * lower, "from {lower} to {upper} is not a wide interval");
    Ok(())
}

#[tokio::test]
async fn malformed_values_are_refused_with_a_cause_for_each() -> Result<()> {
    let yard = Gate::shared().await?.yard().await?;
    let job = pytorchjob(
        "llama",
        2,
        &[
            ("model", "llama-2-7b"),
            ("tensor-parallel", "four"),
            ("tokens", "2 trillion"),
            ("gpu-type", "H100-80GB"),
        ],
    );
    let status = refusal(yard.create(&job).await?)?;
    assert_eq!((status.code, status.reason.as_str()), (422, "Invalid"), "{}", status.message);
    let causes = status.details.context("no details")?.causes;
    assert_eq!(causes.len(), 2, "{causes:?}");
    for (key, value) in
        [("weighbridge.dev/tensor-parallel", "four"), ("weighbridge.dev/tokens", "2 trillion")]
    {
        let of_key = causes.iter().find(|cause| cause.field.contains(key));
        let message = &of_key.with_context(|| format!("no cause for {key} in {causes:?}"))?.message;
        assert!(message.contains(key) && message.contains(value), "the message is incomplete: {message}");
    }
    assert!(yard.of_the_kind_of(&job)?.get_opt("llama").await?.is_none(), "it was created");
    Ok(())
}

#[tokio::test]
async fn a_dry_run_is_judged_and_changes_nothing() -> Result<()> {
    let yard = Gate::shared().await?.yard().await?;
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    let (good, bad) = (fitting("good")?, hopeless("bad")?);
    let jobs = yard.of_the_kind_of(&good)?;

    let good = serde_json::from_value(good)?;
    yard.asked(async { Ok(jobs.create(&dry_run, &good).await?) }).await?;
    assert_eq!(refusal(jobs.create(&dry_run, &serde_json::from_value(bad)?).await)?.code, 403);

    // The controller handles workloads in order, so a later job shows that it is done.
    let later = fitting("later")?;
    yard.admitted(&later).await?;
    yard.estimate("pytorchjob-later").await?;
    let there = jobs.list(&ListParams::default()).await?;
    assert_eq!(there.items.iter().map(kube::ResourceExt::name_any).collect::<Vec<_>>(), ["later"]);
    let estimates = yard.estimates().list(&ListParams::default()).await?;
    assert_eq!(estimates.items.len(), 1, "{estimates:?}");
    Ok(())
}
