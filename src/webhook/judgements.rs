//! A cache of judgements: the same object in the same surroundings is judged once.
//!
//! A judgement depends on the object and its namespace, on nodes and documents, on the policy and on the question.
//! The [key](JudgementKey) is a hash of the first two. Nodes, documents and policy are compared by address. A weak pointer
//! keeps the address from being used again. When one of them is replaced, the cache is emptied.
//!
//! The namespace is part of the key, so that response times tell no namespace about the reviews of another. All judgements
//! together take at most [`MOST_BYTES`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use serde_json::Value;

use super::review::GroupVersionKind;
use crate::job::{AnyField, TrainingJob};
use crate::judge::JudgementKey;
use crate::judgement::Judgement;
use crate::policy::Policy;
use crate::surroundings::{ConfigMaps, Documents, Node, Reads, Surroundings};

/// The most bytes of all judgements together.
const MOST_BYTES: usize = 4 << 20;
/// The most bytes of one judgement. A larger one is not cached.
const LARGEST: usize = 64 << 10;

/// The cache of judgements.
#[derive(Debug, Default)]
pub(super) struct Judgements(Mutex<Cache>);

/// The newer and the older half of the judgements. A judgement that is used moves to the newer half.
#[derive(Debug, Default)]
struct Cache {
    basis: Option<Basis>,
    newer: Half,
    older: Half,
}

#[derive(Debug, Default)]
struct Half {
    judgements: BTreeMap<JudgementKey, Arc<Judgement>>,
    bytes: usize,
}

/// The surroundings and the policy of all cached judgements. Weak pointers, because only the addresses are compared.
#[derive(Clone, Debug)]
struct Basis {
    nodes: Weak<[Arc<Node>]>,
    config_maps: Weak<ConfigMaps>,
    documents: Weak<Documents>,
    reads: Reads,
    policy: Weak<Policy>,
}

impl Basis {
    fn new(around: &Surroundings, policy: &Arc<Policy>) -> Self {
        Self {
            nodes: Arc::downgrade(&around.nodes),
            config_maps: Arc::downgrade(&around.config_maps),
            documents: Arc::downgrade(&around.documents),
            reads: around.reads,
            policy: Arc::downgrade(policy),
        }
    }

    fn matches(&self, around: &Surroundings, policy: &Arc<Policy>) -> bool {
        self.reads == around.reads
            && is_same(&self.nodes, &around.nodes)
            && is_same(&self.config_maps, &around.config_maps)
            && is_same(&self.documents, &around.documents)
            && is_same(&self.policy, policy)
    }
}

/// Whether both are the same object. The weak pointer keeps the address from being used again.
fn is_same<T: ?Sized>(weak: &Weak<T>, current: &Arc<T>) -> bool {
    std::ptr::addr_eq(weak.as_ptr(), Arc::as_ptr(current))
}

impl Judgements {
    /// The cached judgement of an object, or a new one.
    pub(super) fn get_or_judge(
        &self,
        key: JudgementKey,
        around: &Surroundings,
        policy: &Arc<Policy>,
        judge: impl FnOnce() -> Judgement,
    ) -> Arc<Judgement> {
        if let Some(judgement) = self.find(key, around, policy) {
            return judgement;
        }
        // Without the lock: two reviews of the same object may both judge it.
        let judgement = Arc::new(for_an_answer(judge()));
        self.store(key, around, policy, judgement.clone());
        judgement
    }

    fn find(&self, key: JudgementKey, around: &Surroundings, policy: &Arc<Policy>) -> Option<Arc<Judgement>> {
        let mut cache = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !cache.basis.as_ref().is_some_and(|basis| basis.matches(around, policy)) {
            *cache = Cache { basis: Some(Basis::new(around, policy)), ..Cache::default() };
        }
        let judgement =
            cache.newer.judgements.get(&key).or_else(|| cache.older.judgements.get(&key)).cloned()?;
        cache.insert(key, judgement.clone());
        Some(judgement)
    }

