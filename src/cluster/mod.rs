//! The caches of the cluster, which watches keep up to date.
//!
//! Every replica has them. The webhook reads them while it answers, so no read waits for the network. The controller
//! receives their changes. The caches are small: a digest of each workload, and the accelerators and labels of each
//! node. The size of the objects that workloads refer to is bounded.
//!
//! Objects come from outside. Each is read by itself, and its size is bounded ([`source`], [`object`]). An object
//! that cannot be read hides no other.

mod children;
pub mod discovery;
mod documents;
pub mod follow;
pub mod histories;
mod items;
mod likeness;
pub(crate) mod listing;
mod metrics;
mod namespaces;
mod nodes;
mod object;
mod pods;
mod readiness;
mod refers;
mod shares;
mod source;
mod turns;
mod workloads;

use std::sync::{Arc, Mutex};

use k8s_openapi::api::core::v1::{Namespace, Node};
use kube::Client;
use kube::api::ApiResource;
use tokio_util::sync::CancellationToken;

pub use children::{Claim, Standing};
pub use documents::Documents;
pub use histories::Histories;
pub use likeness::Likeness;
pub use metrics::Metrics;
pub use namespaces::Namespaces;
pub use nodes::{Changed, Nodes};
pub(crate) use object::Id;
pub use object::Object;
pub use pods::smallest;
pub use readiness::Readiness;
pub use refers::{Labels, Refers};
pub use source::{Error, Room, Source};
pub use turns::Turns;
pub use workloads::{Digest, Workloads, claimed_owner, rests_on_nodes};

use crate::api::history::TrainingHistory;
use crate::background::Background;
use crate::config::policy::Policies;
use crate::kinds::Kinds;
use crate::policy::Reads;
use crate::surroundings::Surroundings;

/// The caches of one process.
#[derive(Debug)]
pub struct Cluster {
    /// The namespaces.
    pub namespaces: Arc<Namespaces>,
    /// The nodes.
    pub nodes: Arc<Nodes>,
    /// The objects that workloads refer to.
    pub documents: Arc<Documents>,
    /// The workloads.
    pub workloads: Arc<Workloads>,
    /// What earlier runs taught.
    pub histories: Arc<Histories>,
    /// Whether the caches are filled.
    pub readiness: Readiness,
    /// The counters of the caches.
    pub metrics: Metrics,
    /// The administrator's policy.
    pub policies: Arc<Policies>,
    /// The permits for large objects.
    pub room: Room,
    /// The threads on which the controller judges.
    pub(crate) background: Background,
    judging: Arc<Mutex<()>>,
    watch_namespaces: Vec<String>,
    reads: Reads,
}

impl Cluster {
    /// Empty caches. An empty list of namespaces means all of them.
    pub fn new(policies: Arc<Policies>, watch_namespaces: Vec<String>, reads: Reads) -> Arc<Self> {
        let readiness = Readiness::default();
        let kinds = policies.current().kinds.clone();
        readiness.expect("nodes");
        readiness.expect("namespaces");
        let metrics = Metrics::default();
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Arc::new(Self {
            namespaces: Arc::default(),
            nodes: Arc::default(),
            documents: Arc::new(Documents::new(reads, metrics.clone())),
            workloads: Arc::new(Workloads::of(kinds)),
            histories: Arc::default(),
            readiness,
            metrics,
            policies,
            room: Room::default(),
            background: Background::new(processors),
            judging: Arc::default(),
            watch_namespaces,
            reads,
        })
    }

    /// Keeps the caches up to date until shutdown.
    pub async fn run(self: Arc<Self>, client: Client, shutdown: CancellationToken) {
        let source = |resource| Source::new(client.clone(), resource, None, self.room.clone());
        let (node, namespace) = (ApiResource::erase::<Node>(&()), ApiResource::erase::<Namespace>(&()));
        let follow_nodes = follow::Follow { source: source(node), resource: "nodes", cache: "nodes".into() };
        let node_sink = nodes::NodeSink::new(self.nodes.clone(), self.policies.clone());
        let follow_namespaces = follow::Follow {
            source: source(namespace).metadata_only(),
            resource: "namespaces",
            cache: "namespaces".into(),
        };
        let namespace_sink = namespaces::NamespaceSink::new(self.namespaces.clone());
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = follow_nodes.into(node_sink, &self.readiness, &self.metrics) => {}
            () = follow_namespaces.into(namespace_sink, &self.readiness, &self.metrics) => {}
            () = discovery::follow(self.clone(), client.clone()) => {}
            () = self.follow_histories(&client) => {}
        }
    }

    /// Follows the histories, if they are kept.
    async fn follow_histories(&self, client: &Client) {
        if !self.policies.current().history.is_kept() {
            return std::future::pending().await;
        }
        let follow = |namespace: Option<String>| {
            let cache = format!("histories/{}", namespace.as_deref().unwrap_or("*"));
            let resource = ApiResource::erase::<TrainingHistory>(&());
            let source = Source::new(client.clone(), resource, namespace, self.room.clone());
            let follow = follow::Follow { source, resource: "traininghistories", cache };
            follow.into(histories::HistorySink::new(self.histories.clone()), &self.readiness, &self.metrics)
        };
        futures::future::join_all(self.scopes().into_iter().map(follow)).await;
    }

    /// The kinds of workloads.
    pub fn kinds(&self) -> &Kinds {
        &self.workloads.kinds
    }

    /// The objects around a workload. A cheap copy of pointers.
    pub fn surroundings(&self) -> Arc<Surroundings> {
        surroundings(&self.nodes, &self.documents)
    }

    /// Whether the namespace is watched.
    pub fn watches(&self, namespace: &str) -> bool {
        self.watch_namespaces.is_empty() || self.watch_namespaces.iter().any(|n| n == namespace)
    }

    /// The namespaces to watch. `None` means all at once.
    pub fn scopes(&self) -> Vec<Option<String>> {
        if self.watch_namespaces.is_empty() {
            vec![None]
        } else {
            self.watch_namespaces.iter().cloned().map(Some).collect()
        }
    }
}

/// Reads the surroundings of a workload from the caches.
fn surroundings(nodes: &Nodes, documents: &Documents) -> Arc<Surroundings> {
    Arc::new(Surroundings {
        nodes: nodes.all(),
        config_maps: documents.config_maps(),
        documents: documents.others(),
        reads: documents.reads(),
        ..Surroundings::default()
    })
}
