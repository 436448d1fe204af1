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
        let mut stream = TcpStream::connect(address).await.with_context(|| address.to_string())?;
        // Of version 1.0, so that the answer is neither in chunks nor followed by another.
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
        ensure!(head.lines().next().is_some_and(|line| line.contains(" 200")), "{head}");
        Ok(Self(body.to_owned()))
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
