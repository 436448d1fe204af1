//! Several replicas, and the CA by which the apiserver trusts them.

use anyhow::{Context as _, Result};
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::json;

use super::gate::{REVIEWS, SOON, Yard, create, refusal, weighbridge};
use super::jobs::{fitting, hopeless};
use crate::controlplane::{ControlPlane, Reach, Serve, Setup, wait_until, wait_until_refused};

/// The caBundle of every entry of the configuration.
async fn trusted(client: &Client, configuration: &str) -> Result<Vec<Vec<u8>>> {
    let api: Api<ValidatingWebhookConfiguration> = Api::all(client.clone());
    let entries = api.get(configuration).await?.webhooks.context("no entries")?;
    Ok(entries.into_iter().map(|entry| entry.client_config.ca_bundle.unwrap_or_default().0).collect())
}

#[tokio::test]
async fn two_replicas_share_a_ca_and_both_judge_and_one_at_a_time_writes() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    let namespace = control_plane.guarded_namespace("replicas", &[]).await?;
    let reach = || Reach::Namespaces(vec![namespace.name().to_owned()]);
    // Each has its own configuration, so that the apiserver calls both for every request.
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
    assert!(after.0 > before.0 && after.1 > before.1, "one was not called: {before:?}, then {after:?}");

    let leads = async |serve: &Serve| -> Result<bool> {
        Ok(serve.metrics().await?.sum("leader_election_master_status", &[]) > 0.5)
    };
    wait_until("one of them to lead", SOON, || async { Ok(leads(&one).await? != leads(&other).await?) })
        .await?;
    let (leader, follower) = if leads(&one).await? { (one, other) } else { (other, one) };
    let configuration = leader.configuration().to_owned();
    leader.stop().await?;
    let left = Api::<ValidatingWebhookConfiguration>::all(client).get_opt(&configuration).await?;
    assert!(left.is_none(), "its configuration was not removed");
    // The gate and the estimates do not depend on the stopped replica.
    let yard = Yard::new(control_plane, &follower, namespace)?;
    assert_eq!(refusal(yard.create(&hopeless("late")?).await?)?.code, 403);
    yard.admitted(&fitting("later")?).await?;
    yard.estimate("pytorchjob-later").await?;
    assert!(leads(&follower).await?);
    follower.stop().await
}

#[tokio::test]
async fn an_emptied_ca_bundle_is_repaired() -> Result<()> {
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

    wait_until("the CA to be restored", SOON, || async {
        Ok(trusted(&client, serve.configuration()).await? == before)
    })
    .await
    .map_err(|error| serve.with_log(&error))?;
    wait_until_refused(control_plane, namespace.name()).await?;
    serve.stop().await
}

/// Another CA: certificate and key in PEM.
fn another_ca() -> Result<(String, String)> {
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate()?;
    Ok((params.self_signed(&key)?.pem(), key.serialize_pem()))
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_yet_is_not_served() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    let namespace = control_plane.guarded_namespace("rotation", &[]).await?;
    let reach = Reach::Namespaces(vec![namespace.name().to_owned()]);
    let serve = Serve::start(control_plane, weighbridge(), Setup::new("rotation", reach)).await?;
    let client = control_plane.admin()?;

    // A wrong rotation: the new CA signs, and the trusted bundle changes to another CA.
    let secrets: Api<Secret> = Api::namespaced(client.clone(), serve.home());
    let trusted_before = trusted(&client, serve.configuration()).await?;
    let (signs, trusts) = (another_ca()?, another_ca()?.0);
    let bytes = |text: &str| ByteString(text.as_bytes().to_vec());
    let bundle = ByteString([trusted_before[0].as_slice(), trusts.as_bytes()].concat());
    let data = json!({"data": {"tls.crt": bytes(&signs.0), "tls.key": bytes(&signs.1), "ca.crt": bundle}});
    secrets.patch("weighbridge-ca", &PatchParams::default(), &Patch::Merge(&data)).await?;
    wait_until("the other bundle to be published", SOON, || async {
        Ok(trusted(&client, serve.configuration()).await?.iter().all(|ca| *ca == bundle.0))
    })
    .await?;
    let failures = async || -> Result<f64> {
        Ok(serve.metrics().await?.sum("weighbridge_certificate_failures_total", &[]))
    };
    wait_until("the mistake to be counted", SOON, || async { Ok(failures().await? > 1.0) }).await?;
    // The apiserver opens a new connection, because its trusted CA has changed.
    for _ in 0..3 {
        let status = refusal(create(&client, namespace.name(), &hopeless("llama")?).await?)?;
        assert_eq!(status.code, 403, "{}", status.message);
    }

    // After the Secret is corrected, the certificate of the new CA is served.
    let bundle = ByteString([trusted_before[0].as_slice(), signs.0.as_bytes()].concat());
    let before = failures().await?;
    secrets
        .patch("weighbridge-ca", &PatchParams::default(), &Patch::Merge(&json!({"data": {"ca.crt": bundle}})))
        .await?;
    wait_until("the right bundle to be published", SOON, || async {
        Ok(trusted(&client, serve.configuration()).await?.iter().all(|ca| *ca == bundle.0))
    })
    .await?;
    wait_until_refused(control_plane, namespace.name()).await?;
    assert!(failures().await? - before < 3.0, "it still fails");
    serve.stop().await
}
