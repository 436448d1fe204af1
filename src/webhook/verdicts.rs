//! Judgements that were reached before: the same object in the same surroundings is not judged twice.
//!
//! A judgement depends on the object and its namespace, on nodes and documents, on the policy and on what is asked. The
//! [key](Key) is a hash of the object without what no rule reads: the identity that the apiserver gives it, its name,
//! its status, and labels that a controller derives from them. Nodes, documents and policy are told by their address,
//! which is not used again as long as it is known here: when one is replaced, everything is forgotten.
//!
//! The namespace is part of the key, so that no namespace learns by an answer's speed what another has asked. The hash is
//! SHA-256: no two objects can be made to collide. The judgements together take at most [`MOST_BYTES`].

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::review::GroupVersionKind;
use crate::job::{AnyField, TrainingJob};
use crate::judgement::Judgement;
use crate::policy::Policy;
use crate::surroundings::{ConfigMaps, Documents, Node, Reads, Surroundings};

/// What the judgements take together.
const MOST_BYTES: usize = 4 << 20;
/// A judgement that takes more is not kept.
const LARGEST: usize = 64 << 10;

/// What no rule reads of an object's metadata.
const IDENTITY: &[&str] = &[
    "creationTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "managedFields",
    "name",
    "resourceVersion",
    "selfLink",
    "uid",
];
/// Labels by which a Job knows its pods: its uid and its name.
const DERIVED: &[&str] =
    &["batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name", "controller-uid", "job-name"];

/// Tells one question from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key([u8; 32]);

/// The judgements.
#[derive(Debug, Default)]
pub(super) struct Verdicts(Mutex<Kept>);

/// The younger half, and the older: what is asked for again becomes young again.
#[derive(Debug, Default)]
struct Kept {
    of: Option<Of>,
    young: Half,
    old: Half,
}

#[derive(Debug, Default)]
struct Half {
    judgements: BTreeMap<Key, Arc<Judgement>>,
    bytes: usize,
}

/// What the judgements are of, besides their objects. What is replaced is not kept here: only its address is.
#[derive(Clone, Debug)]
struct Of {
    nodes: Weak<[Arc<Node>]>,
    config_maps: Weak<ConfigMaps>,
    documents: Weak<Documents>,
    reads: Reads,
    policy: Weak<Policy>,
}

impl Of {
    fn new(around: &Surroundings, policy: &Arc<Policy>) -> Self {
        Self {
            nodes: Arc::downgrade(&around.nodes),
            config_maps: Arc::downgrade(&around.config_maps),
            documents: Arc::downgrade(&around.documents),
            reads: around.reads,
            policy: Arc::downgrade(policy),
        }
    }

    fn is(&self, around: &Surroundings, policy: &Arc<Policy>) -> bool {
        self.reads == around.reads
            && is_same(&self.nodes, &around.nodes)
            && is_same(&self.config_maps, &around.config_maps)
            && is_same(&self.documents, &around.documents)
            && is_same(&self.policy, policy)
    }
}

/// Whether it is the same. The weak reference keeps the address from being used again.
fn is_same<T: ?Sized>(kept: &Weak<T>, current: &Arc<T>) -> bool {
    std::ptr::addr_eq(kept.as_ptr(), Arc::as_ptr(current))
}

impl Verdicts {
    /// The judgement of the object, reached now if it was not before.
    pub(super) fn of(
        &self,
        key: Key,
        around: &Surroundings,
        policy: &Arc<Policy>,
        judge: impl FnOnce() -> Judgement,
    ) -> Arc<Judgement> {
        if let Some(known) = self.known(key, around, policy) {
            return known;
        }
        // Without the lock: who judges the same meanwhile does so for themselves.
        let judgement = Arc::new(told(judge()));
        self.keep(key, around, policy, judgement.clone());
        judgement
    }

