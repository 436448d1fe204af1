//! The objects around a workload, as plain data.
//!
//! In a cluster caches fill the surroundings; `check` fills them from the other documents of its stream. The core
//! never looks an object up by itself.
//!
//! In a stream, a document without a namespace counts as a neighbour of the others without one. So does a document of
//! the namespace `default`, for the others would be applied there.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::units::Bytes;

/// The objects around a workload.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// The cluster's nodes, with the fields that show their accelerators. There may be thousands, so they are never
    /// copied.
    pub nodes: Arc<[Arc<Node>]>,
    /// Workloads that a `TrainingEstimate` may refer to by `workloadRef`.
    pub workloads: Vec<Value>,
    /// `ConfigMaps` whose keys may be files or variables of containers.
    pub config_maps: Arc<ConfigMaps>,
    /// Other objects that workloads refer to.
    pub documents: Arc<Documents>,
    /// Files that the caller gives, by their paths in the containers.
    pub files: Arc<Keys>,
    /// The kinds of documents that are read at all.
    pub reads: Reads,
    /// The nodes that a queue has assigned to the workload.
    pub assigned: Arc<Assigned>,
}

/// The kinds of documents that are read. If such a document is missing, it does not exist yet. Documents of other
/// kinds are unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// ConfigMaps.
    pub config_maps: bool,
    /// Claims of devices and their templates, and claims of volumes.
    pub claims: bool,
}

impl Surroundings {
    /// The surroundings without workloads. Only workloads would be copied.
    pub(crate) fn shared(&self) -> Self {
        Self {
            nodes: self.nodes.clone(),
            workloads: Vec::new(),
            config_maps: self.config_maps.clone(),
            documents: self.documents.clone(),
            files: self.files.clone(),
            reads: self.reads,
            assigned: self.assigned.clone(),
        }
    }

    /// The surroundings without the objects that a workload refers to, as if none were read. Queues stay, because they
    /// serve all namespaces.
    pub(crate) fn without_others(&self) -> Self {
        Self {
            nodes: self.nodes.clone(),
            workloads: self.workloads.clone(),
            config_maps: Arc::default(),
            documents: Arc::new(self.documents.of_kinds(&["LocalQueue", "ClusterQueue", "ResourceFlavor"])),
            files: self.files.clone(),
            reads: Reads::default(),
            assigned: self.assigned.clone(),
        }
    }
}

/// What a queue has assigned to a workload, by the name of each set of pods: the labels of their nodes, and their number if it
/// starts fewer than the workload asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assigned {
    sets: BTreeMap<String, BTreeMap<String, String>>,
    fewer: BTreeMap<String, u64>,
}

impl Assigned {
    /// Adds a set of pods, with the labels of its nodes.
    pub fn add(&mut self, set: &str, labels: BTreeMap<String, String>) {
        self.sets.insert(set.to_ascii_lowercase(), labels);
    }

    /// Notes that fewer pods of a set start.
    pub fn start_fewer(&mut self, set: &str, pods: u64) {
        self.fewer.insert(set.to_ascii_lowercase(), pods);
    }

    /// The number of pods in a group, if it is less than the workload asks for.
    pub fn fewer_pods(&self, role: &str) -> Option<u64> {
        let only = || self.fewer.values().next().filter(|_| self.sets.len() == 1);
        self.fewer.get(&role.to_ascii_lowercase()).or_else(only).copied()
    }

    /// Whether no label is known.
    pub fn is_empty(&self) -> bool {
        self.sets.values().all(BTreeMap::is_empty)
    }

    /// The labels for a group of pods. A queue names a set as the kind names the group, in small letters. A group of
    /// another name has the labels that are the same for all sets.
    pub fn labels(&self, role: &str) -> Option<&BTreeMap<String, String>> {
        self.sets.get(&role.to_ascii_lowercase()).or_else(|| {
            let mut all = self.sets.values();
            let first = all.next()?;
            all.all(|labels| labels == first).then_some(first)
        })
    }
}

