//! Which caches are filled.
//!
//! A replica is ready once every cache of the start is filled or refused. A missing permission, or a kind that is
//! installed later, must not stop the webhook from answering. The definition of `TrainingEstimate` is waited for
//! once: without it, a replica would judge and write no estimates.

use std::collections::BTreeSet;

use tokio::sync::watch;

/// The state that readiness waits for. Nothing is expected before the first discovery.
#[derive(Debug)]
pub struct Readiness {
    waiting: watch::Sender<Waiting>,
}

#[derive(Clone, Debug, Default)]
struct Waiting {
    discovered: bool,
    defined: bool,
    caches: BTreeSet<String>,
}

impl Waiting {
    fn is_over(&self) -> bool {
        self.discovered && self.defined && self.caches.is_empty()
    }
}

impl Default for Readiness {
    fn default() -> Self {
        Self { waiting: watch::Sender::new(Waiting::default()) }
    }
}

impl Readiness {
    /// Waits for this cache too, unless the start is over.
    pub fn expect(&self, cache: &str) {
        self.waiting
            .send_if_modified(|waiting| !waiting.discovered && waiting.caches.insert(cache.to_owned()));
    }

    /// The cache is filled, or never will be.
    pub fn reached(&self, cache: &str) {
        self.waiting.send_if_modified(|waiting| waiting.caches.remove(cache));
    }

    /// Discovery has answered: no further cache is expected.
    pub fn discovered(&self) {
        self.waiting.send_if_modified(|waiting| !std::mem::replace(&mut waiting.discovered, true));
    }

    /// The definition of `TrainingEstimate` is served.
    pub fn defined(&self) {
        self.waiting.send_if_modified(|waiting| !std::mem::replace(&mut waiting.defined, true));
    }

    /// Whether the definition of `TrainingEstimate` has been served.
    pub fn is_defined(&self) -> bool {
        self.waiting.borrow().defined
    }

    /// Whether discovery has answered and every expected cache is filled.
    pub fn is_filled(&self) -> bool {
        let waiting = self.waiting.borrow();
        waiting.discovered && waiting.caches.is_empty()
    }

    /// Whether the replica is ready.
    pub fn is_ready(&self) -> bool {
        self.waiting.borrow().is_over()
    }

    /// The caches that are still being filled.
    pub fn missing(&self) -> Vec<String> {
        self.waiting.borrow().caches.iter().cloned().collect()
    }

    /// Waits until the replica is ready.
    pub async fn ready(&self) {
        // The sender lives as long as self, so there is always an answer.
        let _ = self.waiting.subscribe().wait_for(Waiting::is_over).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_that_is_added_later_is_not_waited_for() {
        let readiness = Readiness::default();
        assert!(!readiness.is_ready());
        readiness.expect("nodes");
        readiness.discovered();
        readiness.defined();
        readiness.expect("pytorchjobs");
        assert_eq!(readiness.missing(), ["nodes"]);
        readiness.reached("nodes");
        assert!(readiness.is_ready());
    }
}
