//! The objects that workloads refer to: ConfigMaps, where an administrator lets them be read, runtimes, queues, claims.
//!
//! Unlike workloads they are kept themselves, since what they say depends on who refers to them; of a ConfigMap its
//! text, of another object its spec. So they are bounded: an object over a mebibyte, and what comes when they take
//! [`MAX_BYTES`] in all, is not kept, as if it were not there. Every namespace counts the changes that concern it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use serde_json::json;
use tokio::sync::watch;

use super::follow::Sink;
use crate::surroundings::{self, CONFIG_MAP, ConfigMaps, Document, Documents as Known, Opened};

/// The most that all documents take.
const MAX_BYTES: usize = 64 << 20;
/// The most that one takes: the apiserver takes little more.
const MAX_BYTES_OF_ONE: usize = 1 << 20;
/// Certificates that every namespace has, of which no training reads anything.
const EVERYWHERE: &[&str] = &["kube-root-ca.crt", "openshift-service-ca.crt", "istio-ca-root-cert"];

/// What an administrator lets be read beside workloads and nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// ConfigMaps.
    pub config_maps: bool,
    /// Kueue's queues and flavors.
    pub queues: bool,
    /// Claims of devices, and their templates.
    pub claims: bool,
}

impl Reads {
    /// Whether this kind may be read.
    pub fn open(self, document: &Document) -> bool {
        match document.opened {
            Opened::Always => true,
            Opened::ByConfigMaps => self.config_maps,
            Opened::ByQueues => self.queues,
            Opened::ByClaims => self.claims,
        }
    }
}

/// The documents.
#[derive(Debug)]
pub struct Documents {
    config_maps: ArcSwap<ConfigMaps>,
    others: ArcSwap<Known>,
    kept: Mutex<Kept>,
    versions: Mutex<Versions>,
    changed: watch::Sender<()>,
    reads: Reads,
}

impl Default for Documents {
    fn default() -> Self {
        Self {
            config_maps: ArcSwap::default(),
            others: ArcSwap::default(),
            kept: Mutex::default(),
            versions: Mutex::default(),
            changed: watch::Sender::new(()),
            reads: Reads::default(),
        }
    }
}

