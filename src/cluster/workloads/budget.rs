//! How long the objects of a namespace may be judged. If they are expensive, its objects must wait for their turn, so that
//! they delay no other namespace.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

/// A judgement that takes this long is expensive.
pub(super) const EXPENSIVE: Duration = Duration::from_millis(20);
/// How long the expensive judgements of a namespace may take in a window. Above that, its objects are postponed.
pub(super) const BUDGET: Duration = Duration::from_secs(2);
const WINDOW: Duration = Duration::from_secs(10);

/// The time that judging took.
pub(super) struct Budget {
    /// How long the expensive judgements of this window took, by namespace.
    spent: BTreeMap<String, Duration>,
    window: Instant,
}

impl Default for Budget {
    fn default() -> Self {
        Self { spent: BTreeMap::new(), window: Instant::now() }
    }
}

impl Budget {
    /// Whether a namespace has spent its time.
    pub(super) fn is_spent(&mut self, namespace: &str) -> bool {
        if self.window.elapsed() > WINDOW {
            *self = Self::default();
        }
        self.spent.get(namespace).is_some_and(|spent| *spent > BUDGET)
    }

    /// Adds the time of a judgement.
    pub(super) fn charge(&mut self, namespace: &str, took: Duration) {
        if took >= EXPENSIVE {
            *self.spent.entry(namespace.to_owned()).or_default() += took;
        }
    }
}
