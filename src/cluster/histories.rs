//! What the histories of jobs teach, by namespace and fingerprint.
//!
//! Of a history only its lesson is cached. A history is read by its namespace alone, so no namespace learns from another.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::follow::Sink;
use super::listing::Listing;
use super::object::{Id, Object};
use crate::api::history::runs;
use crate::learn::history::{Lesson, lesson};

/// The most lessons that are cached: some ten megabytes.
const MOST: usize = 50_000;

/// The lessons of the watched namespaces.
#[derive(Debug, Default)]
pub struct Histories {
    known: RwLock<BTreeMap<Id, Known>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    lesson: Option<Arc<Lesson>>,
    /// The end of its newest run, in the API's format.
    newest: String,
}

/// The name of the history of a fingerprint.
pub fn name(fingerprint: &str) -> String {
    format!("h-{fingerprint}")
}

impl Histories {
    /// What the history of a fingerprint teaches in a namespace.
    pub fn lesson(&self, namespace: &str, fingerprint: &str) -> Option<Arc<Lesson>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(&(namespace.to_owned(), name(fingerprint)))?.lesson.clone()
    }

    /// Whether a namespace has any history.
    pub fn has_any(&self, namespace: &str) -> bool {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let first = (namespace.to_owned(), String::new());
        known.range(first..).next().is_some_and(|((of, _), _)| of == namespace)
    }

    /// The histories of a namespace beyond a number, the oldest first.
    pub fn beyond(&self, namespace: &str, number: usize) -> Vec<String> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let first = (namespace.to_owned(), String::new());
        let of_it = known.range(first..).take_while(|((of, _), _)| of == namespace);
        let mut all: Vec<_> = of_it.map(|((_, name), known)| (known.newest.clone(), name.clone())).collect();
        all.sort_unstable();
        let surplus = all.len().saturating_sub(number);
        all.into_iter().take(surplus).map(|(_, name)| name).collect()
    }
}

/// Fills [`Histories`] from a watch.
pub(super) struct HistorySink {
    histories: Arc<Histories>,
    listing: Listing<Id>,
}

impl HistorySink {
    pub(super) fn new(histories: Arc<Histories>) -> Self {
        Self { histories, listing: Listing::new() }
    }

    fn forget(&mut self, id: &Id) {
        self.histories.known.write().unwrap_or_else(PoisonError::into_inner).remove(id);
    }
}

impl Sink for HistorySink {
    fn restarted(&mut self) {
        self.listing.restarted();
    }

    fn apply(&mut self, object: Object) {
        let Some(id) = object.id() else { return };
        let runs = runs(object.value());
        let newest = runs.first().map(|run| run.at.clone()).unwrap_or_default();
        let known = Known { lesson: lesson(&runs).map(Arc::new), newest };
        let mut all = self.histories.known.write().unwrap_or_else(PoisonError::into_inner);
        if all.len() < MOST || all.contains_key(&id) {
            self.listing.applied(&id);
            all.insert(id, known);
        }
    }

    fn delete(&mut self, object: Object) {
        if let Some(id) = object.id() {
            self.listing.deleted(&id);
            self.forget(&id);
        }
    }

    fn listed(&mut self) {
        for id in self.listing.complete() {
            self.forget(&id);
        }
    }
}

/// A watch that ends teaches nothing any more.
impl Drop for HistorySink {
    fn drop(&mut self) {
        for id in self.listing.end() {
            self.forget(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn history(namespace: &str, fingerprint: &str, day: u32, outcome: &str) -> Object {
        let run: Value = json!({
            "uid": "u", "workload": "job/a", "verdict": "Fits", "outcome": outcome, "at": format!("2026-01-{day:02}T00:00:00Z"),
        });
        let name = name(fingerprint);
        json!({"metadata": {"namespace": namespace, "name": name}, "spec": {"runs": [run]}}).into()
    }

    #[test]
    fn a_namespace_learns_from_its_own_histories_alone() {
        let histories = Arc::new(Histories::default());
        let mut sink = HistorySink::new(histories.clone());
        sink.restarted();
        sink.apply(history("team", "a", 1, "OutOfMemory"));
        sink.apply(history("team", "b", 2, "Completed"));
        sink.listed();
        assert!(matches!(*histories.lesson("team", "a").unwrap(), Lesson::RanOut { .. }));
        assert!(matches!(*histories.lesson("team", "b").unwrap(), Lesson::Ran { runs: 1, .. }));
        assert!(histories.lesson("other", "a").is_none());
        assert!(histories.has_any("team") && !histories.has_any("other") && !histories.has_any("t"));
        assert_eq!(histories.beyond("team", 1), ["h-a"], "the oldest");

        sink.restarted();
        sink.apply(history("team", "b", 3, "Failed"));
        sink.listed();
        assert!(histories.lesson("team", "a").is_none(), "it was deleted");
        assert!(histories.lesson("team", "b").is_none(), "no run counts");
        drop(sink);
        assert!(!histories.has_any("team"));
    }
}
