//! The objects that workloads refer to: runtimes, and ConfigMaps, queues and claims if an administrator allows them.
//!
//! Unlike workloads, these objects are cached themselves, because their meaning depends on the workload that refers
//! to them: a ConfigMap with its text, any other object with its spec, a volume's claim with its capacity too. [`Shares`] bounds the memory. A document
//! without room counts as absent; it is remembered, and read again when there is room. Each namespace has a version,
//! which counts the changes of its documents.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

use super::follow::{Sink, Wanted};
use super::shares::{Id, NoRoom, Rank, Shares};
use super::{Metrics, Object};
use crate::kinds::config_maps::IN_EVERY_NAMESPACE;
use crate::policy::Reads;
use crate::surroundings::{
    self, CONFIG_MAP, ConfigMaps, DOCUMENTS, Document, Documents as Known, VOLUME_CLAIM,
};

/// How long to wait before a kind is listed again because there is room.
const BETWEEN_LISTS: Duration = Duration::from_mins(1);

/// The documents.
#[derive(Debug)]
pub struct Documents {
    config_maps: ArcSwap<ConfigMaps>,
    others: ArcSwap<Known>,
    kept: Mutex<Kept>,
    versions: Mutex<Versions>,
    changed: watch::Sender<()>,
    /// Notifies the watches that left-out documents may have room now.
    room: watch::Sender<()>,
    metrics: Metrics,
    reads: Reads,
}

impl Default for Documents {
    fn default() -> Self {
        Self::new(Reads::default(), Metrics::default())
    }
}

/// The documents as the watches report them. Readers get a copy when they are published.
#[derive(Debug, Default)]
struct Kept {
    config_maps: ConfigMaps,
    others: Known,
    shares: Shares,
}

impl Kept {
    /// Stores an object. `None` if it is unchanged, else the documents that were evicted for it.
    fn keep(&mut self, document: &Document, id: &Id, object: &Object) -> Option<Vec<Id>> {
        let value = object.value();
        if document.kind == CONFIG_MAP {
            let data = ConfigMaps::data(value);
            if self.config_maps.get(&id.namespace, &id.name) == Some(&data) {
                return None;
            }
            let bytes = data.iter().map(|(key, text)| key.len() + text.len() + BYTES_PER_KEY).sum();
            let evicted = self.shares.admit(id, Rank::ConfigMap, bytes);
            if evicted.is_ok() {
                self.config_maps.add(&id.namespace, &id.name, data);
            } else {
                self.remove_values(std::slice::from_ref(id));
            }
            return Some(self.evict(evicted));
        }
        let labels = value.pointer("/metadata/labels");
        let spec = value.get("spec");
        let object = match value.pointer("/status/capacity").filter(|_| document.kind == VOLUME_CLAIM) {
            Some(capacity) => {
                json!({"metadata": {"labels": labels}, "spec": spec, "status": {"capacity": capacity}})
            }
            None => json!({"metadata": {"labels": labels}, "spec": spec}),
        };
        if self.others.get(id.kind, &id.namespace, &id.name) == Some(&object) {
            return None;
        }
        let evicted = self.shares.admit(id, Rank::First, weight(&object));
        if evicted.is_ok() {
            self.others.add(id.kind, &id.namespace, &id.name, Arc::new(object));
        } else {
            self.remove_values(std::slice::from_ref(id));
        }
        Some(self.evict(evicted))
    }

    fn evict(&mut self, evicted: Result<Vec<Id>, NoRoom>) -> Vec<Id> {
        let evicted = evicted.unwrap_or_default();
        self.remove_values(&evicted);
        evicted
    }

    fn remove_values(&mut self, gone: &[Id]) {
        for id in gone {
            if id.kind == CONFIG_MAP {
                self.config_maps.remove(&id.namespace, &id.name);
            } else {
                self.others.remove(id.kind, &id.namespace, &id.name);
            }
        }
    }
}

/// The memory that a key of a ConfigMap takes besides its text, in bytes.
const BYTES_PER_KEY: usize = 96;

/// The approximate memory of a value, in bytes.
fn weight(value: &Value) -> usize {
    const BYTES_PER_FIELD: usize = 96;
    const BYTES_PER_VALUE: usize = 32;
    BYTES_PER_VALUE
        + match value {
            Value::String(text) => text.len(),
            Value::Array(items) => items.iter().map(weight).sum(),
            Value::Object(fields) => {
                BYTES_PER_FIELD
                    + fields
                        .iter()
                        .map(|(key, value)| key.len() + BYTES_PER_FIELD + weight(value))
                        .sum::<usize>()
            }
            _ => 0,
        }
}

#[derive(Debug, Default)]
struct Versions {
    by_namespace: BTreeMap<String, u64>,
    all: u64,
    /// Namespaces that changed since they were last asked for.
    pending: BTreeSet<String>,
}

