//! Follows the policy's file: read again every few seconds, by content.
//!
//! A `ConfigMap` that is mounted changes by a link that is turned; watching files misses that on some file systems, and
//! reading a few KiB costs nothing. A file that is refused changes nothing: the last good one is kept, the log says why,
//! once, and a metric stays up until it is mended.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::{counter::Counter, gauge::Gauge};
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

use super::{Policies, Policy};

/// How often it is read.
const INTERVAL: Duration = Duration::from_secs(3);

/// What is counted of the file.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    reloads: Counter,
    refused: Gauge,
}

impl Metrics {
    /// Makes them readable.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "weighbridge_policy_reloads",
            "Changes of the policy's file that took effect",
            self.reloads.clone(),
        );
        registry.register(
            "weighbridge_policy_refused",
            "1 while the policy's file is refused and the last good one holds",
            self.refused.clone(),
        );
    }
}

/// Follows the file until it is told to stop. `base` is what the file is laid over.
pub async fn follow(
    policies: Arc<Policies>,
    base: Policy,
    path: &Path,
    metrics: Metrics,
    shutdown: CancellationToken,
) {
    let mut last = tokio::fs::read_to_string(path).await.map_err(|error| error.to_string());
    loop {
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            () = shutdown.cancelled() => return,
        }
        let now = tokio::fs::read_to_string(path).await.map_err(|error| error.to_string());
        if now == last {
            continue;
        }
        let read = now.clone().map_err(anyhow::Error::msg).and_then(|text| base.with_text(&text));
        last = now;
        match read {
            Ok(policy) => {
                tracing::info!(file = %path.display(), "the policy has changed");
                policies.replace(policy);
                metrics.reloads.inc();
                metrics.refused.set(0);
            }
            Err(error) => {
                let error = format!("{error:#}");
                tracing::error!(file = %path.display(), error, "the policy is refused; the last good one holds");
                metrics.refused.set(1);
            }
        }
    }
}
