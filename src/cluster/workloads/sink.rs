//! Fills the cache of workloads from the watch of one kind.
//!
//! An object is judged again when its judged fields change, or when the nodes, documents or policy that it depends on
//! change. A change of its status alone costs one hash. When a document appears or changes, the workloads of its
//! namespace that refer to documents are read from the apiserver again, in turns by namespace.
//!
//! An object that is too large to be read has a digest too, which replaces an older one. So its children do not wait
//! for it, but are judged by themselves. No child is like it. Its verdict is `Unknown` if its kind exists for
//! training or if it was judged as training before. Otherwise only its children can show whether they train.
//!
//! One object is judged at a time. So the stored objects of a tenant leave the other cores to the reviews. If the
//! objects of a namespace are expensive to judge, they are postponed and read again in turns, so that they delay no
//! other namespace.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;
use tokio::time::Instant;

use super::super::children::Standing;
use super::super::follow::{Sink, Wanted};
use super::super::likeness::Likeness;
use super::super::refers::Refers;
use super::super::{Cluster, Object};
use super::again::Again;
use super::budget::Budget;
use super::judging::{Judged, Judging};
use super::{Digest, Workloads, claimed_owner};
use crate::judgement::Verdict;
use crate::kinds::progress::{self, Progress, Report};
use crate::kinds::{Kind, Makes, Purpose};

/// Some programs write a ConfigMap every second. Workloads are not read again more often than this.
const BETWEEN_DOCUMENTS: Duration = Duration::from_secs(5);

/// Fills [`Workloads`] from the watch of one kind, in one namespace or in all.
pub(in crate::cluster) struct WorkloadSink {
    kind: &'static Kind,
    workloads: Arc<Workloads>,
    judging: Judging,
    /// The number of lists so far.
    list: u64,
    /// The uids that this watch has cached, each with the number of the latest list that contained it.
    known: BTreeMap<String, u64>,
    /// Objects that train nothing and have no digest, by a hash of the uid.
    idle: BTreeMap<u64, Idle>,
    /// The pods that are noted, each with its namespace and the number of the latest list that contained it.
    noted: BTreeMap<String, (String, u64)>,
    /// The objects to read again.
    again: Again,
    pub(super) budget: Budget,
    /// The version of all documents at the latest search for stale workloads.
    searched_version: u64,
    next_search: Instant,
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
    pub(in crate::cluster) fn new(cluster: &Cluster, kind: &'static Kind) -> Self {
        Self {
            kind,
            workloads: cluster.workloads.clone(),
            judging: Judging::new(cluster, kind),
            list: 0,
            known: BTreeMap::new(),
            idle: BTreeMap::new(),
            noted: BTreeMap::new(),
            again: Again::default(),
            budget: Budget::default(),
            searched_version: 0,
            next_search: Instant::now(),
        }
    }

    fn forget(&mut self, uid: &str) {
        if self.known.remove(uid).is_some() {
            self.workloads.remove(uid);
        }
    }

    /// The likeness of an object. Empty if the object can be neither an owner nor a child.
    fn likeness(&self, object: &Value) -> Likeness {
        let is_owner = self.kind.makes != Makes::Nothing;
        if is_owner || claimed_owner(&self.workloads.kinds, self.kind, object).is_some() {
            self.judging.likeness(object)
        } else {
            Likeness::default()
        }
    }

    /// The progress of an object. Of its report only the percentage, so that a report every second notifies nothing.
    fn progress(&self, object: &Value) -> Progress {
        let progress = progress::progress(self.kind, object);
        let percent = |report: Report| Report { percent: report.percent, ..Report::default() };
        Progress { report: progress.report.map(percent), ..progress }
    }

