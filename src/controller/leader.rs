//! Leader election: of several replicas, one writes.
//!
//! The lease only saves work; it is not a lock. Every write is idempotent, so two leaders for a moment do no harm.

use std::time::Duration;

use kube::Client;
use kube_lease_manager::{LeaseManager, LeaseManagerBuilder};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Settings;

const PAUSE: Duration = Duration::from_secs(5);

/// A candidate. If it is dropped without [`leave`](Self::leave), the lease expires.
pub(super) struct Candidate {
    leads: watch::Receiver<bool>,
    task: JoinHandle<kube_lease_manager::Result<LeaseManager>>,
}

impl Candidate {
    /// Joins the candidates. `None` if shutdown comes first.
    pub(super) async fn join(client: &Client, settings: &Settings, stop: &CancellationToken) -> Option<Self> {
        loop {
            match build(client, settings).await {
                Ok(manager) => {
                    let (leads, task) = manager.watch().await;
                    return Some(Self { leads, task });
                }
                Err(error) => {
                    tracing::warn!(%error, lease = settings.lease, "no lease yet; trying again");
                }
            }
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = stop.cancelled() => return None,
            }
        }
    }

    /// Waits until this replica leads, or no longer leads. False if the election has ended.
    pub(super) async fn wait_for(&mut self, leading: bool) -> bool {
        self.leads.wait_for(|leads| *leads == leading).await.is_ok()
    }

    /// Gives the lease up, so that another replica can lead at once.
    pub(super) async fn leave(self) {
        drop(self.leads);
        match self.task.await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the lease was not released and will expire"),
            Err(error) => tracing::error!(%error, "the election ended unexpectedly"),
        }
    }
}

async fn build(client: &Client, settings: &Settings) -> kube_lease_manager::Result<LeaseManager> {
    let seconds = settings.lease_seconds.max(2);
    let mut builder = LeaseManagerBuilder::new(client.clone(), &settings.lease)
        .with_namespace(&settings.namespace)
        .with_duration(seconds)
        .with_grace((seconds / 3).max(1));
    if let Some(identity) = &settings.identity {
        builder = builder.with_identity(identity);
    }
    builder.build().await
}
