//! The workloads, each as a digest: its identity, its owner and its judgement.
//!
//! The objects themselves are not cached. An object is judged again when its judged fields change, or when the nodes,
//! documents or policy that it depends on change. A change of its status alone costs one hash. When a document
//! appears or changes, the workloads of its namespace that refer to documents are read from the apiserver again, in
//! turns by namespace.
//!
//! An object that is too large to be read has a digest too, which replaces an older one. So its children do not wait
//! for it, but are judged by themselves. No child is like it. Its verdict is `Unknown` if its kind exists for
//! training or if it was judged as training before. Otherwise only its children can show whether they train.
//!
//! One object is judged at a time. So the stored objects of a tenant leave the other cores to the reviews. If the
//! objects of a namespace are expensive to judge, they are postponed and read again in turns, so that they delay no
//! other namespace.

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
use crate::kinds::{Kind, Kinds, Makes, Purpose};
use crate::units::Bytes;

/// Some programs write a ConfigMap every second. Workloads are not read again more often than this.
const BETWEEN_DOCUMENTS: Duration = Duration::from_secs(5);

/// A judgement that takes this long is expensive.
const EXPENSIVE: Duration = Duration::from_millis(20);
/// How long the expensive judgements of a namespace may take in a window. Above that, its objects are postponed.
const BUDGET: Duration = Duration::from_secs(2);
const WINDOW: Duration = Duration::from_secs(10);

/// The cached facts of a workload.
#[derive(Clone, Debug)]
pub struct Digest {
    /// The workload's uid.
    pub uid: String,
    /// Its kind.
    pub kind: &'static Kind,
    /// The API version with which it was read.
    pub api_version: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Whether the object is left to its owner, and has no estimate of its own.
    pub child: bool,
    /// Whether its owner covers it.
    pub standing: Standing,
    /// Hashes of its pods' commands, variables and mounts.
    pub likeness: Likeness,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// A hash of the judged fields and the policy.
    pub judged: u64,
    /// The version of the documents when it was judged, if it refers to any.
    pub documents: Option<u64>,
    /// The version of the nodes when it was judged, if the judgement depends on them.
    pub nodes: Option<Version>,
    /// When it started and ended, by its status.
    pub progress: Progress,
    /// Its verdict.
    pub verdict: Verdict,
    /// The memory that must fit, if it could be estimated.
    pub peak: Option<Bytes>,
}

#[cfg(test)]
impl Digest {
    /// The `PyTorchJob` `team/llama`, which fits.
    pub(crate) fn example(uid: &str) -> Self {
        Self {
            uid: uid.into(),
            kind: Kinds::built_in().find("kubeflow.org", "PyTorchJob").unwrap(),
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
    /// The kinds of workloads.
    pub(super) kinds: Arc<Kinds>,
    digests: RwLock<BTreeMap<String, Arc<Digest>>>,
    subscribers: Mutex<Vec<mpsc::UnboundedSender<Arc<Digest>>>>,
    /// The slugs of the kinds that the cluster serves. `None` until discovery has answered.
    pub(super) served: RwLock<Option<BTreeSet<&'static str>>>,
}

impl Workloads {
    /// An empty cache for these kinds.
    pub(super) fn of(kinds: Arc<Kinds>) -> Self {
        Self { kinds, ..Self::default() }
    }

    /// The workload with this uid.
    pub fn get(&self, uid: &str) -> Option<Arc<Digest>> {
        self.read().get(uid).cloned()
    }

    /// Every workload, in the order of the uids.
    pub fn all(&self) -> Vec<Arc<Digest>> {
        self.read().values().cloned().collect()
    }

    /// Every change from now on: a new or changed workload, or the last digest of a deleted one.
    pub fn changes(&self) -> mpsc::UnboundedReceiver<Arc<Digest>> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
        receiver
    }

    /// Records that a child without an owner was judged by itself. A digest that has changed meanwhile stays as it
    /// is.
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
        self.notify(&digest);
    }

    fn remove(&self, uid: &str) {
        let removed = self.write().remove(uid);
        if let Some(digest) = removed {
            self.notify(&digest);
        }
    }

