//! Which review is judged next. Time is shared by peer and by namespace, not first come, first served.
//!
//! ```text
//! next = the peer that has used the least time ─► its namespace that has used the least time
//! ```
//!
//! A namespace's small reviews and its other reviews count as two tenants, so that an ordinary job does not wait for
//! a long script. Each tenant is charged the time that judging took, so expensive work costs more. A tenant that
//! returns starts at the least time of the active ones: it cannot save up time while it is away. The peer comes
//! before the namespace, because a caller can put any namespace into a review, but cannot choose its address.
//!
//! One more review is judged at a time than there are processors. Expensive work gets at most half of the processors.
//! Unknown work gets one slot more. Both run on threads of [low priority](super::background), so that cheap work waits
//! for neither. Work is expensive if judging lately took `EXPENSIVE` or more in that namespace, and much
//! longer than in the cheapest. It is unknown if nothing was judged in that namespace lately and the review
//! is not small. One [large](LARGE) body is judged at a time, and the memory of all parsed objects is bounded.
//!
//! Work is quick if its namespace's work took less than `QUICK` lately, and if the review is not long. Quick work runs
//! where it is: to wake another thread takes longer than an ordinary judgement.
//!
//! A review is rejected at once if its namespace has [`MAX_WAITING`] reviews in the queue. If the whole queue is
//! full, the last review of the longest queue is rejected.

mod account;
#[cfg(test)]
mod tests;

use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::server::Peer;
use account::{Account, Price, REMEMBERED, SMALL, Waiting};

/// A body of more bytes is large.
const LARGE: usize = 1 << 20;
/// The most reviews of one namespace that wait.
const MAX_WAITING: usize = 256;
/// The most reviews that wait in all.
const MAX_WAITING_IN_ALL: usize = 2_048;
/// The most tenants that are remembered.
const MAX_TENANTS: usize = 4_096;
/// A parsed object takes at most this many times the bytes of its text, and at most [`LARGEST_OBJECT`] bytes.
const MEMORY_PER_BYTE: usize = 96;
const LARGEST_OBJECT: usize = 18 << 20;

/// Whose time the work uses.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tenant {
    peer: Peer,
    /// The namespace in the review, or empty.
    namespace: String,
    /// Small reviews have a share of their own, which larger ones of the same namespace cannot use up.
    small: bool,
}

impl Tenant {
    pub(super) fn new(peer: Peer, namespace: &str) -> Self {
        Self { peer, namespace: namespace.to_owned(), small: false }
    }
}

/// The size of the work.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    /// The bytes of the review.
    pub(super) bytes: usize,
    /// How many parsed objects are held.
    pub(super) objects: usize,
}

impl Size {
    /// The most memory that its parsed objects take.
    fn memory(self) -> usize {
        self.bytes.saturating_mul(MEMORY_PER_BYTE).min(LARGEST_OBJECT).saturating_mul(self.objects)
    }
}

/// The queue.
#[derive(Clone, Debug)]
pub(super) struct Turns(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    slots: usize,
    expensive_slots: usize,
    memory: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    waiting: usize,
    running: Running,
    peers: BTreeMap<Peer, Account>,
    tenants: BTreeMap<Tenant, Account>,
    /// The tenants with work that runs or waits. Many more are remembered.
    busy: BTreeSet<Tenant>,
}

/// The work in progress.
#[derive(Debug, Default)]
struct Running {
    all: usize,
    expensive: usize,
    unknown: usize,
    large: usize,
    memory: usize,
}

/// A turn to judge. It ends when it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    shared: Arc<Shared>,
    tenant: Tenant,
    started: Instant,
    price: Price,
    is_quick: bool,
    size: Size,
    memory: usize,
    /// The time that the tenant was charged in advance.
    charged: Duration,
    ended: bool,
}

/// The queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct QueueFull;

impl Turns {
    /// A queue for a number of processors and a memory for parsed objects, in bytes.
    pub(super) fn new(processors: usize, memory: usize) -> Self {
        // On a large machine the memory is the limit, not the processors.
        let processors = processors.clamp(1, 16);
        Self(Arc::new(Shared {
            slots: processors + 1,
            expensive_slots: (processors / 2).max(1),
            memory,
            state: Mutex::default(),
        }))
    }

