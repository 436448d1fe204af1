//! A caller on the pod network, without credentials.

use anyhow::Result;
use futures::future::join_all;
use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Yard;
use crate::cluster::stranger::review;

/// How many of the neighbour's jobs are answered while an attack stands.
pub(super) const MEANWHILE: usize = 100;

/// Opens connections, writes the same to each, and holds them while the neighbour goes on.
async fn held(yard: &Yard, count: usize, written: &[u8]) -> Result<()> {
    let connected = (0..count).map(|_| async {
        let mut stream = TcpStream::connect(yard.serve.webhook()).await?;
        stream.write_all(written).await?;
        anyhow::Ok(stream)
    });
    // One that is refused is no failure of the replica.
    let streams: Vec<_> = join_all(connected).await.into_iter().flatten().collect();
    yard.load.goes_on(MEANWHILE).await?;
    drop(streams);
    Ok(())
}

pub(super) async fn silent(yard: &Yard) -> Result<()> {
    held(yard, 1_000, b"").await
}

pub(super) async fn noise(yard: &Yard) -> Result<()> {
    let noise: Vec<u8> =
        (0..4_096_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    held(yard, 500, &noise).await
}

pub(super) async fn half_hello(yard: &Yard) -> Result<()> {
    // The head of a record of 512 bytes that holds a ClientHello, and little of it.
    held(yard, 500, &[0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03]).await
}

/// The head of a request for a review, with these further headers.
fn head(headers: &str) -> String {
    format!("POST /validate HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n{headers}\r\n\r\n")
}

pub(super) async fn slow_bodies(yard: &Yard) -> Result<()> {
    let connected = (0..200).map(|_| async {
        let mut stream = yard.stranger.connect().await?;
        stream.write_all(head("content-length: 1048576").as_bytes()).await?;
        stream.write_all(b"{").await?;
        stream.flush().await?;
        anyhow::Ok(stream)
    });
    let streams: Vec<_> = join_all(connected).await.into_iter().flatten().collect();
    yard.load.goes_on(MEANWHILE).await?;
    drop(streams);
    Ok(())
}

pub(super) async fn endless_bodies(yard: &Yard) -> Result<()> {
    let chunk = format!("10000\r\n{}\r\n", "a".repeat(0x10000));
    let sent = (0..20).map(|_| async {
        let mut stream = yard.stranger.connect().await?;
        stream.write_all(head("transfer-encoding: chunked").as_bytes()).await?;
        // 64 MiB, unless it is cut off before.
        for _ in 0..1_024 {
            stream.write_all(chunk.as_bytes()).await?;
        }
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        anyhow::Ok(())
    });
    let ended = join_all(sent).await;
    anyhow::ensure!(ended.iter().any(Result::is_err), "64 MiB were read");
    yard.load.goes_on(MEANWHILE).await
}

pub(super) async fn given_up(yard: &Yard) -> Result<()> {
    let body =
        review("elsewhere", r#"{"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"a"},"spec":{}}"#);
    let given_up = (0..5).map(|_| async {
        let stream = yard.stranger.connect().await?;
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        for _ in 0..2_000 {
            let request = Request::post("https://a/validate").header("content-type", "application/json");
            let request: Request<Full<Bytes>> = request.body(Full::new(body.clone()))?;
            // It is sent, and then reset.
            let mut answer = Box::pin(sender.send_request(request));
            if futures::poll!(&mut answer).is_ready() {
                break;
            }
            drop(answer);
            tokio::task::yield_now().await;
        }
        drop(sender);
        // How the server ends such a connection is its own affair.
        let _ = connection.await;
        anyhow::Ok(())
    });
    for ended in join_all(given_up).await {
        ended?;
    }
    yard.load.goes_on(MEANWHILE).await
}