    fn notify(&self, digest: &Arc<Digest>) {
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

/// The controlling owner of an object, if the owner's kind is judged and makes objects of this kind. Then the owner
/// is judged instead of the object.
pub fn judged_owner<'a>(
    kinds: &Kinds,
    kind: &Kind,
    owners: &'a [OwnerReference],
) -> Option<(&'a OwnerReference, &'static Kind)> {
    let owner = owners.iter().find(|owner| owner.controller == Some(true))?;
    let group = owner.api_version.split_once('/').map_or("", |(group, _)| group);
    let owner_kind = kinds.find(group, &owner.kind)?;
    owner_kind.makes.include(kind).then_some((owner, owner_kind))
}

/// Whether the judgement depends on the nodes.
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
    /// The number of lists so far.
    list: u64,
    /// The uids that this watch has cached, each with the number of the latest list that contained it.
    known: BTreeMap<String, u64>,
    /// Objects that train nothing and have no digest, by a hash of the uid.
    idle: BTreeMap<u64, Idle>,
    /// The names of objects to read again, by namespace.
    stale: Turns<String>,
    waiting: BTreeSet<(String, String)>,
    /// The object that is being read again.
    read_again: Option<(String, String)>,
    /// How long the expensive judgements of this window took, by namespace.
    spent: BTreeMap<String, Duration>,
    window: Instant,
    /// The version of all documents at the latest search for stale workloads.
    searched_version: u64,
    next_search: Instant,
}

/// The result of a judgement.
#[derive(Clone, Copy)]
struct Judged {
    verdict: Verdict,
    peak: Option<Bytes>,
    rests_on_nodes: bool,
}

impl Judged {
    const NOT_TRAINING: Self = Self { verdict: Verdict::NotTraining, peak: None, rests_on_nodes: false };
}

/// The known facts of an object that trains nothing.
struct Idle {
    /// A hash of the judged fields.
    judged: u64,
    /// Its standing.
    standing: std::mem::Discriminant<Standing>,
    /// The number of the latest list that contained it.
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
            searched_version: 0,
            next_search: Instant::now(),
        }
    }

    fn forget(&mut self, uid: &str) {
        if self.known.remove(uid).is_some() {
            self.workloads.remove(uid);
        }
    }

    fn postpone(&mut self, namespace: &str, name: &str) {
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
        if took >= EXPENSIVE {
            *self.spent.entry(namespace.to_owned()).or_default() += took;
        }
    }

    /// Postpones the workloads whose documents have changed since they were judged.
    fn find_stale(&mut self) {
        let known: Vec<_> = self.known.keys().filter_map(|uid| self.workloads.get(uid)).collect();
        for digest in known {
            let judged_by = digest.documents.filter(|_| !digest.deleting && !digest.child);
            if judged_by.is_some_and(|version| version != self.documents.version(&digest.namespace)) {
                self.postpone(&digest.namespace, &digest.name);
            }
        }
    }
}

impl Sink for WorkloadSink {
    fn restarted(&mut self) {
        self.list += 1;
    }