/// Kinds of objects that workloads refer to.
pub const DOCUMENTS: &[Document] = &[
    Document::new("", &["v1"], CONFIG_MAP, "configmaps", true, Opened::ByConfigMaps),
    Document::new(
        "trainer.kubeflow.org",
        &["v1alpha1"],
        "ClusterTrainingRuntime",
        "clustertrainingruntimes",
        false,
        Opened::Always,
    ),
    Document::new(
        "trainer.kubeflow.org",
        &["v1alpha1"],
        "TrainingRuntime",
        "trainingruntimes",
        true,
        Opened::Always,
    ),
    Document::new(KUEUE, KUEUE_VERSIONS, "LocalQueue", "localqueues", true, Opened::ByQueues),
    Document::new(KUEUE, KUEUE_VERSIONS, "ClusterQueue", "clusterqueues", false, Opened::ByQueues),
    Document::new(KUEUE, KUEUE_VERSIONS, "ResourceFlavor", "resourceflavors", false, Opened::ByQueues),
    Document::new(
        DRA,
        DRA_VERSIONS,
        "ResourceClaimTemplate",
        "resourceclaimtemplates",
        true,
        Opened::ByClaims,
    ),
    Document::new(DRA, DRA_VERSIONS, "ResourceClaim", "resourceclaims", true, Opened::ByClaims),
    Document::new("", &["v1"], VOLUME_CLAIM, "persistentvolumeclaims", true, Opened::ByClaims),
];

/// The group of an `apiVersion`. Kubeflow's Trainer had another group before its first release.
pub(crate) fn group(api_version: &str) -> &str {
    match api_version {
        "kubeflow.org/v2alpha1" => "trainer.kubeflow.org",
        _ => api_version.split_once('/').map_or("", |(group, _)| group),
    }
}

/// The kind whose keys are files and variables.
pub const CONFIG_MAP: &str = "ConfigMap";
/// The kind whose size bounds what a volume holds.
pub const VOLUME_CLAIM: &str = "PersistentVolumeClaim";
/// Kueue's API group.
pub const KUEUE: &str = "kueue.x-k8s.io";
/// The versions of Kueue's API whose fields are read.
pub const KUEUE_VERSIONS: &[&str] = &["v1beta2", "v1beta1"];
const DRA: &str = "resource.k8s.io";
const DRA_VERSIONS: &[&str] = &["v1", "v1beta2", "v1beta1"];

/// A kind of object that is only read.
#[derive(Clone, Copy, Debug)]
pub struct Document {
    /// Its API group.
    pub group: &'static str,
    /// The versions to ask the apiserver for, the preferred one first.
    pub versions: &'static [&'static str],
    /// Its kind.
    pub kind: &'static str,
    /// Its resource.
    pub plural: &'static str,
    /// Whether its objects have a namespace.
    pub namespaced: bool,
    /// The condition for reading it in a cluster.
    pub opened: Opened,
}

/// The condition for reading a kind of document in a cluster. In a stream every kind is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// Its kind is installed.
    Always,
    /// `--read-config-maps`.
    ByConfigMaps,
    /// `--read-queues`.
    ByQueues,
    /// `--read-claims`.
    ByClaims,
}

impl Document {
    const fn new(
        group: &'static str,
        versions: &'static [&'static str],
        kind: &'static str,
        plural: &'static str,
        namespaced: bool,
        opened: Opened,
    ) -> Self {
        Self { group, versions, kind, plural, namespaced, opened }
    }

    /// The document kind of an object, in any version.
    pub fn of(object: &Value) -> Option<&'static Self> {
        let api_version = object.get("apiVersion")?.as_str()?;
        let group = group(api_version);
        let kind = object.get("kind")?.as_str()?;
        DOCUMENTS.iter().find(|document| document.group == group && document.kind == kind)
    }
}

/// Documents by kind, namespace and name. The namespace is empty for those without one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Documents {
    objects: BTreeMap<(String, String, String), Arc<Value>>,
}

impl Documents {
    /// Adds an object.
    pub fn add(&mut self, kind: &str, namespace: &str, name: &str, object: Arc<Value>) {
        self.objects.insert((kind.to_owned(), namespace.to_owned(), name.to_owned()), object);
    }

    /// Removes an object.
    pub fn remove(&mut self, kind: &str, namespace: &str, name: &str) {
        self.objects.remove(&(kind.to_owned(), namespace.to_owned(), name.to_owned()));
    }

    /// The objects of these kinds.
    fn of_kinds(&self, kinds: &[&str]) -> Self {
        let of_kind = |kind: &&str| {
            let first = ((*kind).to_owned(), String::new(), String::new());
            let objects = self.objects.range(first..).take_while(|((known, ..), _)| known == kind);
            objects.map(|(id, object)| (id.clone(), object.clone())).collect::<Vec<_>>()
        };
        Self { objects: kinds.iter().flat_map(of_kind).collect() }
    }