    /// Waits for a turn. Dropping the future leaves the queue.
    pub(super) async fn turn(&self, tenant: Tenant, size: Size) -> Result<Turn, QueueFull> {
        let tenant = Tenant { small: size.bytes <= SMALL, ..tenant };
        let (start, turn) = oneshot::channel();
        let number = self.0.enqueue(&tenant, size, start)?;
        let _leave = Leave { shared: &self.0, tenant, number };
        turn.await.map_err(|_| QueueFull)
    }
}

/// Removes a review from the queue when its caller goes away.
struct Leave<'a> {
    shared: &'a Arc<Shared>,
    tenant: Tenant,
    number: u64,
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        let Some(account) = state.tenants.get_mut(&self.tenant) else { return };
        let before = account.waiting.len();
        account.waiting.retain(|waiting| waiting.number != self.number);
        let left = before - account.waiting.len();
        state.waiting -= left;
        if left > 0 {
            state.may_be_idle(&self.tenant);
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enqueue(
        self: &Arc<Self>,
        tenant: &Tenant,
        size: Size,
        start: oneshot::Sender<Turn>,
    ) -> Result<u64, QueueFull> {
        let mut state = self.state();
        let number = state.next;
        state.next += 1;
        state.admit(tenant);
        let account = state.tenants.get_mut(tenant).ok_or(QueueFull)?;
        if account.waiting.len() >= MAX_WAITING {
            return Err(QueueFull);
        }
        account.waiting.push_back(Waiting { number, size, start });
        state.busy.insert(tenant.clone());
        state.waiting += 1;
        if state.waiting > MAX_WAITING_IN_ALL {
            state.reject_last();
        }
        self.dispatch(&mut state);
        Ok(number)
    }

    /// Starts all work that may start.
    fn dispatch(self: &Arc<Self>, state: &mut State) {
        while let Some((tenant, price)) = self.next(state) {
            let Some(account) = state.tenants.get_mut(&tenant) else { return };
            let Some(Waiting { size, start, .. }) = account.waiting.pop_front() else { return };
            state.waiting -= 1;
            let (memory, started) = (self.memory_charge(size), Instant::now());
            let charged = account.mean.unwrap_or_default();
            state.running.all += 1;
            state.running.expensive += usize::from(price == Price::Expensive);
            state.running.unknown += usize::from(price == Price::Unknown);
            state.running.large += usize::from(size.bytes > LARGE);
            state.running.memory += memory;
            let is_quick = price == Price::Cheap && account.is_quick(size, started);
            account.start(charged);
            if let Some(account) = state.peers.get_mut(&tenant.peer) {
                account.start(charged);
            }
            let shared = self.clone();
            let turn = Turn { shared, tenant, started, price, is_quick, size, memory, charged, ended: false };
            // The caller went away meanwhile, so the turn ends.
            if let Err(mut turn) = start.send(turn) {
                turn.end(state, Duration::ZERO);
            }
        }
    }

    /// The tenant whose turn it is, and the cost of its work.
    fn next(&self, state: &State) -> Option<(Tenant, Price)> {
        if state.running.all >= self.slots {
            return None;
        }
        // Looked for only if something may be expensive.
        let cheapest = LazyCell::new(|| {
            state.tenants.values().filter_map(|account| account.mean).min().unwrap_or_default()
        });
        let startable = state.busy_tenants().filter_map(|(tenant, account)| {
            let price = account.price(account.waiting.front()?.size, &cheapest);
            self.may_start(state, account, price).then_some((tenant, account, price))
        });
        let used = |peer: &Peer| state.peers.get(peer).map(|account| account.used).unwrap_or_default();
        startable
            .min_by_key(|(tenant, account, _)| (used(&tenant.peer), tenant.peer, account.used))
            .map(|(tenant, _, price)| (tenant.clone(), price))
    }

    fn may_start(&self, state: &State, account: &Account, price: Price) -> bool {
        let Some(Waiting { size, .. }) = account.waiting.front() else { return false };
        let running = &state.running;
        let uncertain = running.expensive + running.unknown <= self.expensive_slots;
        let affordable = match price {
            Price::Cheap => true,
            Price::Expensive => uncertain && running.expensive < self.expensive_slots,
            Price::Unknown => uncertain,
        };
        // One slot is always left for another tenant.
        account.running + 1 < self.slots
            && affordable
            && (size.bytes <= LARGE || running.large == 0)
            && running.memory + self.memory_charge(*size) <= self.memory
    }

    /// The memory that a review is charged. The largest leave half of the memory to others.
    fn memory_charge(&self, size: Size) -> usize {
        size.memory().min(self.memory / 2)
    }
}

