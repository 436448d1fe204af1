//! Which caches are filled.
//!
//! Ready once everything that was there at the start has been read, or was refused: a permission that is missing, or
//! a kind that is installed later, must not keep the webhook from answering. Of our own definition it is waited for once:
//! a replica without it would judge and keep no estimates.

use std::collections::BTreeSet;

use tokio::sync::watch;

/// What is still being waited for; nothing is known before the first discovery.
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
    /// Waits for this cache too, if the start isn't over yet.
    pub fn expect(&self, cache: &str) {
        self.waiting
            .send_if_modified(|waiting| !waiting.discovered && waiting.caches.insert(cache.to_owned()));
    }

    /// This cache is filled, or never will be.
    pub fn reached(&self, cache: &str) {
        self.waiting.send_if_modified(|waiting| waiting.caches.remove(cache));
    }

    /// What was there at the start is known: nothing more is expected.
    pub fn discovered(&self) {
        self.waiting.send_if_modified(|waiting| !std::mem::replace(&mut waiting.discovered, true));
    }

    /// Our own definition is served.
    pub fn defined(&self) {
        self.waiting.send_if_modified(|waiting| !std::mem::replace(&mut waiting.defined, true));
    }

    /// Whether our own definition has been seen.
    pub fn is_defined(&self) -> bool {
        self.waiting.borrow().defined
    }

    /// Whether what was there at the start is known, and every expected cache filled.
    pub fn is_filled(&self) -> bool {
        let waiting = self.waiting.borrow();
        waiting.discovered && waiting.caches.is_empty()
    }

    /// Whether nothing more is waited for.
    pub fn is_ready(&self) -> bool {
        self.waiting.borrow().is_over()
    }

    /// The caches that are still being filled.
    pub fn missing(&self) -> Vec<String> {
        self.waiting.borrow().caches.iter().cloned().collect()
    }

    /// Waits until nothing more is waited for.
    pub async fn ready(&self) {
        // The sender lives as long as self, so there is always an answer.
        let _ = self.waiting.subscribe().wait_for(Waiting::is_over).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_later_is_not_waited_for() {
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