    /// An object.
    pub fn get(&self, kind: &str, namespace: &str, name: &str) -> Option<&Value> {
        self.objects.get(&(kind.to_owned(), namespace.to_owned(), name.to_owned())).map(|object| &**object)
    }
}

/// A ConfigMap's keys and their texts.
pub type Keys = BTreeMap<String, Arc<str>>;

/// `ConfigMaps` by namespace and name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigMaps {
    maps: BTreeMap<(String, String), Arc<Keys>>,
}

impl ConfigMaps {
    /// Adds a `ConfigMap`'s data.
    pub fn add(&mut self, namespace: &str, name: &str, data: Keys) {
        self.maps.insert((namespace.to_owned(), name.to_owned()), Arc::new(data));
    }

    /// Removes a ConfigMap.
    pub fn remove(&mut self, namespace: &str, name: &str) {
        self.maps.remove(&(namespace.to_owned(), name.to_owned()));
    }

    /// A `ConfigMap`'s data. The namespace is empty if it is not given.
    pub fn get(&self, namespace: &str, name: &str) -> Option<&Keys> {
        self.maps.get(&(namespace.to_owned(), name.to_owned())).map(|data| &**data)
    }

    /// A `ConfigMap`'s data, shared.
    pub(crate) fn share(&self, namespace: &str, name: &str) -> Option<Arc<Keys>> {
        self.maps.get(&(namespace.to_owned(), name.to_owned())).cloned()
    }

    /// Adds a `ConfigMap`'s data that is shared with others.
    pub(crate) fn put(&mut self, namespace: &str, name: &str, data: Arc<Keys>) {
        self.maps.insert((namespace.to_owned(), name.to_owned()), data);
    }

    /// The texts of a ConfigMap object.
    pub fn data(object: &Value) -> Keys {
        let data = object.get("data").and_then(Value::as_object).into_iter().flatten();
        data.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.into()))).collect()
    }
}

/// The labels of a node, in the order of their keys.
///
/// Ten thousand nodes have half a million labels, most of them equal. So nodes can share a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels(Box<[(Arc<str>, Arc<str>)]>);

impl Labels {
    /// The value of a label.
    pub fn get(&self, key: &str) -> Option<&str> {
        let position = self.0.binary_search_by(|(known, _)| (**known).cmp(key)).ok()?;
        self.0.get(position).map(|(_, value)| &**value)
    }

    /// Keys and values, shared.
    pub fn shared(&self) -> impl Iterator<Item = (Arc<str>, Arc<str>)> {
        self.0.iter().cloned()
    }
}

impl FromIterator<(Arc<str>, Arc<str>)> for Labels {
    fn from_iter<I: IntoIterator<Item = (Arc<str>, Arc<str>)>>(labels: I) -> Self {
        let sorted: BTreeMap<_, _> = labels.into_iter().collect();
        Self(sorted.into_iter().collect())
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for Labels {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(labels: I) -> Self {
        labels.into_iter().map(|(key, value)| (Arc::from(key), Arc::from(value))).collect()
    }
}

/// A node, with the fields that show its accelerators.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// The node's name.
    pub name: String,
    /// Its labels.
    pub labels: Labels,
    /// Its allocatable extended resources: name and count.
    pub allocatable: BTreeMap<String, u64>,
    /// Its allocatable memory.
    pub memory: Option<Bytes>,
    /// Whether pods may be placed on it.
    pub schedulable: bool,
}

impl Node {
    /// A node from its name, its labels, and the rest of its object.
    pub fn of(name: String, labels: Labels, object: &Value) -> Self {
        let count = |value: &Value| value.as_u64().or_else(|| value.as_str()?.parse().ok());
        let allocatable = object.pointer("/status/allocatable").and_then(Value::as_object);
        Self {
            name,
            labels,
            // Extended resources have a domain in their name; cpu, memory and hugepages do not.
            allocatable: allocatable
                .into_iter()
                .flatten()
                .filter(|(name, _)| name.contains('/'))
                .filter_map(|(name, value)| Some((name.clone(), count(value)?)))
                .collect(),
            memory: allocatable
                .and_then(|allocatable| allocatable.get("memory")?.as_str())
                .and_then(|memory| Bytes::parse_quantity(memory).ok()),
            schedulable: object.pointer("/spec/unschedulable").and_then(Value::as_bool) != Some(true),
        }
    }
}
