//! A program that serves the metrics of accelerators, as the exporters of the vendors do.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use anyhow::Result;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// A server that is scraped.
pub(super) struct Exporter {
    pub(super) address: SocketAddr,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Exporter {
    pub(super) async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let exporter = Self { address: listener.local_addr()?, lines: Arc::default() };
        let lines = exporter.lines.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut vec![0; 16 << 10]).await;
                let mut body = lines.lock().map(|lines| lines.join("\n")).unwrap_or_default();
                body.push('\n');
                let mut head = String::from("HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\n");
                let _ = write!(head, "connection: close\r\ncontent-length: {}\r\n\r\n", body.len());
                let _ = stream.write_all((head + &body).as_bytes()).await;
            }
        });
        Ok(exporter)
    }

    /// From the next scrape on it serves these lines.
    pub(super) fn serves(&self, new: &[String]) {
        if let Ok(mut lines) = self.lines.lock() {
            *lines = new.to_vec();
        }
    }
}

/// A line of dcgm-exporter: the memory in use of a GPU, in MiB.
pub(super) fn nvidia(gpu: u32, namespace: &str, pod: &str, mib: u64) -> String {
    format!(
        "DCGM_FI_DEV_FB_USED{{gpu=\"{gpu}\",UUID=\"GPU-{gpu}\",device=\"nvidia{gpu}\",modelName=\"NVIDIA A800\",Hostname=\"node\",\
         container=\"pytorch\",namespace=\"{namespace}\",pod=\"{pod}\"}} {mib}"
    )
}

/// A line of AMD's device-metrics-exporter.
pub(super) fn amd(namespace: &str, pod: &str, mib: u64) -> String {
    format!(
        "gpu_used_vram{{gpu_id=\"0\",card_model=\"0xf0f\",hostname=\"node\",container=\"pytorch\",namespace=\"{namespace}\",pod=\"{pod}\"}} \
         {mib}"
    )
}

/// A line of Ascend's npu-exporter.
pub(super) fn ascend(namespace: &str, pod: &str, mib: u64) -> String {
    format!(
        "npu_chip_info_hbm_used_memory{{id=\"0\",model_name=\"910B3-Ascend\",container_name=\"pytorch\",namespace=\"{namespace}\",\
         pod_name=\"{pod}\"}} {mib}"
    )
}
