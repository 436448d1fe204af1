//! What a process knows of the cluster: caches that watches keep up to date.
//!
//! Every replica has them. The webhook reads them while it answers, so nothing here waits for the network; the
//! controller is told of what changes. What is kept is small: of a workload its digest, of a node what tells its
//! accelerators; what workloads refer to is bounded.

mod children;
pub mod discovery;
mod documents;
pub mod follow;
mod likeness;
mod metrics;
mod namespaces;
mod nodes;
mod patience;
mod readiness;
mod workloads;

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Namespace, Node};
use kube::api::{ApiResource, DynamicObject};
use kube::core::PartialObjectMeta;
use kube::{Api, Client};
use tokio_util::sync::CancellationToken;

pub use children::{Claim, Standing};
pub use documents::{Documents, Reads};
pub use likeness::Likeness;
pub use metrics::Metrics;
pub use namespaces::{MODE_LABEL, Namespaces};
pub use nodes::Nodes;
pub use patience::Patience;
pub use readiness::Readiness;
pub use workloads::{Digest, Workloads, judged_owner};

use crate::config::policy::Policies;
use crate::surroundings::Surroundings;

/// The caches of one process.
#[derive(Debug)]
pub struct Cluster {
    /// The namespaces.
    pub namespaces: Arc<Namespaces>,
    /// The nodes.
    pub nodes: Arc<Nodes>,
    /// What workloads refer to.
    pub documents: Arc<Documents>,
    /// The workloads.
    pub workloads: Arc<Workloads>,
    /// Whether the caches are filled.
    pub readiness: Readiness,
    /// What the caches count.
    pub metrics: Metrics,
    /// What an administrator has decided.
    pub policies: Arc<Policies>,
    watch_namespaces: Vec<String>,
    reads: Reads,
}

impl Cluster {
    /// Empty caches; restricted to these namespaces, where any are given.
    pub fn new(policies: Arc<Policies>, watch_namespaces: Vec<String>, reads: Reads) -> Arc<Self> {
        let readiness = Readiness::default();
        readiness.expect("nodes");
        readiness.expect("namespaces");
        Arc::new(Self {
            namespaces: Arc::default(),
            nodes: Arc::default(),
            documents: Arc::new(Documents::of(reads)),
            workloads: Arc::default(),
            readiness,
            metrics: Metrics::default(),
            policies,
            watch_namespaces,
            reads,
        })
    }

    /// Keeps the caches up to date until it is told to stop.
    pub async fn run(self: Arc<Self>, client: Client, shutdown: CancellationToken) {
        let node = ApiResource::erase::<Node>(&());
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &node);
        let follow_nodes = follow::Follow { api, resource: "nodes", cache: "nodes".into() };
        let node_sink = nodes::NodeSink::new(self.nodes.clone());
        let follow_namespaces = follow::Follow {
            api: Api::<PartialObjectMeta<Namespace>>::all(client.clone()),
            resource: "namespaces",
            cache: "namespaces".into(),
        };
        let namespace_sink = namespaces::NamespaceSink::new(self.namespaces.clone());
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = follow_nodes.into(node_sink, &self.readiness, &self.metrics) => {}
            () = follow_namespaces.into(namespace_sink, &self.readiness, &self.metrics) => {}
            () = discovery::follow(self.clone(), client) => {}
        }
    }

    /// What surrounds a workload; cheap.
    pub fn surroundings(&self) -> Arc<Surroundings> {
        surroundings(&self.nodes, &self.documents)
    }

    /// Whether the namespace is watched.
    pub fn watches(&self, namespace: &str) -> bool {
        self.watch_namespaces.is_empty() || self.watch_namespaces.iter().any(|n| n == namespace)
    }

    /// The namespaces to watch, or all of them at once.
    pub fn scopes(&self) -> Vec<Option<String>> {
        if self.watch_namespaces.is_empty() {
            vec![None]
        } else {
            self.watch_namespaces.iter().cloned().map(Some).collect()
        }
    }
}

/// What the caches together say of what surrounds a workload.
fn surroundings(nodes: &Nodes, documents: &Documents) -> Arc<Surroundings> {
    Arc::new(Surroundings {
        nodes: nodes.surroundings().nodes.clone(),
        config_maps: documents.config_maps(),
        documents: documents.others(),
        reads: documents.reads(),
        ..Surroundings::default()
    })
}
