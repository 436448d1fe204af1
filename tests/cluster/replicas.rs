//! Several replicas, and the certificate that the apiserver trusts them by.

use anyhow::{Context as _, Result};
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::json;

use crate::controlplane::{ControlPlane, Reach, Serve, Setup, wait_until, wait_until_refused};
use crate::gate::{REVIEWS, SOON, Yard, create, refusal, weighbridge};
use crate::jobs::{fitting, hopeless};

/// The CA of every entry of the configuration.
async fn trusted(client: &Client, configuration: &str) -> Result<Vec<Vec<u8>>> {
    let api: Api<ValidatingWebhookConfiguration> = Api::all(client.clone());
    let entries = api.get(configuration).await?.webhooks.context("no entries")?;
    Ok(entries.into_iter().map(|entry| entry.client_config.ca_bundle.unwrap_or_default().0).collect())
}

#[tokio::test]
async fn two_replicas_share_a_ca_and_both_judge_and_one_writes_after_the_other() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    let namespace = control_plane.guarded_namespace("replicas", &[]).await?;
    let reach = || Reach::Namespaces(vec![namespace.name().to_owned()]);
    // By configurations of their own, so that both are asked about every request.
    let setup = |name: &str| Setup { home: "replicas".to_owned(), ..Setup::new(name, reach()) };
    let (one, other) = tokio::try_join!(
        Serve::start(control_plane, weighbridge(), setup("replica-one")),
        Serve::start(control_plane, weighbridge(), setup("replica-other")),
    )?;

    let client = control_plane.admin()?;
    let cas = trusted(&client, one.configuration()).await?;
    assert!(!cas.is_empty() && cas.iter().all(|ca| *ca == cas[0] && !ca.is_empty()), "not one CA");
    assert_eq!(trusted(&client, other.configuration()).await?, cas, "each replica has a CA of its own");

    let counted = async |serve: &Serve| -> Result<f64> { Ok(serve.metrics().await?.sum(REVIEWS, &[])) };
    let before = (counted(&one).await?, counted(&other).await?);
    create(&client, namespace.name(), &fitting("llama")?).await??;
    let after = (counted(&one).await?, counted(&other).await?);
    assert!(after.0 > before.0 && after.1 > before.1, "one was not asked: {before:?}, then {after:?}");

    let leads = async |serve: &Serve| -> Result<bool> {
        Ok(serve.metrics().await?.sum("weighbridge_leading", &[]) > 0.5)
    };
    wait_until("one of them to lead", SOON, || async { Ok(leads(&one).await? != leads(&other).await?) })
        .await?;
    let (leader, follower) = if leads(&one).await? { (one, other) } else { (other, one) };
    let configuration = leader.configuration().to_owned();
    leader.stop().await?;
    let left = Api::<ValidatingWebhookConfiguration>::all(client).get_opt(&configuration).await?;
    assert!(left.is_none(), "what it made for itself outlives it");
    // Neither the gate nor the estimates depend on the one that has gone.
    let yard = Yard::new(control_plane, &follower, namespace)?;
    assert_eq!(refusal(yard.create(&hopeless("late")?).await?)?.code, 403);
    yard.admitted(&fitting("later")?).await?;
    yard.estimate("pytorchjob-later").await?;
    assert!(leads(&follower).await?);
    follower.stop().await
}

#[tokio::test]
async fn a_ca_bundle_that_somebody_empties_is_repaired() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    let namespace = control_plane.guarded_namespace("repair", &[]).await?;
    let reach = Reach::Namespaces(vec![namespace.name().to_owned()]);
    let serve = Serve::start(control_plane, weighbridge(), Setup::new("repair", reach)).await?;
    let client = control_plane.admin()?;
    let before = trusted(&client, serve.configuration()).await?;

    let api: Api<ValidatingWebhookConfiguration> = Api::all(client.clone());
    let mut emptied = api.get(serve.configuration()).await?;
    for entry in emptied.webhooks.iter_mut().flatten() {
        entry.client_config.ca_bundle = None;
    }
    let webhooks = json!({"webhooks": emptied.webhooks});
    api.patch(serve.configuration(), &PatchParams::default(), &Patch::Merge(&webhooks)).await?;

    wait_until("the CA to be back", SOON, || async {
        Ok(trusted(&client, serve.configuration()).await? == before)
    })
    .await
    .map_err(|error| serve.with_log(&error))?;
    wait_until_refused(control_plane, namespace.name()).await?;
    serve.stop().await
}
