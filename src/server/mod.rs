//! The two ports: the webhook's, in TLS, and a plain one for health and metrics.
//!
//! Both are bound before anything else is started, so that a port that is taken ends the process at once. A connection
//! that doesn't get on is closed: the handshake, the first request and its headers each have their time.

mod health;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Version, header};
use axum::middleware::Next;
use axum::response::Response;
use axum_server::Handle;
use axum_server::tls_rustls::{RustlsConfig, from_tcp_rustls};
use rustls::ServerConfig;
use tokio_util::sync::CancellationToken;

pub use health::{Health, router as health_router};

const HANDSHAKE: Duration = Duration::from_secs(5);
const HEADERS: Duration = Duration::from_secs(10);
/// How long a connection may rest between two requests: longer than the apiserver keeps one (90 s), so that it is never
/// closed just as a request is sent on it.
const REST: Duration = Duration::from_secs(100);
/// How long requests that are being answered may take after the listener closed.
const LAST_ANSWERS: Duration = Duration::from_secs(10);

/// A bound port, at which nobody answers yet.
#[derive(Debug)]
pub struct Port {
    listener: TcpListener,
    address: SocketAddr,
}

impl Port {
    /// Binds it.
    pub fn bind(address: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(address).with_context(|| format!("listening at {address}"))?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Where it really is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers in TLS until the handle says to stop.
    pub async fn serve_tls(
        self,
        tls: Arc<ServerConfig>,
        router: Router,
        stopping: CancellationToken,
        stop: Stop,
    ) -> Result<()> {
        let server = from_tcp_rustls(self.listener, RustlsConfig::from_config(tls))?;
        let mut server = server
            .map(|acceptor| acceptor.handshake_timeout(HANDSHAKE))
            .handle(stop.handle)
            .first_request_timeout(HEADERS);
        server.http_builder().http1().header_read_timeout(REST);
        let router = router.layer(axum::middleware::from_fn_with_state(stopping, farewell));
        server.serve(router.into_make_service()).await.context("serving the webhook")
    }

    /// Answers in plain HTTP until the handle says to stop.
    pub async fn serve_plain(self, router: Router, stop: Stop) -> Result<()> {
        let mut server =
            axum_server::from_tcp(self.listener)?.handle(stop.handle).first_request_timeout(HEADERS);
        server.http_builder().http1().header_read_timeout(HEADERS);
        server.serve(router.into_make_service()).await.context("serving health and metrics")
    }
}

/// Once it is to stop, each answer asks the client to connect anew, and so to another replica.
async fn farewell(State(stopping): State<CancellationToken>, request: Request, next: Next) -> Response {
    // HTTP/2 has a frame for that, which is sent when the port stops.
    let may_say = request.version() < Version::HTTP_2;
    let mut response = next.run(request).await;
    if may_say && stopping.is_cancelled() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Stops a port.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    handle: Handle<SocketAddr>,
}

impl Stop {
    /// Takes no more connections, and lets those that are open answer what they were asked.
    pub fn gracefully(&self) {
        self.handle.graceful_shutdown(Some(LAST_ANSWERS));
    }
}
