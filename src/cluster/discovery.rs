//! Asks the apiserver which kinds of workloads and documents it serves, and starts a watch for each.
//!
//! Level-triggered: discovery runs after every change of a `CustomResourceDefinition`, and at least once a minute. A
//! definition exists a moment before the apiserver serves it. So after a change, discovery runs again after one
//! second, two, four, and so on. If discovery fails, the watches stay as they are.

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Client;
use kube::api::{ApiResource, GroupVersionKind};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

use super::documents::DocumentSink;
use super::follow::{Follow, Sink};
use super::workloads::WorkloadSink;
use super::{Cluster, Object, Source};
use crate::kinds::{Kind, Kinds};
use crate::policy::Reads;
use crate::surroundings::{DOCUMENTS, Document};

const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_mins(1);

/// The kinds that are served, each with its version.
type Served = Vec<(Watched, &'static str)>;

/// A kind to watch.
#[derive(Clone, Copy)]
enum Watched {
    Workload(&'static Kind),
    Document(&'static Document),
}

impl Watched {
    fn all(kinds: &Kinds, reads: Reads) -> impl Iterator<Item = Self> {
        let documents = DOCUMENTS.iter().filter(move |document| reads.open(document));
        kinds.all().map(Self::Workload).chain(documents.map(Self::Document))
    }

    /// The name of its watch.
    const fn slug(self) -> &'static str {
        match self {
            Self::Workload(kind) => kind.slug,
            Self::Document(document) => document.plural,
        }
    }

    const fn group(self) -> &'static str {
        match self {
            Self::Workload(kind) => kind.group,
            Self::Document(document) => document.group,
        }
    }

    const fn versions(self) -> &'static [&'static str] {
        match self {
            Self::Workload(kind) => kind.versions,
            Self::Document(document) => document.versions,
        }
    }

    const fn plural(self) -> &'static str {
        match self {
            Self::Workload(kind) => kind.plural,
            Self::Document(document) => document.plural,
        }
    }

    fn resource(self, version: &str) -> ApiResource {
        match self {
            Self::Workload(kind) => resource(kind, version),
            Self::Document(document) => {
                let gvk = GroupVersionKind::gvk(document.group, version, document.kind);
                ApiResource::from_gvk_with_plural(&gvk, document.plural)
            }
        }
    }

    /// The namespaces to watch it in. `None` means all at once.
    fn scopes(self, cluster: &Cluster) -> Vec<Option<String>> {
        match self {
            Self::Document(document) if !document.namespaced => vec![None],
            _ => cluster.scopes(),
        }
    }
}

/// Follows discovery until it is dropped. Its watches end with it.
pub(super) async fn follow(cluster: Arc<Cluster>, client: Client) {
    let mut tasks = JoinSet::new();
    let mut watches: BTreeMap<(&str, &str), Vec<AbortHandle>> = BTreeMap::new();
    let mut changes = definitions(&mut tasks, &cluster, &client);
    let mut pause = SHORTEST;
    loop {
        watches.retain(|_, handles| !handles.iter().any(AbortHandle::is_finished));
        if let Some(served) = served(&client, cluster.kinds(), cluster.reads).await {
            let workloads = served.iter().filter_map(|(watched, _)| match watched {
                Watched::Workload(kind) => Some(kind.slug),
                Watched::Document(_) => None,
            });
            cluster.workloads.serve(workloads.collect());
            let wanted: BTreeSet<_> =
                served.iter().map(|(watched, version)| (watched.slug(), *version)).collect();
            watches.retain(|watch, handles| {
                let stays = wanted.contains(watch);
                if !stays {
                    tracing::info!(kind = watch.0, "the kind is no longer served: its watch ends");
                    handles.iter().for_each(AbortHandle::abort);
                }
                stays
            });
            for (watched, version) in served {
                watches.entry((watched.slug(), version)).or_insert_with(|| {
                    tracing::info!(kind = watched.slug(), version, "the kind is served: its watch begins");
                    start(&mut tasks, &cluster, &client, watched, version)
                });
            }
            if plurals(&client, "weighbridge.dev", "v1alpha1")
                .await
                .is_some_and(|own| own.contains("trainingestimates"))
            {
                cluster.readiness.defined();
            } else {
                tracing::warn!("trainingestimates.weighbridge.dev is not served: install the CRD");
            }
            cluster.readiness.discovered();
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST),
            Ok(()) = changes.changed() => pause = SHORTEST,
            Some(_) = tasks.join_next(), if !tasks.is_empty() => {}
        }
    }
}

