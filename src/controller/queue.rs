//! The queue of objects to reconcile.
//!
//! A key that is requested many times runs once, and never twice at a time. A failed key runs again after a pause,
//! which doubles with each failure up to [`LONGEST_PAUSE`].
//!
//! Workloads and their estimates come before what-if estimates, which people write by hand. Each of the two lanes
//! takes the namespaces in turn. So thousands of what-ifs in one namespace delay a job in another by one of them at
//! most. One what-if can always run, so that busy workloads do not delay all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;

use crate::cluster::Turns;

/// How many keys run at a time.
const AT_ONCE: usize = 8;
/// Changes come in groups. A group is reconciled once.
const DEBOUNCE: Duration = Duration::from_millis(50);
const SHORTEST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_mins(2);

/// An object to reconcile.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Key {
    /// A workload: its estimate must exist.
    Workload {
        /// The workload's namespace.
        namespace: String,
        /// The workload's uid.
        uid: String,
    },
    /// An estimate: its status must be the judgement.
    Estimate {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// An admission check of Kueue: it must be Active.
    Check {
        /// Its name.
        name: String,
    },
    /// A Workload of Kueue: its checks must be answered.
    Queued {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

impl Key {
    /// What it is, and its name or uid.
    pub(super) fn names(&self) -> (&'static str, &str) {
        match self {
            Self::Workload { uid, .. } => ("workload", uid),
            Self::Estimate { name, .. } => ("estimate", name),
            Self::Check { name } => ("AdmissionCheck of Kueue", name),
            Self::Queued { name, .. } => ("Workload of Kueue", name),
        }
    }

    pub(super) fn namespace(&self) -> &str {
        match self {
            Self::Workload { namespace, .. }
            | Self::Estimate { namespace, .. }
            | Self::Queued { namespace, .. } => namespace,
            Self::Check { .. } => "",
        }
    }
}

/// The lane that a key waits in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// Workloads and their estimates.
    Workloads,
    /// What-if estimates, which people write by hand.
    WhatIfs,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RunEnd {
    /// Done until something changes.
    Done,
    /// It waits for something.
    Waiting,
    /// It failed, and the failure was logged.
    Failed,
}

/// The sending end of the queue.
#[derive(Clone, Debug)]
pub(super) struct Requests(UnboundedSender<(Key, Lane)>);

impl Requests {
    /// Requests a run as soon as possible.
    pub(super) fn now(&self, key: Key, lane: Lane) {
        // Fails when the queue has ended. Then no reconciliation is wanted.
        let _ = self.0.send((key, lane));
    }
}

/// The receiving end of the queue.
pub(super) struct Queue {
    requests: Requests,
    receiver: UnboundedReceiver<(Key, Lane)>,
}

/// An empty queue.
pub(super) fn queue() -> Queue {
    let (sender, receiver) = unbounded_channel();
    Queue { requests: Requests(sender), receiver }
}

impl Queue {
    /// The requests since the last call.
    #[cfg(test)]
    pub(super) fn requested(&mut self) -> Vec<(Key, Lane)> {
        std::iter::from_fn(|| self.receiver.try_recv().ok()).collect()
    }

    /// The sending end.
    pub(super) fn requests(&self) -> Requests {
        self.requests.clone()
    }

    /// Runs until it is dropped.
    pub(super) async fn run<F, R>(mut self, reconcile: F)
    where
        F: Fn(Key) -> R,
        R: Future<Output = RunEnd>,
    {
        let mut waiting = Waiting::default();
        let mut running = FuturesUnordered::new();
        loop {
            waiting.make_ready(Instant::now());
            while let Some(key) = waiting.next() {
                let run = reconcile(key.clone());
                running.push(async move { (key, run.await) });
            }
            let due = waiting.earliest();
            tokio::select! {
                Some((key, lane)) = self.receiver.recv() => waiting.ask(key, lane, Instant::now() + DEBOUNCE),
                Some((key, outcome)) = running.next() => waiting.ended(&key, outcome, Instant::now()),
                () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
            }
        }
    }
}

/// The keys that wait or run.
#[derive(Debug, Default)]
struct Waiting {
    keys: BTreeMap<Key, Entry>,
    /// The keys that wait for their time, in that order.
    later: BTreeSet<(Instant, Key)>,
    workloads: Turns<Key>,
    what_ifs: Turns<Key>,
    running: usize,
    running_what_ifs: usize,
}

#[derive(Debug)]
struct Entry {
    lane: Lane,
    state: State,
    failures: u32,
}

#[derive(Debug)]
enum State {
    /// It waits for this time.
    Later(Instant),
    /// It waits for its turn.
    Ready,
    /// It runs. If it was requested in the meantime, it runs again from this time on.
    Running(Option<Instant>),
    /// It does not wait. Its failures are remembered.
    Idle,
}

impl Waiting {
    /// Requests a key at a time.
    fn ask(&mut self, key: Key, lane: Lane, at: Instant) {
        let entry = self.keys.entry(key.clone()).or_insert(Entry { lane, state: State::Idle, failures: 0 });
        match &mut entry.state {
            State::Ready => return,
            State::Running(again) => {
                again.get_or_insert(at);
                return;
            }
            State::Later(before) if *before <= at => return,
            State::Later(before) => {
                self.later.remove(&(*before, key.clone()));
            }
            State::Idle => {}
        }
        (entry.lane, entry.state) = (lane, State::Later(at));
        self.later.insert((at, key));
    }

    /// When the next key is due.
    fn earliest(&self) -> Option<Instant> {
        self.later.first().map(|(at, _)| *at)
    }

    /// Lets the keys that are due wait for their turn.
    fn make_ready(&mut self, now: Instant) {
        while let Some((at, key)) = self.later.pop_first() {
            if at > now {
                self.later.insert((at, key));
                return;
            }
            let Some(entry) = self.keys.get_mut(&key) else { continue };
            entry.state = State::Ready;
            let namespace = key.namespace().to_owned();
            match entry.lane {
                Lane::Workloads => self.workloads.push(&namespace, key),
                Lane::WhatIfs => self.what_ifs.push(&namespace, key),
            }
        }
    }

    /// The next key to run, if there is a free place for it.
    fn next(&mut self) -> Option<Key> {
        if self.running >= AT_ONCE {
            return None;
        }
        let key = if self.running_what_ifs == 0 && self.running > 0 {
            self.what_ifs.take().or_else(|| self.workloads.take())
        } else if self.running_what_ifs + 1 < AT_ONCE {
            self.workloads.take().or_else(|| self.what_ifs.take())
        } else {
            self.workloads.take()
        };
        let (_, key) = key?;
        let entry = self.keys.get_mut(&key)?;
        entry.state = State::Running(None);
        self.running += 1;
        self.running_what_ifs += usize::from(entry.lane == Lane::WhatIfs);
        Some(key)
    }

    /// Notes that a key has run.
    fn ended(&mut self, key: &Key, outcome: RunEnd, now: Instant) {
        let Some(entry) = self.keys.get_mut(key) else { return };
        let State::Running(again) = entry.state else { return };
        entry.state = State::Idle;
        self.running -= 1;
        self.running_what_ifs -= usize::from(entry.lane == Lane::WhatIfs);
        let (lane, failures) = (entry.lane, entry.failures);
        if outcome == RunEnd::Done {
            self.keys.remove(key);
        } else {
            entry.failures = failures.saturating_add(1);
        }
        let retry = (outcome != RunEnd::Done).then(|| now + pause(failures));
        if let Some(at) = again.or(retry) {
            self.ask(key.clone(), lane, at);
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
        Key::Workload { namespace: "team".into(), uid: uid.to_owned() }
    }

    fn estimate(namespace: &str, name: &str) -> Key {
        Key::Estimate { namespace: namespace.into(), name: name.into() }
    }

    /// The keys in the order that they run. Each ends before another begins, after the first few.
    fn runs(waiting: &mut Waiting) -> Vec<Key> {
        waiting.make_ready(Instant::now() + DEBOUNCE);
        let (mut running, mut runs) = (std::collections::VecDeque::new(), Vec::new());
        loop {
            while let Some(key) = waiting.next() {
                runs.push(key.clone());
                running.push_back(key);
            }
            let Some(key) = running.pop_front() else { return runs };
            waiting.ended(&key, RunEnd::Done, Instant::now());
        }
    }

    #[test]
    fn thousands_of_what_ifs_in_one_namespace_delay_no_other() {
        let mut waiting = Waiting::default();
        let now = Instant::now();
        for number in 0..6_000 {
            waiting.ask(estimate("alice", &format!("what-if-{number}")), Lane::WhatIfs, now);
        }
        waiting.ask(estimate("bob", "what-if"), Lane::WhatIfs, now);
        waiting.ask(estimate("bob", "job-llama"), Lane::Workloads, now);
        let runs = runs(&mut waiting);
        let position = |key| runs.iter().position(|run| *run == key).unwrap();
        assert!(position(estimate("bob", "job-llama")) < AT_ONCE);
        assert!(position(estimate("bob", "what-if")) < AT_ONCE);
        assert_eq!(runs.len(), 6_002);
    }

    #[test]
    fn thousands_of_workloads_in_one_namespace_delay_no_other_and_no_what_if() {
        let mut waiting = Waiting::default();
        let now = Instant::now();
        for number in 0..6_000 {
            waiting.ask(estimate("alice", &format!("job-{number}")), Lane::Workloads, now);
        }
        waiting.ask(estimate("bob", "job-llama"), Lane::Workloads, now);
        waiting.ask(estimate("carol", "what-if"), Lane::WhatIfs, now);
        let runs = runs(&mut waiting);
        let position = |key| runs.iter().position(|run| *run == key).unwrap();
        assert!(position(estimate("bob", "job-llama")) < AT_ONCE);
        assert!(position(estimate("carol", "what-if")) < AT_ONCE);
    }

    #[test]
    fn what_ifs_leave_a_place_for_a_later_workload() {
        let mut waiting = Waiting::default();
        let now = Instant::now();
        for number in 0..100 {
            waiting.ask(estimate("alice", &format!("what-if-{number}")), Lane::WhatIfs, now);
        }
        waiting.make_ready(now);
        while waiting.next().is_some() {}
        assert_eq!((waiting.running, waiting.running_what_ifs), (AT_ONCE - 1, AT_ONCE - 1));
        waiting.ask(key("late"), Lane::Workloads, now);
        waiting.make_ready(now);
        assert_eq!(waiting.next(), Some(key("late")));
    }

    #[test]
    fn a_key_requested_while_it_runs_runs_once_more_afterwards() {
        let mut waiting = Waiting::default();
        let now = Instant::now();
        waiting.ask(key("a"), Lane::Workloads, now);
        waiting.make_ready(now);
        assert_eq!(waiting.next(), Some(key("a")));
        for _ in 0..3 {
            waiting.ask(key("a"), Lane::Workloads, now);
        }
        waiting.make_ready(now);
        assert_eq!(waiting.next(), None);
        waiting.ended(&key("a"), RunEnd::Failed, now);
        waiting.make_ready(now);
        assert_eq!(waiting.next(), Some(key("a")), "at once, since something has changed");
        waiting.ended(&key("a"), RunEnd::Failed, now);
        assert_eq!(waiting.earliest(), Some(now + pause(1)), "the second failure in a row");
        waiting.ended(&key("a"), RunEnd::Done, now);
    }

    #[test]
    fn a_pause_doubles_up_to_the_longest() {
        assert_eq!(pause(0), Duration::from_millis(500));
        assert_eq!(pause(1), Duration::from_secs(1));
        assert_eq!(pause(100), LONGEST_PAUSE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_requested_many_times_runs_once_and_again_after_a_failure() {
        let queue = queue();
        for _ in 0..100 {
            queue.requests().now(key("a"), Lane::Workloads);
        }
        queue.requests().now(key("b"), Lane::Workloads);
        let runs = RefCell::new(Vec::new());
        let done = Cell::new(0);
        let all = tokio::sync::Notify::new();
        let work = queue.run(|key| {
            let (runs, done, all) = (&runs, &done, &all);
            async move {
                runs.borrow_mut().push(key.clone());
                let first_of_a =
                    runs.borrow().iter().filter(|run| **run == key).count() == 1 && key == self::key("a");
                if first_of_a {
                    return RunEnd::Failed;
                }
                done.set(done.get() + 1);
                if done.get() == 2 {
                    all.notify_one();
                }
                RunEnd::Done
            }
        });
        tokio::select! { () = work => {}, () = all.notified() => {} }
        let mut runs = runs.into_inner();
        assert_eq!(runs.pop(), Some(key("a")), "again, after the pause");
        runs.sort();
        assert_eq!(runs, [key("a"), key("b")]);
    }
}
