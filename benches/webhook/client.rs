//! A client like the apiserver: HTTP/1.1 in TLS, one request at a time on a connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use futures::future::try_join_all;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::reviews::Review;

/// A server, and how to reach it.
#[derive(Clone)]
pub(crate) struct Server {
    address: SocketAddr,
    path: &'static str,
    config: Arc<ClientConfig>,
}

/// How long the answers took, and how long all of them took together.
pub(crate) struct Answers {
    pub(crate) times: Vec<Duration>,
    pub(crate) took: Duration,
    /// How many admitted the object.
    pub(crate) admitted: usize,
}

impl Answers {
    /// The answers of several connections, each with its times and the number of admitted objects.
    async fn of_all(
        started: Instant,
        asking: impl Iterator<Item = impl Future<Output = Result<(Vec<Duration>, usize)>>>,
    ) -> Result<Self> {
        let all = try_join_all(asking).await?;
        let took = started.elapsed();
        let admitted = all.iter().map(|(_, admitted)| admitted).sum();
        let times = all.into_iter().flat_map(|(times, _)| times).collect();
        Ok(Self { times, took, admitted })
    }
}

impl Server {
    pub(crate) fn new(address: SocketAddr, path: &'static str) -> Result<Self> {
        let provider = Arc::new(ring::default_provider());
        let any = Arc::new(Any(provider.clone()));
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(any)
            .with_no_client_auth();
        // Each connection proves itself anew, as those of an apiserver do.
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Self { address, path, config: Arc::new(config) })
    }

    pub(crate) async fn connect(&self) -> Result<Connection> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let connector = TlsConnector::from(self.config.clone());
        let stream = connector.connect(ServerName::try_from("127.0.0.1")?, stream).await?;
        let (path, host) = (self.path, self.address);
        let head = format!(
            "POST {path}?timeout=10s HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
             Accept: application/json, */*\r\nUser-Agent: kube-apiserver-admission\r\nContent-Length: "
        );
        Ok(Connection { stream, head, buffer: Vec::new() })
    }

    /// Asks without a pause on so many connections, for a time. `close` takes a new connection for each review.
    pub(crate) async fn ask(
        &self,
        review: &Review,
        connections: usize,
        lasts: Duration,
        close: bool,
    ) -> Result<Answers> {
        let started = Instant::now();
        let asking = (0..connections).map(|_| async move {
            let mut connection = self.connect().await?;
            let (mut times, mut admitted) = (Vec::new(), 0);
            while started.elapsed() < lasts {
                let asked = Instant::now();
                if close {
                    connection = self.connect().await?;
                }
                admitted += usize::from(connection.ask(review).await?);
                times.push(asked.elapsed());
            }
            anyhow::Ok((times, admitted))
        });
        Answers::of_all(started, asking).await
    }

    /// Asks at a steady rate. A review that waits for a free connection waits on the server's account.
    pub(crate) async fn ask_at(
        &self,
        review: &Review,
        connections: usize,
        rate: f64,
        count: usize,
    ) -> Result<Answers> {
        let started = Instant::now();
        let asking = (0..connections).map(|first| async move {
            let mut connection = self.connect().await?;
            let (mut times, mut admitted) = (Vec::new(), 0);
            for number in (first..count).step_by(connections) {
                let due = started + Duration::from_secs_f64(number as f64 / rate);
                let is_late = Instant::now() > due;
                tokio::time::sleep_until(due.into()).await;
                // The server is late if the last answer came after this review was due. A timer may be late, too.
                let asked = if is_late { due } else { Instant::now() };
                admitted += usize::from(connection.ask(review).await?);
                times.push(asked.elapsed());
            }
            anyhow::Ok((times, admitted))
        });
        Answers::of_all(started, asking).await
    }
}

/// A connection.
pub(crate) struct Connection {
    stream: TlsStream<TcpStream>,
    head: String,
    buffer: Vec<u8>,
}

impl Connection {
    /// Whether the object of a review is admitted.
    pub(crate) async fn ask(&mut self, review: &Review) -> Result<bool> {
        self.buffer.clear();
        self.buffer.extend(self.head.as_bytes());
        self.buffer.extend(review.length().to_string().as_bytes());
        self.buffer.extend(b"\r\n\r\n");
        review.write(&mut self.buffer);
        self.stream.write_all(&self.buffer).await?;
        self.stream.flush().await?;
        self.buffer.clear();
        let answer = loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                bail!("the server closed the connection: {}", String::from_utf8_lossy(&self.buffer));
            }
            if let Some(answer) = body(&self.buffer)? {
                break answer;
            }
        };
        if find(&self.buffer, b" 200 ").is_none_or(|at| at > 12) {
            bail!("{}", String::from_utf8_lossy(&self.buffer));
        }
        Ok(find(&answer, b"\"allowed\":true").is_some())
    }
}

fn find(bytes: &[u8], text: &[u8]) -> Option<usize> {
    bytes.windows(text.len()).position(|window| window == text)
}

/// The body of an answer, once all of it is there: with a length, or in chunks.
fn body(answer: &[u8]) -> Result<Option<Vec<u8>>> {
    let Some(end) = find(answer, b"\r\n\r\n") else { return Ok(None) };
    let (head, rest) = answer.split_at(end);
    let rest = rest.get(4..).unwrap_or_default();
    let head = String::from_utf8_lossy(head).to_lowercase();
    if let Some(length) = head.lines().find_map(|line| line.strip_prefix("content-length:")) {
        let length: usize = length.trim().parse()?;
        return Ok(rest.get(..length).map(<[u8]>::to_vec));
    }
    let (mut chunks, mut body) = (rest, Vec::new());
    while let Some(line) = find(chunks, b"\r\n") {
        let (size, more) = chunks.split_at(line);
        let size = usize::from_str_radix(std::str::from_utf8(size)?.trim(), 16).context("a chunk's size")?;
        // A line's end comes before the chunk, and another after it.
        let whole = more.get(..size + 4);
        let Some(chunk) = whole.and_then(|chunk| chunk.get(2..2 + size)) else { return Ok(None) };
        if size == 0 {
            return Ok(Some(body));
        }
        body.extend(chunk);
        chunks = more.get(size + 4..).unwrap_or_default();
    }
    Ok(None)
}

/// Trusts any certificate: both servers are our own children on the loopback interface.
#[derive(Debug)]
struct Any(Arc<CryptoProvider>);

impl ServerCertVerifier for Any {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
