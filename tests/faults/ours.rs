//! Objects of our own are deleted or spoilt while jobs are submitted.

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;

use super::{SOON, Scene};
use crate::controlplane::{repository_crds, wait_until};

const DEFINITION: &str = "trainingestimates.weighbridge.dev";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "make test-faults"]
async fn nothing_is_lost_when_the_secret_of_the_authority_is_deleted_or_garbled() -> Result<()> {
    let scene = Scene::start("secret").await?;
    let secrets: Api<Secret> = Api::namespaced(scene.client.clone(), scene.serve.home());
    let garbled = ByteString(b"no certificate".to_vec());
    let garbled = json!({"data": {"tls.crt": garbled, "tls.key": garbled}});
    secrets.patch("weighbridge-ca", &PatchParams::default(), &Patch::Merge(garbled)).await?;
    scene.load.goes_on(200).await?;
    secrets.delete("weighbridge-ca", &DeleteParams::default()).await?;
    scene.load.goes_on(200).await?;
    let recovery = scene.recovered(Vec::new()).await?;
    scene.end("the CA's Secret garbled, then deleted", recovery).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "make test-faults"]
async fn a_ca_bundle_of_another_authority_is_repaired() -> Result<()> {
    let scene = Scene::start("bundle").await?;
    let configurations: Api<ValidatingWebhookConfiguration> = Api::all(scene.client.clone());
    let foreign = rcgen::generate_simple_self_signed(["other".to_owned()])?.cert.pem();
    for _ in 0..5 {
        let mut spoilt = configurations.get(scene.serve.configuration()).await?;
        for entry in spoilt.webhooks.iter_mut().flatten() {
            entry.client_config.ca_bundle = Some(ByteString(foreign.clone().into_bytes()));
        }
        let spoilt = json!({"webhooks": spoilt.webhooks});
        let patch = (PatchParams::default(), Patch::Merge(&spoilt));
        configurations.patch(scene.serve.configuration(), &patch.0, &patch.1).await?;
        wait_until("the caBundle to be repaired", SOON, || async {
            let found =
                configurations.get(scene.serve.configuration()).await?.webhooks.context("no entries")?;
            let foreign = |bundle: &ByteString| bundle.0 == foreign.as_bytes();
            Ok(!found.iter().any(|entry| entry.client_config.ca_bundle.as_ref().is_some_and(foreign)))
        })
        .await?;
        scene.load.goes_on(100).await?;
    }
    let recovery = scene.recovered(Vec::new()).await?;
    let tally = scene.tally("the caBundle overwritten 5 times", recovery).await?;
    ensure!(tally.wrong.is_empty(), "{tally}");
    ensure!(tally.lost.len() * 4 < tally.right, "most are lost: {tally}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "make test-faults"]
async fn a_deleted_configuration_of_its_own_is_made_again() -> Result<()> {
    let scene = Scene::start("configuration").await?;
    let configurations: Api<ValidatingWebhookConfiguration> = Api::all(scene.client.clone());
    configurations.delete(scene.serve.configuration(), &DeleteParams::default()).await?;
    wait_until("the configuration to be there again", SOON, || async {
        let found = configurations.get_opt(scene.serve.configuration()).await?;
        Ok(found.is_some_and(|found| found.webhooks.is_some_and(|entries| !entries.is_empty())))
    })
    .await?;
    scene.load.goes_on(200).await?;
    let recovery = scene.recovered(Vec::new()).await?;
    // Without a configuration the apiserver calls no webhook.
    let tally = scene.tally("the configuration deleted", recovery).await?;
    ensure!(tally.lost.is_empty() && tally.wrong.len() * 4 < tally.right, "{tally}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "make test-faults"]
async fn nothing_is_lost_without_the_definition_and_estimates_come_back_with_it() -> Result<()> {
    let scene = Scene::start("definition").await?;
    let mut estimates = vec![scene.submit("before").await?];
    super::fits(&scene.client, &estimates[0]).await?;
    let definitions: Api<CustomResourceDefinition> = Api::all(scene.client.clone());
    definitions.delete(DEFINITION, &DeleteParams::default()).await?;
    wait_until("the definition to be gone", SOON, || async {
        Ok(definitions.get_opt(DEFINITION).await?.is_none())
    })
    .await?;
    scene.load.goes_on(200).await?;
    estimates.push(scene.submit("meanwhile").await?);
    scene.control_plane.install_crds(&repository_crds()?).await?;
    let recovery = scene.recovered(estimates).await?;
    scene.end("the definition of estimates deleted and installed again", recovery).await
}
