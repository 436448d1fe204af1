//! A client of Prometheus, with bounds on everything that comes back.
//!
//! It calls one address, which the policy names. It follows no redirect, and sends a token over TLS only. An answer is read up
//! to [`LARGEST`], within [`LONGEST`]. No error quotes an answer, a token or a header.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, StatusCode};
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use crate::learn::observed::answer::Problem;
use crate::learn::observed::query::Period;
use crate::policy::Observed;

/// The most bytes of an answer. That of ten thousand pods has some six million.
pub(super) const LARGEST: usize = 8 << 20;
/// The longest time until an answer is read.
pub(super) const LONGEST: Duration = Duration::from_secs(20);
/// What Prometheus itself may take, so that it gives up before we do.
const LONGEST_EVALUATION: &str = "15s";
/// The largest token.
const LARGEST_TOKEN: usize = 64 << 10;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    #[error("the file with its certificates cannot be used")]
    Certificates,
    #[error("the file with its token cannot be used")]
    Token,
    #[error("it cannot be reached")]
    Unreachable,
    #[error("it took longer than 20 s")]
    Slow,
    #[error("it answered {0} instead of 200")]
    Status(u16),
    #[error("its answer has more than 8 MiB")]
    TooLarge,
    #[error(transparent)]
    Problem(#[from] Problem),
}

impl Failure {
    /// Every word of the metric.
    pub(super) const WORDS: [&'static str; 8] =
        ["certificates", "token", "unreachable", "slow", "status", "too-large", "unreadable", "refused"];

    /// The word of the metric.
    pub(super) const fn word(&self) -> &'static str {
        match self {
            Self::Certificates => "certificates",
            Self::Token => "token",
            Self::Unreachable => "unreachable",
            Self::Slow => "slow",
            Self::Status(_) => "status",
            Self::TooLarge => "too-large",
            Self::Problem(Problem::Unreadable) => "unreadable",
            Self::Problem(Problem::Refused(_)) => "refused",
        }
    }
}

/// A client of one Prometheus.
pub(super) struct Client {
    http: hyper_util::client::legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    address: String,
    token_file: Option<PathBuf>,
}

impl Client {
    pub(super) async fn new(observed: &Observed) -> Result<Self, Failure> {
        let tls = match &observed.ca_file {
            Some(file) => signed_by(file).await?,
            None => match ClientConfig::builder().with_native_roots() {
                Ok(builder) => builder.with_no_client_auth(),
                // A system without certificates can still ask in plain HTTP.
                Err(_) => trusting(RootCertStore::empty()),
            },
        };
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
        Ok(Self {
            http: hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(connector),
            address: format!("{}/api/v1/query_range", observed.prometheus.trim_end_matches('/')),
            token_file: observed.token_file.clone(),
        })
    }

    /// The answer to a question about a period.
    pub(super) async fn ask(&self, query: &str, period: &Period) -> Result<Vec<u8>, Failure> {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(&self.address)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Full::new(Bytes::from(form(query, period))))
            .map_err(|_| Failure::Unreachable)?;
        if let Some(file) = &self.token_file {
            request.headers_mut().insert(AUTHORIZATION, bearer(file).await?);
        }
        tokio::time::timeout(LONGEST, self.answered(request)).await.map_err(|_| Failure::Slow)?
    }

    async fn answered(&self, request: Request<Full<Bytes>>) -> Result<Vec<u8>, Failure> {
        let response = self.http.request(request).await.map_err(|_| Failure::Unreachable)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), LARGEST).collect().await;
        let body = body.map_err(|error| {
            if error.is::<LengthLimitError>() { Failure::TooLarge } else { Failure::Unreachable }
        });
        // Prometheus tells in the body of an error what is wrong with a question.
        let tells_why =
            [StatusCode::BAD_REQUEST, StatusCode::UNPROCESSABLE_ENTITY, StatusCode::SERVICE_UNAVAILABLE];
        let body = body?.to_bytes().to_vec();
        let is_json = body.first() == Some(&b'{');
        if status == StatusCode::OK || (tells_why.contains(&status) && is_json) {
            return Ok(body);
        }
        Err(Failure::Status(status.as_u16()))
    }
}

/// The bytes that stay as they are in a form.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The form of a question.
fn form(query: &str, period: &Period) -> String {
    let Period { start, end, step } = period;
    let query = utf8_percent_encode(query, PLAIN);
    format!("start={start}&end={end}&step={step}&timeout={LONGEST_EVALUATION}&query={query}")
}

/// The file is read each time, because tokens are replaced.
async fn bearer(file: &Path) -> Result<HeaderValue, Failure> {
    let token = tokio::fs::read_to_string(file).await.map_err(|_| Failure::Token)?;
    let token = Some(token.trim()).filter(|token| !token.is_empty() && token.len() <= LARGEST_TOKEN);
    let mut value = HeaderValue::try_from(format!("Bearer {}", token.ok_or(Failure::Token)?))
        .map_err(|_| Failure::Token)?;
    value.set_sensitive(true);
    Ok(value)
}

/// The servers that a certificate of this file signed are trusted.
async fn signed_by(file: &Path) -> Result<ClientConfig, Failure> {
    let pem = tokio::fs::read(file).await.map_err(|_| Failure::Certificates)?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|_| Failure::Certificates)?;
        roots.add(certificate).map_err(|_| Failure::Certificates)?;
    }
    if roots.is_empty() { Err(Failure::Certificates) } else { Ok(trusting(roots)) }
}

fn trusting(roots: RootCertStore) -> ClientConfig {
    ClientConfig::builder().with_root_certificates(Arc::new(roots)).with_no_client_auth()
}
