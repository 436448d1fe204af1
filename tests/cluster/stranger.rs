//! A caller on the network that connects to the webhook's port directly.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use rustls::ClientConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::controlplane::Serve;

/// A caller on the network.
#[derive(Clone)]
pub(crate) struct Stranger {
    address: SocketAddr,
    config: Arc<ClientConfig>,
}

impl Stranger {
    /// A caller that trusts the CA of the replica, and shows this certificate with its key, in PEM.
    pub(crate) async fn new(client: &Client, serve: &Serve, shows: Option<(&str, &str)>) -> Result<Self> {
        let secrets: Api<Secret> = Api::namespaced(client.clone(), serve.home());
        let data = secrets.get("weighbridge-ca").await?.data.context("no CA")?;
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&data.get("ca.crt").context("no ca.crt")?.0)?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        let config = match shows {
            None => config.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes())?];
                config.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes())?)?
            }
        };
        Ok(Self { address: serve.webhook(), config: Arc::new(config) })
    }

    /// A new connection, after the handshake.
    pub(crate) async fn connect(&self) -> Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.address).await?;
        let connector = tokio_rustls::TlsConnector::from(self.config.clone());
        Ok(connector.connect(ServerName::try_from("127.0.0.1")?, stream).await?)
    }

    /// The answer to a body at `/validate`.
    pub(crate) async fn post(&self, body: Bytes) -> Result<(StatusCode, Value)> {
        let stream = self.connect().await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let request = Request::post("/validate?timeout=30s")
            .header("host", "127.0.0.1")
            .header("content-type", "application/json")
            .body(Full::new(body))?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        Ok((status, serde_json::from_slice(&body).unwrap_or_default()))
    }
}

/// A review of the creation of a Job, with this text as the object.
pub(crate) fn review(namespace: &str, object: &str) -> Bytes {
    let review = json!({
        "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": {"group": "batch", "version": "v1", "kind": "Job"},
            "name": "a", "namespace": namespace, "operation": "CREATE",
            "userInfo": {"username": "mallory"}, "object": "OBJECT",
        },
    });
    review.to_string().replace("\"OBJECT\"", object).into()
}