    fn store(
        &self,
        key: JudgementKey,
        around: &Surroundings,
        policy: &Arc<Policy>,
        judgement: Arc<Judgement>,
    ) {
        let mut cache = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The surroundings may have changed meanwhile.
        if cache.basis.as_ref().is_some_and(|basis| basis.matches(around, policy)) {
            cache.insert(key, judgement);
        }
    }
}

impl Cache {
    fn insert(&mut self, key: JudgementKey, judgement: Arc<Judgement>) {
        let bytes = size(&judgement);
        if bytes > LARGEST || self.newer.judgements.contains_key(&key) {
            return;
        }
        if self.newer.bytes + bytes > MOST_BYTES / 2 {
            self.older = std::mem::take(&mut self.newer);
        }
        self.newer.bytes += bytes;
        self.newer.judgements.insert(key, judgement);
    }
}

/// Drops the parts that only estimates need.
fn for_an_answer(judgement: Judgement) -> Judgement {
    Judgement {
        inputs: Vec::new(),
        advice: Vec::new(),
        swings: Vec::new(),
        job: TrainingJob::default(),
        ..judgement
    }
}

/// The approximate size of a judgement, in bytes.
fn size(judgement: &Judgement) -> usize {
    let texts = judgement.warnings.iter().map(String::capacity);
    let errors = judgement.errors.iter().map(|error| error.field.capacity() + error.message.capacity());
    let alone = judgement.message.capacity()
        + judgement.override_reason.as_ref().map_or(0, String::capacity)
        + judgement.missing.capacity() * size_of::<AnyField>()
        + 2 * size_of::<Judgement>();
    texts.chain(errors).map(|bytes| bytes + 64).sum::<usize>() + alone
}

/// The key of an object of this kind, in this namespace. A review tells both beside the object.
pub(super) fn key(namespace: &str, kind: &GroupVersionKind, object: &Value) -> JudgementKey {
    JudgementKey::of(&[namespace, &kind.group, &kind.version, &kind.kind], object)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::admission::judgement;

    fn key(namespace: &str) -> JudgementKey {
        super::key(namespace, &GroupVersionKind::default(), &json!({"spec": {}}))
    }

    struct Judged(Judgements, std::cell::Cell<usize>);

    impl Judged {
        fn new() -> Self {
            Self(Judgements::default(), std::cell::Cell::new(0))
        }

        /// Looks up this object, and returns how many judgements were made so far.
        fn after(
            &self,
            key: JudgementKey,
            around: &Surroundings,
            policy: &Arc<Policy>,
            message: &str,
        ) -> usize {
            self.0.get_or_judge(key, around, policy, || {
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
        let job_key = key("team");
        assert_eq!(judged.after(job_key, &around, &policy, ""), 1);
        assert_eq!(judged.after(job_key, &around, &policy, ""), 1);
        assert_eq!(judged.after(key("other"), &around, &policy, ""), 2);
        // Each review builds its own surroundings from the same parts.
        let again = Arc::new(Surroundings::clone(&around));
        assert_eq!(judged.after(job_key, &again, &policy, ""), 2);
        let nodes = Arc::new(Surroundings { nodes: Arc::from(Vec::new()), ..Surroundings::clone(&around) });
        assert_eq!(judged.after(job_key, &nodes, &policy, ""), 3);
        assert_eq!(judged.after(job_key, &nodes, &Arc::new(Policy::default()), ""), 4);
    }

    #[test]
    fn the_size_of_the_cache_is_bounded() {
        let judged = Judged::new();
        let (around, policy) = (Arc::new(Surroundings::default()), Arc::new(Policy::default()));
        let long = "x".repeat(32 << 10);
        for number in 0..1_000 {
            judged.after(key(&number.to_string()), &around, &policy, &long);
        }
        let cache = judged.0.0.lock().unwrap();
        assert!(cache.newer.bytes + cache.older.bytes <= MOST_BYTES);
        drop(cache);
        let too_long = "x".repeat(LARGEST);
        let one = key("one");
        let before = judged.after(one, &around, &policy, &too_long);
        assert_eq!(judged.after(one, &around, &policy, &too_long), before + 1);
    }
}
