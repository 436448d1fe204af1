//! The policy's file is written in pieces, as an editor or a full disk leaves it.

use std::fs;
use std::time::Duration;

use anyhow::Result;

use super::Scene;
use super::load::{Expected, Load};
use crate::controlplane::wait_until;

const HEAD: &str = "apiVersion: config.weighbridge.dev/v1alpha1\nkind: Configuration\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "make test-faults"]
async fn a_policy_that_is_torn_again_and_again_decides_nothing() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("config.yaml");
    fs::write(&file, HEAD)?;
    let argument = format!("--config={}", file.display());
    let mut scene = Scene::start_with("torn", &[&argument]).await?;

    let whole = format!("{HEAD}mfuPercent: 38\nmode: warn\n");
    fs::write(&file, &whole)?;
    wait_until("the mode to be warn", super::SOON, || async {
        let job = crate::cluster::jobs::hopeless("probe")?;
        let dry_run = kube::api::PostParams { dry_run: true, ..Default::default() };
        let resource = kube::api::ApiResource::from_gvk(&kube::api::GroupVersionKind::gvk(
            "kubeflow.org",
            "v1",
            "PyTorchJob",
        ));
        let jobs: kube::Api<kube::api::DynamicObject> =
            kube::Api::namespaced_with(scene.client.clone(), super::NAMESPACE, &resource);
        Ok(jobs.create(&dry_run, &serde_json::from_value(job)?).await.is_ok())
    })
    .await?;
    let warned = Load::start(scene.client.clone(), Expected::Warned).await?;
    std::mem::replace(&mut scene.load, warned).stop().await?;

    // At every length: some are valid, and lack the mode.
    for length in (0..=whole.len()).rev().chain(0..=whole.len()) {
        fs::write(&file, &whole[..length])?;
        scene.load.goes_on(2).await?;
    }
    let recovery = scene.recovered(Vec::new()).await?;
    scene.end("the policy's file torn at every length", recovery.max(Duration::ZERO)).await
}