/// Reports every change of a definition. Without the permission to watch definitions, the timer remains.
fn definitions(tasks: &mut JoinSet<()>, cluster: &Arc<Cluster>, client: &Client) -> watch::Receiver<()> {
    let (changed, changes) = watch::channel(());
    let resource = ApiResource::erase::<CustomResourceDefinition>(&());
    let source = Source::new(client.clone(), resource, None, cluster.room.clone()).metadata_only();
    let follow =
        Follow { source, resource: "customresourcedefinitions", cache: "customresourcedefinitions".into() };
    let cluster = cluster.clone();
    tasks.spawn(async move {
        follow.into(DefinitionSink { changed, listing: true }, &cluster.readiness, &cluster.metrics).await;
    });
    changes
}

/// Reports definitions that change after they were listed.
struct DefinitionSink {
    changed: watch::Sender<()>,
    listing: bool,
}

impl Sink for DefinitionSink {
    fn restarted(&mut self) {
        self.listing = true;
    }

    fn apply(&mut self, _definition: Object) {
        if !self.listing {
            self.changed.send_replace(());
        }
    }

    fn delete(&mut self, _definition: Object) {
        self.changed.send_replace(());
    }

    fn listed(&mut self) {
        self.listing = false;
        self.changed.send_replace(());
    }
}

/// The kinds that the apiserver serves, of those that we understand. `None` if the apiserver gives no clear answer.
async fn served(client: &Client, kinds: &Kinds, reads: Reads) -> Option<Served> {
    let mut resources: BTreeMap<(&str, &str), BTreeSet<String>> = BTreeMap::new();
    for watched in Watched::all(kinds, reads) {
        for version in watched.versions() {
            if let Entry::Vacant(unasked) = resources.entry((watched.group(), *version)) {
                unasked.insert(plurals(client, watched.group(), version).await?);
            }
        }
    }
    let version_of = |watched: Watched| {
        let served = |version: &&&str| {
            let plurals = resources.get(&(watched.group(), **version));
            plurals.is_some_and(|plurals| plurals.contains(watched.plural()))
        };
        watched.versions().iter().find(served).map(|version| (watched, *version))
    };
    Some(Watched::all(kinds, reads).filter_map(version_of).collect())
}

/// The first of these versions that serves a kind. None if the apiserver gives no clear answer.
pub async fn served_version(
    client: &Client,
    group: &str,
    versions: &[&'static str],
    plural: &str,
) -> Option<Option<&'static str>> {
    for version in versions {
        if plurals(client, group, version).await?.contains(plural) {
            return Some(Some(*version));
        }
    }
    Some(None)
}

async fn plurals(client: &Client, group: &str, version: &str) -> Option<BTreeSet<String>> {
    let list = if group.is_empty() {
        client.list_core_api_resources(version).await
    } else {
        client.list_api_group_resources(&format!("{group}/{version}")).await
    };
    match list {
        Ok(list) => Some(list.resources.into_iter().map(|resource| resource.name).collect()),
        Err(kube::Error::Api(status)) if status.code == 404 => Some(BTreeSet::new()),
        Err(error) => {
            tracing::warn!(group, version, %error, "discovery failed and is tried again");
            None
        }
    }
}

fn start(
    tasks: &mut JoinSet<()>,
    cluster: &Arc<Cluster>,
    client: &Client,
    watched: Watched,
    version: &'static str,
) -> Vec<AbortHandle> {
    let resource = watched.resource(version);
    let mut handles = Vec::new();
    for namespace in watched.scopes(cluster) {
        let room = cluster.room.clone();
        let source = Source::new(client.clone(), resource.clone(), namespace.clone(), room);
        let cache = format!("{}/{}", watched.slug(), namespace.as_deref().unwrap_or("*"));
        cluster.readiness.expect(&cache);
        let cluster = cluster.clone();
        let follow = Follow { source, resource: watched.plural(), cache };
        handles.push(tasks.spawn(async move {
            let (readiness, metrics) = (&cluster.readiness, &cluster.metrics);
            match watched {
                Watched::Workload(kind) => {
                    follow.into(WorkloadSink::new(&cluster, kind), readiness, metrics).await;
                }
                Watched::Document(document) => {
                    let sink = DocumentSink::new(document, namespace, cluster.documents.clone());
                    follow.into(sink, readiness, metrics).await;
                }
            }
        }));
    }
    handles
}

/// The kind as a resource of the apiserver.
pub fn resource(kind: &Kind, version: &str) -> ApiResource {
    let gvk = GroupVersionKind::gvk(kind.group, version, kind.kind);
    ApiResource::from_gvk_with_plural(&gvk, kind.plural)
}
