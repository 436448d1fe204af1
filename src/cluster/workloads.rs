//! The workloads, each as a digest: who it is, whose child it is, and how it was judged.
//!
//! The objects themselves are not kept. An object is judged again when what was judged of it changed, or something around
//! it that it depends on: nodes, documents, the policy. A change of its status alone costs a hash. When a document comes
//! or changes later, the workloads of its namespace that refer to documents are read from the apiserver again, in turns
//! by namespace.
//!
//! An object that is too large to be read has a digest too, which replaces an older one: so its children are judged by
//! themselves, and do not wait for it. Nothing is like it. It is unknown where its kind exists for training, or where it was
//! taken for training before; elsewhere, only its children can say whether they train.
//!
//! One object is judged at a time, so that what a tenant stores leaves the other cores to the reviews. Where the objects of
//! a namespace are dear to judge, they too are put off and read again in turns, so that they hold up no other namespace.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::children::Standing;
use super::documents::Documents;
use super::follow::{Sink, Wanted};
use super::likeness::Likeness;
use super::metrics::Metrics;
use super::nodes::{Nodes, Version};
use super::refers::Refers;
use super::{Cluster, Object, Turns};
use crate::config::policy::Policies;
use crate::job::{Ask, Quoting, field, source};
use crate::judge::judge;
use crate::judgement::{Judgement, Verdict};
use crate::kinds::progress::{self, Progress};
use crate::kinds::{self, Kind, Purpose};
use crate::units::Bytes;

/// Some write a ConfigMap every second; workloads are read again no more often.
const BETWEEN_DOCUMENTS: Duration = Duration::from_secs(5);

/// A judgement that takes so long is dear.
const DEAR: Duration = Duration::from_millis(20);
/// What a namespace's dear judgements may take in a window of time, before its objects are put off.
const BUDGET: Duration = Duration::from_secs(2);
const WINDOW: Duration = Duration::from_secs(10);

/// What is remembered of a workload.
#[derive(Clone, Debug)]
pub struct Digest {
    /// The workload's uid.
    pub uid: String,
    /// Its kind.
    pub kind: &'static Kind,
    /// The version by which it was read.
    pub api_version: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Whether its owner counts, and not the object.
    pub child: bool,
    /// Whether its owner covers it.
    pub standing: Standing,
    /// What its pods run.
    pub likeness: Likeness,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// A hash of what was judged, and of the policy.
    pub judged: u64,
    /// The version of the documents by which it was judged, where it refers to any.
    pub documents: Option<u64>,
    /// The version of the nodes by which it was judged, where they decided.
    pub nodes: Option<Version>,
    /// When it began to run and when it ended, as its status says.
    pub progress: Progress,
    /// The decision.
    pub verdict: Verdict,
    /// What must fit, where that could be estimated.
    pub peak: Option<Bytes>,
}

#[cfg(test)]
impl Digest {
    /// The `PyTorchJob` `team/llama`, which fits.
    pub(crate) fn example(uid: &str) -> Self {
        Self {
            uid: uid.into(),
            kind: kinds::find("kubeflow.org", "PyTorchJob").unwrap(),
            api_version: "kubeflow.org/v1".into(),
            namespace: "team".into(),
            name: "llama".into(),
            child: false,
            standing: Standing::Own,
            likeness: Likeness::default(),
            deleting: false,
            judged: 0,
            documents: None,
            nodes: None,
            progress: Progress::default(),
            verdict: Verdict::Fits,
            peak: None,
        }
    }
}

/// The workloads of all watched kinds, by uid.
#[derive(Debug, Default)]
pub struct Workloads {
    digests: RwLock<BTreeMap<String, Arc<Digest>>>,
    subscribers: Mutex<Vec<mpsc::UnboundedSender<Arc<Digest>>>>,
    /// The slugs of the kinds that the cluster serves; none before that is known.
    pub(super) served: RwLock<Option<BTreeSet<&'static str>>>,
}

impl Workloads {
    /// The workload with this uid.
    pub fn get(&self, uid: &str) -> Option<Arc<Digest>> {
        self.read().get(uid).cloned()
    }

