//! The ports over real sockets, with short times and few connections.

use std::net::SocketAddr;

use axum::Router;
use axum::routing::get;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;

const SHORT: Times = Times { first: Duration::from_millis(200), rest: Duration::from_millis(300) };
/// Bounds a wait for an event that happens at once.
const SOON: Duration = Duration::from_secs(20);

/// A port for at most so many connections, until the guard is dropped.
fn serving(most: usize, times: Times) -> (SocketAddr, tokio_util::sync::DropGuard) {
    let port = Port::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = port.address();
    let metrics = Metrics::default();
    let connections = Connections::new("test", most, metrics.clone());
    let router = Router::new().route("/", get(|| async { "ok" })).route(
        "/slow",
        get(|| async {
            tokio::time::sleep(Duration::from_millis(900)).await;
            "slow"
        }),
    );
    let stop = Stop::default();
    let guard = stop.token.clone().drop_guard();
    tokio::spawn(port.serve(Service::new(router, None, times), connections, ("test", metrics), stop));
    (address, guard)
}

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, future).await.unwrap_or_else(|_| panic!("not in time: {what}"))
}

fn to(path: &str) -> hyper::Request<Empty<Bytes>> {
    hyper::Request::get(format!("http://localhost{path}")).body(Empty::new()).unwrap()
}

/// Waits until the server has closed the connection.
async fn closed(mut stream: TcpStream) {
    let mut rest = Vec::new();
    // A reset closes it, too.
    let _ = soon("the server to close", stream.read_to_end(&mut rest)).await;
}

#[tokio::test]
async fn an_http2_connection_at_rest_is_closed() {
    let (address, _guard) = serving(8, SHORT);
    let stream = TcpStream::connect(address).await.unwrap();
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.unwrap();
    let ended = tokio::spawn(connection);
    // Longer than the time at rest: a connection with an open request is not at rest.
    let answer = sender.send_request(to("/slow")).await.unwrap();
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "slow");
    let _ = soon("the connection to end", ended).await.unwrap();
}

#[tokio::test]
async fn an_http1_connection_at_rest_is_closed() {
    let (address, _guard) = serving(8, SHORT);
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    closed(stream).await;
}

#[tokio::test]
async fn a_connection_without_a_whole_request_is_closed() {
    let (address, _guard) = serving(8, SHORT);
    for beginning in [&b""[..], b"GET / HTT", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(beginning).await.unwrap();
        closed(stream).await;
    }
}

#[tokio::test]
async fn a_full_port_answers_a_new_connection() {
    let patient = Times { first: Duration::from_mins(5), rest: Duration::from_mins(5) };
    let (address, _guard) = serving(4, patient);
    let mut hoarded = Vec::new();
    for _ in 0..20 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        hoarded.push(stream);
    }
    let asked = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let answer = soon("the new connection's answer", asked).await;
    assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
}

#[tokio::test]
async fn headers_that_are_too_long_are_refused() {
    let (address, _guard) = serving(8, SHORT);
    let mut stream = TcpStream::connect(address).await.unwrap();
    let long = format!("GET / HTTP/1.0\r\na: {}\r\n\r\n", "a".repeat(64 << 10));
    // It may be refused before all of it is sent.
    let _ = stream.write_all(long.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = soon("the answer", stream.read_to_end(&mut answer)).await;
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.0 431") || answer.starts_with(b"HTTP/1.1 431"));

    let stream = TcpStream::connect(address).await.unwrap();
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    let mut request = to("/");
    request.headers_mut().insert("a", "a".repeat(64 << 10).parse().unwrap());
    let answered = soon("the answer", sender.send_request(request)).await;
    assert!(answered.is_err() || answered.unwrap().status() == 431);
}
