//! Objects to read from the apiserver again, in turns by namespace. An object is queued once.

use std::collections::BTreeSet;

use super::super::Turns;

/// Objects to read again.
#[derive(Default)]
pub(super) struct Again {
    /// Their names, by namespace.
    turns: Turns<String>,
    queued: BTreeSet<(String, String)>,
    /// The object that is being read.
    current: Option<(String, String)>,
}

impl Again {
    /// Queues an object.
    pub(super) fn push(&mut self, namespace: &str, name: &str) {
        if self.queued.insert((namespace.to_owned(), name.to_owned())) {
            self.turns.push(namespace, name.to_owned());
        }
    }

    /// The next object to read.
    pub(super) fn take(&mut self) -> Option<(String, String)> {
        let next = self.turns.take()?;
        self.queued.remove(&next);
        self.current = Some(next.clone());
        Some(next)
    }

    /// Whether an object that came is the one that is being read. The next object that comes is not.
    pub(super) fn has_come(&mut self, namespace: &str, name: &str) -> bool {
        self.current.take().is_some_and(|(n, o)| n == namespace && o == name)
    }

    /// Whether no object is queued.
    pub(super) fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }
}
