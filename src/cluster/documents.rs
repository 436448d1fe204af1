//! The objects that workloads refer to: ConfigMaps, where an administrator lets them be read, runtimes, queues, claims.
//!
//! Unlike workloads they are kept themselves, since what they say depends on who refers to them: of a ConfigMap its
//! text, of another object its spec. [`Shares`] bounds what they take. What finds no room is as if it were not there; it
//! is remembered, and read again when there is room. Every namespace counts the changes that concern it.

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
use crate::policy::Reads;
use crate::surroundings::{self, CONFIG_MAP, ConfigMaps, DOCUMENTS, Document, Documents as Known};

/// After all of a kind was listed again because there was room.
const BETWEEN_LISTS: Duration = Duration::from_mins(1);
/// Certificates that every namespace has, of which no training reads anything.
pub(super) const EVERYWHERE: &[&str] =
    &["kube-root-ca.crt", "openshift-service-ca.crt", "istio-ca-root-cert"];

/// The documents.
#[derive(Debug)]
pub struct Documents {
    config_maps: ArcSwap<ConfigMaps>,
    others: ArcSwap<Known>,
    kept: Mutex<Kept>,
    versions: Mutex<Versions>,
    changed: watch::Sender<()>,
    /// Tells of room for what found none.
    room: watch::Sender<()>,
    metrics: Metrics,
    reads: Reads,
}

impl Default for Documents {
    fn default() -> Self {
        Self::new(Reads::default(), Metrics::default())
    }
}

/// What the watches have told, from which what is read is made.
#[derive(Debug, Default)]
struct Kept {
    config_maps: ConfigMaps,
    others: Known,
    shares: Shares,
}

impl Kept {
    /// Keeps an object; none where it is as before, else the objects whose place it has taken.
    fn keep(&mut self, document: &Document, id: &Id, object: &Object) -> Option<Vec<Id>> {
        let value = object.value();
        if document.kind == CONFIG_MAP {
            let data = ConfigMaps::data(value);
            if self.config_maps.get(&id.namespace, &id.name) == Some(&data) {
                return None;
            }
            let bytes = data.iter().map(|(key, text)| key.len() + text.len() + OF_A_KEY).sum();
            let displaced = self.shares.admit(id, Rank::ConfigMap, bytes);
            if displaced.is_ok() {
                self.config_maps.add(&id.namespace, &id.name, data);
            } else {
                self.take_away(std::slice::from_ref(id));
            }
            return Some(self.displace(displaced));
        }
        let labels = value.pointer("/metadata/labels");
        let object = json!({"metadata": {"labels": labels}, "spec": value.get("spec")});
        if self.others.get(id.kind, &id.namespace, &id.name) == Some(&object) {
            return None;
        }
        let displaced = self.shares.admit(id, Rank::First, weight(&object));
        if displaced.is_ok() {
            self.others.add(id.kind, &id.namespace, &id.name, Arc::new(object));
        } else {
            self.take_away(std::slice::from_ref(id));
        }
        Some(self.displace(displaced))
    }

    fn displace(&mut self, displaced: Result<Vec<Id>, NoRoom>) -> Vec<Id> {
        let displaced = displaced.unwrap_or_default();
        self.take_away(&displaced);
        displaced
    }

    /// What is taken away is not read any more.
    fn take_away(&mut self, gone: &[Id]) {
        for id in gone {
            if id.kind == CONFIG_MAP {
                self.config_maps.remove(&id.namespace, &id.name);
            } else {
                self.others.remove(id.kind, &id.namespace, &id.name);
            }
        }
    }
}

/// What a key of a ConfigMap takes besides its text.
const OF_A_KEY: usize = 96;

/// About the memory that a value takes, in bytes.
fn weight(value: &Value) -> usize {
    const OF_A_FIELD: usize = 96;
    const OF_A_VALUE: usize = 32;
    OF_A_VALUE
        + match value {
            Value::String(text) => text.len(),
            Value::Array(items) => items.iter().map(weight).sum(),
            Value::Object(fields) => {
                OF_A_FIELD
                    + fields.iter().map(|(key, value)| key.len() + OF_A_FIELD + weight(value)).sum::<usize>()
            }
            _ => 0,
        }
}

