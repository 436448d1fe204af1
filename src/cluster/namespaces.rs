//! The namespaces, each reduced to its label `weighbridge.dev/mode`.

use crate::policy::mode::MODE_LABEL;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::Object;
use super::follow::Sink;

/// The mode labels of the namespaces.
#[derive(Debug, Default)]
pub struct Namespaces {
    labels: RwLock<BTreeMap<String, Option<String>>>,
}

impl Namespaces {
    /// The namespace's mode label, if it has one. The outer `None` means that the namespace is not in the cache
    /// (yet).
    pub fn mode_label(&self, name: &str) -> Option<Option<String>> {
        self.labels.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Stores a namespace's label.
    pub(crate) fn insert(&self, name: &str, label: Option<String>) {
        self.write().insert(name.to_owned(), label);
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, BTreeMap<String, Option<String>>> {
        self.labels.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Fills [`Namespaces`] from a watch of their metadata.
pub(super) struct NamespaceSink {
    namespaces: Arc<Namespaces>,
    /// The namespaces of the list in progress.
    listing: BTreeMap<String, Option<String>>,
}

impl NamespaceSink {
    pub(super) fn new(namespaces: Arc<Namespaces>) -> Self {
        Self { namespaces, listing: BTreeMap::new() }
    }
}

impl Sink for NamespaceSink {
    fn restarted(&mut self) {
        self.listing.clear();
    }

    fn apply(&mut self, namespace: Object) {
        let Some(name) = namespace.name() else { return };
        let label = namespace.label(MODE_LABEL).map(str::to_owned);
        self.listing.insert(name.to_owned(), label.clone());
        self.namespaces.insert(name, label);
    }

    fn delete(&mut self, namespace: Object) {
        let Some(name) = namespace.name() else { return };
        self.listing.remove(name);
        self.namespaces.write().remove(name);
    }

    fn listed(&mut self) {
        self.namespaces.write().clone_from(&self.listing);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn namespace(name: &str, mode: Option<&str>) -> Object {
        let labels = mode.map(|mode| serde_json::json!({MODE_LABEL: mode}));
        let metadata = serde_json::json!({"name": name, "labels": labels});
        serde_json::json!({"metadata": metadata}).into()
    }

    #[test]
    fn a_namespace_without_the_label_is_cached() {
        let namespaces = Arc::new(Namespaces::default());
        let mut sink = NamespaceSink::new(namespaces.clone());
        sink.apply(namespace("a", None));
        sink.apply(namespace("b", Some("warn")));
        assert_eq!(namespaces.mode_label("a"), Some(None));
        assert_eq!(namespaces.mode_label("b"), Some(Some("warn".into())));
        assert_eq!(namespaces.mode_label("c"), None);
    }

    #[test]
    fn a_namespace_that_is_deleted_while_the_watch_is_down_is_removed() {
        let namespaces = Arc::new(Namespaces::default());
        let mut sink = NamespaceSink::new(namespaces.clone());
        sink.apply(namespace("a", None));
        sink.listed();
        sink.restarted();
        sink.apply(namespace("b", None));
        sink.listed();
        assert_eq!(namespaces.mode_label("a"), None);
        assert_eq!(namespaces.mode_label("b"), Some(None));
    }
}