    /// Notes where a pod that asks for accelerators runs, and how it ended.
    fn note_pod(&mut self, pod: &Object, standing: &Standing, likeness: &Likeness) {
        let (Some(uid), Some(namespace)) = (pod.uid(), pod.namespace()) else { return };
        if self.kind.makes != Makes::Nothing || !likeness.asks_for_accelerators() {
            return;
        }
        // Operators start other commands in some pods. These pods are the owner's, too.
        let owned = !matches!(standing, Standing::Own | Standing::Idle);
        let claim = claimed_owner(&self.workloads.kinds, self.kind, pod.value()).map(|(claim, _)| claim);
        self.noted.insert(uid.to_owned(), (namespace.to_owned(), self.list));
        self.workloads.note(namespace, uid, claim.filter(|_| owned), pod.value());
    }

    /// Adds the kind and the version, which items of lists lack. Gives the version.
    fn add_kind(&self, object: &mut Object) -> String {
        let api_version = api_version(self.kind, object.value());
        if let Some(fields) = object.value_mut().as_object_mut() {
            fields.insert("apiVersion".into(), Value::from(api_version.clone()));
            fields.insert("kind".into(), Value::from(self.kind.kind));
        }
        api_version
    }

    /// Whether an object is judged by itself. `unchanged`: its digest, if it was judged as it is now.
    fn standing(
        &self,
        object: &Object,
        namespace: &str,
        unchanged: Option<&Digest>,
        likeness: &Likeness,
    ) -> Standing {
        match self.workloads.standing(self.kind, namespace, object.value(), || likeness.clone()) {
            // An owner that was found missing stays missing until it is in the cache.
            Standing::Waiting(_) if unchanged.is_some_and(|before| before.standing == Standing::Own) => {
                Standing::Own
            }
            standing => standing,
        }
    }

    /// Whether an object still trains nothing. It is then noted as seen.
    fn stays_idle(&mut self, hash: u64, now: &Idle) -> bool {
        let before = self.idle.get_mut(&hash);
        let same = before.filter(|before| (before.judged, before.standing) == (now.judged, now.standing));
        same.is_some_and(|before| {
            before.list = now.list;
            true
        })
    }

    /// Judges an object, or postpones it if its namespace must wait. Gives whether its owner covers it, and the judgement.
    fn judge_in_turn(
        &mut self,
        object: &Object,
        namespace: &str,
        name: &str,
        standing: &Standing,
    ) -> Option<(bool, Judged)> {
        if matches!(standing, Standing::Covered | Standing::Waiting(_)) {
            return Some((true, Judged::NOT_TRAINING));
        }
        if self.must_wait(namespace, name) {
            self.again.push(namespace, name);
            // Its old digest stays until then.
            if let Some(list) = object.uid().and_then(|uid| self.known.get_mut(uid)) {
                *list = self.list;
            }
            return None;
        }
        let (found, took) = self.judging.judge(object.value());
        self.budget.charge(namespace, took);
        match (found?, standing) {
            // Operators make children that differ, too. Only one that would be refused has an estimate of its own.
            (found, Standing::Differs { .. }) if found.verdict != Verdict::OutOfMemory => {
                Some((true, Judged::NOT_TRAINING))
            }
            (found, _) => Some((false, found)),
        }
    }

    /// Whether an object must wait for its namespace's turn.
    fn must_wait(&mut self, namespace: &str, name: &str) -> bool {
        let has_its_turn = self.again.has_come(namespace, name);
        self.budget.is_spent(namespace) && !has_its_turn
    }

    /// Postpones the workloads whose documents have changed since they were judged.
    fn find_stale(&mut self) {
        let known: Vec<_> = self.known.keys().filter_map(|uid| self.workloads.get(uid)).collect();
        for digest in known {
            let judged_by = digest.documents.filter(|_| !digest.deleting && !digest.child);
            if judged_by.is_some_and(|version| version != self.judging.documents.version(&digest.namespace)) {
                self.again.push(&digest.namespace, &digest.name);
            }
        }
    }
}