#[derive(Debug, Default)]
struct Versions {
    by_namespace: BTreeMap<String, u64>,
    all: u64,
    /// Namespaces of which nobody has asked since they changed.
    pending: BTreeSet<String>,
}

impl Documents {
    /// None yet, of the kinds that may be read.
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

    /// The kinds that are read. An object of these kinds that is absent is not there.
    pub fn reads(&self) -> surroundings::Reads {
        surroundings::Reads { config_maps: self.reads.config_maps, claims: self.reads.claims }
    }

    /// The ConfigMaps; cheap.
    pub fn config_maps(&self) -> Arc<ConfigMaps> {
        self.config_maps.load_full()
    }

    /// The others; cheap.
    pub fn others(&self) -> Arc<Known> {
        self.others.load_full()
    }

    /// Counts the changes that concern a namespace.
    pub fn version(&self, namespace: &str) -> u64 {
        let versions = self.versions();
        let of = |namespace| versions.by_namespace.get(namespace).copied().unwrap_or_default();
        of(namespace).wrapping_add(of(""))
    }

    /// Counts all changes.
    pub fn version_of_all(&self) -> u64 {
        self.versions().all
    }

    /// Tells of changes.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// The namespaces that changes have concerned since this was last asked; the empty one stands for all.
    pub fn take_changed(&self) -> BTreeSet<String> {
        std::mem::take(&mut self.versions().pending)
    }

    fn versions(&self) -> MutexGuard<'_, Versions> {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn concerns(&self, namespace: &str) {
        let mut versions = self.versions();
        *versions.by_namespace.entry(namespace.to_owned()).or_default() += 1;
        versions.all += 1;
        versions.pending.insert(namespace.to_owned());
    }

    /// Keeps an object; says which kinds have changed.
    fn keep(&self, document: &Document, id: &Id, object: &Object) -> Changed {
        let mut kept = self.kept();
        let before = kept.shares.left_out(id);
        let displaced = kept.keep(document, id, object);
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
                "it is too large, or its namespace has many, and is not read"
            );
        }
        let Some(displaced) = displaced else { return Changed::default() };
        self.concerns(&id.namespace);
        for other in &displaced {
            self.concerns(&other.namespace);
        }
        if has_room {
            self.room.send_replace(());
        }
        let is = |config_map: bool| move |id: &Id| (id.kind == CONFIG_MAP) == config_map;
        Changed {
            config_maps: is(true)(id) || displaced.iter().any(is(true)),
            others: is(false)(id) || displaced.iter().any(is(false)),
        }
    }

    fn forget(&self, document: &Document, id: &Id) {
        let mut kept = self.kept();
        kept.shares.remove(id);
        kept.take_away(std::slice::from_ref(id));
        self.count(&kept, document);
        let has_room = kept.shares.has_room();
        drop(kept);
        self.concerns(&id.namespace);
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

    /// Lets what was told be read.
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
    /// Those that this watch knows, in the latest list or in an earlier one.
    known: BTreeMap<Id, u64>,
    list: u64,
    /// A list is published as a whole.
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
        if object.name().is_some_and(|name| EVERYWHERE.contains(&name)) {
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
        // What waits for the list is told even of an empty one.
        self.changed.add(Changed::of(self.document));
        self.publish();
    }

    fn wakes(&self) -> Option<watch::Receiver<()>> {
        Some(self.documents.room.subscribe())
    }

    fn wanted(&mut self) -> Wanted {
        let mut kept = self.documents.kept();
        if let Some(id) = kept.shares.next_left_out(self.document.kind, self.namespace.as_deref()) {
            return Wanted::Object(id.namespace, id.name);
        }
        if !kept.shares.is_forgetful(self.document.kind) {
            return Wanted::Nothing;
        }
        let now = Instant::now();
        match self.listed_again.map(|last| last + BETWEEN_LISTS) {
            Some(earliest) if earliest > now => Wanted::Later(earliest),
            _ => {
                self.listed_again = Some(now);
                kept.shares.remember(self.document.kind);
                Wanted::Everything
            }
        }
    }

    fn missing(&mut self, namespace: &str, name: &str) {
        self.forget(&Id { kind: self.document.kind, namespace: namespace.into(), name: name.into() });
        self.publish();
    }
}

