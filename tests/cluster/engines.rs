//! Other policy engines: `POST /v1/estimate` for engines that can send requests, and a policy that only requires the
//! annotations.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Client};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use serde_json::{Value, json};

use super::gate::{SOON, create, refusal, weighbridge};
use super::jobs::{example, hopeless, pytorchjob};
use crate::controlplane::{ControlPlane, Reach, Serve, Setup, wait_until};

/// The audience of the token in Kyverno's service calls, by its chart's value `apiCallToken.audience`.
const KYVERNO: &str = "kyverno-svc.kyverno.io";

/// A service account's token for the apiserver.
async fn token(client: &Client, namespace: &str) -> Result<String> {
    token_for(client, namespace, "kyverno", &[]).await
}

/// A token of this service account for these audiences.
async fn token_for(client: &Client, namespace: &str, name: &str, audiences: &[&str]) -> Result<String> {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let account = serde_json::from_value(json!({"metadata": {"name": name}}))?;
    accounts.create(&PostParams::default(), &account).await?;
    let request: TokenRequest = serde_json::from_value(json!({"spec": {"audiences": audiences}}))?;
    let granted = accounts.create_token_request(name, &PostParams::default(), &request).await?;
    granted.status.and_then(|status| status.token).context("no token")
}

/// Sends a request to the port, trusting the CA of the replica.
async fn ask(
    client: &Client,
    serve: &Serve,
    token: Option<&str>,
    body: &Value,
) -> Result<(StatusCode, Value)> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), serve.home());
    let data = secrets.get("weighbridge-ca").await?.data.context("no CA")?;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&data.get("ca.crt").context("no ca.crt")?.0)?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = tokio::net::TcpStream::connect(serve.webhook()).await?;
    let name = ServerName::try_from("127.0.0.1")?;
    let stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let mut request = Request::post("/v1/estimate").header("host", "127.0.0.1");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let request = request.body(Full::new(Bytes::from(body.to_string())))?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    Ok((status, serde_json::from_slice(&body).unwrap_or_default()))
}

#[tokio::test]
async fn another_engine_asks_with_a_token_and_gets_the_report() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    let namespace = control_plane.guarded_namespace("engine", &[]).await?;
    let reach = Reach::Namespaces(vec![namespace.name().to_owned()]);
    let setup = Setup { arguments: vec!["--api".to_owned()], ..Setup::new("engine", reach) };
    let serve = Serve::start(control_plane, weighbridge(), setup).await?;
    let client = control_plane.admin()?;
    let token = token(&client, namespace.name()).await?;

    let job = hopeless("llama")?;
    let (status, body) = ask(&client, &serve, None, &job).await?;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "{body}");
    let (status, body) = ask(&client, &serve, Some("made-up"), &job).await?;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "{body}");

    // Wrapped, as Kyverno sends it, and bare.
    for body in [json!({"object": job}), job] {
        let (status, report) = ask(&client, &serve, Some(&token), &body).await?;
        assert_eq!(status, StatusCode::OK, "{report}");
        assert_eq!(report[0]["verdict"], "OutOfMemory", "{report}");
        assert!(report[0]["memory"]["peakBytes"].as_u64() > report[0]["memory"]["capacityBytes"].as_u64());
    }
    let (status, body) = ask(&client, &serve, Some(&token), &json!([1])).await?;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(body["error"].as_str().is_some_and(|why| why.contains("must be a Kubernetes object")), "{body}");

    let nothing = json!({"kind": "Job"});
    let asked = (0..30).map(|_| ask(&client, &serve, Some(&token), &nothing));
    let asked = futures::future::try_join_all(asked).await?;
    let limited = asked.iter().filter(|(status, _)| *status == StatusCode::TOO_MANY_REQUESTS).count();
    ensure!(limited > 0, "thirty at once, and all were answered");
    serve.stop().await
}

#[tokio::test]
async fn a_token_for_another_audience_counts_only_if_the_audience_is_named() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    let namespace = control_plane.guarded_namespace("audiences", &[]).await?;
    let reach = Reach::Namespaces(vec![namespace.name().to_owned()]);
    let arguments = vec!["--api".to_owned(), format!("--api-audiences={KYVERNO}")];
    let setup = Setup { arguments, ..Setup::new("audiences", reach) };
    let serve = Serve::start(control_plane, weighbridge(), setup).await?;
    let client = control_plane.admin()?;
    let job = hopeless("llama")?;
    for (name, audiences, expected) in [
        ("kyverno", &[KYVERNO][..], StatusCode::OK),
        ("plain", &[], StatusCode::OK),
        ("another", &["vault.example"], StatusCode::UNAUTHORIZED),
    ] {
        let token = token_for(&client, namespace.name(), name, audiences).await?;
        let (status, body) = ask(&client, &serve, Some(&token), &job).await?;
        assert_eq!(status, expected, "{name}: {body}");
    }
    serve.stop().await
}

#[tokio::test]
async fn without_the_flag_the_endpoint_is_not_served() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    let namespace = control_plane.guarded_namespace("no-engine", &[]).await?;
    let reach = Reach::Namespaces(vec![namespace.name().to_owned()]);
    let serve = Serve::start(control_plane, weighbridge(), Setup::new("no-engine", reach)).await?;
    let client = control_plane.admin()?;
    let (status, _) = ask(&client, &serve, Some("any"), &hopeless("llama")?).await?;
    assert_eq!(status, StatusCode::NOT_FOUND);
    serve.stop().await
}

#[tokio::test]
async fn a_policy_of_the_apiserver_can_require_the_annotations() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    let namespace = control_plane.namespace(&[("weighbridge.dev/annotations", "required")]).await?;
    let client = control_plane.admin()?;
    let kubectl = control_plane.kubectl()?;
    let file = format!("{}/examples/policies/require-annotations.yaml", env!("CARGO_MANIFEST_DIR"));
    kubectl.run(&["apply", "-f", &file]).await?.success()?;

    let silent = pytorchjob("silent", 1, &[]);
    let refused = async || -> Result<Option<String>> {
        match create(&client, namespace.name(), &silent).await? {
            Ok(created) => {
                let api: Api<kube::api::DynamicObject> = Api::namespaced_with(
                    client.clone(),
                    namespace.name(),
                    &kube::core::ApiResource::from_gvk(&kube::core::GroupVersionKind::gvk(
                        "kubeflow.org",
                        "v1",
                        "PyTorchJob",
                    )),
                );
                api.delete(&created.metadata.name.unwrap_or_default(), &DeleteParams::default()).await?;
                Ok(None)
            }
            answer @ Err(_) => Ok(Some(refusal(answer)?.message)),
        }
    };
    // The apiserver applies a new policy a moment later.
    wait_until("a job without annotations to be refused", SOON, || async { Ok(refused().await?.is_some()) })
        .await?;
    let message = refused().await?.context("admitted")?;
    assert!(message.contains("weighbridge.dev/model or weighbridge.dev/parameters"), "{message}");

    let complete = pytorchjob("complete", 1, &[("model", "llama-2-7b"), ("gpu-type", "H100")]);
    create(&client, namespace.name(), &complete).await??;
    // The policy ignores objects without GPUs.
    let mut without = example("job-llama3-8b-lora.yaml")?;
    without["metadata"]["annotations"] = json!({});
    without["spec"]["template"]["spec"]["containers"][0]["resources"] = json!({});
    create(&client, namespace.name(), &without).await??;
    kubectl.run(&["delete", "-f", &file]).await?.success()?;
    Ok(())
}
