//! The controller: an estimate for every workload that trains, and a judgement in every estimate's status.
//!
//! One replica leads and writes. [`desired`] decides over plain data what should exist, and a thin writer acts on it
//! ([`reconcile`]). The [`queue`] runs each change soon, and each failure again. All state is in the cluster, so a
//! restart changes nothing.

mod desired;
mod estimates;
mod history;
mod kueue;
mod leader;
mod metrics;
mod naming;
mod notices;
mod observe;
pub mod permissions;
mod progress;
mod queue;
mod reconcile;
mod seen;

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use kube::api::ApiResource;
use kube::runtime::events::{Recorder, Reporter};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use metrics::Metrics;

use crate::api::v1alpha1::TrainingEstimate;
use crate::cluster::{Cluster, Source, follow::Follow};
use estimates::{EstimateSink, Estimates};
use kueue::Checks;
use leader::Candidate;
use observe::Observations;
use queue::Requests;
use reconcile::Reconciler;

/// All objects are reconciled again after this time, even without a change.
const RESYNC: Duration = Duration::from_mins(10);

/// In a large cluster nodes come and go all the time. Estimates that depend on them are reconciled no more often than
/// this.
const BETWEEN_NODES: Duration = Duration::from_secs(10);

/// Some programs write a ConfigMap every second. Estimates that depend on it are reconciled no more often than this.
const BETWEEN_DOCUMENTS: Duration = Duration::from_secs(5);

/// The settings of an administrator.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The namespace of the lease.
    pub namespace: String,
    /// The lease's name.
    pub lease: String,
    /// How long a leader without a sign of life still leads.
    pub lease_seconds: u64,
    /// The name of this replica. Random if it is not set.
    pub identity: Option<String>,
    /// Whether admission checks of Kueue are answered.
    pub kueue_check: bool,
    /// The metrics.
    pub metrics: Metrics,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            namespace: "weighbridge".into(),
            lease: "weighbridge".into(),
            lease_seconds: 15,
            identity: None,
            kueue_check: false,
            metrics: Metrics::default(),
        }
    }
}

/// Leads when it can, until shutdown. [`Cluster::run`] keeps the caches up to date.
pub async fn run(client: Client, cluster: Arc<Cluster>, settings: Settings, shutdown: CancellationToken) {
    let settings = Arc::new(settings);
    tokio::select! {
        () = cluster.readiness.ready() => {}
        () = shutdown.cancelled() => return,
    }
    let Some(mut candidate) = Candidate::join(&client, &settings, &shutdown).await else { return };
    loop {
        let elected = tokio::select! {
            elected = candidate.wait_for(true) => elected,
            () = shutdown.cancelled() => break,
        };
        if !elected {
            break;
        }
        tracing::info!(lease = settings.lease, "this replica is the leader");
        settings.metrics.leads(&settings.lease, true);
        tokio::select! {
            _ = candidate.wait_for(false) => tracing::warn!("this replica is no longer the leader"),
            () = lead(&client, &cluster, &settings) => {}
            () = shutdown.cancelled() => {}
        }
        settings.metrics.leads(&settings.lease, false);
        if shutdown.is_cancelled() {
            break;
        }
    }
    candidate.leave().await;
}

/// Reconciles until it is dropped.
async fn lead(client: &Client, cluster: &Arc<Cluster>, settings: &Arc<Settings>) {
    let queue = queue::queue();
    let estimates = Arc::new(Estimates::default());
    let mut tasks = JoinSet::new();
    for namespace in cluster.scopes() {
        let follow = follow_estimates(client, cluster, namespace);
        let sink = EstimateSink::new(estimates.clone(), queue.requests());
        let cluster = cluster.clone();
        tasks.spawn(async move { follow.into(sink, &cluster.readiness, &cluster.metrics).await });
    }
    tasks.spawn(listen(cluster.clone(), estimates.clone(), queue.requests()));
    let observations = Arc::new(Observations::default());
    let observed = settings.metrics.observed.clone();
    tasks.spawn(observe::run(
        cluster.clone(),
        estimates.clone(),
        queue.requests(),
        observations.clone(),
        observed,
    ));
    let checks = Arc::new(Checks::default());
    if settings.kueue_check {
        tasks.spawn(kueue::run(client.clone(), cluster.clone(), checks.clone(), queue.requests()));
    }
    let reporter =
        Reporter { controller: "weighbridge.dev/controller".into(), instance: settings.identity.clone() };
    let reconciler = Reconciler {
        client: client.clone(),
        cluster: cluster.clone(),
        settings: settings.clone(),
        estimates,
        observations,
        checks,
        recorder: Recorder::new(client.clone(), reporter),
    };
    queue.run(|key| reconciler.reconcile(key)).await;
}

fn follow_estimates(client: &Client, cluster: &Cluster, namespace: Option<String>) -> Follow {
    let resource = ApiResource::erase::<TrainingEstimate>(&());
    let cache = format!("estimates/{}", namespace.as_deref().unwrap_or("*"));
    let source = Source::new(client.clone(), resource, namespace, cluster.room.clone());
    Follow { source, resource: "trainingestimates", cache }
}

/// Requests a run for each change in the caches, and for everything from time to time.
async fn listen(cluster: Arc<Cluster>, estimates: Arc<Estimates>, requests: Requests) {
    let mut workloads = cluster.workloads.changes();
    let mut nodes = cluster.nodes.changes();
    let mut policies = cluster.policies.changes();
    let mut documents = cluster.documents.changes();
    let mut read = Instant::now();
    let mut rested = Instant::now();
    let mut resync = tokio::time::interval(RESYNC);
    loop {
        let wanted = tokio::select! {
            Some(workload) = workloads.recv() => estimates.after_change_of(&workload),
            Ok(()) = async { tokio::time::sleep_until(rested).await; nodes.changed().await } => {
                rested = Instant::now() + BETWEEN_NODES;
                estimates.depending_on_nodes(&cluster.nodes.take_changed())
            }
            Ok(()) = async { tokio::time::sleep_until(read).await; documents.changed().await } => {
                read = Instant::now() + BETWEEN_DOCUMENTS;
                estimates.of_namespaces(&cluster.documents.take_changed())
            }
            Ok(()) = policies.changed() => estimates.all(),
            // The first tick is at once: for all that existed before this replica led.
            _ = resync.tick() => {
                let workloads = cluster.workloads.all();
                let of_workloads = workloads.iter().flat_map(|workload| estimates.after_change_of(workload));
                of_workloads.chain(estimates.all()).collect()
            }
        };
        for (key, lane) in wanted {
            requests.now(key, lane);
        }
    }
}
