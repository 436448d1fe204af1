//! The controller: an estimate for every workload that trains, and a judgement in every estimate's status.
//!
//! One replica leads and writes. What should exist is decided over plain data ([`desired`]), and a thin writer acts on
//! it ([`reconcile`]); a [`queue`] sees to it that what changes is looked at once, and what fails again. Nothing is
//! remembered between two runs but what the cluster holds, so that a restart changes nothing.

mod desired;
mod estimates;
mod leader;
mod metrics;
mod naming;
mod notices;
pub mod permissions;
mod progress;
mod queue;
mod reconcile;

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
use crate::cluster::{Cluster, Digest, Source, follow::Follow};
use estimates::{EstimateSink, Estimates};
use leader::Candidate;
use queue::{Key, Lane, Requests};
use reconcile::Reconciler;

/// Everything is looked at again after this time, whether anything was heard of it or not.
const RESYNC: Duration = Duration::from_mins(10);

/// Nodes come and go all the time in a large cluster; what depends on them is looked at again no more often.
const BETWEEN_NODES: Duration = Duration::from_secs(10);

/// Some write a ConfigMap every second; what depends on it is looked at again no more often.
const BETWEEN_DOCUMENTS: Duration = Duration::from_secs(5);

/// What an administrator decides.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The namespace of the lease.
    pub namespace: String,
    /// The lease's name.
    pub lease: String,
    /// For how long a leader that isn't heard of still leads.
    pub lease_seconds: u64,
    /// Who this replica is; random where it isn't given.
    pub identity: Option<String>,
    /// What is counted.
    pub metrics: Metrics,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            namespace: "weighbridge".into(),
            lease: "weighbridge".into(),
            lease_seconds: 15,
            identity: None,
            metrics: Metrics::default(),
        }
    }
}

/// Leads whenever it may, until it is told to stop. The caches are kept up to date by [`Cluster::run`].
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
        tracing::info!(lease = settings.lease, "this replica leads");
        settings.metrics.leads(&settings.lease, true);
        tokio::select! {
            _ = candidate.wait_for(false) => tracing::warn!("this replica no longer leads"),
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

/// Reconciles everything for ever; ends by being dropped.
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
    let reporter =
        Reporter { controller: "weighbridge.dev/controller".into(), instance: settings.identity.clone() };
    let reconciler = Reconciler {
        client: client.clone(),
        cluster: cluster.clone(),
        settings: settings.clone(),
        estimates,
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

/// Asks for what the caches say has changed, and from time to time for everything.
async fn listen(cluster: Arc<Cluster>, estimates: Arc<Estimates>, requests: Requests) {
    let mut workloads = cluster.workloads.changes();
    let mut nodes = cluster.nodes.changes();
    let mut policies = cluster.policies.changes();
    let mut documents = cluster.documents.changes();
    let mut read = Instant::now();
    let mut rested = Instant::now();
    let mut resync = tokio::time::interval(RESYNC);
    let of = |workload: &Digest| {
        let (namespace, uid) = (workload.namespace.clone(), workload.uid.clone());
        (Key::Workload { namespace, uid }, Lane::Workloads)
    };
    loop {
        let wanted = tokio::select! {
            Some(workload) = workloads.recv() => {
                let mut wanted = estimates.referring_to(&workload);
                wanted.push(of(&workload));
                wanted
            }
            Ok(()) = async { tokio::time::sleep_until(rested).await; nodes.changed().await } => {
                rested = Instant::now() + BETWEEN_NODES;
                estimates.going_by_nodes(&cluster.nodes.take_changed())
            }
            Ok(()) = async { tokio::time::sleep_until(read).await; documents.changed().await } => {
                read = Instant::now() + BETWEEN_DOCUMENTS;
                estimates.of_namespaces(&cluster.documents.take_changed())
            }
            Ok(()) = policies.changed() => estimates.all(),
            // The first tick is at once: what was there before this replica led.
            _ = resync.tick() => {
                let workloads = cluster.workloads.all();
                workloads.iter().map(|workload| of(workload)).chain(estimates.all()).collect()
            }
        };
        for (key, lane) in wanted {
            requests.now(key, lane);
        }
    }
}