    fn known(&self, key: Key, around: &Surroundings, policy: &Arc<Policy>) -> Option<Arc<Judgement>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !kept.of.as_ref().is_some_and(|of| of.is(around, policy)) {
            *kept = Kept { of: Some(Of::new(around, policy)), ..Kept::default() };
        }
        let known = kept.young.judgements.get(&key).or_else(|| kept.old.judgements.get(&key)).cloned()?;
        kept.insert(key, known.clone());
        Some(known)
    }

    fn keep(&self, key: Key, around: &Surroundings, policy: &Arc<Policy>, judgement: Arc<Judgement>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The world may have changed meanwhile.
        if kept.of.as_ref().is_some_and(|of| of.is(around, policy)) {
            kept.insert(key, judgement);
        }
    }
}

impl Kept {
    fn insert(&mut self, key: Key, judgement: Arc<Judgement>) {
        let bytes = size(&judgement);
        if bytes > LARGEST || self.young.judgements.contains_key(&key) {
            return;
        }
        if self.young.bytes + bytes > MOST_BYTES / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.bytes += bytes;
        self.young.judgements.insert(key, judgement);
    }
}

/// What an answer is made from; the rest is for estimates.
fn told(judgement: Judgement) -> Judgement {
    Judgement {
        inputs: Vec::new(),
        advice: Vec::new(),
        swings: Vec::new(),
        job: TrainingJob::default(),
        ..judgement
    }
}

/// About what it takes.
fn size(judgement: &Judgement) -> usize {
    let texts = judgement.warnings.iter().map(String::capacity);
    let errors = judgement.errors.iter().map(|error| error.field.capacity() + error.message.capacity());
    let alone = judgement.message.capacity()
        + judgement.override_reason.as_ref().map_or(0, String::capacity)
        + judgement.missing.capacity() * size_of::<AnyField>()
        + 2 * size_of::<Judgement>();
    texts.chain(errors).map(|bytes| bytes + 64).sum::<usize>() + alone
}

/// The key of an object of this kind, in this namespace.
pub(super) fn key(namespace: &str, kind: &GroupVersionKind, object: &Value) -> Key {
    let mut hasher = Sha256::new();
    for text in [namespace, &kind.group, &kind.version, &kind.kind] {
        hasher.update(text.len().to_le_bytes());
        hasher.update(text);
    }
    hash(object, Part::Object, &mut hasher);
    Key(hasher.finalize().into())
}

/// Where in an object a value is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// It is the object.
    Object,
    /// It is the object's metadata.
    Metadata,
    /// It is a map of labels, of the object or of a template or selector in it.
    Labels,
    Other,
}

impl Part {
    /// Where the value of a key is.
    fn below(self, key: &str) -> Self {
        match (self, key) {
            (Self::Object, "metadata") => Self::Metadata,
            (Self::Labels, _) => Self::Other,
            (_, "labels" | "matchLabels") => Self::Labels,
            _ => Self::Other,
        }
    }

    /// Whether no rule reads it.
    fn leaves_out(self, key: &str) -> bool {
        match self {
            Self::Object => key == "status",
            Self::Metadata => IDENTITY.contains(&key),
            Self::Labels => DERIVED.contains(&key),
            Self::Other => false,
        }
    }
}

/// Feeds the hasher what tells the value from every other; the order of a map's keys counts, as it does to the judge.
fn hash(value: &Value, part: Part, hasher: &mut Sha256) {
    match value {
        Value::Object(fields) => hash_map(fields, part, hasher),
        Value::Array(items) => {
            hasher.update(b"[");
            hasher.update(items.len().to_le_bytes());
            for item in items {
                hash(item, Part::Other, hasher);
            }
        }
        Value::String(text) => {
            hasher.update(b"s");
            hasher.update(text.len().to_le_bytes());
            hasher.update(text);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {
            // Ends itself: no number goes on with a semicolon.
            let _ = serde_json::to_writer(Feed(hasher), value);
            hasher.update(b";");
        }
    }
}

fn hash_map(fields: &Map<String, Value>, part: Part, hasher: &mut Sha256) {
    let read = || fields.iter().filter(|(key, _)| !part.leaves_out(key));
    hasher.update(b"{");
    hasher.update(read().count().to_le_bytes());
    for (key, value) in read() {
        hasher.update(key.len().to_le_bytes());
        hasher.update(key);
        hash(value, part.below(key), hasher);
    }
}

struct Feed<'a>(&'a mut Sha256);

