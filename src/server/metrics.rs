//! What the ports count.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge};
use prometheus_client::registry::Registry;

/// The counters; a clone counts into the same.
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
    /// Makes them readable.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "weighbridge_connections",
            "Connections that are open, by port",
            self.connections.clone(),
        );
        registry.register(
            "weighbridge_connections_displaced",
            "Connections that were closed to let others in, by port",
            self.displaced.clone(),
        );
        registry.register(
            "weighbridge_accept_errors",
            "Connections that the system could not hand over, by port",
            self.accept_errors.clone(),
        );
        registry.register(
            "weighbridge_request_bytes",
            "Bytes of bodies that are held",
            self.request_bytes.clone(),
        );
        registry.register(
            "weighbridge_request_bodies_dropped",
            "Bodies that were let go before they were read, by reason",
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
