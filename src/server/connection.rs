//! One connection, from its handshake to its close.
//!
//! A connection that makes no progress is closed, in any protocol: there are limits on the time of the handshake, of
//! the first request, and at rest between two requests. The headers, streams and buffers of a request have limits,
//! too.

use std::convert::Infallible;
use std::future::pending;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use hyper::Request;
use hyper::body::{Body as _, Incoming};
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::connections::Place;
use super::handshakes::Handshakes;
use super::peer::{Caller, Peer};

/// The longest request line and header of HTTP/1, and the most of a body that is read at a time.
const BUFFER: usize = 32 << 10;
/// The longest header of HTTP/2. The apiserver sends some hundred bytes; a policy engine also sends a token.
const HEADERS: u32 = 24 << 10;
/// The most open requests of one HTTP/2 connection. The apiserver speaks HTTP/1.1, with one request a connection.
const STREAMS: u32 = 16;
/// The most that an HTTP/2 client may send before it is read: the protocol's default, and its least.
const WINDOW: u32 = (64 << 10) - 1;
/// How often an HTTP/2 client is asked for a sign of life, and how long its answer may take.
const PING: Duration = Duration::from_secs(30);
const PONG: Duration = Duration::from_secs(10);
/// How long a connection may last after its end was requested.
const FAREWELL: Duration = Duration::from_secs(5);

/// Limits on the time of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// Until the first request has begun.
    pub(super) first: Duration,
    /// Between two requests.
    pub(super) rest: Duration,
}

/// The shared state of a port's connections.
pub(super) struct Service {
    router: Router,
    tls: Option<Handshakes>,
    times: Times,
    http: Builder<TokioExecutor>,
}

impl Service {
    pub(super) fn new(router: Router, tls: Option<Handshakes>, times: Times) -> Self {
        let mut http = Builder::new(TokioExecutor::new());
        http.http1().timer(TokioTimer::new()).header_read_timeout(times.rest).max_buf_size(BUFFER);
        http.http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(PING)
            .keep_alive_timeout(PONG)
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(HEADERS)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .max_send_buf_size(BUFFER);
        Self { router, tls, times, http }
    }

    /// Serves a connection to its end. `stopping` asks it to end when it has answered.
    pub(super) async fn serve(
        &self,
        stream: TcpStream,
        peer: Peer,
        place: Place,
        stopping: CancellationToken,
    ) {
        // Answers are short, so waiting for more bytes does not help.
        let _ = stream.set_nodelay(true);
        let close = place.close.clone();
        tokio::select! {
            () = close.cancelled() => {}
            () = self.speak(stream, peer, &place, stopping) => {}
        }
    }

    async fn speak(&self, stream: TcpStream, peer: Peer, place: &Place, stopping: CancellationToken) {
        let Some(tls) = &self.tls else {
            let caller = Caller { peer, certified: false, since: None, activity: place.activity.clone() };
            return self.talk(stream, caller, stopping).await;
        };
        let stream = tokio::select! {
            () = stopping.cancelled() => return,
            shaken = tls.shake(stream) => shaken,
        };
        let Some(stream) = stream else { return };
        let certified = stream.get_ref().1.peer_certificates().is_some_and(|chain| !chain.is_empty());
        let caller = Caller { peer, certified, since: None, activity: place.activity.clone() };
        self.talk(stream, caller, stopping).await;
    }

    async fn talk<S>(&self, stream: S, caller: Caller, stopping: CancellationToken)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let activity = caller.activity.clone();
        let router = TowerToHyperService::new(self.router.clone());
        let service = service_fn(move |mut request: Request<Incoming>| {
            let since = (!caller.activity.has_begun()).then(|| caller.activity.since());
            let open = caller.activity.begin();
            let whole = request.body().is_end_stream().then(|| caller.activity.whole());
            request.extensions_mut().insert(Caller { since, ..caller.clone() });
            let answered = router.call(request);
            let activity = caller.activity.clone();
            async move {
                let (_open, _whole) = (open, whole);
                let response: Response = answered.await?;
                if response.status().is_success() {
                    activity.proved();
                }
                Ok::<_, Infallible>(response)
            }
        });
        let mut connection = pin!(self.http.serve_connection(TokioIo::new(stream), service));
        let mut until: Option<Instant> = None;
        loop {
            let limit = if activity.has_begun() { self.times.rest } else { self.times.first };
            let looked_at = Instant::now();
            let look = if activity.is_at_rest() { activity.since() + limit } else { looked_at + limit };
            tokio::select! {
                // An error is the client's. It is not logged.
                _ = connection.as_mut() => return,
                () = at(until) => return,
                () = stopping.cancelled(), if until.is_none() => {
                    connection.as_mut().graceful_shutdown();
                    until = Some(Instant::now() + Duration::from_mins(1));
                }
                () = sleep_until(look), if until.is_none() => {
                    if activity.is_at_rest() && activity.since() + limit <= Instant::now() {
                        connection.as_mut().graceful_shutdown();
                        until = Some(Instant::now() + FAREWELL);
                    }
                }
            }
        }
    }
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => pending().await,
    }
}
