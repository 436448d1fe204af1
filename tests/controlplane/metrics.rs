//! What a program counts, read from its own port in the text format of Prometheus.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// The figures of one moment.
#[derive(Debug)]
pub struct Metrics(String);

impl Metrics {
    pub async fn read(address: SocketAddr) -> Result<Self> {
        let (status, body) = got(address, "/metrics").await?;
        ensure!(status == 200, "{status}");
        Ok(Self(body))
    }

    /// The sum over the series of this name that have all of these labels.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let series = self.0.lines().filter_map(|line| line.rsplit_once(' '));
        let wanted = series.filter(|(series, _)| {
            let (of, given) = series.split_once('{').unwrap_or((series, ""));
            of == name && labels.iter().all(|(key, value)| given.contains(&format!("{key}=\"{value}\"")))
        });
        wanted.filter_map(|(_, value)| value.parse::<f64>().ok()).sum()
    }
}

/// The status and the body of what a plain port answers.
pub async fn got(address: SocketAddr, path: &str) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect(address).await.with_context(|| address.to_string())?;
    // Of version 1.0, so that the answer is neither in chunks nor followed by another.
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
    let status = head.split(' ').nth(1).context("no HTTP status")?;
    Ok((status.parse()?, body.to_owned()))
}
