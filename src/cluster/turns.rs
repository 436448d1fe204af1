//! Work in turns: one piece from each namespace, then the next piece from each. So a namespace with much work delays
//! another one by one piece only.

use std::collections::{BTreeMap, VecDeque};

/// Pieces of work by namespace.
#[derive(Debug)]
pub struct Turns<T> {
    queues: BTreeMap<String, VecDeque<T>>,
    /// The namespaces that have work, in the order of their turns.
    order: VecDeque<String>,
}

impl<T> Default for Turns<T> {
    fn default() -> Self {
        Self { queues: BTreeMap::new(), order: VecDeque::new() }
    }
}

impl<T> Turns<T> {
    /// Adds a piece of work to a namespace's queue.
    pub fn push(&mut self, namespace: &str, work: T) {
        if let Some(queue) = self.queues.get_mut(namespace) {
            queue.push_back(work);
        } else {
            self.queues.insert(namespace.to_owned(), VecDeque::from([work]));
            self.order.push_back(namespace.to_owned());
        }
    }

    /// Takes the next piece from the namespace whose turn it is.
    pub fn take(&mut self) -> Option<(String, T)> {
        let namespace = self.order.pop_front()?;
        let queue = self.queues.get_mut(&namespace)?;
        let work = queue.pop_front()?;
        if queue.is_empty() {
            self.queues.remove(&namespace);
        } else {
            self.order.push_back(namespace.clone());
        }
        Some((namespace, work))
    }

    /// Whether there is no work.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_with_much_work_makes_another_wait_for_one_piece() {
        let mut turns = Turns::default();
        for number in 0..1_000 {
            turns.push("alice", number);
        }
        turns.push("bob", 0);
        turns.push("bob", 1);
        let first: Vec<_> = std::iter::from_fn(|| turns.take()).take(5).collect();
        let of = |namespace: &str, number| (namespace.to_owned(), number);
        assert_eq!(first, [of("alice", 0), of("bob", 0), of("alice", 1), of("bob", 1), of("alice", 2)]);
        assert_eq!(std::iter::from_fn(|| turns.take()).count(), 997);
        assert!(turns.is_empty());
    }
}