/// Whether two digests of an object differ in what others read of them.
fn differs(before: &Digest, now: &Digest) -> bool {
    let compared = |digest: &Digest| {
        let Digest { judged, documents, nodes, deleting, verdict, peak, .. } = digest;
        let around = (digest.progress.clone(), digest.standing.clone());
        (*judged, *documents, *nodes, *deleting, *verdict, *peak, around)
    };
    compared(before) != compared(now)
}

impl Sink for WorkloadSink {
    fn restarted(&mut self) {
        self.list += 1;
    }

    fn apply(&mut self, mut object: Object) {
        let api_version = self.add_kind(&mut object);
        let (Some(uid), Some(namespace), Some(name)) = (object.uid(), object.namespace(), object.name())
        else {
            return;
        };
        let judged = self.judging.hash(object.value());
        let before = self.workloads.get(uid);
        let unchanged = before.as_ref().filter(|before| before.judged == judged);
        let likeness = match unchanged {
            Some(before) => before.likeness.clone(),
            None => self.likeness(object.value()),
        };
        let standing = self.standing(&object, namespace, unchanged.map(AsRef::as_ref), &likeness);
        self.note_pod(&object, &standing, &likeness);
        let now_idle = Idle { judged, standing: std::mem::discriminant(&standing), list: self.list };
        let idle = hash(&uid);
        if self.stays_idle(idle, &now_idle) {
            return;
        }
        let refers = Refers::of(object.value());
        let documents = refers.documents.then(|| self.judging.documents.version(namespace));
        let nodes = self.judging.nodes.version(&refers.labels);
        let same = unchanged.filter(|before| {
            (&before.standing, before.documents) == (&standing, documents)
                && before.nodes.is_none_or(|version| version == nodes)
        });
        let before_now = same.map(|same| (same.child, Judged::of(same)));
        let judged_now = || self.judge_in_turn(&object, namespace, name, &standing);
        let Some((child, found)) = before_now.or_else(judged_now) else { return };
        let digest = Digest {
            uid: uid.to_owned(),
            kind: self.kind,
            api_version,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            child,
            standing,
            claim: claimed_owner(&self.workloads.kinds, self.kind, object.value()).map(|(claim, _)| claim),
            likeness,
            deleting: object.is_being_deleted(),
            judged,
            documents,
            nodes: found.rests_on_nodes.then_some(nodes),
            progress: self.progress(object.value()),
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
        if before.is_none_or(|before| differs(&before, &digest)) {
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
        let trained = before.as_ref().is_some_and(|b| !b.child && b.verdict.trains());
        let verdict = if trained || self.kind.purpose == Purpose::Training {
            Verdict::Unknown
        } else {
            Verdict::NotTraining
        };
        if self.kind.makes == Makes::Nothing && !verdict.trains() {
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
            claim: None,
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
        self.noted.remove(uid);
        self.workloads.left(object.namespace().unwrap_or_default(), uid);
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
        let (list, workloads) = (self.list, &self.workloads);
        self.noted.retain(|uid, (namespace, seen)| {
            if *seen != list {
                workloads.left(namespace, uid);
            }
            *seen == list
        });
    }

    fn wakes(&self) -> Option<watch::Receiver<()>> {
        Some(self.judging.documents.changes())
    }

    fn wanted(&mut self) -> Wanted {
        if self.again.is_empty() {
            let version = self.judging.documents.version_of_all();
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
        self.again.take().map_or(Wanted::Nothing, |(namespace, name)| Wanted::Object(namespace, name))
    }

    fn waits(&self) -> bool {
        !self.again.is_empty()
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
        || (!digest.child && (digest.verdict.trains() || may_train_later))
}

fn api_version(kind: &Kind, object: &Value) -> String {
    if let Some(api_version) = object.get("apiVersion").and_then(Value::as_str) {
        return api_version.to_owned();
    }
    let version = kind.versions.first().copied().unwrap_or("v1");
    if kind.group.is_empty() { version.to_owned() } else { format!("{}/{version}", kind.group) }
}