impl io::Write for Feed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::admission::judgement;

    fn key(namespace: &str, object: &Value) -> Key {
        super::key(namespace, &GroupVersionKind::default(), object)
    }

    fn job() -> Value {
        json!({
            "metadata": {
                "name": "a", "uid": "1", "resourceVersion": "7", "labels": {"team": "x"},
                "annotations": {"weighbridge.dev/model": "llama-2-7b"},
            },
            "spec": {"template": {
                "metadata": {"labels": {"controller-uid": "1"}},
                "spec": {"containers": [{"args": ["--tp", "4"]}]},
            }},
            "status": {"active": 1},
        })
    }

    #[test]
    fn what_no_rule_reads_leaves_the_key_as_it_is() {
        let before = key("team", &job());
        for (pointer, value) in [
            ("/metadata/name", json!("b")),
            ("/metadata/uid", json!("2")),
            ("/metadata/resourceVersion", json!("8")),
            ("/spec/template/metadata/labels/controller-uid", json!("2")),
            ("/status", json!({})),
        ] {
            let mut job = job();
            *job.pointer_mut(pointer).unwrap() = value;
            assert_eq!(key("team", &job), before, "{pointer}");
        }
    }

    #[test]
    fn whatever_a_rule_reads_changes_the_key() {
        let before = key("team", &job());
        assert_ne!(key("other", &job()), before, "the namespace");
        for (pointer, value) in [
            ("/metadata/labels/team", json!("y")),
            ("/metadata/annotations/weighbridge.dev~1model", json!("llama-2-70b")),
            ("/spec/template/spec/containers/0/args", json!(["--tp4"])),
            ("/spec/template/spec/containers/0/args/1", json!(4)),
            ("/spec/template/spec/containers/0", json!({"status": {}, "args": ["--tp", "4"]})),
        ] {
            let mut job = job();
            *job.pointer_mut(pointer).unwrap() = value;
            assert_ne!(key("team", &job), before, "{pointer}");
        }
    }

    struct Judged(Verdicts, std::cell::Cell<usize>);

    impl Judged {
        fn new() -> Self {
            Self(Verdicts::default(), std::cell::Cell::new(0))
        }

        /// How often has been judged after this object.
        fn after(&self, key: Key, around: &Surroundings, policy: &Arc<Policy>, message: &str) -> usize {
            self.0.of(key, around, policy, || {
                self.1.set(self.1.get() + 1);
                Judgement { message: message.to_owned(), ..judgement() }
            });
            self.1.get()
        }
    }

    #[test]
    fn the_same_object_is_judged_once_until_its_surroundings_or_the_policy_change() {
        let judged = Judged::new();
        let (around, policy) = (Arc::new(Surroundings::default()), Arc::new(Policy::default()));
        let of = key("team", &job());
        assert_eq!(judged.after(of, &around, &policy, ""), 1);
        assert_eq!(judged.after(of, &around, &policy, ""), 1);
        assert_eq!(judged.after(key("other", &job()), &around, &policy, ""), 2);
        // Surroundings are put together anew for each review, of the same parts.
        let again = Arc::new(Surroundings::clone(&around));
        assert_eq!(judged.after(of, &again, &policy, ""), 2);
        let nodes = Arc::new(Surroundings { nodes: Arc::from(Vec::new()), ..Surroundings::clone(&around) });
        assert_eq!(judged.after(of, &nodes, &policy, ""), 3);
        assert_eq!(judged.after(of, &nodes, &Arc::new(Policy::default()), ""), 4);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let judged = Judged::new();
        let (around, policy) = (Arc::new(Surroundings::default()), Arc::new(Policy::default()));
        let long = "x".repeat(32 << 10);
        for number in 0..1_000 {
            judged.after(key(&number.to_string(), &job()), &around, &policy, &long);
        }
        let kept = judged.0.0.lock().unwrap();
        assert!(kept.young.bytes + kept.old.bytes <= MOST_BYTES);
        drop(kept);
        let too_long = "x".repeat(LARGEST);
        let one = key("one", &job());
        let before = judged.after(one, &around, &policy, &too_long);
        assert_eq!(judged.after(one, &around, &policy, &too_long), before + 1);
    }
}
