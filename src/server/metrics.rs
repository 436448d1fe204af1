//! The metrics of the ports.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge};
use prometheus_client::registry::Registry;

/// The counters. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    connections: Family<OfPort, Gauge>,
    displaced: Family<OfPort, Counter>,
    accept_errors: Family<OfPort, Counter>,
    request_bytes: Gauge,
    dropped_bodies: Family<OfReason, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfPort {
    port: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfReason {
    reason: &'static str,
}

impl Metrics {
    /// Registers them.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("weighbridge_connections", "Open connections, by port", self.connections.clone());
        registry.register(
            "weighbridge_connections_displaced",
            "Connections closed to let others in, by port",
            self.displaced.clone(),
        );
        registry.register(
            "weighbridge_accept_errors",
            "Connections that the system could not accept, by port",
            self.accept_errors.clone(),
        );
        registry.register(
            "weighbridge_request_bytes",
            "Bytes of request bodies held",
            self.request_bytes.clone(),
        );
        registry.register(
            "weighbridge_request_bodies_dropped",
            "Request bodies dropped before they were read, by reason",
            self.dropped_bodies.clone(),
        );
    }

    pub(super) fn connections(&self, port: &'static str, open: usize) {
        self.connections.get_or_create(&OfPort { port }).set(open.try_into().unwrap_or(i64::MAX));
    }

    pub(super) fn displaced(&self, port: &'static str) {
        self.displaced.get_or_create(&OfPort { port }).inc();
    }

    pub(super) fn not_accepted(&self, port: &'static str) {
        self.accept_errors.get_or_create(&OfPort { port }).inc();
    }

    pub(super) fn holds(&self, bytes: usize) {
        self.request_bytes.set(bytes.try_into().unwrap_or(i64::MAX));
    }

    pub(super) fn dropped_body(&self, reason: &'static str) {
        self.dropped_bodies.get_or_create(&OfReason { reason }).inc();
    }
}
