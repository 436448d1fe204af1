//! The metrics of the certificates.

use prometheus_client::metrics::{counter::Counter, gauge::Gauge};
use prometheus_client::registry::Registry;
use time::OffsetDateTime;

/// The metrics. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    leaf_expires: Gauge,
    authority_expires: Gauge,
    failures: Counter,
}

impl Metrics {
    /// Registers them.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "weighbridge_certificate_expires_seconds",
            "When the served certificate expires, in seconds since 1970",
            self.leaf_expires.clone(),
        );
        registry.register(
            "weighbridge_ca_expires_seconds",
            "When the CA that signs expires, in seconds since 1970; 0 if another controller keeps it",
            self.authority_expires.clone(),
        );
        registry.register(
            "weighbridge_certificate_failures",
            "Failed passes over CA, caBundle and certificate",
            self.failures.clone(),
        );
    }

    pub(super) fn leaf_expires(&self, at: OffsetDateTime) {
        self.leaf_expires.set(at.unix_timestamp());
    }

    pub(super) fn authority_expires(&self, at: OffsetDateTime) {
        self.authority_expires.set(at.unix_timestamp());
    }

    pub(super) fn failed(&self) {
        self.failures.inc();
    }
}
