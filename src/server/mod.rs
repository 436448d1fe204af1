//! The two ports: the webhook's, in TLS, and a plain one for health and metrics.
//!
//! Both are bound before anything else is started, so that a port that is taken ends the process at once. Each has a
//! number of [connections] of its own, so that a flood at one leaves the other alone, and [`connection`] closes what does
//! not get on. What requests bring is held against one budget of [`bodies`].

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
    // Longer than the apiserver keeps one (90 s), so that it is never closed just as a request is sent on it.
    rest: Duration::from_secs(100),
};
const PLAIN: Times = Times { first: Duration::from_secs(10), rest: Duration::from_secs(10) };
/// Connections of the webhook's port. An apiserver has one for each request that it waits for; each takes some 40 KiB.
const MOST: usize = 512;
/// Connections of the plain port: the kubelet's, Prometheus's, and a person's.
const MOST_PLAIN: usize = 32;
/// How long requests that are being answered may take after the listener closed.
const LAST_ANSWERS: Duration = Duration::from_secs(10);
/// The pause after the system could not hand over a connection, for want of descriptors or memory.
const PAUSE: Duration = Duration::from_millis(100);

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
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Where it really is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers in TLS until it is told to stop.
    pub async fn serve_tls(
        self,
        tls: Arc<ServerConfig>,
        router: Router,
        metrics: Metrics,
        stopping: CancellationToken,
        stop: Stop,
    ) -> Result<()> {
        let router = router.layer(axum::middleware::from_fn_with_state(stopping, farewell));
        let connections =
            Connections::new("webhook", descriptors::beside(MOST_PLAIN).min(MOST), metrics.clone());
        let service = Service::new(router, Some(Handshakes::new(tls, HANDSHAKE)?), WEBHOOK);
        self.serve(service, connections, ("webhook", metrics), stop).await.context("serving the webhook")
    }

    /// Answers in plain HTTP until it is told to stop.
    pub async fn serve_plain(self, router: Router, metrics: Metrics, stop: Stop) -> Result<()> {
        let connections = Connections::new("plain", MOST_PLAIN, metrics.clone());
        let service = Service::new(router, None, PLAIN);
        let served = self.serve(service, connections, ("plain", metrics), stop).await;
        served.context("serving health and metrics")
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
                () = stop.told.cancelled() => break,
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
                () = stop.told.cancelled() => break,
                place = connections.place(peer) => place,
            };
            let (service, told) = (service.clone(), stop.told.clone());
            open.spawn(async move { service.serve(stream, peer, place, told).await });
        }
        drop(listener);
        let answered = async { while open.join_next().await.is_some() {} };
        // What is not answered by then is dropped with the connection.
        let _ = tokio::time::timeout(LAST_ANSWERS, answered).await;
        Ok(())
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
    told: CancellationToken,
}

impl Stop {
    /// Takes no more connections, and lets those that are open answer what they were asked.
    pub fn gracefully(&self) {
        self.told.cancel();
    }
}