impl Documents {
    /// Empty caches of the kinds that may be read.
    pub(super) fn new(reads: Reads, metrics: Metrics) -> Self {
        Self {
            config_maps: ArcSwap::default(),
            others: ArcSwap::default(),
            kept: Mutex::default(),
            versions: Mutex::default(),
            changed: watch::Sender::new(()),
            room: watch::Sender::new(()),
            metrics,
            reads,
        }
    }

    /// The kinds that are read. An object of these kinds that is not in the cache does not exist.
    pub fn reads(&self) -> surroundings::Reads {
        surroundings::Reads { config_maps: self.reads.config_maps, claims: self.reads.claims }
    }

    /// The ConfigMaps. A cheap copy of a pointer.
    pub fn config_maps(&self) -> Arc<ConfigMaps> {
        self.config_maps.load_full()
    }

    /// The other documents. A cheap copy of a pointer.
    pub fn others(&self) -> Arc<Known> {
        self.others.load_full()
    }

    /// The number of changes that concern a namespace.
    pub fn version(&self, namespace: &str) -> u64 {
        let versions = self.versions();
        let changes = |namespace| versions.by_namespace.get(namespace).copied().unwrap_or_default();
        changes(namespace).wrapping_add(changes(""))
    }

    /// The number of all changes.
    pub fn version_of_all(&self) -> u64 {
        self.versions().all
    }

    /// Notifies of changes.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// The namespaces that have changed since the last call. The empty name stands for all.
    pub fn take_changed(&self) -> BTreeSet<String> {
        std::mem::take(&mut self.versions().pending)
    }