/// A watch that ends takes what it knew with it: its kind is no longer served.
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
        of_namespace("team", name, text)
    }

    fn of_namespace(namespace: &str, name: &str, text: &str) -> Object {
        json!({"apiVersion": "v1", "kind": "ConfigMap",
               "metadata": {"name": name, "namespace": namespace}, "data": {"a": text}})
        .into()
    }

    #[test]
    fn a_change_concerns_its_namespace_and_no_change_concerns_nobody() {
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
    fn what_is_gone_is_forgotten_and_what_a_watch_knew_goes_with_it() {
        let (documents, mut sink) = sink("ConfigMap");
        for name in ["a", "b", "c"] {
            sink.apply(config_map(name, "1"));
        }
        sink.delete(config_map("a", ""));
        sink.restarted();
        sink.apply(config_map("c", "1"));
        sink.listed();
        let there = |name: &str| documents.config_maps().get("team", name).is_some();
        assert_eq!(["a", "b", "c"].map(there), [false, false, true]);
        drop(sink);
        assert!(!there("c"));
        assert_eq!(documents.kept().shares.bytes(), 0);
    }

    #[test]
    fn what_is_too_large_is_as_if_it_were_not_there() {
        let (documents, mut sink) = sink("ConfigMap");
        sink.apply(config_map("a", "1"));
        sink.apply(config_map("a", &"x".repeat(MAX_BYTES_OF_ONE + 1)));
        assert!(documents.config_maps().get("team", "a").is_none());
        assert_eq!(sink.wanted(), Wanted::Nothing, "it would find no room at any time");
    }

    #[test]
    fn a_namespace_that_fills_everything_makes_room_for_another_and_gets_it_back() {
        let (documents, mut sink) = sink("ConfigMap");
        let large = "x".repeat(MAX_BYTES_OF_ONE - 1_000);
        let all = MAX_BYTES / MAX_BYTES_OF_ONE + 4;
        for number in 0..all {
            sink.apply(of_namespace("alice", &format!("m{number:03}"), &large));
        }
        let there = |namespace: &str, name: &str| documents.config_maps().get(namespace, name).is_some();
        let of_alice = || (0..all).filter(|number| there("alice", &format!("m{number:03}"))).count();
        assert!(of_alice() < all, "there is a limit");
        assert_eq!(sink.wanted(), Wanted::Nothing, "there is no room");
        let before = documents.version("alice");
        sink.apply(of_namespace("bob", "code", &large));
        assert!(there("bob", "code") && documents.version("alice") > before, "whose ConfigMap made room");

        let mut rooms = sink.wakes().unwrap();
        let gone = (0..all).map(|number| format!("m{number:03}")).filter(|name| there("alice", name));
        for name in gone.take(6).collect::<Vec<_>>() {
            sink.delete(of_namespace("alice", &name, ""));
        }
        assert!(rooms.has_changed().unwrap());
        rooms.mark_unchanged();
        let mut read_again = Vec::new();
        while let Wanted::Object(namespace, name) = sink.wanted() {
            sink.apply(of_namespace(&namespace, &name, &large));
            assert!(there(&namespace, &name), "there was room for {name}");
            read_again.push(name);
        }
        assert_eq!(read_again.len(), 5, "{read_again:?}");
        assert_eq!(of_alice(), all - 6);
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
    fn a_runtime_of_the_cluster_concerns_every_namespace() {
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