    fn apply(&mut self, mut object: Object) {
        // Items of lists lack their kind and version.
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
            // An owner that was found missing stays missing until it is in the cache.
            Standing::Waiting(_) if unchanged.is_some_and(|before| before.standing == Standing::Own) => {
                Standing::Own
            }
            standing => standing,
        };
        let now_idle = Idle { judged, standing: std::mem::discriminant(&standing), list: self.list };
        let idle = hash(&uid);
        if let Some(before) = self.idle.get_mut(&idle)
            && (before.judged, before.standing) == (judged, now_idle.standing)
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
                    self.postpone(namespace, name);
                    // Its old digest stays until then.
                    if let Some(list) = self.known.get_mut(uid) {
                        *list = self.list;
                    }
                    return;
                }
                let (found, took) = self.judge(object.value());
                self.charge(namespace, took);
                match (found, &standing) {
                    (None, _) => return,
                    // Operators make children that differ, too. Only one that would be refused has an estimate of its
                    // own.
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
            self.idle.insert(idle, now_idle);
            self.forget(&digest.uid);
            return;
        }
        self.idle.remove(&idle);
        self.known.insert(digest.uid.clone(), self.list);
        let compared = |digest: &Digest| {
            let Digest { judged, documents, nodes, deleting, verdict, peak, .. } = digest;
            let around = (digest.progress.clone(), digest.standing.clone());
            (*judged, *documents, *nodes, *deleting, *verdict, *peak, around)
        };
        if before.is_none_or(|before| compared(&before) != compared(&digest)) {
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
        if self.kind.makes == Makes::Nothing && verdict == Verdict::NotTraining {
            self.forget(uid);
            return;
        }
        self.known.insert(uid.to_owned(), self.list);
        // No readable object has this hash. So the object is judged again once it can be read.
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
            // Its owners are unknown.
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
            if version == self.searched_version {
                return Wanted::Nothing;
            }
            let now = Instant::now();
            if now < self.next_search {
                return Wanted::Later(self.next_search);
            }
            (self.searched_version, self.next_search) = (version, now + BETWEEN_DOCUMENTS);
            self.find_stale();
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

/// A watch that ends removes its workloads: their kind is no longer served.
impl Drop for WorkloadSink {
    fn drop(&mut self) {
        for uid in self.known.keys() {
            self.workloads.remove(uid);
        }
    }
}

impl WorkloadSink {
    /// The likeness of an object. Empty if the object can be neither an owner nor a child.
    fn likeness(&self, object: &Value, owners: &[OwnerReference]) -> Likeness {
        if self.kind.makes == Makes::Nothing
            && judged_owner(&self.workloads.kinds, self.kind, owners).is_none()
        {
            return Likeness::default();
        }
        let around = super::surroundings(&self.nodes, &self.documents);
        let likeness = || Likeness::of(self.kind, object, &around, &self.policies.current().catalogue);
        catch_unwind(AssertUnwindSafe(likeness)).unwrap_or_default()
    }

    /// Judges an object. Returns how long that took, too.
    fn judge(&self, object: &Value) -> (Option<Judged>, Duration) {
        let _turn = self.judging.lock().unwrap_or_else(PoisonError::into_inner);
        let started = Instant::now();
        let around = super::surroundings(&self.nodes, &self.documents);
        // Only the verdict and the peak are kept.
        let ask = Ask { advice: false, quoting: Quoting::Everything, ..Ask::default() };
        let policy = self.policies.current();
        let judged = catch_unwind(AssertUnwindSafe(|| {
            let judgement = judge(object, &around, &policy.world(), &ask);
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
            tracing::error!(
                kind = self.kind.kind,
                namespace,
                name,
                "judging panicked; the object is left out"
            );
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

/// A pod that does not train is not kept: it has no child and no estimate. A pod that asks for accelerators is kept
/// while its owner is not in the cache, and while a later document may be its script.
fn worth_keeping(digest: &Digest, refers: &Refers) -> bool {
    let waits = matches!(digest.standing, Standing::Waiting(_)) && digest.likeness.asks_for_accelerators();
    let may_train_later = digest.documents.is_some() && refers.accelerators;
    digest.kind.makes != Makes::Nothing
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
        let mut sink = WorkloadSink::new(cluster, Kinds::built_in().find(group, kind).unwrap());
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
        // Dropping the sink would remove its documents.
        std::mem::forget(sink);
    }

    #[test]
    fn a_new_document_has_the_workloads_of_its_namespace_read_again() {
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
    fn a_pod_that_may_train_with_a_later_document_is_kept() {
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

    /// The workload `team/huge`, by its identity alone.
    fn too_large() -> Object {
        json!({"metadata": {"name": "huge", "namespace": "team", "uid": "team/huge"}}).into()
    }

    /// The standing of a pod of the workload `team/huge`.
    fn standing_of_a_pod(cluster: &Cluster, api_version: &str, kind: &str) -> Standing {
        let owner = json!([{"apiVersion": api_version, "kind": kind, "name": "huge", "uid": "team/huge",
                            "controller": true}]);
        let owners: Vec<OwnerReference> = serde_json::from_value(owner).unwrap();
        cluster.workloads.standing(
            Kinds::built_in().find("", "Pod").unwrap(),
            "team",
            &owners,
            Likeness::default,
        )
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
        assert_eq!(standing(), Standing::Differs { command_only: false });
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
        assert_eq!(standing_of_a_pod(&cluster, "batch/v1", "Job"), Standing::Differs { command_only: false });

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
    fn the_expensive_objects_of_a_namespace_delay_no_other() {
        let cluster = cluster();
        let mut sink = sink(&cluster, "batch", "Job");
        sink.charge("alice", BUDGET + EXPENSIVE);
        sink.charge("bob", EXPENSIVE / 2);
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
    fn an_object_that_trains_nothing_is_judged_once() {
        let cluster = cluster();
        let mut sink = sink(&cluster, "", "Pod");
        let pod = |phase: &str, image: &str| -> Object {
            json!({"metadata": {"name": "web", "namespace": "team", "uid": "u"}, "status": {"phase": phase},
                   "spec": {"containers": [{"name": "main", "image": image}]}})
            .into()
        };
        sink.apply(pod("Pending", "a"));
        // From now on, a judgement would have to wait.
        sink.charge("team", BUDGET + EXPENSIVE);
        sink.apply(pod("Running", "a"));
        assert!(!sink.waits(), "only its status has changed");
        sink.apply(pod("Running", "b"));
        assert!(sink.waits());
    }
}