    /// Every workload, in the order of the uids.
    pub fn all(&self) -> Vec<Arc<Digest>> {
        self.read().values().cloned().collect()
    }

    /// Every workload that is new, changed or gone from now on; of one that is gone, the last digest.
    pub fn changes(&self) -> mpsc::UnboundedReceiver<Arc<Digest>> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
        receiver
    }

    /// Takes note that a child without an owner was judged by itself. What has changed meanwhile is left as it is.
    pub fn judged_by_itself(&self, child: &Digest, verdict: Verdict, peak: Option<Bytes>) {
        if self
            .get(&child.uid)
            .is_some_and(|now| now.judged == child.judged && now.standing == child.standing)
        {
            self.insert(Digest { child: false, standing: Standing::Own, verdict, peak, ..child.clone() });
        }
    }

    pub(crate) fn insert(&self, digest: Digest) {
        let digest = Arc::new(digest);
        self.write().insert(digest.uid.clone(), digest.clone());
        self.tell(&digest);
    }

    fn remove(&self, uid: &str) {
        let removed = self.write().remove(uid);
        if let Some(digest) = removed {
            self.tell(&digest);
        }
    }

    fn tell(&self, digest: &Arc<Digest>) {
        let mut subscribers = self.subscribers.lock().unwrap_or_else(PoisonError::into_inner);
        subscribers.retain(|subscriber| subscriber.send(digest.clone()).is_ok());
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<String, Arc<Digest>>> {
        self.digests.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, BTreeMap<String, Arc<Digest>>> {
        self.digests.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The controlling owner of an object of this kind, if the owner's kind is judged itself and makes such objects. Then
/// the owner counts, and not the object.
pub fn judged_owner<'a>(
    kind: &Kind,
    owners: &'a [OwnerReference],
) -> Option<(&'a OwnerReference, &'static Kind)> {
    let owner = owners.iter().find(|owner| owner.controller == Some(true))?;
    let group = owner.api_version.split_once('/').map_or("", |(group, _)| group);
    let owner_kind = kinds::find(group, &owner.kind)?;
    owner_kind.makes.contains(&(kind.group, kind.kind)).then_some((owner, owner_kind))
}

/// Whether a judgement would be another one on other nodes.
pub fn rests_on_nodes(judgement: &Judgement) -> bool {
    let accelerator = judgement.inputs.iter().find(|input| input.field == field::accelerator::KIND);
    judgement.verdict != Verdict::NotTraining
        && accelerator.is_none_or(|input| input.source.starts_with(source::NODES))
}

/// Fills [`Workloads`] from the watch of one kind, in one namespace or in all.
pub(super) struct WorkloadSink {
    kind: &'static Kind,
    workloads: Arc<Workloads>,
    nodes: Arc<Nodes>,
    documents: Arc<Documents>,
    policies: Arc<Policies>,
    metrics: Metrics,
    judging: Arc<Mutex<()>>,
    /// Counts the lists.
    list: u64,
    /// The uids that this watch has put there, and the latest list that had each.
    known: BTreeMap<String, u64>,
    /// What trains nothing and is not kept, by a hash of the uid.
    idle: BTreeMap<u64, Idle>,
    /// What is to be read again, by namespace and name.
    stale: Turns<String>,
    waiting: BTreeSet<(String, String)>,
    /// What is being read again.
    read_again: Option<(String, String)>,
    /// What dear judgements took in this window, by namespace.
    spent: BTreeMap<String, Duration>,
    window: Instant,
    /// The version of all documents when it was last looked for stale workloads.
    looked: u64,
    look_again: Instant,
}

/// What was found by judging.
#[derive(Clone, Copy)]
struct Judged {
    verdict: Verdict,
    peak: Option<Bytes>,
    rests_on_nodes: bool,
}

impl Judged {
    const NOT_TRAINING: Self = Self { verdict: Verdict::NotTraining, peak: None, rests_on_nodes: false };
}

/// What is known of an object that trains nothing.
struct Idle {
    /// A hash of what was judged.
    judged: u64,
    /// How it stood.
    standing: std::mem::Discriminant<Standing>,
    /// The latest list that had it.
    list: u64,
}

impl WorkloadSink {
    pub(super) fn new(cluster: &Cluster, kind: &'static Kind) -> Self {
        Self {
            kind,
            workloads: cluster.workloads.clone(),
            nodes: cluster.nodes.clone(),
            documents: cluster.documents.clone(),
            policies: cluster.policies.clone(),
            metrics: cluster.metrics.clone(),
            judging: cluster.judging.clone(),
            list: 0,
            known: BTreeMap::new(),
            idle: BTreeMap::new(),
            stale: Turns::default(),
            waiting: BTreeSet::new(),
            read_again: None,
            spent: BTreeMap::new(),
            window: Instant::now(),
            looked: 0,
            look_again: Instant::now(),
        }
    }

    fn forget(&mut self, uid: &str) {
        if self.known.remove(uid).is_some() {
            self.workloads.remove(uid);
        }
    }

    fn put_off(&mut self, namespace: &str, name: &str) {
        if self.waiting.insert((namespace.to_owned(), name.to_owned())) {
            self.stale.push(namespace, name.to_owned());
        }
    }

    /// Whether an object must wait for its namespace's turn.
    fn must_wait(&mut self, namespace: &str, name: &str) -> bool {
        if self.window.elapsed() > WINDOW {
            self.window = Instant::now();
            self.spent.clear();
        }
        let has_its_turn = self.read_again.take().is_some_and(|(n, o)| n == namespace && o == name);
        !has_its_turn && self.spent.get(namespace).is_some_and(|spent| *spent > BUDGET)
    }

    fn charge(&mut self, namespace: &str, took: Duration) {
        if took >= DEAR {
            *self.spent.entry(namespace.to_owned()).or_default() += took;
        }
    }

    /// The workloads that refer to documents, where these have changed since.
    fn look_for_stale(&mut self) {
        let known: Vec<_> = self.known.keys().filter_map(|uid| self.workloads.get(uid)).collect();
        for digest in known {
            let judged_by = digest.documents.filter(|_| !digest.deleting && !digest.child);
            if judged_by.is_some_and(|version| version != self.documents.version(&digest.namespace)) {
                self.put_off(&digest.namespace, &digest.name);
            }
        }
    }
}

impl Sink for WorkloadSink {
    fn restarted(&mut self) {
        self.list += 1;
    }

    fn apply(&mut self, mut object: Object) {
        // Lists leave the items' type out.
        let api_version = api_version(self.kind, object.value());
        if let Some(fields) = object.value_mut().as_object_mut() {
            fields.insert("apiVersion".into(), Value::from(api_version.clone()));
            fields.insert("kind".into(), Value::from(self.kind.kind));
        }
        let (Some(uid), Some(namespace), Some(name)) = (object.uid(), object.namespace(), object.name())
        else {
            return;
        };
        let judged = self.hash(object.value());
        let owners = object.owners();
        let before = self.workloads.get(uid);
        let unchanged = before.as_ref().filter(|before| before.judged == judged);
        let likeness = match unchanged {
            Some(before) => before.likeness.clone(),
            None => self.likeness(object.value(), &owners),
        };
        let standing = match self.workloads.standing(self.kind, namespace, &owners, || likeness.clone()) {
            // An owner that was found missing is still missing until a cache knows it.
            Standing::Waiting(_) if unchanged.is_some_and(|before| before.standing == Standing::Own) => {
                Standing::Own
            }
            standing => standing,
        };
        let as_now = Idle { judged, standing: std::mem::discriminant(&standing), list: self.list };
        let idle = hash(&uid);
        if let Some(before) = self.idle.get_mut(&idle)
            && (before.judged, before.standing) == (judged, as_now.standing)
        {
            before.list = self.list;
            return;
        }
        let refers = Refers::of(object.value());
        let documents = refers.documents.then(|| self.documents.version(namespace));
        let nodes = self.nodes.version(&refers.labels);
        let same = unchanged.filter(|before| {
            (&before.standing, before.documents) == (&standing, documents)
                && before.nodes.is_none_or(|version| version == nodes)
        });
        let covered = matches!(standing, Standing::Covered | Standing::Waiting(_));
        let (child, found) = match same {
            Some(same) => {
                let rests_on_nodes = same.nodes.is_some();
                (same.child, Judged { verdict: same.verdict, peak: same.peak, rests_on_nodes })
            }
            None if covered => (true, Judged::NOT_TRAINING),
            None => {
                if self.must_wait(namespace, name) {
                    self.put_off(namespace, name);
                    // What was known of it holds until then.
                    if let Some(list) = self.known.get_mut(uid) {
                        *list = self.list;
                    }
                    return;
                }
                let (found, took) = self.judge(object.value());
                self.charge(namespace, took);
                match (found, &standing) {
                    (None, _) => return,
                    // Operators make such children too. Only what would be refused is told of.
                    (Some(found), Standing::Differs { .. }) if found.verdict != Verdict::OutOfMemory => {
                        (true, Judged::NOT_TRAINING)
                    }
                    (Some(found), _) => (false, found),
                }
            }
        };
        let digest = Digest {
            uid: uid.to_owned(),
            kind: self.kind,
            api_version,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            child,
            standing,
            likeness,
            deleting: object.is_being_deleted(),
            judged,
            documents,
            nodes: found.rests_on_nodes.then_some(nodes),
            progress: progress::progress(self.kind, object.value()),
            verdict: found.verdict,
            peak: found.peak,
        };
        if !worth_keeping(&digest, &refers) {
            self.idle.insert(idle, as_now);
            self.forget(&digest.uid);
            return;
        }
        self.idle.remove(&idle);
        self.known.insert(digest.uid.clone(), self.list);
        let told = |digest: &Digest| {
            let Digest { judged, documents, nodes, deleting, verdict, peak, .. } = digest;
            let around = (digest.progress.clone(), digest.standing.clone());
            (*judged, *documents, *nodes, *deleting, *verdict, *peak, around)
        };
        if before.is_none_or(|before| told(&before) != told(&digest)) {
            self.workloads.insert(digest);
        }
    }

    fn too_large(&mut self, object: Object) {
        let (Some(uid), Some(namespace), Some(name)) = (object.uid(), object.namespace(), object.name())
        else {
            return;
        };
        if uid.is_empty() {
            return;
        }
        self.idle.remove(&hash(&uid));
        let before = self.workloads.get(uid);
        let trained = before.as_ref().is_some_and(|b| !b.child && b.verdict != Verdict::NotTraining);
        let verdict = if trained || self.kind.purpose == Purpose::Training {
            Verdict::Unknown
        } else {
            Verdict::NotTraining
        };
        if self.kind.makes.is_empty() && verdict == Verdict::NotTraining {
            self.forget(uid);
            return;
        }
        self.known.insert(uid.to_owned(), self.list);
        // Of no object that can be read: once it can be, it is judged anew.
        let judged = hash(&"too large to be read");
        if before.is_some_and(|before| (before.judged, before.verdict) == (judged, verdict)) {
            return;
        }
        self.workloads.insert(Digest {
            uid: uid.to_owned(),
            kind: self.kind,
            api_version: api_version(self.kind, object.value()),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            child: false,
            // Whether an owner covers it cannot be told.
            standing: Standing::Own,
            likeness: Likeness::unread(),
            deleting: false,
            judged,
            documents: None,
            nodes: None,
            progress: Progress::default(),
            verdict,
            peak: None,
        });
    }

    fn delete(&mut self, object: Object) {
        let uid = object.uid().unwrap_or_default();
        self.idle.remove(&hash(&uid));
        self.forget(uid);
    }

    fn listed(&mut self) {
        let gone: Vec<String> =
            self.known.iter().filter(|(_, list)| **list != self.list).map(|(uid, _)| uid.clone()).collect();
        for uid in gone {
            self.forget(&uid);
        }
        self.idle.retain(|_, idle| idle.list == self.list);
    }

    fn wakes(&self) -> Option<watch::Receiver<()>> {
        Some(self.documents.changes())
    }

    fn wanted(&mut self) -> Wanted {
        if self.stale.is_empty() {
            let version = self.documents.version_of_all();
            if version == self.looked {
                return Wanted::Nothing;
            }
            let now = Instant::now();
            if now < self.look_again {
                return Wanted::Later(self.look_again);
            }
            (self.looked, self.look_again) = (version, now + BETWEEN_DOCUMENTS);
            self.look_for_stale();
        }
        let Some((namespace, name)) = self.stale.take() else { return Wanted::Nothing };
        self.waiting.remove(&(namespace.clone(), name.clone()));
        self.read_again = Some((namespace.clone(), name.clone()));
        Wanted::Object(namespace, name)
    }

    fn waits(&self) -> bool {
        !self.stale.is_empty()
    }
}

/// A watch that ends takes what it knew with it: its kind is no longer served.
impl Drop for WorkloadSink {
    fn drop(&mut self) {
        for uid in self.known.keys() {
            self.workloads.remove(uid);
        }
    }
}

impl WorkloadSink {
    /// What its pods run; not looked for where nothing is held against it.
    fn likeness(&self, object: &Value, owners: &[OwnerReference]) -> Likeness {
        if self.kind.makes.is_empty() && judged_owner(self.kind, owners).is_none() {
            return Likeness::default();
        }
        let around = super::surroundings(&self.nodes, &self.documents);
        let likeness = || Likeness::of(self.kind, object, &around, &self.policies.current().catalogue);
        catch_unwind(AssertUnwindSafe(likeness)).unwrap_or_default()
    }

    /// What is found, and how long that took.
    fn judge(&self, object: &Value) -> (Option<Judged>, Duration) {
        let _turn = self.judging.lock().unwrap_or_else(PoisonError::into_inner);
        let started = Instant::now();
        let around = super::surroundings(&self.nodes, &self.documents);
        // Of the judgement nothing is kept but the verdict and the peak.
        let ask = Ask { advice: false, quoting: Quoting::Everything, ..Ask::default() };
        let policy = self.policies.current();
        let judged = catch_unwind(AssertUnwindSafe(|| {
            let judgement = judge(object, &around, &policy.catalogue, &policy.rules, &ask);
            Judged {
                verdict: judgement.verdict,
                peak: judgement.memory.as_ref().map(|memory| memory.peak_bytes),
                rests_on_nodes: rests_on_nodes(&judgement),
            }
        }));
        if judged.is_err() {
            self.metrics.unreadable(self.kind.plural);
            let name = object.pointer("/metadata/name").and_then(Value::as_str);
            let namespace = object.pointer("/metadata/namespace").and_then(Value::as_str);
            tracing::error!(kind = self.kind.kind, namespace, name, "judging failed; the object is left out");
        }
        (judged.ok(), started.elapsed())
    }

    fn hash(&self, object: &Value) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.policies.current().version.hash(&mut hasher);
        for pointer in ["/metadata/annotations", "/metadata/labels", "/metadata/ownerReferences", "/spec"] {
            object.pointer(pointer).map(Value::to_string).hash(&mut hasher);
        }
        hasher.finish()
    }
}

fn hash(value: &impl std::hash::Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// A pod that doesn't train has nothing to say: it has no child and no estimate. But one that asks for accelerators is kept
/// while its owner is not known, and while a document that comes later may be its script.
fn worth_keeping(digest: &Digest, refers: &Refers) -> bool {
    let waits = matches!(digest.standing, Standing::Waiting(_)) && digest.likeness.asks_for_accelerators();
    let may_train_later = digest.documents.is_some() && refers.accelerators;
    !digest.kind.makes.is_empty()
        || waits
        || (!digest.child && (digest.verdict != Verdict::NotTraining || may_train_later))
}

fn api_version(kind: &Kind, object: &Value) -> String {
    if let Some(api_version) = object.get("apiVersion").and_then(Value::as_str) {
        return api_version.to_owned();
    }
    let version = kind.versions.first().copied().unwrap_or("v1");
    if kind.group.is_empty() { version.to_owned() } else { format!("{}/{version}", kind.group) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::policy::{Policy, Reads};
    use crate::surroundings::DOCUMENTS;

    fn cluster() -> Arc<Cluster> {
        Cluster::new(Policies::new(Policy::default()), Vec::new(), Reads::default())
    }

    fn sink(cluster: &Cluster, group: &str, kind: &str) -> WorkloadSink {
        let mut sink = WorkloadSink::new(cluster, kinds::find(group, kind).unwrap());
        sink.restarted();
        sink.listed();
        sink
    }

    /// A job of one GPU whose script is a file of the ConfigMap `code`.
    fn job(namespace: &str, name: &str) -> Object {
        let template = json!({"spec": {
            "volumes": [{"name": "code", "configMap": {"name": "code"}}],
            "containers": [{
                "name": "main", "image": "a",
                "command": ["bash", "/code/run.sh"],
                "volumeMounts": [{"name": "code", "mountPath": "/code"}],
                "resources": {"limits": {"nvidia.com/gpu": "1"}},
            }],
        }});
        json!({"metadata": {"name": name, "namespace": namespace, "uid": format!("{namespace}/{name}")},
               "spec": {"template": template}})
        .into()
    }

    fn write_config_map(cluster: &Cluster, namespace: &str) {
        let document = DOCUMENTS.iter().find(|document| document.kind == "ConfigMap").unwrap();
        let mut sink = super::super::documents::DocumentSink::new(document, None, cluster.documents.clone());
        sink.listed();
        let script = "torchrun --nproc_per_node=1 pretrain_gpt.py --num-layers 80 --hidden-size 8192 \
                      --num-attention-heads 64 --seq-length 4096 --micro-batch-size 1 --bf16";
        let object =
            json!({"metadata": {"name": "code", "namespace": namespace}, "data": {"run.sh": script}});
        sink.apply(object.into());
        // Dropped, it would take what it knew with it.
        std::mem::forget(sink);
    }

    #[test]
    fn a_document_that_comes_later_brings_the_workloads_of_its_namespace_back() {
        let cluster = cluster();
        let mut sink = sink(&cluster, "batch", "Job");
        sink.apply(job("team", "a"));
        sink.apply(job("other", "b"));
        assert_eq!(sink.wanted(), Wanted::Nothing);
        let verdict = |uid: &str| cluster.workloads.get(uid).unwrap().verdict;
        let before = verdict("team/a");

        write_config_map(&cluster, "team");
        assert_eq!(sink.wanted(), Wanted::Object("team".into(), "a".into()));
        sink.apply(job("team", "a"));
        assert_ne!(verdict("team/a"), before);
        assert!(!matches!(sink.wanted(), Wanted::Object(..)));
    }

    #[test]
    fn a_pod_that_a_later_document_may_make_train_is_kept() {
        let cluster = cluster();
        let mut sink = sink(&cluster, "", "Pod");
        let of = |name: &str, change: &dyn Fn(&mut Value)| {
            let mut pod = job("team", name);
            let template = pod.value()["spec"]["template"]["spec"].clone();
            pod.value_mut()["spec"] = template;
            change(pod.value_mut());
            pod
        };
        sink.apply(of("may-train", &|_| {}));
        sink.apply(of("no-gpu", &|pod| pod["spec"]["containers"][0]["resources"] = json!({})));
        sink.apply(of("no-map", &|pod| pod["spec"]["volumes"] = json!([])));
        let kept: Vec<_> = cluster.workloads.all().iter().map(|digest| digest.name.clone()).collect();
        assert!(kept.contains(&"may-train".to_owned()) && !kept.contains(&"no-gpu".to_owned()), "{kept:?}");
    }

    /// The workload `team/huge`, with its identity alone.
    fn too_large() -> Object {
        json!({"metadata": {"name": "huge", "namespace": "team", "uid": "team/huge"}}).into()
    }

    /// How a pod of the workload `team/huge` stands.
    fn standing_of_a_pod(cluster: &Cluster, api_version: &str, kind: &str) -> Standing {
        let owner = json!([{"apiVersion": api_version, "kind": kind, "name": "huge", "uid": "team/huge",
                            "controller": true}]);
        let owners: Vec<OwnerReference> = serde_json::from_value(owner).unwrap();
        cluster.workloads.standing(kinds::find("", "Pod").unwrap(), "team", &owners, Likeness::default)
    }

    #[test]
    fn a_training_job_too_large_to_be_read_is_unknown_and_covers_no_child() {
        let cluster = cluster();
        let mut sink = sink(&cluster, "kubeflow.org", "PyTorchJob");
        let standing = || standing_of_a_pod(&cluster, "kubeflow.org/v1", "PyTorchJob");
        assert!(matches!(standing(), Standing::Waiting(_)));
        sink.too_large(too_large());
        let digest = cluster.workloads.get("team/huge").unwrap();
        assert_eq!((digest.verdict, digest.child, digest.peak), (Verdict::Unknown, false, None));
        assert_eq!(standing(), Standing::Differs { spared: false });
    }

    #[test]
    fn the_pods_of_a_job_too_large_to_be_read_are_judged_by_themselves() {
        let cluster = cluster();
        let mut sink = sink(&cluster, "batch", "Job");
        sink.too_large(too_large());
        assert_eq!(cluster.workloads.get("team/huge").unwrap().verdict, Verdict::NotTraining);
        assert_eq!(standing_of_a_pod(&cluster, "batch/v1", "Job"), Standing::Idle);
    }

    #[test]
    fn a_job_that_grows_too_large_loses_its_old_digest() {
        let cluster = cluster();
        let mut sink = sink(&cluster, "batch", "Job");
        write_config_map(&cluster, "team");
        sink.apply(job("team", "huge"));
        let before = cluster.workloads.get("team/huge").unwrap();
        assert_ne!(before.verdict, Verdict::NotTraining);
        sink.too_large(too_large());
        let now = cluster.workloads.get("team/huge").unwrap();
        assert_eq!((now.verdict, now.peak), (Verdict::Unknown, None));
        assert_eq!(standing_of_a_pod(&cluster, "batch/v1", "Job"), Standing::Differs { spared: false });

        sink.restarted();
        sink.too_large(too_large());
        sink.listed();
        assert_eq!(
            cluster.workloads.get("team/huge").unwrap().verdict,
            Verdict::Unknown,
            "it is still there"
        );
        sink.apply(job("team", "huge"));
        let again = cluster.workloads.get("team/huge").unwrap();
        assert_eq!((again.verdict, again.peak), (before.verdict, before.peak), "it can be read again");
    }

    #[test]
    fn a_pod_too_large_to_be_read_is_not_kept() {
        let cluster = cluster();
        let mut sink = sink(&cluster, "", "Pod");
        sink.too_large(too_large());
        assert!(cluster.workloads.all().is_empty());
    }

    #[test]
    fn the_dear_objects_of_one_namespace_hold_up_no_other() {
        let cluster = cluster();
        let mut sink = sink(&cluster, "batch", "Job");
        sink.charge("alice", BUDGET + DEAR);
        sink.charge("bob", DEAR / 2);
        for name in ["a", "b", "a"] {
            sink.apply(job("alice", name));
        }
        sink.apply(job("bob", "c"));
        let known = || cluster.workloads.all().iter().map(|digest| digest.uid.clone()).collect::<Vec<_>>();
        assert_eq!(known(), ["bob/c"]);
        assert!(sink.waits());
        let alice = |name: &str| Wanted::Object("alice".into(), name.into());
        assert_eq!(sink.wanted(), alice("a"));
        sink.apply(job("alice", "a"));
        assert_eq!(known(), ["alice/a", "bob/c"]);
        assert_eq!((sink.wanted(), sink.wanted()), (alice("b"), Wanted::Nothing), "each once");
    }

    #[test]
    fn what_trains_nothing_is_judged_once() {
        let cluster = cluster();
        let mut sink = sink(&cluster, "", "Pod");
        let pod = |phase: &str, image: &str| -> Object {
            json!({"metadata": {"name": "web", "namespace": "team", "uid": "u"}, "status": {"phase": phase},
                   "spec": {"containers": [{"name": "main", "image": image}]}})
            .into()
        };
        sink.apply(pod("Pending", "a"));
        // From now on, each judgement would have to wait.
        sink.charge("team", BUDGET + DEAR);
        sink.apply(pod("Running", "a"));
        assert!(!sink.waits(), "only its status has changed");
        sink.apply(pod("Running", "b"));
        assert!(sink.waits());
    }
}