/// Kind, namespace and name.
type Id = (&'static str, String, String);

/// What the watches have told, from which what is read is made.
#[derive(Debug, Default)]
struct Kept {
    config_maps: ConfigMaps,
    others: Known,
    bytes: usize,
    bytes_of_one: BTreeMap<Id, usize>,
}

impl Kept {
    /// Whether so many bytes of an object may be kept; then they are counted.
    fn admit(&mut self, id: &Id, bytes: usize) -> bool {
        self.bytes -= self.bytes_of_one.remove(id).unwrap_or_default();
        let admitted = bytes <= MAX_BYTES_OF_ONE && self.bytes + bytes <= MAX_BYTES;
        if admitted {
            self.bytes += bytes;
            self.bytes_of_one.insert(id.clone(), bytes);
        }
        admitted
    }

    /// Keeps an object; none where it is as before, else whether there was room for it.
    fn keep(&mut self, document: &Document, id: &Id, object: &DynamicObject) -> Option<bool> {
        let (kind, namespace, name) = id;
        if document.kind == CONFIG_MAP {
            let data = ConfigMaps::data(&object.data);
            if self.config_maps.get(namespace, name) == Some(&data) {
                return None;
            }
            let admitted = self.admit(id, data.iter().map(|(key, text)| key.len() + text.len()).sum());
            if admitted {
                self.config_maps.add(namespace, name, data);
            } else {
                self.config_maps.remove(namespace, name);
            }
            return Some(admitted);
        }
        let object = json!({"metadata": {"labels": object.labels()}, "spec": object.data.get("spec")});
        if self.others.get(kind, namespace, name) == Some(&object) {
            return None;
        }
        let admitted = self.admit(id, object.to_string().len());
        if admitted {
            self.others.add(kind, namespace, name, Arc::new(object));
        } else {
            self.others.remove(kind, namespace, name);
        }
        Some(admitted)
    }

    fn forget(&mut self, id: &Id) {
        let (kind, namespace, name) = id;
        self.bytes -= self.bytes_of_one.remove(id).unwrap_or_default();
        if *kind == CONFIG_MAP {
            self.config_maps.remove(namespace, name);
        } else {
            self.others.remove(kind, namespace, name);
        }
    }
}

#[derive(Debug, Default)]
struct Versions {
    by_namespace: BTreeMap<String, u64>,
    /// Namespaces of which nobody has asked since they changed.
    pending: BTreeSet<String>,
}

impl Documents {
    /// None yet, of the kinds that may be read.
    pub fn of(reads: Reads) -> Self {
        Self { reads, ..Self::default() }
    }

    /// The kinds of which an absent one is not there, and not merely unknown.
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
        let versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |namespace| versions.by_namespace.get(namespace).copied().unwrap_or_default();
        of(namespace).wrapping_add(of(""))
    }

    /// Tells of changes.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// The namespaces that changes have concerned since this was last asked; the empty one stands for all.
    pub fn take_changed(&self) -> BTreeSet<String> {
        std::mem::take(&mut self.versions.lock().unwrap_or_else(PoisonError::into_inner).pending)
    }

    fn concerns(&self, namespace: &str) {
        let mut versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        *versions.by_namespace.entry(namespace.to_owned()).or_default() += 1;
        versions.pending.insert(namespace.to_owned());
    }

    /// Keeps an object, and says whether that changes anything.
    fn keep(&self, document: &Document, object: &DynamicObject) -> bool {
        let id = id(document, object);
        let kept = self.kept().keep(document, &id, object);
        let (_, namespace, name) = &id;
        if kept == Some(false) {
            tracing::warn!(
                kind = document.kind,
                namespace,
                name,
                "it is too large, or all are, and is not read"
            );
        }
        if kept.is_some() {
            self.concerns(namespace);
        }
        kept.is_some()
    }

    fn forget(&self, id: &Id) {
        self.kept().forget(id);
        self.concerns(&id.1);
    }

    /// Lets what was told be read, of one kind.
    fn publish(&self, document: &Document) {
        let kept = self.kept();
        if document.kind == CONFIG_MAP {
            self.config_maps.store(Arc::new(kept.config_maps.clone()));
        } else {
            self.others.store(Arc::new(kept.others.clone()));
        }
        drop(kept);
        self.changed.send_replace(());
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn id(document: &Document, object: &DynamicObject) -> Id {
    (document.kind, object.namespace().unwrap_or_default(), object.name_any())
}

/// Fills [`Documents`] from the watch of one kind, in one namespace or in all.
pub(super) struct DocumentSink {
    document: &'static Document,
    documents: Arc<Documents>,
    /// Those that this watch has put there.
    known: BTreeSet<Id>,
    /// Those of them that were seen since the list began.
    seen: BTreeSet<Id>,
    /// A list is published as a whole.
    listing: bool,
}

impl DocumentSink {
    pub(super) fn new(document: &'static Document, documents: Arc<Documents>) -> Self {
        Self { document, documents, known: BTreeSet::new(), seen: BTreeSet::new(), listing: true }
    }

    fn publish(&self) {
        if !self.listing {
            self.documents.publish(self.document);
        }
    }
}

impl Sink for DocumentSink {
    fn restarted(&mut self) {
        self.seen.clear();
        self.listing = true;
    }

    fn apply(&mut self, object: DynamicObject) {
        if EVERYWHERE.contains(&object.name_any().as_str()) {
            return;
        }
        let id = id(self.document, &object);
        let changed = self.documents.keep(self.document, &object);
        self.seen.insert(id.clone());
        self.known.insert(id);
        if changed {
            self.publish();
        }
    }

    fn delete(&mut self, object: DynamicObject) {
        let id = id(self.document, &object);
        if self.known.remove(&id) {
            self.documents.forget(&id);
            self.publish();
        }
    }

    fn listed(&mut self) {
        let gone: Vec<Id> = self.known.difference(&self.seen).cloned().collect();
        for id in gone {
            self.known.remove(&id);
            self.documents.forget(&id);
        }
        self.listing = false;
        self.publish();
    }
}

/// A watch that ends takes what it knew with it: its kind is no longer served.
impl Drop for DocumentSink {
    fn drop(&mut self) {
        for id in &self.known {
            self.documents.forget(id);
        }
        self.documents.publish(self.document);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::surroundings::DOCUMENTS;

    fn sink(kind: &str) -> (Arc<Documents>, DocumentSink) {
        let documents = Arc::new(Documents::default());
        let document = DOCUMENTS.iter().find(|document| document.kind == kind).unwrap();
        let mut sink = DocumentSink::new(document, documents.clone());
        sink.listed();
        (documents, sink)
    }

    fn config_map(name: &str, text: &str) -> DynamicObject {
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap",
                            "metadata": {"name": name, "namespace": "team"}, "data": {"a": text}});
        serde_json::from_value(object).unwrap()
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
        assert_eq!(documents.kept().bytes, 0);
    }

    #[test]
    fn what_is_too_large_is_as_if_it_were_not_there() {
        let (documents, mut sink) = sink("ConfigMap");
        sink.apply(config_map("a", "1"));
        sink.apply(config_map("a", &"x".repeat(MAX_BYTES_OF_ONE)));
        assert!(documents.config_maps().get("team", "a").is_none());
        let half = "x".repeat(MAX_BYTES_OF_ONE - 1);
        for number in 0..=MAX_BYTES / MAX_BYTES_OF_ONE {
            sink.apply(config_map(&format!("m{number}"), &half));
        }
        let last = format!("m{}", MAX_BYTES / MAX_BYTES_OF_ONE);
        assert!(documents.config_maps().get("team", "m0").is_some());
        assert!(documents.config_maps().get("team", &last).is_none());
    }

    #[test]
    fn a_runtime_of_the_cluster_concerns_every_namespace() {
        let (documents, mut sink) = sink("ClusterTrainingRuntime");
        let runtime = json!({"apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "ClusterTrainingRuntime",
                             "metadata": {"name": "torch"}, "spec": {"mlPolicy": {"numNodes": 2}}});
        sink.apply(serde_json::from_value(runtime).unwrap());
        let kept = documents.others();
        let kept = kept.get("ClusterTrainingRuntime", "", "torch").unwrap();
        assert_eq!(kept["spec"], json!({"mlPolicy": {"numNodes": 2}}));
        assert_eq!(documents.version("any"), 1);
    }
}
