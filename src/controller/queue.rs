//! The queue of what is to be reconciled.
//!
//! A key that is asked for many times runs once; no key runs twice at a time; what fails runs again after a pause that
//! doubles with each failure, up to [`LONGEST_PAUSE`].

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures::stream::{FuturesUnordered, StreamExt as _};
use kube::runtime::scheduler::{ScheduleRequest, debounced_scheduler};
use tokio::time::Instant;

/// How many keys run at a time.
const AT_ONCE: usize = 8;
/// Changes come in groups; the group is reconciled once.
const DEBOUNCE: Duration = Duration::from_millis(50);
const SHORTEST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_mins(2);

/// What is reconciled.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Key {
    /// A workload: whether it has its estimate.
    Workload {
        /// The workload's uid.
        uid: String,
    },
    /// An estimate: whether its status is the judgement.
    Estimate {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

impl Key {
    /// Whether it is an estimate of one of these namespaces; the empty one stands for all.
    pub(super) fn is_in(&self, namespaces: &BTreeSet<String>) -> bool {
        match self {
            Self::Estimate { namespace, .. } => namespaces.contains("") || namespaces.contains(namespace),
            Self::Workload { .. } => false,
        }
    }
}

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Nothing is left to do until something changes.
    Done,
    /// Something is being waited for.
    Waiting,
    /// It failed, and was reported.
    Failed,
}

/// The end of the queue where keys are put in.
#[derive(Clone, Debug)]
pub(super) struct Requests(UnboundedSender<ScheduleRequest<Key>>);

impl Requests {
    /// Reconciles as soon as possible.
    pub(super) fn now(&self, key: Key) {
        self.after(key, Duration::ZERO);
    }

    fn after(&self, key: Key, pause: Duration) {
        // Fails when the queue has ended, and then nobody waits for an answer.
        let _ = self.0.unbounded_send(ScheduleRequest { message: key, run_at: Instant::now() + pause });
    }
}

/// The other end.
pub(super) struct Queue {
    requests: Requests,
    receiver: UnboundedReceiver<ScheduleRequest<Key>>,
}

/// An empty queue.
pub(super) fn queue() -> Queue {
    let (sender, receiver) = unbounded();
    Queue { requests: Requests(sender), receiver }
}

impl Queue {
    /// Where keys are put in.
    pub(super) fn requests(&self) -> Requests {
        self.requests.clone()
    }

    /// Runs for ever; ends by being dropped.
    pub(super) async fn run<F, R>(self, reconcile: F)
    where
        F: Fn(Key) -> R,
        R: Future<Output = Outcome>,
    {
        let mut scheduler = pin!(debounced_scheduler(self.receiver, DEBOUNCE));
        let mut running = FuturesUnordered::new();
        let mut busy = BTreeSet::new();
        let mut failures: BTreeMap<Key, u32> = BTreeMap::new();
        loop {
            let free = busy.len() < AT_ONCE;
            let mut due = scheduler.as_mut().hold_unless(|key| free && !busy.contains(key));
            tokio::select! {
                Some(key) = due.next() => {
                    busy.insert(key.clone());
                    let run = reconcile(key.clone());
                    running.push(async move { (key, run.await) });
                }
                Some((key, outcome)) = running.next() => {
                    busy.remove(&key);
                    if outcome == Outcome::Done {
                        failures.remove(&key);
                    } else {
                        let failures = failures.entry(key.clone()).or_default();
                        self.requests.after(key, pause(*failures));
                        *failures = failures.saturating_add(1);
                    }
                }
            }
        }
    }
}

fn pause(failures: u32) -> Duration {
    SHORTEST_PAUSE.saturating_mul(2u32.saturating_pow(failures)).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    fn key(uid: &str) -> Key {
        Key::Workload { uid: uid.to_owned() }
    }

    #[test]
    fn a_pause_doubles_up_to_the_longest() {
        assert_eq!(pause(0), Duration::from_millis(500));
        assert_eq!(pause(1), Duration::from_secs(1));
        assert_eq!(pause(100), LONGEST_PAUSE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_asked_for_many_times_runs_once_and_again_after_a_failure() {
        let queue = queue();
        for _ in 0..100 {
            queue.requests().now(key("a"));
        }
        queue.requests().now(key("b"));
        let runs = RefCell::new(Vec::new());
        let done = Cell::new(0);
        let all = tokio::sync::Notify::new();
        let work = queue.run(|key| {
            let (runs, done, all) = (&runs, &done, &all);
            async move {
                runs.borrow_mut().push(key.clone());
                let first_of_a = runs.borrow().iter().filter(|run| **run == key).count() == 1
                    && key == Key::Workload { uid: "a".into() };
                if first_of_a {
                    return Outcome::Failed;
                }
                done.set(done.get() + 1);
                if done.get() == 2 {
                    all.notify_one();
                }
                Outcome::Done
            }
        });
        tokio::select! { () = work => {}, () = all.notified() => {} }
        let mut runs = runs.into_inner();
        assert_eq!(runs.pop(), Some(key("a")), "again, after the pause");
        runs.sort();
        assert_eq!(runs, [key("a"), key("b")]);
    }
}
