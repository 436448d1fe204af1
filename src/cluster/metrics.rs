//! The metrics of the caches.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge};
use prometheus_client::registry::Registry;

use super::source::Error;

/// The counters of the caches. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    watch_errors: Family<WatchError, Counter>,
    unreadable: Family<Resource, Counter>,
    watching: Family<Resource, Gauge>,
    documents_left_out: Family<Resource, Gauge>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Resource {
    resource: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WatchError {
    resource: &'static str,
    reason: &'static str,
}

impl Metrics {
    /// Registers the metrics.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "weighbridge_watch_errors",
            "Errors of watches, by resource and reason",
            self.watch_errors.clone(),
        );
        registry.register(
            "weighbridge_unreadable_objects",
            "Objects that are left out because reading or judging them failed",
            self.unreadable.clone(),
        );
        registry.register(
            "weighbridge_documents_left_out",
            "Documents that are not read because they are too large or have no room",
            self.documents_left_out.clone(),
        );
        registry.register("weighbridge_watches", "Watches that run, by resource", self.watching.clone());
    }

    pub(super) fn watch_error(&self, resource: &'static str, reason: &'static str) {
        self.watch_errors.get_or_create(&WatchError { resource, reason }).inc();
    }

    pub(super) fn unreadable(&self, resource: &'static str) {
        self.unreadable.get_or_create(&Resource { resource }).inc();
    }

    pub(super) fn watches(&self, resource: &'static str, by: i64) {
        // A counter that appears with its first event has no increase, and alerts would not see it.
        for reason in Error::REASONS {
            drop(self.watch_errors.get_or_create(&WatchError { resource, reason }));
        }
        self.watching.get_or_create(&Resource { resource }).inc_by(by);
    }

    pub(super) fn documents_left_out(&self, resource: &'static str, number: usize) {
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        self.documents_left_out.get_or_create(&Resource { resource }).set(number);
    }
}