impl State {
    /// Makes the accounts of a tenant that has none or was away.
    fn admit(&mut self, tenant: &Tenant) {
        let now = Instant::now();
        if self.tenants.len() >= MAX_TENANTS {
            self.remove_idle(now);
        }
        let least = |used: &mut dyn Iterator<Item = Duration>| used.min().unwrap_or_default();
        let waiting = self.busy_tenants().filter(|(_, account)| !account.waiting.is_empty());
        let peers = waiting.filter_map(|(tenant, _)| self.peers.get(&tenant.peer));
        let of_peers = least(&mut peers.filter(|peer| peer.running > 0).map(|peer| peer.used));
        let of_same_peer = self.busy_tenants().filter(|(other, _)| other.peer == tenant.peer);
        let of_tenants = least(&mut of_same_peer.map(|(_, account)| account.used));
        self.peers.entry(tenant.peer).or_insert_with(|| Account::new(now)).resume(now, of_peers);
        self.tenants.entry(tenant.clone()).or_insert_with(|| Account::new(now)).resume(now, of_tenants);
    }

    /// The tenants with work that runs or waits.
    fn busy_tenants(&self) -> impl Iterator<Item = (&Tenant, &Account)> {
        self.busy.iter().filter_map(|tenant| self.tenants.get_key_value(tenant))
    }

    /// Forgets a tenant among the busy ones if it has no work left.
    fn may_be_idle(&mut self, tenant: &Tenant) {
        if self.tenants.get(tenant).is_none_or(Account::is_idle) {
            self.busy.remove(tenant);
        }
    }

    /// Removes accounts that are idle for long. If there are too many, removes all idle ones.
    fn remove_idle(&mut self, now: Instant) {
        self.tenants.retain(|_, account| !account.is_idle() || now - account.seen < REMEMBERED);
        if self.tenants.len() >= MAX_TENANTS {
            self.tenants.retain(|_, account| !account.is_idle());
        }
        let kept: BTreeSet<Peer> = self.tenants.keys().map(|tenant| tenant.peer).collect();
        self.peers.retain(|peer, _| kept.contains(peer));
    }

    /// Rejects the last review of the longest queue.
    fn reject_last(&mut self) {
        let longest = self.busy_tenants().max_by_key(|(_, account)| account.waiting.len());
        let Some(tenant) = longest.map(|(tenant, _)| tenant.clone()) else { return };
        let account = self.tenants.get_mut(&tenant);
        if account.is_some_and(|account| account.waiting.pop_back().is_some()) {
            self.waiting -= 1;
            self.may_be_idle(&tenant);
        }
    }
}

impl Turn {
    /// Whether its work takes less time than to wake another thread for it.
    pub(super) fn is_quick(&self) -> bool {
        self.is_quick
    }

    /// The work begins now: a thread for it was found.
    pub(super) fn begin(&mut self) {
        self.started = Instant::now();
    }

    /// Whether its work may take long, so that cheap work must not wait for it.
    pub(super) fn may_take_long(&self) -> bool {
        self.price != Price::Cheap
    }

    fn end(&mut self, state: &mut State, took: Duration) {
        self.ended = true;
        state.running.all -= 1;
        state.running.expensive -= usize::from(self.price == Price::Expensive);
        state.running.unknown -= usize::from(self.price == Price::Unknown);
        state.running.large -= usize::from(self.size.bytes > LARGE);
        state.running.memory -= self.memory;
        if let Some(account) = state.peers.get_mut(&self.tenant.peer) {
            account.settle(self.charged, took);
        }
        if let Some(account) = state.tenants.get_mut(&self.tenant) {
            account.settle(self.charged, took);
            account.learn(took);
        }
        state.may_be_idle(&self.tenant);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let shared = self.shared.clone();
        let mut state = shared.state();
        self.end(&mut state, self.started.elapsed());
        shared.dispatch(&mut state);
    }
}
