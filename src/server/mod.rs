//! The ports: the webhook's, in TLS, a plain one for health and metrics, and one for a page, if it is wanted.
//!
//! All are bound before the rest starts, so that a port in use ends the process at once. Each has its own limit of
//! [connections], so that a flood at one does not harm the other. [`connection`] closes connections that make no
//! progress. All request bodies share one budget of [`bodies`].

mod activity;
pub mod bodies;
mod buffer;
mod connection;
mod connections;
mod descriptors;
mod handshakes;
mod health;
mod metrics;
mod peer;
#[cfg(test)]
mod tests;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Version, header};
use axum::middleware::Next;
use axum::response::Response;
use rustls::ServerConfig;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use connection::{Service, Times};
use connections::Connections;
use handshakes::Handshakes;

pub use bodies::Bodies;
pub use health::{Health, router as health_router};
pub use metrics::Metrics;
pub use peer::{Caller, Peer};

const HANDSHAKE: Duration = Duration::from_secs(10);
const WEBHOOK: Times = Times {
    first: Duration::from_secs(10),
    // Longer than the apiserver keeps a connection (90 s). So none is closed just as the apiserver sends a request on
    // it.
    rest: Duration::from_secs(100),
};
const PLAIN: Times = Times { first: Duration::from_secs(10), rest: Duration::from_secs(10) };
/// The most connections of the webhook's port. An apiserver has one for each request in flight; each takes some 40
/// KiB.
const MOST: usize = 512;
/// The most connections of the plain port: of the kubelet, Prometheus, and an administrator.
const MOST_PLAIN: usize = 32;
/// How long open requests may take after the listener has closed.
const LAST_ANSWERS: Duration = Duration::from_secs(10);
/// The pause after the system could not accept a connection, for lack of descriptors or memory.
const PAUSE: Duration = Duration::from_millis(100);

/// A bound port that does not answer yet.
#[derive(Debug)]
pub struct Port {
    listener: TcpListener,
    address: SocketAddr,
}

impl Port {
    /// Binds it.
    pub fn bind(address: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(address).with_context(|| format!("listening at {address}"))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// The address that it is bound to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers in TLS until shutdown.
    pub async fn serve_tls(
        self,
        tls: Arc<ServerConfig>,
        router: Router,
        metrics: Metrics,
        stopping: CancellationToken,
        stop: Stop,
    ) -> Result<()> {
        let router = router.layer(axum::middleware::from_fn_with_state(stopping, ask_to_close));
        let connections = Connections::new(
            "webhook",
            descriptors::left_for_connections(MOST_PLAIN).min(MOST),
            metrics.clone(),
        );
        let service = Service::new(router, Some(Handshakes::new(tls, HANDSHAKE)?), WEBHOOK);
        self.serve(service, connections, ("webhook", metrics), stop).await.context("serving the webhook")
    }

    /// Answers in plain HTTP until shutdown.
    pub async fn serve_plain(self, router: Router, metrics: Metrics, stop: Stop) -> Result<()> {
        let connections = Connections::new("plain", MOST_PLAIN, metrics.clone());
        let service = Service::new(router, None, PLAIN);
        let served = self.serve(service, connections, ("plain", metrics), stop).await;
        served.context("serving health and metrics")
    }

    /// Answers people in plain HTTP until shutdown.
    pub async fn serve_page(self, router: Router, metrics: Metrics, stop: Stop) -> Result<()> {
        let connections = Connections::new("page", MOST_PLAIN, metrics.clone());
        let service = Service::new(router, None, PLAIN);
        self.serve(service, connections, ("page", metrics), stop).await.context("serving a page")
    }

    async fn serve(
        self,
        service: Service,
        connections: Connections,
        (port, metrics): (&'static str, Metrics),
        stop: Stop,
    ) -> Result<()> {
        let listener = tokio::net::TcpListener::from_std(self.listener)?;
        let service = Arc::new(service);
        let mut open = JoinSet::new();
        loop {
            while open.try_join_next().is_some() {}
            let (stream, address) = tokio::select! {
                () = stop.token.cancelled() => break,
                accepted = listener.accept() => match accepted {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        metrics.not_accepted(port);
                        tracing::debug!(port, %error, "a connection was not accepted");
                        tokio::time::sleep(PAUSE).await;
                        continue;
                    }
                },
            };
            let peer = Peer::of(address.ip());
            let place = tokio::select! {
                () = stop.token.cancelled() => break,
                place = connections.place(peer) => place,
            };
            let (service, token) = (service.clone(), stop.token.clone());
            open.spawn(async move { service.serve(stream, peer, place, token).await });
        }
        drop(listener);
        let answered = async { while open.join_next().await.is_some() {} };
        // Requests that are still open are dropped with their connections.
        let _ = tokio::time::timeout(LAST_ANSWERS, answered).await;
        Ok(())
    }
}

/// While the port stops, each answer asks the client to close its connection, and so to find another replica.
async fn ask_to_close(State(stopping): State<CancellationToken>, request: Request, next: Next) -> Response {
    // HTTP/2 has a frame for that. It is sent when the port stops.
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
    token: CancellationToken,
}

impl Stop {
    /// Refuses new connections, and lets open requests end.
    pub fn gracefully(&self) {
        self.token.cancel();
    }
}
