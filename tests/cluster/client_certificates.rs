//! Client certificates: with `clientCA`, only an apiserver that shows one gets an answer.

use std::fs;

use anyhow::{Result, ensure};
use serde_json::json;

use super::ca::Ca;
use super::gate::{create, refusal, weighbridge};
use super::jobs::job;
use super::stranger::{Stranger, review};
use crate::controlplane::{ControlPlane, Options, Reach, Serve, Setup, repository_crds};

#[tokio::test]
async fn only_the_apiserver_that_shows_its_certificate_is_answered() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (ca, foreign) = (Ca::new()?, Ca::new()?);
    let (certificate, key) = ca.client("weighbridge-apiserver")?;
    fs::write(path("ca.crt"), &ca.pem)?;
    fs::write(path("apiserver.crt"), &certificate)?;
    fs::write(path("apiserver.key"), &key)?;
    // Like docs/configure.md tells the administrator of an apiserver.
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config",
        "users": [{"name": "*", "user": {
            "client-certificate": path("apiserver.crt"), "client-key": path("apiserver.key"),
        }}],
    });
    fs::write(path("webhooks.kubeconfig"), kubeconfig.to_string())?;
    let admission = json!({
        "apiVersion": "apiserver.config.k8s.io/v1", "kind": "AdmissionConfiguration",
        "plugins": [{"name": "ValidatingAdmissionWebhook", "configuration": {
            "apiVersion": "apiserver.config.k8s.io/v1", "kind": "WebhookAdmissionConfiguration",
            "kubeConfigFile": path("webhooks.kubeconfig"),
        }}],
    });
    fs::write(path("admission.json"), admission.to_string())?;
    let control_plane = ControlPlane::start(Options {
        crds: repository_crds()?,
        controller_manager: false,
        api_server_arguments: vec![format!("--admission-control-config-file={}", path("admission.json"))],
    })
    .await?;

    let arguments =
        vec![format!("--client-ca={}", path("ca.crt")), "--client-names=weighbridge-apiserver".to_owned()];
    let setup = Setup { arguments, ..Setup::new("certified", Reach::Everything) };
    // The apiserver is ready once the webhook has refused a job that must run out of memory.
    let serve = Serve::start(&control_plane, weighbridge(), setup).await?;
    let client = control_plane.admin()?;
    let huge = job("huge", 1, &[("parameters", "70B"), ("gpu-type", "T4"), ("sharding", "ddp")]);
    let refusal_status = refusal(create(&client, "default", &huge).await?)?;
    ensure!(refusal_status.code == 403, "{}", refusal_status.message);

    let body = review("default", &huge.to_string());
    let (of_foreign, of_other) = (foreign.client("weighbridge-apiserver")?, ca.client("kubelet")?);
    for (certificate_of, shows) in
        [("no certificate", None), ("a foreign CA", Some(&of_foreign)), ("another name", Some(&of_other))]
    {
        let shows = shows.map(|(certificate, key)| (certificate.as_str(), key.as_str()));
        let stranger = Stranger::new(&client, &serve, shows).await?;
        let answer = stranger.post(body.clone()).await;
        ensure!(answer.is_err(), "{certificate_of}: {answer:?}");
    }
    let apiserver = Stranger::new(&client, &serve, Some((&certificate, &key))).await?;
    let (status, answer) = apiserver.post(body).await?;
    ensure!(status == 200 && answer["response"]["status"]["code"] == 403, "{status}: {answer}");
    serve.stop().await
}