    fn versions(&self) -> MutexGuard<'_, Versions> {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn mark_changed(&self, namespace: &str) {
        let mut versions = self.versions();
        *versions.by_namespace.entry(namespace.to_owned()).or_default() += 1;
        versions.all += 1;
        versions.pending.insert(namespace.to_owned());
    }

    /// Stores an object. Returns which kinds have changed.
    fn keep(&self, document: &Document, id: &Id, object: &Object) -> Changed {
        let mut kept = self.kept();
        let before = kept.shares.left_out(id);
        let evicted = kept.keep(document, id, object);
        let first = kept.shares.left_out(id) && !before;
        self.count(&kept, document);
        let has_room = kept.shares.has_room();
        drop(kept);
        if first {
            let (kind, namespace, name) = (id.kind, &id.namespace, &id.name);
            tracing::warn!(
                kind,
                namespace,
                name,
                "the document is too large, or its namespace has too many, and it is not read"
            );
        }
        let Some(evicted) = evicted else { return Changed::default() };
        self.mark_changed(&id.namespace);
        for other in &evicted {
            self.mark_changed(&other.namespace);
        }
        if has_room {
            self.room.send_replace(());
        }
        let is = |config_map: bool| move |id: &Id| (id.kind == CONFIG_MAP) == config_map;
        Changed {
            config_maps: is(true)(id) || evicted.iter().any(is(true)),
            others: is(false)(id) || evicted.iter().any(is(false)),
        }
    }

    fn forget(&self, document: &Document, id: &Id) {
        let mut kept = self.kept();
        kept.shares.remove(id);
        kept.remove_values(std::slice::from_ref(id));
        self.count(&kept, document);
        let has_room = kept.shares.has_room();
        drop(kept);
        self.mark_changed(&id.namespace);
        if has_room {
            self.room.send_replace(());
        }
    }

    fn count(&self, kept: &Kept, document: &Document) {
        self.metrics.documents_left_out(document.plural, kept.shares.number_left_out(document.kind));
        if document.kind != CONFIG_MAP
            && let Some(config_maps) = DOCUMENTS.iter().find(|document| document.kind == CONFIG_MAP)
        {
            self.metrics.documents_left_out(config_maps.plural, kept.shares.number_left_out(CONFIG_MAP));
        }
    }

    /// Publishes the stored documents to the readers.
    fn publish(&self, changed: Changed) {
        let kept = self.kept();
        if changed.config_maps {
            self.config_maps.store(Arc::new(kept.config_maps.clone()));
        }
        if changed.others {
            self.others.store(Arc::new(kept.others.clone()));
        }
        drop(kept);
        self.changed.send_replace(());
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which documents have changed.
#[derive(Clone, Copy, Default)]
struct Changed {
    config_maps: bool,
    others: bool,
}

impl Changed {
    fn of(document: &Document) -> Self {
        let config_maps = document.kind == CONFIG_MAP;
        Self { config_maps, others: !config_maps }
    }

    fn add(&mut self, other: Self) {
        self.config_maps |= other.config_maps;
        self.others |= other.others;
    }

    fn is_none(self) -> bool {
        !self.config_maps && !self.others
    }
}

fn id(document: &Document, object: &Object) -> Id {
    Id {
        kind: document.kind,
        namespace: object.namespace().unwrap_or_default().to_owned(),
        name: object.name().unwrap_or_default().to_owned(),
    }
}

/// Fills [`Documents`] from the watch of one kind, in one namespace or in all.
pub(super) struct DocumentSink {
    document: &'static Document,
    namespace: Option<String>,
    documents: Arc<Documents>,
    /// The documents that this watch has reported, each with the number of the latest list that contained it.
    known: BTreeMap<Id, u64>,
    list: u64,
    /// Whether a list is in progress. A list is published as a whole.
    listing: bool,
    changed: Changed,
    listed_again: Option<Instant>,
}

impl DocumentSink {
    pub(super) fn new(
        document: &'static Document,
        namespace: Option<String>,
        documents: Arc<Documents>,
    ) -> Self {
        let changed = Changed::of(document);
        let known = BTreeMap::new();
        Self { document, namespace, documents, known, list: 0, listing: true, changed, listed_again: None }
    }

    fn publish(&mut self) {
        if !self.listing && !self.changed.is_none() {
            self.documents.publish(std::mem::take(&mut self.changed));
        }
    }

    fn forget(&mut self, id: &Id) {
        if self.known.remove(id).is_some() {
            self.documents.forget(self.document, id);
            self.changed.add(Changed::of(self.document));
        }
    }
}

impl Sink for DocumentSink {
    fn restarted(&mut self) {
        self.list += 1;
        self.listing = true;
    }

    fn apply(&mut self, object: Object) {
        if object.name().is_some_and(|name| IN_EVERY_NAMESPACE.contains(&name)) {
            return;
        }
        let id = id(self.document, &object);
        self.changed.add(self.documents.keep(self.document, &id, &object));
        self.known.insert(id, self.list);
        self.publish();
    }

    fn delete(&mut self, object: Object) {
        self.forget(&id(self.document, &object));
        self.publish();
    }

    fn listed(&mut self) {
        let gone: Vec<Id> =
            self.known.iter().filter(|(_, list)| **list != self.list).map(|(id, _)| id.clone()).collect();
        for id in gone {
            self.forget(&id);
        }
        self.listing = false;
        // Readers that wait for the first list are notified of an empty list too.
        self.changed.add(Changed::of(self.document));
        self.publish();
    }

    fn wakes(&self) -> Option<watch::Receiver<()>> {
        Some(self.documents.room.subscribe())
    }

    fn wanted(&mut self) -> Wanted {
        let mut kept = self.documents.kept();
        if let Some(id) = kept.shares.next_with_room(self.document.kind, self.namespace.as_deref()) {
            return Wanted::Object(id.namespace, id.name);
        }
        if !kept.shares.has_overflowed(self.document.kind) {
            return Wanted::Nothing;
        }
        let now = Instant::now();
        match self.listed_again.map(|last| last + BETWEEN_LISTS) {
            Some(earliest) if earliest > now => Wanted::Later(earliest),
            _ => {
                self.listed_again = Some(now);
                kept.shares.clear_overflow(self.document.kind);
                Wanted::Everything
            }
        }
    }

    fn missing(&mut self, namespace: &str, name: &str) {
        self.forget(&Id { kind: self.document.kind, namespace: namespace.into(), name: name.into() });
        self.publish();
    }
}

/// A watch that ends removes its documents: their kind is no longer served.
impl Drop for DocumentSink {
    fn drop(&mut self) {
        for id in self.known.keys() {
            self.documents.forget(self.document, id);
        }
        self.documents.publish(Changed::of(self.document));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::shares::{MAX_BYTES, MAX_BYTES_OF_ONE};

    fn sink(kind: &str) -> (Arc<Documents>, DocumentSink) {
        let documents = Arc::new(Documents::default());
        let document = DOCUMENTS.iter().find(|document| document.kind == kind).unwrap();
        let mut sink = DocumentSink::new(document, None, documents.clone());
        sink.listed();
        (documents, sink)
    }

    fn config_map(name: &str, text: &str) -> Object {
        config_map_in("team", name, text)
    }

    fn config_map_in(namespace: &str, name: &str, text: &str) -> Object {
        json!({"apiVersion": "v1", "kind": "ConfigMap",
               "metadata": {"name": name, "namespace": namespace}, "data": {"a": text}})
        .into()
    }

    #[test]
    fn a_change_concerns_only_its_namespace() {
        let (documents, mut sink) = sink("ConfigMap");
        sink.apply(config_map("train", "1"));
        assert_eq!(documents.take_changed().into_iter().collect::<Vec<_>>(), ["team"]);
        let before = (documents.version("team"), documents.version("other"));
        sink.apply(config_map("train", "1"));
        sink.apply(config_map("kube-root-ca.crt", "1"));
        assert!(documents.take_changed().is_empty());
        assert_eq!((documents.version("team"), documents.version("other")), before);
        sink.apply(config_map("train", "2"));
        assert_eq!(documents.config_maps().get("team", "train").unwrap()["a"].as_ref(), "2");
        assert!(documents.version("team") > before.0 && documents.version("other") == before.1);
    }

    #[test]
    fn deleted_and_unlisted_documents_are_removed_and_so_are_those_of_an_ended_watch() {
        let (documents, mut sink) = sink("ConfigMap");
        for name in ["a", "b", "c"] {
            sink.apply(config_map(name, "1"));
        }
        sink.delete(config_map("a", ""));
        sink.restarted();
        sink.apply(config_map("c", "1"));
        sink.listed();
        let is_cached = |name: &str| documents.config_maps().get("team", name).is_some();
        assert_eq!(["a", "b", "c"].map(is_cached), [false, false, true]);
        drop(sink);
        assert!(!is_cached("c"));
        assert_eq!(documents.kept().shares.bytes(), 0);
    }

    #[test]
    fn a_document_that_is_too_large_counts_as_absent() {
        let (documents, mut sink) = sink("ConfigMap");
        sink.apply(config_map("a", "1"));
        sink.apply(config_map("a", &"x".repeat(MAX_BYTES_OF_ONE + 1)));
        assert!(documents.config_maps().get("team", "a").is_none());
        assert_eq!(sink.wanted(), Wanted::Nothing, "it never has room");
    }

    #[test]
    fn a_namespace_that_fills_the_memory_makes_room_for_another_and_gets_it_back() {
        let (documents, mut sink) = sink("ConfigMap");
        let large = "x".repeat(MAX_BYTES_OF_ONE - 1_000);
        let all = MAX_BYTES / MAX_BYTES_OF_ONE + 4;
        for number in 0..all {
            sink.apply(config_map_in("alice", &format!("m{number:03}"), &large));
        }
        let is_cached = |namespace: &str, name: &str| documents.config_maps().get(namespace, name).is_some();
        let cached_of_alice =
            || (0..all).filter(|number| is_cached("alice", &format!("m{number:03}"))).count();
        assert!(cached_of_alice() < all, "there is a limit");
        assert_eq!(sink.wanted(), Wanted::Nothing, "there is no room");
        let before = documents.version("alice");
        sink.apply(config_map_in("bob", "code", &large));
        assert!(is_cached("bob", "code") && documents.version("alice") > before, "her ConfigMap made room");

        let mut rooms = sink.wakes().unwrap();
        let gone = (0..all).map(|number| format!("m{number:03}")).filter(|name| is_cached("alice", name));
        for name in gone.take(6).collect::<Vec<_>>() {
            sink.delete(config_map_in("alice", &name, ""));
        }
        assert!(rooms.has_changed().unwrap());
        rooms.mark_unchanged();
        let mut read_again = Vec::new();
        while let Wanted::Object(namespace, name) = sink.wanted() {
            sink.apply(config_map_in(&namespace, &name, &large));
            assert!(is_cached(&namespace, &name), "there was room for {name}");
            read_again.push(name);
        }
        assert_eq!(read_again.len(), 5, "{read_again:?}");
        assert_eq!(cached_of_alice(), all - 6);
    }

    #[test]
    fn config_maps_make_room_for_a_runtime() {
        let (documents, mut sink) = sink("ConfigMap");
        for number in 0..=MAX_BYTES / MAX_BYTES_OF_ONE {
            sink.apply(config_map(&format!("m{number}"), &"x".repeat(MAX_BYTES_OF_ONE - 1_000)));
        }
        let document = DOCUMENTS.iter().find(|document| document.kind == "TrainingRuntime").unwrap();
        let mut runtimes = DocumentSink::new(document, None, documents.clone());
        runtimes.listed();
        let runtime =
            json!({"metadata": {"name": "own", "namespace": "team"}, "spec": {"a": "x".repeat(500_000)}});
        runtimes.apply(runtime.into());
        assert!(documents.others().get("TrainingRuntime", "team", "own").is_some());
        assert!(documents.kept().shares.bytes() <= MAX_BYTES);
    }

    #[test]
    fn a_cluster_runtime_concerns_every_namespace() {
        let (documents, mut sink) = sink("ClusterTrainingRuntime");
        let runtime = json!({"apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "ClusterTrainingRuntime",
                             "metadata": {"name": "torch"}, "spec": {"mlPolicy": {"numNodes": 2}}});
        sink.apply(runtime.into());
        let kept = documents.others();
        let kept = kept.get("ClusterTrainingRuntime", "", "torch").unwrap();
        assert_eq!(kept["spec"], json!({"mlPolicy": {"numNodes": 2}}));
        assert_eq!(documents.version("any"), 1);
    }
}
